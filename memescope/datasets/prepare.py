"""`prepare`: datasets in, one harmonised Arrow set out, with its record, its problems and its card.

The set depends on the input's bytes and the options alone: the same give the same fingerprint and the same Arrow bytes
on any machine, under any path and with any number of workers. Where pictures lie is told in `prepared.json`, which is
no part of the fingerprint.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import unicodedata
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

from memescope import __version__
from memescope.datasets.arrow import features, needs_pyarrow, write_split, write_splits
from memescope.datasets.checking import Checked, Progress, check_pictures
from memescope.datasets.harmonise import Pictures
from memescope.datasets.inputs import Input, find_inputs
from memescope.datasets.prepared import RECORD, in_order
from memescope.datasets.problems import Problems
from memescope.datasets.setcard import write_card
from memescope.datasets.splitting import RATIO, assign_splits
from memescope.errors import UsageError
from memescope.meme import Meme
from memescope.taxonomy import load_taxonomy

EmptyText = Literal["keep", "drop", "memelens"]
LAYOUT = "1"
"""Version of what the columns mean; part of the fingerprint."""
_PRIVATE = ("native_labels",)


@dataclass(frozen=True)
class Prepared:
    """A prepared set: where it is, the content of its `prepared.json`, and what was wrong with the input."""

    folder: Path
    record: dict[str, Any]
    problems: Problems


def prepare(
    paths: Sequence[str | Path],
    out: str | Path,
    *,
    sources: Sequence[str] = (),
    embed: bool = False,
    strict: bool = False,
    pictures: Pictures = "optional",
    empty_text: EmptyText = "keep",
    ratio: Sequence[float] = RATIO,
    workers: int | None = None,
    progress: Progress = lambda stage, done, total: None,
) -> Prepared:
    """Prepare the datasets at `paths` as one set in the folder `out` (new, empty, or an earlier prepared set).

    `sources` (`NAME` or `NAME:VARIANT`) chooses among downloads; `embed` puts the pictures' bytes into the set;
    `pictures="required"` leaves out rows without a readable picture; `empty_text` `drop` leaves out rows without text,
    `memelens` also those of punctuation alone; rows without a split are divided by `ratio` (train, val, test).

    Raises `UsageError` for paths that hold nothing known, when no row is left, and with `strict` at the first problem.
    """
    needs_pyarrow("data prepare")
    out = Path(out)
    _check_out(out)
    problems = Problems(strict)
    inputs = find_inputs([Path(path) for path in paths], sources, pictures)
    memes = _read(inputs, problems, empty_text, progress)
    checked = check_pictures([meme.image for meme in memes if isinstance(meme.image, Path)], workers, progress)
    memes = _with_pictures(memes, checked, problems, pictures)
    if not memes:
        raise UsageError(f"no row left of {', '.join(map(str, paths))}: {_told(problems)}")
    assign_splits(memes, {path: one.sha256 for path, one in checked.items()}, ratio)
    options = {
        "embed": embed,
        "pictures": pictures,
        "empty_text": empty_text,
        "ratio": list(ratio),
        "sources": {one.name: one.variant for one in inputs},
    }
    partial = out.with_name(f".{out.name}.{os.getpid()}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    try:
        record = _write(partial, out, inputs, memes, checked, problems, options, progress)
        if out.exists():
            shutil.rmtree(out)
        partial.rename(out)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return Prepared(out, record, problems)


def _check_out(out: Path) -> None:
    if out.exists() and not (out / RECORD).is_file() and (not out.is_dir() or any(out.iterdir())):
        raise UsageError(f"{out}: exists and is no prepared set; name a new folder, or delete it first")


def _told(problems: Problems) -> str:
    return ", ".join(f"{number} {kind}" for kind, number in problems.counts.items()) or "they hold none"


def _read(inputs: Sequence[Input], problems: Problems, empty_text: EmptyText, progress: Progress) -> list[Meme]:
    if empty_text not in get_args(EmptyText):
        raise UsageError(f"empty_text {empty_text!r}: expected one of {', '.join(get_args(EmptyText))}")
    memes = []
    for done, one in enumerate(inputs, 1):
        problems.source = one.name
        for meme in one.read(problems):
            if empty_text != "keep" and not _has_text(meme.text, empty_text):
                problems.add("empty-text", meme.meta.get("where", one.name), "no text", meme.id)
                continue
            if len(inputs) > 1:
                meme.id = f"{meme.source}/{meme.id}"
            memes.append(meme)
        progress("read", done, len(inputs))
    problems.source = ""
    return memes


def _has_text(text: str, empty_text: EmptyText) -> bool:
    if empty_text == "drop":
        return bool(text.strip())
    return any(unicodedata.category(character)[0] not in "PZC" for character in text)


def _with_pictures(
    memes: Sequence[Meme], checked: Mapping[Path, Checked], problems: Problems, pictures: Pictures
) -> list[Meme]:
    """The memes that stay; a picture that cannot be decoded is noted here, a missing one was when read."""
    kept = []
    for meme in memes:
        found = checked.get(meme.image) if isinstance(meme.image, Path) else None
        required = pictures == "required"
        if found is not None and found.error is not None and found.error != "no such file":
            problems.source = meme.source or ""
            where = str(meme.meta.get("where", ""))
            problems.add("broken-picture", where, found.error, meme.id, kept=not required)
        if not required or (found is not None and found.error is None):
            kept.append(meme)
    problems.source = ""
    return kept


def _write(
    folder: Path,
    out: Path,
    inputs: Sequence[Input],
    memes: Sequence[Meme],
    checked: Mapping[Path, Checked],
    problems: Problems,
    options: Mapping[str, Any],
    progress: Progress,
) -> dict[str, Any]:
    taxonomy = load_taxonomy()
    met = {task for meme in memes for task in meme.labels}
    tasks = {name: task.kind == "multilabel" for name, task in taxonomy.tasks.items() if name in met}
    described = features(tasks, options["embed"])
    roots = {name: root.resolve() for one in inputs for name, root in one.roots.items()}
    by_split: dict[str, list[Meme]] = {}
    for meme in memes:
        by_split.setdefault(meme.split or "train", []).append(meme)
    fingerprint = hashlib.sha256(json.dumps([LAYOUT, taxonomy.version, options], sort_keys=True).encode())
    written = 0

    def rows(some: Sequence[Meme]) -> Iterator[dict[str, Any]]:
        nonlocal written
        for meme in some:
            row = _row(meme, tasks, roots, checked)
            fingerprint.update(json.dumps(row, sort_keys=True).encode())
            if options["embed"]:
                row["image"] = _embedded(meme, checked)
            yield row
            written += 1
            progress("write", written, len(memes))

    splits = in_order(list(by_split))
    arrow = {split: write_split(folder, split, rows(by_split[split]), described) for split in splits}
    write_splits(folder, splits)
    record = {
        "memescope": __version__,
        "layout": LAYOUT,
        "taxonomy": taxonomy.version,
        "fingerprint": fingerprint.hexdigest(),
        "options": options,
        "rows": {split: len(by_split[split]) for split in splits},
        "labels": {split: _counts(by_split[split]) for split in splits},
        "pictures_found": sum(_there(meme, checked) for meme in memes),
        "problems": problems.counts,
        "arrow": arrow,
        "sources": {
            one.name: {
                "variant": one.variant,
                "verified": one.card.verified if one.card else None,
                "rows": dict(Counter(meme.split for meme in memes if meme.source in one.roots)),
                **one.about,
            }
            for one in inputs
        },
        "pictures": {
            name: {"relative": os.path.relpath(root, out.resolve()), "absolute": str(root)}
            for name, root in roots.items()
        },
    }
    problems.write(folder / "problems.jsonl")
    write_card(folder / "README.md", record, {one.name: one.card for one in inputs if one.card})
    (folder / RECORD).write_text(json.dumps(record, indent=1, ensure_ascii=False) + "\n", "utf-8")
    return record


def _row(
    meme: Meme, tasks: Mapping[str, bool], roots: Mapping[str, Path], checked: Mapping[Path, Checked]
) -> dict[str, Any]:
    row: dict[str, Any] = {"id": meme.id, "image": None, "text": meme.text, "lang": meme.lang}
    if isinstance(meme.image, Path):
        row["image"] = Path(os.path.relpath(meme.image, roots[str(meme.source)])).as_posix()
        row["image_sha256"] = checked[meme.image].sha256 or None
    else:
        row["image_sha256"] = None
    if tasks:
        row["labels"] = {task: meme.labels.get(task) for task in tasks}
    meta = {key: value for key, value in meme.meta.items() if key not in _PRIVATE}
    return row | {
        "aspect": meme.aspect,
        "rationale": meme.rationale,
        "source": meme.source,
        "split": meme.split,
        "native_labels": json.dumps(meme.meta.get("native_labels", {}), ensure_ascii=False, sort_keys=True),
        "meta": json.dumps(meta, ensure_ascii=False, sort_keys=True),
    }


def _there(meme: Meme, checked: Mapping[Path, Checked]) -> bool:
    return isinstance(meme.image, Path) and checked[meme.image].error is None


def _embedded(meme: Meme, checked: Mapping[Path, Checked]) -> dict[str, Any] | None:
    if not _there(meme, checked):
        return None
    return {"bytes": Path(meme.image).read_bytes(), "path": Path(meme.image).name}


def _counts(memes: Sequence[Meme]) -> dict[str, dict[str, int]]:
    """By task and label, in the taxonomy's order."""
    taxonomy = load_taxonomy()
    counted: dict[str, Counter[str]] = {}
    for meme in memes:
        for task, label in meme.labels.items():
            counted.setdefault(task, Counter()).update([label] if isinstance(label, str) else label)
    return {
        name: {label: counted[name][label] for label in task.labels if counted[name][label]}
        for name, task in taxonomy.tasks.items()
        if name in counted
    }
