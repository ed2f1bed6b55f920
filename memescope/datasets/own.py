"""A user's own data: a file or folder in a usual form becomes rows, and through its label map memes."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath

from memescope.datasets.columns import PERHAPS_NOTHING, Columns, is_split, recognise_columns
from memescope.datasets.harmonise import Pictures, harmonise
from memescope.datasets.mapping import OwnLabels, own_mapping
from memescope.datasets.problems import Problems
from memescope.datasets.records import PICTURES, first_names, parts_of, records
from memescope.datasets.source import Row
from memescope.errors import UsageError
from memescope.meme import Meme

_USUAL_FOLDERS = ("images", "img", "imgs", "image", "pictures", "pics", "memes", "data")


@dataclass(frozen=True)
class OwnData:
    """A user's data at `path`, called `name`; `chosen` are (role, column) as the user says, `given` their label map."""

    path: Path
    name: str
    chosen: Sequence[tuple[str, str]] = ()
    given: OwnLabels | None = None

    @property
    def folder(self) -> Path:
        """Where pictures are looked for."""
        return self.path if self.path.is_dir() else self.path.absolute().parent

    @cached_property
    def parts(self) -> list[tuple[Path, str]]:
        """The files that are read, each with its split or an empty one."""
        return parts_of(self.path)

    @cached_property
    def columns(self) -> Columns:
        """What the columns hold; `UsageError` where there is neither a picture nor a text among them."""
        names = list(dict.fromkeys(name for part, _ in self.parts for name in first_names(part)))
        if not names:
            raise UsageError(f"{self.path}: no row could be read")
        mapped = self.given.labels.fields if self.given else ()
        columns = recognise_columns(names, self.chosen, mapped)
        if "image" not in columns.named and "text" not in columns.named:
            raise UsageError(
                f"{self.path}: neither a picture nor a text among the columns {', '.join(map(repr, names))}; "
                "name them: --column image=NAME --column text=NAME"
            )
        columns.separators = self.given.separators if self.given else {}
        return columns

    def rows(self, problems: Problems) -> Iterator[Row]:
        """The rows of all parts, with pictures found by id where no column names them."""
        columns, index = self.columns, _Index(self.folder)
        for part, split in self.parts:
            for where, record in records(part, problems):
                row = columns.row(record, where, split, problems)
                if row is None:
                    continue
                if not isinstance(row.image, bytes) and ("image" not in columns.named or row.image is not None):
                    row.image = index.find(row, problems)
                yield row

    def memes(self, problems: Problems, pictures: Pictures) -> Iterator[Meme]:
        """The memes; `UsageError` where the labels need a map and none is given."""
        own = self.given or self._known()
        rows = (_labelled(row, own) for row in self.rows(problems))
        return harmonise(rows, own.labels, self.folder, problems, self.name, self._places(), pictures)

    def _known(self) -> OwnLabels:
        names = self.columns.labels
        if names and (first := next(self.rows(Problems()), None)) is not None:
            names = tuple(first.labels)  # a column of several tasks gives their names
        if (own := own_mapping(self.name, names)) is not None:
            return own
        raise UsageError(
            f"{self.path}: no label map for column {', '.join(names)}: write a draft with --draft-mapping FILE, check "
            "it, then prepare with --mapping FILE"
        )

    def _places(self) -> list[str]:
        """`.`, the folders of the files that are read, the usual names, and other folders right below."""
        folder = self.folder
        read = [os.path.relpath(part.parent, folder) for part, _ in self.parts]
        below = sorted(child.name for child in folder.iterdir() if child.is_dir())[:50]
        usual = [name for name in _USUAL_FOLDERS if name in below]
        inside = [name for name in read if not name.startswith("..")]
        return list(dict.fromkeys([".", *inside, *(f"{a}/{b}" for a in inside for b in usual), *usual, *below]))


def own_name(path: Path) -> str:
    """A name for a user's data, from its file or folder; that of the folder for a file named for a split."""
    place = path.resolve()
    stem = place.name if path.is_dir() else place.parent.name if is_split(place.stem) else place.stem
    return re.sub(r"[^\w.-]+", "_", stem).strip("._") or "own"


def _labelled(row: Row, own: OwnLabels) -> Row:
    """The row without the labels that the map leaves out, and without `None` and the like where it knows none."""
    for name, value in row.labels.items():
        nothing = own.unlabelled.get(name, frozenset())
        known = own.labels.fields[name][1] if name in own.labels.fields else {}
        if isinstance(value, list):
            row.labels[name] = [label for label in value if label not in nothing]
        elif value is not None and (value in nothing or (value.casefold() in PERHAPS_NOTHING and value not in known)):
            row.labels[name] = None
    return row


class _Index:
    """Picture files under a folder by name, by name without its ending, and by number."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @cached_property
    def _by_name(self) -> dict[str, list[str]]:
        found: dict[str, list[str]] = {}
        for place, _, names in os.walk(self.folder):
            inner = os.path.relpath(place, self.folder)
            for name in names:
                stem, ending = os.path.splitext(name)
                if ending.lower() in PICTURES:
                    path = PurePosixPath(inner.replace(os.sep, "/"), name).as_posix()
                    for key in {name, stem, _number(stem)} - {""}:
                        found.setdefault(key, []).append(path)
        return found

    def find(self, row: Row, problems: Problems) -> str | None:
        """The row's picture: as named, else the one file of that name, else the one whose number is the same."""
        if row.image is None and not self._by_name:
            return None
        named = row.image if isinstance(row.image, str) else row.id
        plain = "\\" not in named and "/" not in named and "\x00" not in named
        if not plain or (isinstance(row.image, str) and len(named) < 255 and (self.folder / named).is_file()):
            return row.image if isinstance(row.image, str) else None
        stem, ending = os.path.splitext(named)
        has_ending = ending.lower() in PICTURES
        found = self._by_name.get(named, [])
        if len(found) != 1:
            number = _number(stem if has_ending else named)
            found = [path for path in self._by_name.get(number, []) if not has_ending or path.endswith(ending)]
            if number and len(found) == 1:
                problems.add("padded-id", row.where, f"{named!r} is {found[0]!r}", row.id, kept=True)
        return found[0] if len(found) == 1 else named


def _number(stem: str) -> str:
    """A number without zeros in front, marked so that it is not taken for a name."""
    return "#" + stem.lstrip("0") if stem.isascii() and stem.isdigit() else ""
