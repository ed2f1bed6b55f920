"""All memes under some paths: prepared sets, folders in their layout, native files, or a root that holds many of them.

What cannot be read is noted and left out, so that one bad download never stops a look at the others.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from memescope.curation.answers import as_answer
from memescope.curation.identity import normal_text
from memescope.datasets.harmonise import has_picture, read_source
from memescope.datasets.opening import is_prepared, open_memes, recognise
from memescope.datasets.problems import Problems
from memescope.errors import MemescopeError, UsageError
from memescope.meme import Meme

Progress = Callable[[str, int, int], None]
"""Called with (stage, done, total)."""
DEPTH = 3
"""How many folders below a root are looked into."""


def silent(stage: str, done: int, total: int) -> None:
    """The progress of nobody."""


@dataclass(frozen=True)
class Opened:
    """One dataset as it was found: its name here, its folder, its rows and how many of their pictures are there.

    `copies`: rows that stand in a folder read before with no other label, and were joined with those. `problems`
    counts what was wrong with its files, by kind.
    """

    name: str
    path: Path
    rows: int
    copies: int
    pictures: int
    problems: dict[str, int]


@dataclass
class Collection:
    """Memes of several datasets. `names[i]` is the dataset of `memes[i]`; `unread` says what was left out and why."""

    memes: list[Meme] = field(default_factory=list)
    names: list[str] = field(default_factory=list)
    opened: list[Opened] = field(default_factory=list)
    unread: list[tuple[Path, str]] = field(default_factory=list)


@dataclass
class _Part:
    """What one folder gave in one variant ("" the usual one)."""

    folder: Path
    variant: str
    memes: list[Meme]
    problems: Problems
    copies: int = 0
    source: str = field(init=False)

    def __post_init__(self) -> None:
        self.source = (self.memes[0].source if self.memes else None) or self.folder.name


def collect(paths: Sequence[Path], progress: Progress = silent, *, compare: bool = True) -> Collection:
    """The memes of every dataset under `paths`, in the order given; within a root in alphabetical order.

    A row that a second copy of a dataset repeats is one row, with the labels and the picture of both. A
    dataset's other variants are read if they label some of its rows otherwise. What is found in several places or
    variants gets a name that tells them apart: `harmc (ready)`, `toxicn_mm[1.0]`.

    Without `compare` every folder stands for itself: copies are not joined and other variants not read.

    Raises `UsageError` when nothing could be read.
    """
    parts: list[_Part] = []
    collection = Collection()
    folders = list(dict.fromkeys(folder.resolve() for path in paths for folder in _folders(path, DEPTH)))
    for done, folder in enumerate(folders):
        progress("read", done, len(folders))
        try:
            parts += [part for part in _read(folder, compare) if part.memes]
        except MemescopeError as error:
            collection.unread.append((folder, str(error)))
    progress("read", len(folders), len(folders))
    if not parts:
        why = "; ".join(error for _, error in collection.unread)
        raise UsageError(
            f"no dataset found in {', '.join(map(str, paths))}: expected prepared sets, or folders with the native "
            f"files of a known dataset (see memescope data list){': ' + why if why else ''}"
        )
    rows = [len(part.memes) for part in parts]
    if compare:
        _join_copies(parts)
    for name, part, number in zip(_names(parts), parts, rows, strict=True):
        pictures = sum(map(has_picture, part.memes))
        collection.opened.append(Opened(name, part.folder, number, part.copies, pictures, part.problems.counts))
        collection.memes += part.memes
        collection.names += [name] * len(part.memes)
    return collection


def _join_copies(parts: Sequence[_Part]) -> None:
    """Rows of one dataset that several folders hold become one, unless their labels contradict each other."""
    first: dict[tuple[str, ...], tuple[_Part, int]] = {}
    for part in parts:
        kept: list[Meme] = []
        for meme in part.memes:
            key = _key(meme)
            owner, place = first.get(key, (part, -1))
            other = owner.memes[place] if owner.folder != part.folder else None
            if other is None or contradict(meme, other):
                if place < 0:
                    first[key] = part, len(kept)
                kept.append(meme)
                continue
            owner.memes[place] = replace(
                other,
                image=meme.image if has_picture(meme) and not has_picture(other) else other.image,
                labels={**meme.labels, **other.labels},
                meta={**meme.meta, **other.meta},
            )
            part.copies += 1
        part.memes = kept


def _key(meme: Meme) -> tuple[str, ...]:
    """What names a row in every copy of a dataset. Rows of one tweet are numbered in many ways: its picture tells."""
    masked = str(meme.meta.get("text_masked") or "")
    id = Path(meme.image).stem if meme.aspect is not None and isinstance(meme.image, Path) else meme.id
    return meme.source or "", id, meme.lang, *map(normal_text, (meme.text, meme.aspect or "", masked))


def _folders(path: Path, depth: int) -> Iterator[Path]:
    """Folders that hold a dataset, at or below `path`; without any, `path` itself, whose error then says why."""
    if not path.is_dir():
        raise UsageError(f"{path}: no such folder")
    below = list(_holding(path, depth))
    yield from below or [path]


def _holding(path: Path, depth: int) -> Iterator[Path]:
    if is_prepared(path) or recognise(path) is not None:
        yield path
    elif depth:
        try:
            below = sorted(p for p in path.iterdir() if p.is_dir() and not p.name.startswith("."))
        except OSError:
            return  # a folder that may not be read holds nothing for us
        for folder in below:
            yield from _holding(folder, depth - 1)


def _read(folder: Path, variants: bool) -> Iterator[_Part]:
    """The dataset as it is usually read, and those of its other variants that label some of the same rows otherwise."""
    source = None if is_prepared(folder) else recognise(folder)
    problems = Problems()
    usual = open_memes(folder, problems)
    by_source: dict[str | None, list[Meme]] = {}
    for meme in usual:
        # A set that was prepared from several datasets is several datasets.
        by_source.setdefault(meme.source, []).append(meme)
    for number, memes in enumerate(by_source.values()):
        yield _Part(folder, "", memes, problems if number == 0 else Problems())
    known = {(meme.split, meme.id): meme for meme in usual}
    for variant in list(source.variants)[1:] if source and variants else []:
        problems = Problems()
        memes = read_source(source, folder, problems, variant=variant) if source else []
        if any(contradict(meme, known.get((meme.split, meme.id), meme)) for meme in memes):
            yield _Part(folder, variant, memes, problems)


def contradict(first: Meme, second: Meme) -> bool:
    """Whether two memes have different labels of a task."""
    return any(
        as_answer(label) != as_answer(second.labels[task])
        for task, label in first.labels.items()
        if task in second.labels
    )


def _names(parts: Sequence[_Part]) -> list[str]:
    """Names that tell all parts with rows of their own apart, as short as possible."""
    wanted = [f"{part.source}[{part.variant}]" if part.variant else part.source for part in parts]
    often = Counter(name for name, part in zip(wanted, parts, strict=True) if part.memes)
    named = [
        f"{name} ({part.folder.parent.name})" if often[name] > 1 else name
        for name, part in zip(wanted, parts, strict=True)
    ]
    again: Counter[str] = Counter()
    for place, name in enumerate(named):
        again[name] += 1 if parts[place].memes else 0
        if again[name] > 1:
            named[place] = f"{name} #{again[name]}"
    return named
