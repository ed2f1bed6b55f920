"""Memes from whatever a user points at: a prepared set, a folder in its layout, or a public dataset's native files."""

from __future__ import annotations

from pathlib import Path

from memescope.datasets.catalogue import load_sources
from memescope.datasets.harmonise import read_source
from memescope.datasets.prepared import read_split, splits_of
from memescope.datasets.problems import Problems
from memescope.datasets.source import Source
from memescope.errors import UsageError
from memescope.meme import Meme


def recognise(folder: Path) -> Source | None:
    """The source whose native files lie in `folder`: by the folder's name, and at least one of its files is there."""
    name = folder.resolve().name.lower()
    for source in load_sources().values():
        if name in (source.name, *source.folders) and native_files(source, folder):
            return source
    return None


def native_files(source: Source, folder: Path) -> dict[str, list[Path]]:
    """The source's files that are there, by pattern."""
    found: dict[str, list[Path]] = {}
    for pattern in source.files:
        for choice in pattern.split(" | "):
            if paths := sorted(folder.glob(choice)):
                found[pattern] = paths
                break
    return found


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
    if source := recognise(folder):
        return read_source(source, folder, problems if problems is not None else Problems())
    raise UsageError(
        f"{folder}: neither a prepared set (train.jsonl, val.jsonl or test.jsonl) nor the native files of a known "
        "dataset (see memescope data list)"
    )
