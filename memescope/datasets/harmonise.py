"""Native rows onto `Meme`s: labels through the dataset's map, picture paths made safe and looked for, texts kept.

What is wrong with a row is noted in `Problems` and costs only what it must: an unknown label costs that label's row,
a missing picture is kept as a path that does not exist (`has_picture` tells), unless `pictures="required"`.
"""

from __future__ import annotations

import os.path
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
LONG_TEXT = 20_000
"""Letters: a longer field is noted."""
_REMOTE = re.compile(r"^[a-z][a-z0-9+.-]+://", re.IGNORECASE)
_DRIVE = re.compile(r"^[A-Za-z]:[\\/]")
_BROKEN = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff]")


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
    seen: dict[tuple[str, str], tuple[str, int]] = {}
    find = _Finder(folder, picture_folders)
    for row in rows:
        if not row.id:
            problems.add("missing-field", row.where, "no id")
            continue
        content = hash((row.text, repr(row.labels), row.image, row.lang))
        first, before = seen.setdefault((row.split, row.id), (row.where, content))
        if first != row.where:
            kind = "duplicate-row" if before == content else "duplicate-id"
            problems.add(kind, row.where, f"id {row.id!r} is at {first} already", row.id)
            continue
        try:
            labels = label_map.canonical(row.labels, row.where)
        except UsageError as error:
            kind = "contradiction" if "correct one of the two" in str(error) else "unknown-label"
            problems.add(kind, row.where, str(error), row.id)
            continue
        required = pictures == "required"
        image = row.image if isinstance(row.image, bytes) else find.picture(row, problems, required)
        if required and (image is None or (isinstance(image, Path) and not image.is_file())):
            continue
        native = {field: label for field, label in row.labels.items() if label is not None}
        yield Meme(
            image=image,
            text=_whole(row.text, row, problems) or "",
            id=_whole(row.id, row, problems) or "",
            lang=row.lang,
            labels=labels,
            aspect=_whole(row.aspect, row, problems),
            rationale=_whole(row.rationale, row, problems),
            source=name,
            split=row.split,
            meta={**row.meta, "native_labels": native, "where": row.where},
        )


def has_picture(meme: Meme) -> bool:
    """Whether the meme's picture is a file that is there."""
    return isinstance(meme.image, Path) and meme.image.is_file()


def _whole(text: str | None, row: Row, problems: Problems) -> str | None:
    """The text without control characters and halves of characters; halves that belong together are joined."""
    if text is None:
        return None
    if len(text) > LONG_TEXT:
        problems.add("long-field", row.where, f"a field of {len(text)} letters", row.id, kept=True)
    if not _BROKEN.search(text):
        return text
    joined = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if joined != text and not _BROKEN.search(joined) and "\ufffd" not in joined:
        return joined
    problems.add("control-characters", row.where, "control or half characters removed", row.id, kept=True)
    return _BROKEN.sub("", joined).replace("\ufffd", "") if "\ufffd" not in text else _BROKEN.sub("", text)


class _Finder:
    """Where the pictures that rows name are. Paths are compared as written: a linked picture folder is followed."""

    def __init__(self, folder: Path, picture_folders: Sequence[str]) -> None:
        self.folder = folder
        self.base = os.path.abspath(folder)
        self.places = [os.path.normpath(os.path.join(self.base, place)) for place in picture_folders]

    def picture(self, row: Row, problems: Problems, required: bool) -> Path | None:
        """Where the row's picture is, or would be; None where it names none or one outside the folder."""
        named, kept = row.image, not required
        if not isinstance(named, str):
            if required:
                problems.add("missing-picture", row.where, "the row names no picture", row.id)
            return None
        if _REMOTE.match(named):
            problems.add("outside-path", row.where, f"picture {named!r} is a URL", row.id, kept=kept)
            return None
        if "\x00" in named or len(named) > 4096:
            problems.add("missing-picture", row.where, f"no picture {named[:80]!r}", row.id, kept=kept)
            return None
        if "\\" in named or _DRIVE.match(named):
            plain = _DRIVE.sub("", named).replace("\\", "/")
            found = self._within(plain) or self._by_ending(plain)
            shown = plain if found is None else os.path.relpath(found, self.base)
            told = f"picture {named!r} is read as {shown!r}"
            problems.add("windows-path", row.where, told, row.id, kept=kept or found is not None)
            named = plain
        else:
            found = self._within(named)
            if found is None and named.startswith("/") and (found := self._by_ending(named)):
                shown = os.path.relpath(found, self.base)
                problems.add("outside-path", row.where, f"picture {named!r} is read as {shown!r}", row.id, kept=True)
        if found is not None:
            return Path(found)
        usual = os.path.normpath(os.path.join(self.places[0], named))
        if not self._inside(usual):
            problems.add(
                "outside-path", row.where, f"picture {row.image!r} lies outside {self.folder.name}", row.id, kept=kept
            )
            return None
        problems.add("missing-picture", row.where, f"no picture {row.image!r}", row.id, kept=kept)
        return Path(usual)

    def _inside(self, path: str) -> bool:
        return path.startswith(self.base.rstrip(os.sep) + os.sep)

    def _within(self, named: str) -> str | None:
        for place in self.places:
            path = os.path.normpath(os.path.join(place, named))
            if self._inside(path) and os.path.isfile(path):
                return path
        return None

    def _by_ending(self, named: str) -> str | None:
        """A path of another machine by the longest ending of it that is here."""
        parts = [part for part in named.split("/") if part not in ("", ".", "..")]
        endings = ("/".join(parts[start:]) for start in range(len(parts)))
        return next((path for ending in endings if (path := self._within(ending))), None)
