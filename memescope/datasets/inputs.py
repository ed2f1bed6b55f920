"""What `data prepare` is pointed at: a folder of downloads, one source's folder, a prepared set, a user's own data."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from memescope.datasets.catalogue import load_source
from memescope.datasets.harmonise import Pictures, harmonise
from memescope.datasets.opening import recognise
from memescope.datasets.prepared import RECORD, picture_roots, read_split, splits_of
from memescope.datasets.problems import Problems
from memescope.datasets.source import Card, Source
from memescope.errors import UsageError
from memescope.meme import Meme
from memescope.taxonomy import load_label_map

Read = Callable[[Problems], Iterator[Meme]]


@dataclass(frozen=True)
class Input:
    """One dataset to be prepared: its memes as they come, and where the pictures of each source in it lie."""

    name: str
    path: Path
    read: Read
    roots: dict[str, Path]
    card: Card | None = None
    variant: str = ""
    about: dict[str, str] = field(default_factory=dict)


def find_inputs(paths: Sequence[Path], chosen: Sequence[str], pictures: Pictures) -> list[Input]:
    """The datasets at these paths, in order. `chosen` are `NAME` or `NAME:VARIANT` of sources.

    Under a folder of downloads only the chosen sources are taken, all where none is chosen. Raises `UsageError` for a
    path that holds nothing known and for a chosen source that is nowhere.
    """
    variants = dict(_choice(text) for text in chosen)
    found: list[Input] = []
    for path in paths:
        if not path.exists():
            raise UsageError(f"{path}: no such file or folder")
        found += _at(path, variants, pictures)
    absent = [name for name in variants if all(one.name != name for one in found)]
    if absent:
        raise UsageError(f"{', '.join(absent)}: not found under {', '.join(map(str, paths))}")
    return found


def _choice(text: str) -> tuple[str, str | None]:
    name, _, variant = text.partition(":")
    source = load_source(name)
    if variant and variant not in source.variants:
        there = ", ".join(source.variants) or "none"
        raise UsageError(f"{name} has no variant {variant!r}; there are: {there}")
    return name, variant or None


def _at(path: Path, variants: dict[str, str | None], pictures: Pictures) -> list[Input]:
    if (path / RECORD).is_file():
        return [_prepared(path)]
    if source := recognise(path):
        return [_public(source, path, variants.get(source.name), pictures)]
    if path.is_dir() and (below := _downloads(path)):
        return [_public(one, at, variants.get(one.name), pictures) for one, at in below if wanted(one, variants)]
    raise UsageError(f"{path}: nothing known there; memescope data status {path} says what was looked for")


def wanted(source: Source, variants: dict[str, str | None]) -> bool:
    """Whether a source is among the chosen, or none is chosen."""
    return not variants or source.name in variants


def _downloads(root: Path) -> list[tuple[Source, Path]]:
    below = sorted(path for path in root.iterdir() if path.is_dir())
    return [(source, path) for path in below if (source := recognise(path))]


def _public(source: Source, path: Path, variant: str | None, pictures: Pictures) -> Input:
    name = variant if variant is not None else next(iter(source.variants), "")

    def read(problems: Problems) -> Iterator[Meme]:
        rows = source.read(path, problems, name)
        label_map = load_label_map(source.name)
        return harmonise(rows, label_map, path, problems, source.name, source.pictures, pictures)

    return Input(source.name, path, read, {source.name: path}, source.card, name)


def _prepared(path: Path) -> Input:
    def read(problems: Problems) -> Iterator[Meme]:
        for split in splits_of(path):
            yield from read_split(path, split)

    return Input(path.resolve().name, path, read, picture_roots(path))
