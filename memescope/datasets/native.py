"""Reading files as they are found: byte-order marks, mixed encodings, broken lines. Every problem is named, none stops.

`where` of a row is `file:line`, the line on which it starts.
"""

from __future__ import annotations

import codecs
import csv
import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from memescope.datasets.problems import Problems

_MARKS = ((codecs.BOM_UTF8, "utf-8"), (codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be"))
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
csv.field_size_limit(1 << 24)


def lines(path: Path, problems: Problems) -> Iterator[tuple[int, str]]:
    """(line number, line without its end). A line that is not UTF-8 is read as Windows-1252 and noted."""
    raw = path.read_bytes()
    encoding = "utf-8"
    for mark, name in _MARKS:
        if raw.startswith(mark):
            raw, encoding = raw[len(mark) :], name
            problems.add("byte-order-mark", f"{path.name}:1", f"{name} with a byte-order mark", kept=True)
            break
    if encoding != "utf-8":
        raw = raw.decode(encoding, "replace").encode()
    for number, line in enumerate(re.split(rb"\r\n|\n|\r", raw), 1):
        try:
            text = line.decode("utf-8")
        except UnicodeDecodeError as error:
            text = line.decode("cp1252", "replace")
            problems.add("encoding", f"{path.name}:{number}", f"not UTF-8 at byte {error.start}", kept=True)
        if _CONTROL.search(text):
            text = _CONTROL.sub("", text)
            problems.add("control-characters", f"{path.name}:{number}", "control characters removed", kept=True)
        yield number, text


def json_lines(path: Path, problems: Problems) -> Iterator[tuple[str, dict[str, Any]]]:
    """(where, object) of each line that holds a JSON object; blank lines are passed over."""
    for number, line in lines(path, problems):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except (json.JSONDecodeError, RecursionError) as error:
            problems.add("broken-line", f"{path.name}:{number}", f"not JSON: {error}")
            continue
        if isinstance(row, dict):
            yield f"{path.name}:{number}", row
        else:
            problems.add("broken-line", f"{path.name}:{number}", f"expected a JSON object, found {type(row).__name__}")


def json_array(path: Path, problems: Problems) -> Iterator[tuple[str, dict[str, Any]]]:
    """(where, object) of each object of a JSON array; `where` counts from 1. A file that is no array gives none."""
    text = "\n".join(line for _, line in lines(path, problems))
    try:
        rows = json.loads(text)
    except (json.JSONDecodeError, RecursionError) as error:
        problems.add("broken-line", path.name, f"not JSON: {error}")
        return
    if not isinstance(rows, list):
        problems.add("broken-line", path.name, f"expected a JSON array, found {type(rows).__name__}")
        return
    for number, row in enumerate(rows, 1):
        if isinstance(row, dict):
            yield f"{path.name}:{number}", row
        else:
            problems.add("broken-line", f"{path.name}:{number}", f"expected an object, found {type(row).__name__}")


def table(
    path: Path,
    problems: Problems,
    delimiter: str = ",",
    header: Sequence[str] | None = None,
    quoted: bool = True,
) -> Iterator[tuple[str, dict[str, str]]]:
    """(where, row) of a delimited file. `header` names the columns of a file that has no header line.

    Without `quoted` quotation marks are letters like any other and a row is a line.
    """
    reader = csv.reader(
        (line + "\n" for _, line in lines(path, problems)),
        delimiter=delimiter,
        quoting=csv.QUOTE_MINIMAL if quoted else csv.QUOTE_NONE,
    )
    names = list(header) if header else None
    start = 1
    while True:
        try:
            cells = next(reader, None)
        except csv.Error as error:
            problems.add("broken-line", f"{path.name}:{reader.line_num}", f"not a delimited row: {error}")
            start = reader.line_num + 1
            continue
        where, start = f"{path.name}:{start}", reader.line_num + 1
        if cells is None:
            return
        if not any(cell.strip() for cell in cells):
            continue
        if names is None:
            names = [cell.strip() for cell in cells]
        elif len(cells) != len(names):
            problems.add("columns", where, f"expected {len(names)} columns, found {len(cells)}")
        else:
            yield where, dict(zip(names, cells, strict=True))
