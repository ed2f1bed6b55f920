"""What a public dataset is to memescope: a card, the native files it is read from, and a function that reads them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from memescope.datasets.problems import Problems

Verified = Literal["real-file", "loader-code", "paper"]


@dataclass(frozen=True)
class Card:
    """What a user must know before using a dataset.

    `paper`: citation and address; `get`: where and how to ask for it; `rows`: what the authors state, by split;
    `warning`: what its content may do to a reader; `flaws`: what is known to be wrong with it; `verified`: whether the
    reader was checked on the authors' real file, or written after public loader code, or after the paper; only the
    first counts as supported. `memelens`: the configurations of MemeLens (arXiv 2601.12539) it stands behind.
    """

    name: str
    title: str
    paper: str
    licence: str
    get: str
    languages: tuple[str, ...]
    rows: Mapping[str, int]
    warning: str
    verified: Verified
    flaws: tuple[str, ...] = ()
    memelens: tuple[str, ...] = ()


@dataclass(slots=True)
class Row:
    """One row as its authors wrote it.

    `image` is the picture's path relative to the dataset's folder (or its bytes), None where the row names none.
    `labels` maps native fields to native labels as strings (lists for multilabel fields, None where unlabelled), which
    `taxonomy/mappings/NAME.yaml` reads. `where` is `file:line`. Annotators' single votes go to
    `meta["votes"] = {native field: [label]}`.
    """

    id: str
    image: str | bytes | None
    text: str
    labels: dict[str, str | list[str] | None]
    lang: str
    split: str
    where: str
    aspect: str | None = None
    rationale: str | None = None
    meta: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Source:
    """A public dataset.

    `files`: the native files, relative to the dataset's folder, each with its split (glob patterns; of alternatives
    separated by " | " the first that is there is read); `read(folder, problems, variant)` yields their rows and names
    what is wrong with them. `pictures`: folders in which pictures are looked for, when not at the path the row names.
    `folders`: other names under which downloads come. `variants`: ways to read it, the usual one first, each with what
    it means.
    """

    card: Card
    files: Mapping[str, str]
    read: Callable[[Path, Problems, str], Iterator[Row]]
    pictures: tuple[str, ...] = (".",)
    folders: tuple[str, ...] = ()
    variants: Mapping[str, str] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The name on the command line."""
        return self.card.name
