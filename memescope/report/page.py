"""`report.html`: one file with its style, script and data inside, that can fetch nothing and run nothing injected.

The parts are plain files in `assets/`, put together here. Data goes into `<script type="application/json">` blocks,
which no browser executes; a Content-Security-Policy allows exactly our style and script by their SHA-256, pictures only
as `data:`, no connection to anywhere, and (Trusted Types) no HTML made from strings: text can only ever be text.
"""

from __future__ import annotations

import base64
import hashlib
import html
import re
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import IO, Any

from memescope.atomic import atomic
from memescope.meme import Verdict
from memescope.report.encode import Vocabulary, data_uri, detail, row, script_json
from memescope.report.info import ScanInfo
from memescope.taxonomy import load_taxonomy

STYLES = ("base.css", "summary.css", "list.css", "detail.css", "print.css")
SCRIPTS = (
    "dom.js",
    "data.js",
    "filter.js",
    "plots.js",
    "summary.js",
    "about.js",
    "list.js",
    "evidence.js",
    "detail.js",
    "main.js",
)
ROWS_IN_BLOCK = 250
DRAWN_IN_BLOCK = 10
"""Pictures and details in one lazily parsed block: a screen of memes in any order parses about ten of these."""


def write_report(
    path: Path,
    verdicts: Iterable[Verdict],
    *,
    thumbnails: Callable[[str], bytes | None],
    info: ScanInfo,
) -> None:
    """Write the report of `verdicts` (any number, read once, a few hundred in memory at a time) to `path`, atomically.

    `thumbnails` gives the small picture (WebP, JPEG or PNG of about 160-200 px) for a verdict's id, or None.
    `MemescopeError` for a thumbnail of another format or a probability that is not finite; `path` is then untouched.
    """
    vocabulary = Vocabulary(load_taxonomy())
    style, script = _style(), _script()
    with atomic(Path(path)) as file:
        before, after = _template(
            title=html.escape(info.title), policy=content_policy(style, script), style=style, script=script
        )
        file.write(before.encode())
        total = _write_blocks(file, verdicts, thumbnails, vocabulary)
        about = {"info": info.to_dict(), "tasks": vocabulary.tasks(), "total": total, "per_block": DRAWN_IN_BLOCK}
        _write_block(file, "about", about)
        file.write(after.encode())


def _template(**values: str) -> tuple[str, str]:
    """The page before and after its data. One pass, so that a title with a placeholder's name in it stays a title."""
    before, after = _asset("template.html").split("{{data}}")

    def filled(part: str) -> str:
        return re.sub(r"\{\{(\w+)\}\}", lambda match: values[match[1]], part)

    return filled(before), filled(after)


def content_policy(style: str, script: str) -> str:
    """The Content-Security-Policy under which exactly this style and this script work."""
    return "; ".join(
        [
            "default-src 'none'",
            "img-src data:",
            f"style-src 'sha256-{_digest(style)}'",
            f"script-src 'sha256-{_digest(script)}'",
            "base-uri 'none'",
            "form-action 'none'",
            "require-trusted-types-for 'script'",
            "trusted-types 'none'",
        ]
    )


def _digest(text: str) -> str:
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode("ascii")


@cache
def _asset(name: str) -> str:
    return files("memescope.report").joinpath("assets", name).read_text("utf-8")


def _style() -> str:
    return "\n" + "\n".join(_asset(name) for name in STYLES)


def _script() -> str:
    """The modules one after another in one function scope: they share names with each other and with nothing else."""
    return '\n(() => {\n"use strict";\n' + "\n".join(_asset(name) for name in SCRIPTS) + "\n})();\n"


def _write_blocks(
    file: IO[bytes],
    verdicts: Iterable[Verdict],
    thumbnails: Callable[[str], bytes | None],
    vocabulary: Vocabulary,
) -> int:
    total = 0
    for block, some in enumerate(_batches(verdicts, ROWS_IN_BLOCK)):
        for start in range(0, len(some), DRAWN_IN_BLOCK):
            few = some[start : start + DRAWN_IN_BLOCK]
            drawn = {
                "details": [detail(verdict) for verdict in few],
                "pictures": [data_uri(thumbnails(verdict.id), verdict.id) for verdict in few],
            }
            _write_block(file, f"drawn-{(total + start) // DRAWN_IN_BLOCK}", drawn)
        _write_block(file, f"rows-{block}", [row(verdict, vocabulary) for verdict in some])
        total += len(some)
    return total


def _batches(verdicts: Iterable[Verdict], size: int) -> Iterator[list[Verdict]]:
    batch: list[Verdict] = []
    for verdict in verdicts:
        batch.append(verdict)
        if len(batch) == size:
            yield batch
            batch = []
    if batch:
        yield batch


def _write_block(file: IO[bytes], name: str, value: Any) -> None:
    file.write(f'<script type="application/json" id="{name}">{script_json(value, name)}</script>\n'.encode())
