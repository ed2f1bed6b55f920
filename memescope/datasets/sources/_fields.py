"""What the readers of public datasets share: which native files are there, and values of any type as plain text."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from memescope.datasets.problems import Problems


def files_there(folder: Path, files: Mapping[str, str]) -> Iterator[tuple[Path, str]]:
    """(file, split) of each native file that is there; of alternatives separated by " | " the first that is."""
    for pattern, split in files.items():
        for choice in pattern.split(" | "):
            if paths := sorted(path for path in folder.glob(choice) if path.is_file()):
                yield from ((path, split) for path in paths)
                break


def files_of_variant(folder: Path, files: Mapping[str, str], problems: Problems) -> Iterator[tuple[Path, str]]:
    """`files_there` of a way of reading that wants other files than the usual one; notes it when none of "
    "them is there."""
    found = list(files_there(folder, files))
    if not found:
        names = ", ".join(pattern.split(" | ")[0] for pattern in files)
        problems.add("missing-file", folder.name, f"none of the files of this reading is there: {names}", kept=True)
    yield from found


def first_file(folder: Path, choices: str) -> Path | None:
    """The first of some alternatives separated by " | " that is there."""
    return next((path for path, _ in files_there(folder, {choices: ""})), None)


def text(value: Any) -> str:
    """A value of a file as text: nothing for None, other things than text and numbers as JSON."""
    if value is None:
        return ""
    if isinstance(value, str | int | float):
        return str(value)
    return json.dumps(value, ensure_ascii=False)


def picture(value: Any) -> str | None:
    """A picture's path as the row names it; None where it names none."""
    return text(value) or None


def padded(value: Any, width: int) -> str:
    """An id as text, a number zero-padded to `width` digits: some copies of a dataset drop the zeros."""
    plain = text(value).strip()
    return plain.zfill(width) if plain.isdigit() else plain


def label(value: Any, names: Mapping[str, str]) -> str | None:
    """A native label by its name; a value that has none stays as it is, so that the label map can refuse it."""
    return None if value is None else names.get(text(value), text(value))


def strings(value: Any) -> list[str]:
    """A list's items as text; a single value is a list of one, None an empty list. Items that are None are left out."""
    items = value if isinstance(value, list) else [value]
    return [text(item) for item in items if item is not None]
