"""Memes from whatever a user points at: a prepared set, a folder in its layout, or a public dataset's native files."""

from __future__ import annotations

import re
from functools import cache
from itertools import islice
from pathlib import Path, PurePath

from memescope.datasets.catalogue import load_sources
from memescope.datasets.harmonise import read_source
from memescope.datasets.prepared import read_split, splits_of
from memescope.datasets.problems import Problems
from memescope.datasets.source import Source
from memescope.errors import MemescopeError, UsageError
from memescope.meme import Meme
from memescope.taxonomy import load_label_map

_COMMON = re.compile(
    r"^(train|training|val|valid|validation|dev|test|data|dataset|labels?|readme|metadata|final_dataset|train_raw|test_raw|\*)"
    r"\b",
    re.I,
)
_SAMPLE = 50


def recognise(folder: Path) -> Source | None:
    """The source whose native files lie in `folder`.

    By the folder's name and at least one file of it; else by a file name that only this source has; else, as many
    datasets call their files alike, by the first rows and the exact number of rows that its card states for a split.
    """
    return by_name(folder) or by_files(folder)


def by_name(folder: Path) -> Source | None:
    """The source the folder is named for, if at least one of its files is there."""
    source = named(folder)
    return source if source is not None and native_files(source, folder) else None


def named(folder: Path) -> Source | None:
    """The source the folder is named for, whatever is in it."""
    name = folder.resolve().name.lower()
    return next((source for source in load_sources().values() if name in (source.name, *_lower(source.folders))), None)


def by_files(folder: Path) -> Source | None:
    """The one source that the names of the files, or what is in them, point to."""
    there = {source.name: files for source in load_sources().values() if (files := native_files(source, folder))}
    own = _own_names()
    names = {name: [path.name for some in files.values() for path in some] for name, files in there.items()}
    telling = [name for name, files in names.items() if any(own.get(file) == name for file in files)]
    fitting = telling or [name for name in there if _fits(load_sources()[name], folder)]
    return load_sources()[fitting[0]] if len(fitting) == 1 else None


def native_files(source: Source, folder: Path) -> dict[str, list[Path]]:
    """The source's files that are there, by pattern."""
    found: dict[str, list[Path]] = {}
    for pattern in source.files:
        for choice in pattern.split(" | "):
            if paths := sorted(folder.glob(choice)):
                found[pattern] = paths
                break
    return found


def _lower(names: tuple[str, ...]) -> list[str]:
    return [name.lower() for name in names]


@cache
def _own_names() -> dict[str, str]:
    """File names that stand for one source alone, and are not what anybody would call a file."""
    users: dict[str, set[str]] = {}
    for source in load_sources().values():
        for pattern in source.files:
            for choice in pattern.split(" | "):
                users.setdefault(PurePath(choice).name, set()).add(source.name)
    return {
        name: next(iter(sources))
        for name, sources in users.items()
        if len(sources) == 1 and "*" not in name and not _COMMON.match(name)
    }


def _fits(source: Source, folder: Path) -> bool:
    """Whether the first rows are as the source's, and a split has exactly the rows that its card states."""
    variant = next(iter(source.variants), "")
    label_map = load_label_map(source.name)
    counted: dict[str, int] = {}
    try:
        sample = list(islice(source.read(folder, Problems(), variant), _SAMPLE))
        if not sample or any(not row.id for row in sample):
            return False
        for row in sample:
            label_map.canonical(row.labels, row.where)
        for row in source.read(folder, Problems(), variant):
            counted[row.split or "all"] = counted.get(row.split or "all", 0) + 1
    except MemescopeError:
        return False
    return any(counted.get(split) == number for split, number in source.card.rows.items())


def is_prepared(folder: Path) -> bool:
    """Whether the folder is a prepared set, of either form (`memescope.datasets.prepared`)."""
    return bool(splits_of(folder))


def open_memes(folder: str | Path, problems: Problems | None = None) -> list[Meme]:
    """All memes of all splits, each with `split` and `source`. A picture that is not there is a path all the same.

    Raises `UsageError` for a folder that is neither a prepared set nor a known dataset's.
    """
    folder = Path(folder)
    if splits := splits_of(folder):
        return [meme for split in splits for meme in read_split(folder, split)]
    if folder.is_dir() and (source := recognise(folder)):
        return read_source(source, folder, problems if problems is not None else Problems())
    raise UsageError(
        f"{folder}: neither a prepared set (train.jsonl, val.jsonl or test.jsonl) nor the native files of a known "
        "dataset (see memescope data list)"
    )
