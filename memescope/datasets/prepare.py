"""`prepare`: datasets in, one harmonised Arrow set out, with its record, its problems and its card.

The set depends on the input's bytes and the options alone: the same give the same fingerprint and the same Arrow bytes
on any machine, under any path and with any number of workers. Where pictures lie is told in `prepared.json`, which is
no part of the fingerprint.
"""

from __future__ import annotations

import glob
import hashlib
import json
import os
import shutil
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, Literal, get_args

from memescope.datasets.arrow import features, needs_pyarrow, write_split, write_splits
from memescope.datasets.checking import Checked, Progress, check_pictures
from memescope.datasets.filters import has_text, memelens_text
from memescope.datasets.harmonise import Pictures
from memescope.datasets.inputs import Choices, Input, find_inputs, own_data
from memescope.datasets.mapping import draft_mapping, read_mapping
from memescope.datasets.prepared import RECORD, in_order
from memescope.datasets.problems import Problems
from memescope.datasets.setcard import write_card
from memescope.datasets.splitting import CONTENT, RATIO, assign_splits
from memescope.errors import UsageError
from memescope.meme import Meme
from memescope.perception.sniff import SUFFIXES, picture_format
from memescope.taxonomy import load_taxonomy

EmptyText = Literal["keep", "drop", "memelens"]
_KEEPS: dict[str, Callable[[Meme], bool]] = {"keep": lambda meme: True, "drop": has_text, "memelens": memelens_text}
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
    columns: Sequence[tuple[str, str]] = (),
    mapping: str | Path | None = None,
    name: str | None = None,
    embed: bool = False,
    strict: bool = False,
    pictures: Pictures = "optional",
    empty_text: EmptyText = "keep",
    split_by: str = CONTENT,
    ratio: Sequence[float] = RATIO,
    workers: int | None = None,
    progress: Progress = lambda stage, done, total: None,
) -> Prepared:
    """Prepare the datasets at `paths` as one set in the folder `out` (new, empty, or an earlier prepared set).

    `sources` (`NAME` or `NAME:VARIANT`) chooses among downloads. For the user's own data `columns` are (role, column),
    `mapping` is the file of its label map and `name` what it is called. `embed` puts the pictures' bytes into the set;
    `pictures="required"` leaves out rows without a readable picture; `empty_text` `drop` leaves out rows without text,
    `memelens` also those of punctuation alone; rows without a split are divided by `ratio` (train, val, test), those
    that share a text or a picture, or the value of the column `split_by`, together.

    Raises `UsageError` for paths that hold nothing known, when no row is left, and with `strict` at the first problem.
    """
    needs_pyarrow("data prepare")
    out = Path(out)
    _check_out(out)
    problems = Problems(strict)
    own = read_mapping(Path(mapping)) if mapping else None
    choices = Choices(sources, columns, own, name, _one_of("pictures", pictures, get_args(Pictures)))
    _one_of("empty_text", empty_text, get_args(EmptyText))
    inputs = find_inputs([Path(path) for path in paths], choices)
    partial = out.with_name(f".{out.name}.{os.getpid()}.partial")
    _clear(out)
    partial.mkdir(parents=True)
    try:
        roots = {source: root.absolute() for one in inputs for source, root in one.roots.items()}
        memes = _read(inputs, problems, empty_text, partial / "pictures", roots, progress)
        checked = check_pictures([meme.image for meme in memes if isinstance(meme.image, Path)], workers, progress)
        memes = _with_pictures(memes, checked, problems, pictures)
        if not memes:
            raise UsageError(f"no row left of {', '.join(map(str, paths))}: {_told(problems)}")
        assign_splits(memes, {path: one.sha256 for path, one in checked.items()}, ratio, split_by)
        options = {
            "embed": embed,
            "pictures": pictures,
            "empty_text": empty_text,
            "split_by": split_by,
            "ratio": list(ratio),
            "sources": {one.name: one.variant for one in inputs},
        }
        record = _write(partial, out, inputs, memes, checked, problems, options, roots, progress)
        if embed:
            shutil.rmtree(partial / "pictures", ignore_errors=True)
        if out.exists():
            shutil.rmtree(out)
        partial.rename(out)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return Prepared(out, record, problems)


def draft(path: str | Path, to: str | Path, *, columns: Sequence[tuple[str, str]] = (), name: str | None = None) -> str:
    """Write the draft of a label map for the user's own data at `path` into the new file `to`, and return its text."""
    data = own_data(Path(path), Choices(columns=columns, name=name))
    if not data.columns.labels:
        raise UsageError(
            f"{path}: no labels among the columns {', '.join(data.columns.known)}; name those that are: "
            "--column label=NAME"
        )
    text = draft_mapping(data.name, data.rows(Problems()))
    try:
        with Path(to).open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        raise UsageError(f"{to}: exists already; name a new file, so that nothing you filled in is lost") from None
    return text


def _one_of(option: str, value: Any, allowed: Sequence[str]) -> Any:
    if value not in allowed:
        raise UsageError(f"{option} {value!r}: expected one of {', '.join(allowed)}")
    return value


def _check_out(out: Path) -> None:
    if out.exists() and not (out / RECORD).is_file() and (not out.is_dir() or any(out.iterdir())):
        raise UsageError(f"{out}: exists and is no prepared set; name a new folder, or delete it first")


def _clear(out: Path) -> None:
    """Remove what runs that were killed have left beside `out`."""
    for left in out.parent.glob(f".{glob.escape(out.name)}.*.partial"):
        number = left.name.split(".")[-2]
        try:
            os.kill(int(number), 0)
        except (ValueError, ProcessLookupError):
            shutil.rmtree(left, ignore_errors=True)
        except PermissionError:
            pass  # another user's run


def _told(problems: Problems) -> str:
    return ", ".join(f"{number} {kind}" for kind, number in problems.counts.items()) or "they hold none"


def _read(
    inputs: Sequence[Input],
    problems: Problems,
    empty_text: EmptyText,
    pictures: Path,
    roots: dict[str, Path],
    progress: Progress,
) -> list[Meme]:
    """All memes. Pictures that come as bytes are put into the folder `pictures`, named by content."""
    memes = []
    for done, one in enumerate(inputs, 1):
        problems.source = one.name
        for meme in one.read(problems):
            if not _KEEPS[empty_text](meme):
                problems.add("empty-text", meme.meta.get("where", one.name), "no text", meme.id)
                continue
            if isinstance(meme.image, bytes):
                name = str(meme.source)
                roots[name] = pictures.absolute() / name
                meme.image = _put_picture(roots[name], meme.image)
            if len(inputs) > 1:
                meme.id = f"{meme.source}/{meme.id}"
            memes.append(meme)
        progress("read", done, len(inputs))
    problems.source = ""
    return memes


def _put_picture(folder: Path, content: bytes) -> Path:
    ending = SUFFIXES.get(picture_format(content) or "", (".bin",))[0]
    path = folder / f"{hashlib.sha256(content).hexdigest()[:32]}{ending}"
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return path


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
    roots: Mapping[str, Path],
    progress: Progress,
) -> dict[str, Any]:
    taxonomy = load_taxonomy()
    met = {task for meme in memes for task in meme.labels}
    tasks = {name: task.kind == "multilabel" for name, task in taxonomy.tasks.items() if name in met}
    described = features(tasks, options["embed"])
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
        "memescope": import_module("memescope").__version__,  # by name: the package imports the rooms above this one
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
        "pictures": {name: _place(root, folder.absolute(), out.absolute()) for name, root in roots.items()},
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
        row["image"] = _relative(meme.image, roots[str(meme.source)])
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


def _relative(path: Path, root: Path) -> str:
    written = os.path.abspath(path)
    return Path(os.path.relpath(written, root)).as_posix()


def _place(root: Path, folder: Path, out: Path) -> dict[str, str]:
    """Where pictures lie, seen from the set and from the root of the file system; `folder` is about to become `out`."""
    if root.is_relative_to(folder):
        root = out / root.relative_to(folder)
    return {"relative": os.path.relpath(root, out), "absolute": str(root)}


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
