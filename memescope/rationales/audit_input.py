"""Rationales to learn from or to audit, from whichever form they lie in: ours (JSON lines), or as published."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from memescope.errors import UsageError
from memescope.meme import Meme
from memescope.rationales.published import import_rationales
from memescope.rationales.store import Rationale, load_rationales


def read_any(path: Path, memes: Sequence[Meme], task: str) -> dict[str, Rationale]:
    """Rationales by the id of their meme; of stored ones those of `task` and of the memes' dataset, and those that say
    none.

    Raises `UsageError` for a file that is neither form, and for one whose rationales are all of something else.
    """
    if _is_published(path):
        return {one.id: one for one in import_rationales(path, memes, task)}
    sources = {meme.source or "" for meme in memes}
    found = load_rationales(path, next(iter(sources)) if len(sources) == 1 else None, task)
    found = {its: one for its, one in found.items() if one.dataset in ("", *sources)}
    if not found:
        of = ", ".join(sorted(sources)) or "these memes"
        raise UsageError(
            f"{path}: holds no rationale that explains {task} of {of}: see the `task` and `dataset` of its lines"
        )
    return found


def _is_published(path: Path) -> bool:
    """Whether the file is one JSON value, and no single line of ours."""
    try:
        content = json.loads(path.read_text("utf-8-sig"))
    except OSError as error:
        raise UsageError(f"{path}: cannot be read: {error.strerror or error}") from None
    except ValueError:
        return False
    return not (isinstance(content, dict) and "rationale" in content)
