"""What lies in a folder of downloads: each dataset found, what of it is missing, and what was not recognised."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from memescope.datasets.harmonise import harmonise
from memescope.datasets.opening import by_files, named, native_files
from memescope.datasets.prepared import RECORD, read_record, splits_of
from memescope.datasets.problems import Problems
from memescope.datasets.source import Source
from memescope.errors import MemescopeError, UsageError
from memescope.taxonomy import load_label_map

_SHOWN = 8
"""Missing files that are named; the rest is counted."""
_DEEP = 4
"""Folders below folders that are looked into."""


@dataclass
class Found:
    """One dataset in a folder of downloads. `missing` says in words what of it is not there."""

    folder: str
    source: Source | None
    known_by: str
    files: list[str] = field(default_factory=list)
    files_missing: list[str] = field(default_factory=list)
    rows: dict[str, int] = field(default_factory=dict)
    pictures: int = 0
    pictures_missing: int = 0
    problems: dict[str, int] = field(default_factory=dict)
    error: str | None = None
    set: str | None = None

    @property
    def missing(self) -> list[str]:
        """What is not there: files, rows that the card states, pictures."""
        first = [name.split(" | ")[0] for name in self.files_missing]
        told = [f"file {name}" for name in first[:_SHOWN]]
        told += [f"{len(first) - _SHOWN} more files"] if len(first) > _SHOWN else []
        if self.source is not None:
            told += [
                f"{stated - self.rows.get(split, 0)} of {stated} rows of {split}"
                for split, stated in self.source.card.rows.items()
                if self.rows.get(split, 0) < stated
            ]
        if self.pictures_missing:
            told.append(f"{self.pictures_missing} of {self.pictures} pictures")
        if self.source is not None and self.rows and not self.pictures:
            told.append("pictures: the rows name none")
        return told

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        card = self.source.card if self.source else None
        return {
            "folder": self.folder,
            "name": self.source.name if self.source else self.set,
            "known_by": self.known_by,
            "files": self.files,
            "files_missing": self.files_missing,
            "rows": self.rows,
            "rows_stated": dict(card.rows) if card else {},
            "pictures": self.pictures,
            "pictures_missing": self.pictures_missing,
            "missing": self.missing,
            "problems": self.problems,
            "error": self.error,
            "licence": card.licence if card else None,
            "get": card.get if card else None,
            "flaws": list(card.flaws) if card else [],
            "verified": card.verified if card else None,
        }


def status(
    root: str | Path, progress: Callable[[str, int, int], None] = lambda stage, done, total: None
) -> tuple[list[Found], list[str]]:
    """Every dataset under `root`, and the folders and files directly in it that belong to none.

    Raises `UsageError` where `root` is no folder. Files are read in full, pictures only looked for.
    """
    root = Path(root)
    if not root.is_dir():
        raise UsageError(f"{root}: no such folder; give the folder that holds your downloads")
    places = _places(root, root, 0)
    found = []
    for done, (place, source, known_by) in enumerate(places, 1):
        found.append(_look(place, source, known_by, root))
        progress("read", done, len(places))
    taken = {place for place, _, _ in places}
    rest = [] if root in taken else [child for child in sorted(root.iterdir()) if not _covered(child, taken)]
    return found, [child.name + ("/" if child.is_dir() else "") for child in rest if not child.name.startswith(".")]


def _covered(child: Path, taken: set[Path]) -> bool:
    return any(place == child or place.is_relative_to(child) for place in taken)


def _places(folder: Path, root: Path, depth: int) -> list[tuple[Path, Source | None, str]]:
    if (folder / RECORD).is_file() or splits_of(folder):
        return [(folder, None, "prepared set")]
    if source := named(folder):
        files = native_files(source, folder)
        if files or depth == 1:
            return [(folder, source, "name")]
    elif source := by_files(folder):
        return [(folder, source, "files")]
    if depth == _DEEP:
        return []
    below = sorted(child for child in folder.iterdir() if child.is_dir() and not child.name.startswith("."))
    return [place for child in below for place in _places(child, root, depth + 1)]


def _look(place: Path, source: Source | None, known_by: str, root: Path) -> Found:
    found = Found("." if place == root else place.relative_to(root).as_posix(), source, known_by)
    if source is None:
        return _look_at_set(place, found)
    there = native_files(source, place)
    found.files = sorted({path.relative_to(place).as_posix() for paths in there.values() for path in paths})
    found.files_missing = [pattern for pattern in source.files if pattern not in there]
    if not there:
        return found
    problems = Problems()
    rows: Counter[str] = Counter()
    try:
        variant = next(iter(source.variants), "")
        raw = source.read(place, problems, variant)
        for meme in harmonise(raw, load_label_map(source.name), place, problems, source.name, source.pictures):
            rows[meme.split or "all"] += 1
            found.pictures += meme.image is not None
    except MemescopeError as error:
        found.error = str(error)
    counts = problems.counts
    found.pictures_missing = counts.pop("missing-picture", 0)
    found.rows, found.problems = dict(rows), counts
    return found


def _look_at_set(place: Path, found: Found) -> Found:
    found.set = place.resolve().name
    if (place / RECORD).is_file():
        record = read_record(place)
        found.rows = record["rows"]
        found.problems = record["problems"]
        return found
    for split in splits_of(place):
        with (place / f"{split}.jsonl").open("rb") as lines:
            found.rows[split] = sum(bool(line.strip()) for line in lines)
    return found
