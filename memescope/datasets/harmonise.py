"""Native rows onto `Meme`s: labels through the dataset's map, picture paths made safe and looked for, texts kept.

What is wrong with a row is noted in `Problems` and costs only what it must: an unknown label costs that label's row,
a missing picture is kept as a path that does not exist (`has_picture` tells), unless `pictures="required"`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Literal

from memescope.datasets.problems import Problems
from memescope.datasets.source import Row, Source
from memescope.errors import UsageError
from memescope.meme import Meme
from memescope.taxonomy import LabelMap, load_label_map

Pictures = Literal["required", "optional"]
_REMOTE = re.compile(r"^[a-z][a-z0-9+.-]+://", re.IGNORECASE)
_DRIVE = re.compile(r"^[A-Za-z]:[\\/]")


def read_source(
    source: Source, folder: Path, problems: Problems, *, variant: str | None = None, pictures: Pictures = "optional"
) -> list[Meme]:
    """Every row of a public dataset in its native files under `folder`, as Memes with canonical labels.

    Raises `UsageError` for a variant the source does not have, and when none of its files is there.
    """
    usual = next(iter(source.variants), "")
    if variant is not None and variant not in source.variants:
        there = ", ".join(source.variants) or "none"
        raise UsageError(f"{source.name} has no variant {variant!r}; there are: {there}")
    rows = source.read(folder, problems, usual if variant is None else variant)
    label_map = load_label_map(source.name)
    return list(harmonise(rows, label_map, folder, problems, source.name, source.pictures, pictures))


def harmonise(
    rows: Iterable[Row],
    label_map: LabelMap,
    folder: Path,
    problems: Problems,
    name: str,
    picture_folders: Sequence[str] = (".",),
    pictures: Pictures = "optional",
) -> Iterator[Meme]:
    """Rows as Memes; `meta["native_labels"]` keeps the native labels and `meta["where"]` the row's place."""
    seen: dict[tuple[str, str], Row] = {}
    for row in rows:
        if not row.id:
            problems.add("missing-field", row.where, "no id")
            continue
        first = seen.setdefault((row.split, row.id), row)
        if first is not row:
            same = (first.text, first.labels, first.image, first.lang) == (row.text, row.labels, row.image, row.lang)
            kind = "duplicate-row" if same else "duplicate-id"
            problems.add(kind, row.where, f"id {row.id!r} is at {first.where} already", row.id)
            continue
        try:
            labels = label_map.canonical(row.labels, row.where)
        except UsageError as error:
            kind = "contradiction" if "correct one of the two" in str(error) else "unknown-label"
            problems.add(kind, row.where, str(error), row.id)
            continue
        image = _picture(row, folder, picture_folders, problems)
        if pictures == "required" and (image is None or not image.is_file()):
            continue
        native = {field: label for field, label in row.labels.items() if label is not None}
        yield Meme(
            image=image,
            text=row.text,
            id=row.id,
            lang=row.lang,
            labels=labels,
            aspect=row.aspect,
            rationale=row.rationale,
            source=name,
            split=row.split,
            meta={**row.meta, "native_labels": native, "where": row.where},
        )


def has_picture(meme: Meme) -> bool:
    """Whether the meme's picture is a file that is there."""
    return isinstance(meme.image, Path) and meme.image.is_file()


def _picture(row: Row, folder: Path, picture_folders: Sequence[str], problems: Problems) -> Path | None:
    """Where the row's picture is, or would be; None where the row names none or names one outside the folder."""
    if row.image is None:
        return None
    named = row.image
    if _REMOTE.match(named):
        problems.add("outside-path", row.where, f"picture {named!r} is a URL", row.id, kept=True)
        return None
    if "\\" in named or _DRIVE.match(named):
        plain = _DRIVE.sub("", named).replace("\\", "/")
        problems.add("windows-path", row.where, f"picture {named!r} is read as {plain!r}", row.id, kept=True)
        named = plain
    base = folder.resolve()
    usual = (folder / picture_folders[0] / named).resolve()
    if not usual.is_relative_to(base):
        problems.add("outside-path", row.where, f"picture {row.image!r} lies outside {folder}", row.id, kept=True)
        return None
    for place in picture_folders:
        path = (folder / place / named).resolve()
        if path.is_relative_to(base) and path.is_file():
            return path
    problems.add("missing-picture", row.where, f"no picture {row.image!r}", row.id, kept=True)
    return usual
