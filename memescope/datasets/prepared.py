"""A prepared set: a folder with `train|val|test.jsonl` and the pictures they name.

Each line is `{"id", "image", "text", "labels": {native field: label or list}, "lang", "meta"?}`, `image` relative to
the folder. Labels are native and go through the dataset's label map, named by the folder or by `dataset=`; a set whose
labels are canonical already needs no map.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path

from memescope.errors import UsageError
from memescope.meme import Meme
from memescope.taxonomy import LabelMap, load_label_map, load_taxonomy
from memescope.taxonomy.labels import mapped_datasets

SPLITS = ("train", "val", "test")


def read_split(folder: str | Path, split: str, dataset: str | None = None) -> list[Meme]:
    """The memes of one split, in file order, with canonical labels; `meta["native_labels"]` keeps the native ones.

    Raises `UsageError` naming file and line for a missing split, a broken line, an unknown label or a picture path
    that leaves the folder. Pictures are not opened.
    """
    folder = Path(folder)
    name = dataset or folder.name
    path = folder / f"{split}.jsonl"
    if not path.is_file():
        there = ", ".join(s for s in SPLITS if (folder / f"{s}.jsonl").is_file()) or "none"
        raise UsageError(f"{path}: no such split of a prepared set; splits there: {there}")
    label_map = load_label_map(name) if name in mapped_datasets() else None
    memes = []
    for number, line in enumerate(path.read_text("utf-8").splitlines(), 1):
        if line.strip():
            memes.append(_meme(folder, name, split, line, f"{path.name}:{number}", label_map))
    return memes


def _meme(folder: Path, name: str, split: str, line: str, where: str, label_map: LabelMap | None) -> Meme:
    try:
        row = json.loads(line)
        native, image = row["labels"], row["image"]
    except (json.JSONDecodeError, KeyError, TypeError) as error:
        raise UsageError(f"{folder / where}: expected a JSON object with image, text and labels: {error}") from None
    picture = (folder / image).resolve()
    if not picture.is_relative_to(folder.resolve()):
        raise UsageError(f"{folder / where}: picture {image!r} lies outside the set's folder")
    labels = label_map.canonical(native, where) if label_map else load_taxonomy().with_coarse(native)
    return Meme(
        image=picture,
        text=row.get("text") or "",
        id=str(row["id"]),
        lang=row.get("lang") or "und",
        labels=labels,
        aspect=(row.get("meta") or {}).get("aspect"),
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
