"""Reading a prepared set: the Arrow folder that `memescope data prepare` writes, or a folder of JSON lines.

Arrow: a hub dataset on disk with `prepared.json` beside it, which says where each source's pictures lie. Without it the
columns are recognised as in a user's own data.

JSON lines: `SPLIT.jsonl` files, each line `{"id", "image", "text", "labels": {native field: label or list}, "lang",
"meta"?}`, `image` relative to the folder. Labels are native and go through the dataset's label map, named by the folder
or by `dataset=`; a set whose labels are canonical already needs no map.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from memescope.datasets.arrow import read_rows, stored_splits
from memescope.datasets.clean import Clean, kept
from memescope.datasets.columns import split_name
from memescope.datasets.problems import Problems
from memescope.errors import UsageError
from memescope.meme import Meme
from memescope.taxonomy import LabelMap, load_label_map, load_taxonomy
from memescope.taxonomy.labels import mapped_datasets

SPLITS = ("train", "val", "test")
RECORD = "prepared.json"
"""What makes a hub dataset on disk a prepared set: how it was made and where its pictures lie."""
_NO_SPLITS = frozenset({"truth", "problems", "results", "predictions", "log"})
"""Files of JSON lines that memescope writes beside splits."""

_T = TypeVar("_T")


def in_order(splits: Sequence[str]) -> list[str]:
    """Split names as they are read and shown: train, val, test, then others by name."""
    return sorted(splits, key=lambda split: (SPLITS.index(split) if split in SPLITS else len(SPLITS), split))


def splits_of(folder: str | Path) -> list[str]:
    """The splits of a prepared set, in reading order; empty for a folder that is none."""
    folder = Path(folder)
    if stored := _stored(folder):
        return in_order(list(stored))
    return in_order([path.stem for path in folder.glob("*.jsonl") if path.stem not in _NO_SPLITS and _is_split(path)])


def has_split(folder: str | Path, split: str) -> bool:
    """Whether a prepared set, of either form, has this split."""
    folder = Path(folder)
    return split in _stored(folder) or (folder / f"{split}.jsonl").is_file()


def read_record(folder: str | Path) -> dict[str, Any]:
    """The content of `prepared.json`; `UsageError` where it is absent or broken."""
    path = Path(folder) / RECORD
    try:
        record = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise UsageError(f"{path}: not a set that memescope data prepare wrote: {error}") from None
    if not isinstance(record, dict) or not isinstance(record.get("pictures", {}), dict):
        raise UsageError(f"{path}: expected an object with `pictures`; prepare the set again")
    return record


def read_split(
    folder: str | Path, split: str, dataset: str | None = None, clean: Clean | str | Path | None = None
) -> list[Meme]:
    """The memes of one split, in file order, with canonical labels; `meta["native_labels"]` keeps the native ones.

    With `clean`, a clean split or the file or folder that `memescope data audit --out` wrote, only the rows it keeps.

    Raises `UsageError` naming file and line for a missing split, a broken line, an unknown label or a picture path
    that leaves the folder. Pictures are not opened; those embedded in an Arrow set come as bytes.
    """
    memes = _all_rows(Path(folder), split, dataset)
    return memes if clean is None else kept(memes, clean)


def _all_rows(folder: Path, split: str, dataset: str | None) -> list[Meme]:
    stored = _stored(folder)
    if split in stored:
        if (folder / RECORD).is_file():
            return _from_arrow(folder, split, stored[split])
        return _from_hub(folder, split, dataset)
    path = folder / f"{split}.jsonl"
    if not path.is_file():
        raise UsageError(f"{path}: no such split of a prepared set; splits there: {_names(folder, stored)}")
    name = dataset or folder.resolve().name
    label_map = load_label_map(name) if name in mapped_datasets() else None
    memes = []
    with path.open(encoding="utf-8-sig") as lines:
        for number, line in enumerate(lines, 1):
            if line.strip():
                memes.append(_meme(folder, name, split, line, f"{path.name}:{number}", label_map))
    return memes


def _stored(folder: Path) -> dict[str, Path]:
    """The splits of an Arrow set; those of a hub dataset that memescope did not write by their usual names."""
    stored = stored_splits(folder)
    return stored if (folder / RECORD).is_file() else {split_name(name): place for name, place in stored.items()}


def _from_hub(folder: Path, split: str, dataset: str | None) -> list[Meme]:
    """A hub dataset on disk as it is, by its columns; labels are canonical or of a known dataset."""
    from memescope.datasets.own import OwnData, own_name

    problems = Problems()
    data = OwnData(folder, dataset or own_name(folder))
    memes = [meme for meme in data.memes(problems, "optional") if meme.split == split]
    if lost := [problem for problem in problems if not problem.kept]:
        raise UsageError(
            f"{folder}: {len(lost)} rows cannot be read, the first is {lost[0].where}: {lost[0].message}; "
            f"memescope data prepare {folder} --out PREPARED names them all and keeps the others"
        )
    return memes


def _names(folder: Path, stored: Mapping[str, Path]) -> str:
    return ", ".join(in_order(list(stored)) or splits_of(folder)) or "none"


def _is_split(path: Path) -> bool:
    """Whether the file's first row has an image and an object of labels, or a split's name and no row."""
    with path.open(encoding="utf-8-sig", errors="replace") as lines:
        try:
            first = next((line for line in lines if line.strip()), "")
            row = json.loads(first)
        except json.JSONDecodeError:
            return not first and path.stem in SPLITS
    return isinstance(row, dict) and "image" in row and isinstance(row.get("labels"), dict)


def _from_arrow(folder: Path, split: str, place: Path) -> list[Meme]:
    roots = picture_roots(folder)
    memes = []
    for number, row in enumerate(read_rows(place), 1):
        try:
            memes.append(_stored_meme(row, roots))
        except (KeyError, TypeError, ValueError) as error:
            raise UsageError(f"{place}: row {number} is not as prepared ({error!r}); prepare the set again") from None
    return memes


def picture_roots(folder: Path) -> dict[str, Path]:
    """Where the pictures of each source of a prepared Arrow set lie."""
    return {source: _root(folder, places) for source, places in read_record(folder).get("pictures", {}).items()}


def _root(folder: Path, places: Mapping[str, str]) -> Path:
    """Where a source's pictures lie: beside the set when both were moved together, else where they lay."""
    beside = (folder / places["relative"]).resolve()
    return beside if beside.is_dir() else Path(places["absolute"])


def _stored_meme(row: Mapping[str, Any], roots: Mapping[str, Path]) -> Meme:
    image = row["image"]
    if isinstance(image, str):
        image = roots[row["source"]] / image
    elif image is not None:
        image = image["bytes"]
    return Meme(
        image=image,
        text=row["text"],
        id=row["id"],
        lang=row["lang"],
        labels={task: label for task, label in (row.get("labels") or {}).items() if label is not None},
        aspect=row["aspect"],
        rationale=row["rationale"],
        source=row["source"],
        split=row["split"],
        meta={**json.loads(row["meta"]), "native_labels": json.loads(row["native_labels"])},
    )


def _meme(folder: Path, name: str, split: str, line: str, where: str, label_map: LabelMap | None) -> Meme:
    try:
        row = json.loads(line)
        native, image = row["labels"], row["image"]
    except (json.JSONDecodeError, KeyError, TypeError) as error:
        raise UsageError(f"{folder / where}: expected a JSON object with image, text and labels: {error}") from None
    picture = None if image is None else (folder / image).resolve()
    if picture is not None and not picture.is_relative_to(folder.resolve()):
        raise UsageError(f"{folder / where}: picture {image!r} lies outside the set's folder")
    labels = label_map.canonical(native, where) if label_map else load_taxonomy().with_coarse(native)
    return Meme(
        image=picture,
        text=row.get("text") or "",
        id=str(row["id"]),
        lang=row.get("lang") or "und",
        labels=labels,
        aspect=row.get("aspect") or (row.get("meta") or {}).get("aspect"),
        rationale=row.get("rationale"),
        source=name,
        split=split,
        meta={**(row.get("meta") or {}), "native_labels": native},
    )


def split_hash(memes: Sequence[Meme]) -> str:
    """Twelve hex digits that name these rows (ids and labels, in order): results with one hash saw the same rows."""
    digest = hashlib.sha256()
    for meme in memes:
        digest.update(json.dumps([meme.source, meme.id, meme.labels], sort_keys=True).encode())
    return digest.hexdigest()[:12]


def spread(rows: Sequence[_T], count: int) -> list[_T]:
    """`count` of some rows, spread evenly from the first to the last; all for 0, and where there are no more."""
    if not count or count >= len(rows):
        return list(rows)
    return [rows[i] for i in np.linspace(0, len(rows) - 1, count).round().astype(int)]
