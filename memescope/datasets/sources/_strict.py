"""For readers that were never run on their authors' file: what is not as expected is said, never guessed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from memescope.datasets.native import json_lines, table
from memescope.datasets.problems import Problems
from memescope.datasets.records import parquet
from memescope.datasets.xlsx import sheet

Rows = Iterator[tuple[str, dict[str, Any]]]


def columns(rows: Iterable[tuple[str, dict[str, Any]]], path: Path, needed: Sequence[str], problems: Problems) -> Rows:
    """The rows of a table whose columns hold all of `needed`; otherwise none, and a problem that names both."""
    checked = False
    for where, row in rows:
        if not checked:
            absent = [name for name in needed if name not in row]
            if absent:
                problems.add(
                    "columns",
                    path.name,
                    f"expected the columns {', '.join(needed)}; found {', '.join(filter(None, row)) or 'none'}: "
                    f"without {', '.join(absent)} no row of it can be read",
                )
                return
            checked = True
        yield where, row


def keys(rows: Iterable[tuple[str, dict[str, Any]]], needed: Sequence[str], problems: Problems) -> Rows:
    """The JSON objects that hold all of `needed`, each other one named with the keys it has."""
    for where, row in rows:
        absent = [name for name in needed if name not in row]
        if absent:
            found = ", ".join(map(str, row)) or "none"
            problems.add("missing-field", where, f"expected the keys {', '.join(needed)}; found {found}")
        else:
            yield where, row


def spreadsheet(path: Path, needed: Sequence[str], problems: Problems, delimiter: str = ",") -> Rows:
    """The rows of an .xlsx or delimited file with the columns `needed`."""
    rows = sheet(path, problems) if path.suffix.lower() == ".xlsx" else table(path, problems, delimiter)
    return columns(rows, path, needed, problems)


def records(path: Path, needed: Sequence[str], problems: Problems) -> Rows:
    """The rows with the keys `needed` of a .jsonl file, or of a Parquet file of the hub with its pictures as bytes."""
    if path.suffix.lower() != ".parquet":
        return keys(json_lines(path, problems), needed, problems)
    plain = ((where, {name: _picture(value) for name, value in row.items()}) for where, row in parquet(path, problems))
    return keys(plain, needed, problems)


def _picture(value: Any) -> Any:
    """A hub picture (`{"bytes", "path"}`) as its bytes, or its path where it has none; other values as they are."""
    if isinstance(value, dict) and set(value) == {"bytes", "path"}:
        return value["bytes"] or value["path"]
    return value


def cell(row: dict[str, Any], name: str, where: str, id: str, problems: Problems) -> str | None:
    """A label cell without surrounding space; an empty one is None and noted: the row stays unlabelled there."""
    value = row.get(name)
    plain = "" if value is None else str(value).strip()
    if not plain:
        problems.add("missing-field", where, f"no label in {name!r}", id, kept=True)
    return plain or None
