"""What `data prepare` is pointed at: a folder of downloads, one source's folder, a prepared set, a user's own data."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from memescope.datasets.catalogue import load_source
from memescope.datasets.harmonise import Pictures, harmonise
from memescope.datasets.mapping import OwnLabels
from memescope.datasets.opening import recognise
from memescope.datasets.own import OwnData, own_name
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
    about: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Choices:
    """What the user says of the input.

    `sources` are `NAME` or `NAME:VARIANT`: under a folder of downloads only these are taken, all where none is named.
    `columns` (role, column), `mapping` and `name` belong to the user's own data, which they also mark as such.
    """

    sources: Sequence[str] = ()
    columns: Sequence[tuple[str, str]] = ()
    mapping: OwnLabels | None = None
    name: str | None = None
    pictures: Pictures = "optional"

    @property
    def own(self) -> bool:
        """Whether the input is said to be the user's own."""
        return bool(self.columns or self.mapping or self.name)


def find_inputs(paths: Sequence[Path], choices: Choices) -> list[Input]:
    """The datasets at these paths, in order, each with a name of its own.

    Raises `UsageError` for a path that holds nothing known and for a chosen source that is nowhere.
    """
    variants = dict(_choice(text) for text in choices.sources)
    found: list[Input] = []
    for path in paths:
        if not path.exists():
            raise UsageError(f"{path}: no such file or folder")
        found += _at(path, variants, choices)
    absent = [name for name in variants if all(one.name != name for one in found)]
    if absent:
        raise UsageError(f"{', '.join(absent)}: not found under {', '.join(map(str, paths))}")
    twice = {name for one in found for name in one.roots if sum(name in other.roots for other in found) > 1}
    if twice:
        raise UsageError(f"{', '.join(sorted(twice))}: given more than once; prepare one, or rename the file or folder")
    return found


def _choice(text: str) -> tuple[str, str | None]:
    name, _, variant = text.partition(":")
    source = load_source(name)
    if variant and variant not in source.variants:
        there = ", ".join(source.variants) or "none"
        raise UsageError(f"{name} has no variant {variant!r}; there are: {there}")
    return name, variant or None


def _at(path: Path, variants: dict[str, str | None], choices: Choices) -> list[Input]:
    if (path / RECORD).is_file():
        return [_prepared(path)]
    if not choices.own and path.is_dir() and not splits_of(path):
        if source := recognise(path):
            return [_public(source, path, variants.get(source.name), choices.pictures)]
        if below := _downloads(path):
            return [
                _public(one, at, variants.get(one.name), choices.pictures) for one, at in below if wanted(one, variants)
            ]
        if len(variants) == 1:
            return [_public(load_source(name), path, variant, choices.pictures) for name, variant in variants.items()]
    return [_own(own_data(path, choices), choices.pictures)]


def own_data(path: Path, choices: Choices) -> OwnData:
    """The user's own data at `path`."""
    return OwnData(path, choices.name or own_name(path), choices.columns, choices.mapping)


def _own(data: OwnData, pictures: Pictures) -> Input:
    def read(problems: Problems) -> Iterator[Meme]:
        return data.memes(problems, pictures)

    columns = data.columns
    held = columns.named | {"label": ", ".join(columns.labels)}
    return Input(data.name, data.path, read, {data.name: data.folder}, about={"columns": held})


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
