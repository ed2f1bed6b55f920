"""Reading files as they are found: byte-order marks, mixed encodings, broken lines. Every problem is named, none stops.

Files are read as a stream. `where` of a row is `file:line`, the line on which it starts. What cannot be read costs as
little as possible: after a broken object of a JSON array, or a quotation mark that is never closed, reading goes on at
the next one that makes sense.
"""

from __future__ import annotations

import codecs
import csv
import json
import re
from collections import deque
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, Any

from memescope.datasets.problems import Problems

MAX_LINE = 32 << 20
"""Bytes of a line, or letters of an object in an array; a longer one is passed over."""
MAX_ROW_LINES = 500
"""Lines over which one row of a table may run; a quotation mark open for longer was never closed."""
_MARKS = ((codecs.BOM_UTF8, "utf-8"), (codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be"))
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
_CHUNK = 1 << 20
_DECODER = json.JSONDecoder(strict=False, parse_constant=lambda name: None)
_SPACE = re.compile(r"[\s,]*")
csv.field_size_limit(1 << 28)


def lines(path: Path, problems: Problems) -> Iterator[tuple[int, str]]:
    """(line number, line without its end). A line that is not UTF-8 is read as Windows-1252 and noted."""
    with path.open("rb") as file:
        start = file.read(_CHUNK)
        encoding, mark = _encoding(start)
        file.seek(mark)
        if mark:
            problems.add("byte-order-mark", f"{path.name}:1", f"{encoding} with a byte-order mark", kept=True)
        end = _line_end(start, encoding)
        for number, raw in enumerate(_split(file, end, 2 if len(end) == 2 else 1), 1):
            where = f"{path.name}:{number}"
            if raw is None:
                problems.add("broken-line", where, f"longer than {MAX_LINE >> 20} MiB")
                continue
            try:
                text = raw.decode(encoding)
            except UnicodeDecodeError as error:
                text = raw.decode("cp1252" if encoding == "utf-8" else encoding, "replace")
                problems.add("encoding", where, f"not {encoding.upper()} at byte {error.start}", kept=True)
            text = text.removesuffix("\r")
            if _CONTROL.search(text):
                text = _CONTROL.sub("", text)
                problems.add("control-characters", where, "control characters removed", kept=True)
            yield number, text


def _encoding(start: bytes) -> tuple[str, int]:
    """The file's encoding and the length of its mark; UTF-16 without a mark shows by its zero bytes."""
    for mark, name in _MARKS:
        if start.startswith(mark):
            return name, len(mark)
    head = start[:4000]
    if len(head) >= 4 and head.count(0) * 3 > len(head):
        return ("utf-16-le" if head[1::2].count(0) > head[::2].count(0) else "utf-16-be"), 0
    return "utf-8", 0


def _line_end(start: bytes, encoding: str) -> bytes:
    """LF or CR LF; CR alone only in a file that has no LF (a stray CR within a line is a character of it)."""
    for character in ("\n", "\r"):
        end = character.encode(encoding)
        if any(match.start() % len(end) == 0 for match in re.finditer(re.escape(end), start)):
            return end
    return "\n".encode(encoding)


def _split(file: IO[bytes], end: bytes, width: int) -> Iterator[bytes | None]:
    """The file's lines without their ends; None for one over `MAX_LINE`. Ends lie at multiples of `width`."""
    rest, skipping = b"", False
    while chunk := file.read(_CHUNK):
        pieces = _pieces(rest + chunk, end, width)
        rest = pieces.pop()
        for piece in pieces:
            yield None if skipping else piece
            skipping = False
        if len(rest) > MAX_LINE:
            rest, skipping = rest[len(rest) - len(rest) % width :], True
    if rest or skipping:
        yield None if skipping else rest


def _pieces(data: bytes, end: bytes, width: int) -> list[bytes]:
    if width == 1:
        return data.split(end)
    found, start = [], 0
    for match in re.finditer(re.escape(end), data):
        if match.start() % width == 0:
            found.append(data[start : match.start()])
            start = match.end()
    return [*found, data[start:]]


def json_lines(path: Path, problems: Problems) -> Iterator[tuple[str, dict[str, Any]]]:
    """(where, object) of each line that holds a JSON object; blank lines are passed over.

    Several objects on one line, and a comma after one, are read; NaN and Infinity are None.
    """
    for number, line in lines(path, problems):
        where, at = f"{path.name}:{number}", len(line) - len(line.lstrip())
        if at == len(line):
            continue
        rows: list[Any] = []
        try:
            while at < len(line):
                row, at = _DECODER.raw_decode(line, at)
                rows.append(row)
                at = _SPACE.match(line, at).end()  # type: ignore[union-attr]
        except (json.JSONDecodeError, RecursionError) as error:
            problems.add("broken-line", where, f"not JSON: {error}")
            continue
        for row in rows:
            if isinstance(row, dict):
                yield where, row
            else:
                problems.add("broken-line", where, f"expected a JSON object, found {type(row).__name__}")


def json_array(path: Path, problems: Problems) -> Iterator[tuple[str, dict[str, Any]]]:
    """(where, object) of each object of a JSON array, read as a stream. A file that is no array gives none.

    A broken object is noted and costs itself alone; so does one that a file's end cuts off.
    """
    text = _Stream(path, problems)
    if text.skip() != "[":
        problems.add("broken-line", path.name, f"expected a JSON array, found {text.peek()!r}")
        return
    text.at += 1
    while (first := text.skip()) not in ("]", ""):
        where = f"{path.name}:{text.line}"
        if first == "{":
            text.note_indent()
        try:
            row = text.value()
        except (json.JSONDecodeError, RecursionError) as error:
            problems.add("broken-line", where, f"not JSON: {getattr(error, 'msg', error)}")
            if not text.resume():
                return
            continue
        if isinstance(row, dict):
            yield where, row
        else:
            problems.add("broken-line", where, f"expected an object, found {type(row).__name__}")
    if not first:
        problems.add("broken-line", f"{path.name}:{text.line}", "the file ends before the array does", kept=True)


class _Stream:
    """A window on a text file in which JSON values are read one after the other."""

    def __init__(self, path: Path, problems: Problems) -> None:
        self._lines = lines(path, problems)
        self._window, self.at, self.line = "", 0, 1
        self._counted = 0  # up to here line ends are in `line`
        self._whole = False
        self._start: re.Pattern[str] | None = None

    def _more(self) -> bool:
        """Take on more text, dropping what is read."""
        self._count()
        some: list[str] = []
        size = 0
        for _, line in self._lines:
            some.append(line + "\n")
            size += len(line)
            if size >= max(_CHUNK, len(self._window) - self.at):
                break
        self._whole = not some
        self._window = self._window[self.at :] + "".join(some)
        self.at = self._counted = 0
        return not self._whole

    def _count(self) -> None:
        self.line += self._window.count("\n", self._counted, self.at)
        self._counted = self.at

    def peek(self) -> str:
        """A few letters from here on."""
        return self._window[self.at : self.at + 20]

    def skip(self) -> str:
        """Pass over spaces and commas; the letter that follows, empty at the end."""
        while True:
            self.at = _SPACE.match(self._window, self.at).end()  # type: ignore[union-attr]
            if self.at < len(self._window) or not self._more():
                self._count()
                return self._window[self.at : self.at + 1]

    def note_indent(self) -> None:
        """Remember how an object starts, to find the next one after a broken one."""
        if self._start is None:
            indent = self._window[self._window.rfind("\n", 0, self.at) + 1 : self.at]
            alone = not indent.strip() and (self._counted or self.line > 1)
            self._start = re.compile(rf"\n{indent}(?=\{{)" if alone else r"\}\s*,\s*(?=\{)")

    def value(self) -> Any:
        """The JSON value here."""
        while True:
            try:
                value, end = _DECODER.raw_decode(self._window, self.at)
            except json.JSONDecodeError as error:
                # Only where the text ran out can more of it help.
                open_string = error.msg.startswith("Unterminated string")
                cut = open_string or error.pos > len(self._window) - 64
                if not cut or len(self._window) - self.at > MAX_LINE or not self._more():
                    raise
            else:
                if end < len(self._window) or not self._more():
                    self.at = end
                    return value

    def resume(self) -> bool:
        """Go to the next object that can be one; False where there is none."""
        start = self._start or re.compile(r"\n\s*(?=\{)")
        self.at += 1
        while not (match := start.search(self._window, self.at)):
            self.at = max(self.at, len(self._window) - 4096)
            if not self._more():
                return False
        self.at = match.end()
        return True


def table(
    path: Path,
    problems: Problems,
    delimiter: str = ",",
    header: Sequence[str] | None = None,
    quoted: bool = True,
) -> Iterator[tuple[str, dict[str, str]]]:
    """(where, row) of a delimited file. `header` names the columns of a file that has no header line.

    Without `quoted` quotation marks are letters like any other and a row is a line. A quotation mark that is never
    closed is read as a letter, so that it costs no other row.
    """
    names = list(header) if header else None
    for number, cells, odd in _records(path, problems, delimiter, len(names) if names else None, quoted):
        where = f"{path.name}:{number}"
        if names is None:
            names = [cell.strip() for cell in cells]
        elif len(cells) != len(names):
            problems.add("columns", where, f"expected {len(names)} columns, found {len(cells)}")
        else:
            if odd:
                problems.add("quotes", where, "quotation marks out of balance, read as letters", kept=True)
            yield where, dict(zip(names, cells, strict=True))


def _records(
    path: Path, problems: Problems, delimiter: str, columns: int | None, quoted: bool
) -> Iterator[tuple[int, list[str], bool]]:
    """(first line, cells, whether quotation marks were out of balance); the first record says how many columns."""
    waiting: deque[tuple[int, str]] = deque()
    source = ((number, line.replace("\r", " ")) for number, line in lines(path, problems))

    def pull() -> tuple[int, str] | None:
        return waiting.popleft() if waiting else next(source, None)

    while (taken := pull()) is not None:
        number, line = taken
        if not line.strip(" \t" if delimiter != "\t" else " "):
            continue
        if not quoted or '"' not in line:
            cells, odd = line.split(delimiter), False
        else:
            cells, odd, more = _quoted(taken, pull, delimiter, columns)
            waiting.extendleft(reversed(more))
        if any(cell.strip() for cell in cells):
            columns = columns or len(cells)
            yield number, cells, odd


def _quoted(
    taken: tuple[int, str], pull: Any, delimiter: str, columns: int | None
) -> tuple[list[str], bool, list[tuple[int, str]]]:
    """The record that starts here, whether its marks are out of balance, and lines taken that are not its own."""
    more: list[tuple[int, str]] = []

    def feed() -> Iterator[str]:
        yield taken[1] + "\n"
        while len(more) < MAX_ROW_LINES and (further := pull()) is not None:
            more.append(further)
            yield further[1] + "\n"

    try:
        cells = next(csv.reader(feed(), delimiter=delimiter, strict=True))
        # A wrong count of cells over lines that are rows by themselves: the mark was never closed.
        whole = columns is None or len(cells) == columns
        if whole or not any(line.count(delimiter) + 1 == columns for _, line in more):
            return cells, False, []
    except csv.Error:
        pass
    cells = next(csv.reader([taken[1]], delimiter=delimiter))
    balanced = taken[1].count('"') % 2 == 0
    if balanced and (columns is None or len(cells) == columns):
        return cells, False, more
    return taken[1].split(delimiter), True, more
