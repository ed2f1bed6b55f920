"""The first sheet of an Excel workbook (.xlsx, ECMA-376 part 1) as rows, without a spreadsheet library.

Some datasets are only given as workbooks. Cell values alone are read: strings, numbers and booleans as text; formulas
by their stored value, formats not at all. A workbook is a ZIP archive of XML, so sizes are limited before anything is
unpacked, and document types, which could define entities, are refused.
"""

from __future__ import annotations

import posixpath
import re
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO
from xml.etree import ElementTree

from memescope.datasets.problems import Problems

MAX_PART = 256 << 20
"""Unpacked bytes of one part of a workbook."""
_MAIN = "{http://schemas.openxmlformats.org/spreadsheetml/2006/main}"
_RELATION = "{http://schemas.openxmlformats.org/officeDocument/2006/relationships}id"
_ESCAPED = re.compile(r"_x([0-9A-Fa-f]{4})_")


class _Unreadable(Exception):
    """Why a workbook cannot be read."""


_BROKEN = (
    _Unreadable,
    zipfile.BadZipFile,
    zlib.error,
    ElementTree.ParseError,
    LookupError,
    TypeError,
    ValueError,
    RuntimeError,  # an encrypted archive
    OSError,
)


def sheet(path: Path, problems: Problems) -> Iterator[tuple[str, dict[str, str]]]:
    """(where, row) of the first sheet; its first row with content names the columns. `where` is `file:row`.

    Cells that are absent are empty; a row without any content is passed over. A file that is no workbook gives no rows
    and a problem.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            yield from _named(path, archive)
    except _BROKEN as error:
        problems.add("broken-line", path.name, f"not a readable Excel workbook (.xlsx): {error}")


def _named(path: Path, archive: zipfile.ZipFile) -> Iterator[tuple[str, dict[str, str]]]:
    names: dict[int, str] = {}
    for number, cells in _cells(archive):
        if not any(value.strip() for value in cells.values()):
            continue
        if not names:
            names = {column: value.strip() for column, value in cells.items() if value.strip()}
        else:
            yield f"{path.name}:{number}", {name: cells.get(column, "") for column, name in names.items()}


def _cells(archive: zipfile.ZipFile) -> Iterator[tuple[int, dict[int, str]]]:
    """(row number, {column number: value}) of the first sheet."""
    shared = _shared(archive)
    with _part(archive, _first_sheet(archive)) as file:
        number = 0
        for _, element in ElementTree.iterparse(file):
            if element.tag != f"{_MAIN}row":
                continue
            number = int(element.get("r") or number + 1)
            cells: dict[int, str] = {}
            for cell in element.iter(f"{_MAIN}c"):
                place = cell.get("r")
                column = _column(place) if place else max(cells, default=0) + 1
                cells[column] = _value(cell, shared)
            element.clear()
            yield number, cells


def _value(cell: ElementTree.Element, shared: list[str]) -> str:
    kind, stored = cell.get("t", "n"), cell.findtext(f"{_MAIN}v")
    if kind == "inlineStr":
        return _text(cell)
    if stored is None:
        return ""
    if kind == "s":
        return shared[int(stored)]
    if kind == "b":
        return "TRUE" if stored == "1" else "FALSE"
    if kind == "n" and re.fullmatch(r"-?\d+\.0+", stored):
        return stored.partition(".")[0]
    return _unescaped(stored) if kind == "str" else stored


def _column(place: str) -> int:
    """The column of a cell reference such as AB12, from 1."""
    number = 0
    for letter in re.match(r"[A-Z]+", place)[0]:  # type: ignore[index]
        number = number * 26 + ord(letter) - 64
    return number


def _shared(archive: zipfile.ZipFile) -> list[str]:
    if "xl/sharedStrings.xml" not in archive.namelist():
        return []
    found = []
    with _part(archive, "xl/sharedStrings.xml") as file:
        for _, element in ElementTree.iterparse(file):
            if element.tag == f"{_MAIN}si":
                found.append(_text(element))
                element.clear()
    return found


def _text(element: ElementTree.Element) -> str:
    """The text of a string item: its runs together, without the reading aids of East Asian text."""
    runs = [part for part in element.iter() if part.tag in (f"{_MAIN}t", f"{_MAIN}rPh")]
    aids = {id(inner) for part in runs if part.tag == f"{_MAIN}rPh" for inner in part.iter(f"{_MAIN}t")}
    return _unescaped("".join(part.text or "" for part in runs if part.tag == f"{_MAIN}t" and id(part) not in aids))


def _unescaped(text: str) -> str:
    return _ESCAPED.sub(lambda found: chr(int(found[1], 16)), text) if "_x" in text else text


def _first_sheet(archive: zipfile.ZipFile) -> str:
    with _part(archive, "xl/workbook.xml") as file:
        sheets = ElementTree.parse(file).getroot().find(f"{_MAIN}sheets")
    if sheets is None or not len(sheets):
        raise _Unreadable("it has no sheet")
    wanted = sheets[0].get(_RELATION)
    with _part(archive, "xl/_rels/workbook.xml.rels") as file:
        targets = {one.get("Id"): one.get("Target", "") for one in ElementTree.parse(file).getroot()}
    return posixpath.normpath(posixpath.join("/xl", targets[wanted])).lstrip("/")


def _part(archive: zipfile.ZipFile, name: str) -> IO[bytes]:
    if archive.getinfo(name).file_size > MAX_PART:
        raise _Unreadable(f"{name} unpacks to more than {MAX_PART >> 20} MiB")
    with archive.open(name) as file:
        if re.search(rb"<!(DOCTYPE|ENTITY)", file.read(4096)):
            raise _Unreadable(f"{name} defines a document type")
    return archive.open(name)
