"""List files as inputs: JSONL, CSV or TSV with the columns `image` and `text`, and if known `id` and `lang`.

Every row is accounted for: a broken one, one whose picture is missing, and one that names a URL or a path outside the
list's folder become entries with an error that names the line. Nothing outside is looked at, nothing is fetched.
"""

from __future__ import annotations

import codecs
import csv
import io
import json
import os
import re
import stat
from collections.abc import Iterator
from typing import Any

from memescope.errors import UsageError
from memescope.scanning.entry import Entry, Limits, display, open_regular, special_kind
from memescope.scanning.folders import is_inside

LIST_SUFFIXES = frozenset({".jsonl", ".ndjson", ".csv", ".tsv"})
IMAGE_COLUMNS = ("image", "img")
"""The second is what the Hateful Memes Challenge calls it."""
_BOMS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_URL = re.compile(r"(?i)(?:[a-z][a-z0-9+.-]*://|(?:data|file|ftp|https?):|[a-z]:[\\/]|[\\/]{2})")
_LANG = re.compile(r"(?i)([a-z]{2,3})(?:[-_].*)?$")


class _RowError(Exception):
    """Why a row cannot be used."""


def list_entries(path: str, label: str, limits: Limits, ids: dict[str, str] | None) -> Iterator[Entry]:
    """The entries of one list file, one for each row.

    A row's id is `label#line`, or its own where there is an `id` column and `ids` is given, which maps the ids used so
    far to where they were used. Raises `UsageError` if the file cannot be opened or a CSV or TSV has no image column.
    """
    folder = os.path.dirname(path)
    lines = _Lines(path, limits.line_bytes)
    rows = _json_rows(lines) if path.lower().endswith((".jsonl", ".ndjson")) else _table_rows(path, lines)
    for number, row in rows:
        where = f"{display(os.path.basename(path))}, line {number}"
        try:
            if isinstance(row, str):
                raise _RowError(row)
            image = _image(row)
            id = _own_id(row, f"{label}#{number}", where, ids)
            text, lang = _optional(row, "text"), _lang(row)
            found, file = _locate(image, folder)
        except _RowError as error:
            shown = next((str(row[c]) for c in IMAGE_COLUMNS if row.get(c)), where) if isinstance(row, dict) else where
            yield Entry(f"{label}#{number}", display(shown), "row", error=f"{where}: {error}")
        else:
            yield Entry(id, display(found), "row", file=file, text=text, lang=lang)


def check_list(path: str, limits: Limits) -> None:
    """Raise `UsageError` before anything starts if a list cannot be used at all."""
    lines = _Lines(path, limits.line_bytes)
    if not path.lower().endswith((".jsonl", ".ndjson")):
        next(_table_rows(path, lines), None)


class _Lines:
    """A list's lines as text with their ends. Bytes that are not of its encoding come as lone surrogates.

    `too_long` collects the numbers of lines that were cut at the limit.
    """

    def __init__(self, path: str, limit: int) -> None:
        self.too_long: set[int] = set()
        self._limit = limit
        file = io.FileIO(open_regular(os.path.realpath(path)), "rb")
        head = file.read(4) or b""
        bom, self.encoding = next(((b, e) for b, e in _BOMS if head.startswith(b)), (b"", "utf-8"))
        file.seek(len(bom))
        errors = "surrogateescape" if self.encoding == "utf-8" else "replace"
        self._text = io.TextIOWrapper(io.BufferedReader(file), self.encoding, errors, newline="\n")

    def __iter__(self) -> Iterator[str]:
        number = 0
        with self._text:
            while line := self._text.readline(self._limit):
                number += 1
                if len(line) == self._limit and not line.endswith("\n"):
                    self.too_long.add(number)
                    while (rest := self._text.readline(self._limit)) and not rest.endswith("\n"):
                        pass
                    line = "\n"
                yield line


def _json_rows(lines: _Lines) -> Iterator[tuple[int, dict[str, Any] | str]]:
    for number, line in enumerate(lines, 1):
        if number in lines.too_long:
            yield number, "the line is too long"
        elif line.strip():
            try:
                row = json.loads(line)
            except (ValueError, RecursionError) as error:
                yield number, f"not JSON: {error}"
            else:
                yield number, row if isinstance(row, dict) else f"expected a JSON object, found {type(row).__name__}"


def _table_rows(path: str, lines: _Lines) -> Iterator[tuple[int, dict[str, Any] | str]]:
    stream = iter(lines)
    header = next(stream, "")
    delimiter = "\t" if path.lower().endswith(".tsv") else max(",;\t", key=header.count)
    try:
        names = [name.strip().lower() for name in next(csv.reader([header], delimiter=delimiter), [])]
    except csv.Error:
        names = []
    if not set(IMAGE_COLUMNS) & set(names):
        raise UsageError(
            f"{display(path)}: expected a first line with the columns 'image' and, if known, 'text', 'id', 'lang';"
            f" found {', '.join(repr(display(name)) for name in names[:20]) or 'nothing'}"
        )
    reader, before = csv.reader(stream, delimiter=delimiter, strict=True), 0
    while True:
        number = before + 2
        try:
            cells = next(reader, None)
        except csv.Error as error:
            end = reader.line_num + 1
            through = f" (lines {number} to {end} are lost)" if end > number else ""
            yield number, f"not a row of a table: {error}{through}"
            before = reader.line_num
            continue
        if cells is None:
            return
        cut = lines.too_long.intersection(range(number, reader.line_num + 2))
        before = reader.line_num
        if cut:
            yield number, "the line is too long"
        elif len(cells) > len(names) and any(cells[len(names) :]):
            yield number, f"{len(cells)} cells where the first line names {len(names)} columns"
        elif any(cells):
            yield number, {name: cell for name, cell in zip(names, cells, strict=False) if cell}


def _image(row: dict[str, Any]) -> str:
    image = next((row[column] for column in IMAGE_COLUMNS if row.get(column) is not None), None)
    if not isinstance(image, str) or not image.strip():
        raise _RowError("no picture is named in the column 'image'")
    return image


def _optional(row: dict[str, Any], column: str) -> str | None:
    value = row.get(column)
    if value is None or value == "":
        return None
    if not isinstance(value, str):
        raise _RowError(f"expected text in the column {column!r}, found {type(value).__name__}")
    if any("\udc80" <= character <= "\udcff" for character in value):
        raise _RowError(f"the column {column!r} is not UTF-8: save the list as UTF-8")
    return _sound(value)


def _sound(text: str) -> str:
    """Text that can be written as UTF-8: lone halves of surrogate pairs, which JSON allows, are replaced."""
    return text.encode("utf-8", "replace").decode("utf-8")


def _lang(row: dict[str, Any]) -> str | None:
    match = _LANG.match(_optional(row, "lang") or "")
    return match[1].lower() if match else None


def _own_id(row: dict[str, Any], fallback: str, where: str, ids: dict[str, str] | None) -> str:
    value = row.get("id")
    if ids is None or value is None or value == "":
        return fallback
    if not isinstance(value, (str, int)):
        raise _RowError(f"expected text or a whole number in the column 'id', found {type(value).__name__}")
    id = display(_sound(str(value)))
    if id in ids:
        raise _RowError(f"the id {id!r} is not unique: {ids[id]} has it")
    ids[id] = where
    return id


def _locate(image: str, folder: str) -> tuple[str, str]:
    """Path to show and resolved path of a row's picture, a regular file in the list's folder. Raises `_RowError`."""
    if _URL.match(image):
        raise _RowError("a URL or a path with a drive or host is never fetched: name a file in the list's folder")
    if "\0" in image:
        raise _RowError("the picture's path has a NUL character")
    for name in dict.fromkeys((image, image.replace("\\", "/"))):
        # Judged by the name alone, before anything on the disk is looked at.
        if not is_inside(os.path.abspath(os.path.join(folder, name)), os.path.abspath(folder)):
            raise _RowError("the picture's path leaves the list's folder")
        path = os.path.normpath(os.path.join(folder, name))
        try:
            if not os.path.lexists(path):
                continue
            real = os.path.realpath(path, strict=True)
            if not is_inside(real, os.path.realpath(folder)):
                raise _RowError("the picture's path leaves the list's folder through a symbolic link")
            mode = os.stat(real).st_mode
        except OSError as error:
            raise _RowError(f"the picture cannot be read: {error.strerror}") from None
        if stat.S_ISDIR(mode):
            raise _RowError("the picture's path is that of a folder")
        if special := special_kind(mode):
            raise _RowError(f"the picture's path is that of {special}, not of a regular file")
        return path, real
    raise _RowError("there is no such file")
