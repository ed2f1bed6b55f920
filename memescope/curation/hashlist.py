"""Lists of known pictures by PDQ hash, for `--hashlist`: pictures to match and pictures to allow.

Read are the forms that ThreatExchange's tools write and take (github.com/facebook/ThreatExchange): one hash of 64
hexadecimal digits a line; `pdq HASH` lines of a local signal file; `hash,quality,filename` of the hashing tools; the
CSV of `threatexchange dataset --csv` (signal_type, signal_str, collab, category, tags) and other CSV with a first line
of column names. A column `action` says `match` (the default) or `allow`.
"""

from __future__ import annotations

import csv
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

import numpy as np

from memescope.curation.hashes import MIN_QUALITY
from memescope.errors import UsageError

HashAction = Literal["match", "allow"]
THRESHOLD = 31
"""Most differing bits of 256 for a match: ThreatExchange's confident threshold."""
MAX_BYTES = 512 << 20

_OTHER_KINDS = frozenset(
    ("pdq_ocr", "video_sha256", "raw_text", "text_tlsh", "trend_query", "url", "url_md5", "video_md5", "vpdq")
)
_HASH = re.compile(r"[0-9a-fA-F]{64}")
_HASH_COLUMNS = ("hash", "pdq", "pdq_hash", "signal_str", "indicator", "hash_value")
_NAME_COLUMNS = ("name", "tags", "category", "collab", "filename", "indicator_id", "id")


@dataclass(frozen=True, slots=True)
class HashlistMatch:
    """The nearest listed picture: its name (or `FILE:line`), what to do with it, and how many of 256 bits differ."""

    name: str
    action: HashAction
    distance: int
    line: int


class Hashlist:
    """Known pictures. `ignored` counts the rows left out because their hash is noise, disputed, or of another kind."""

    def __init__(self, hashes: np.ndarray, names: list[str], actions: list[HashAction], lines: list[int]) -> None:
        self._words = np.ascontiguousarray(hashes).view(np.uint64)
        self._names, self._actions, self._lines = names, actions, lines
        self.ignored = 0

    def __len__(self) -> int:
        return len(self._names)

    def match(self, *pdqs: bytes, quality: int = 100, threshold: int = THRESHOLD) -> HashlistMatch | None:
        """The listed picture nearest to any of a picture's hashes (32 bytes each), or None beyond `threshold`.

        Of equally near ones a match goes before an allow, then the earlier line. None for a `quality` below 50.
        """
        if quality < MIN_QUALITY or not pdqs:
            return None
        asked = np.frombuffer(b"".join(pdqs), np.uint64).reshape(len(pdqs), 4)
        distances = np.min([np.bitwise_count(self._words ^ words).sum(1, dtype=np.int64) for words in asked], axis=0)
        least = int(distances.min())
        if least > threshold:
            return None
        nearest = min(np.flatnonzero(distances == least), key=lambda i: (self._actions[i] != "match", self._lines[i]))
        return HashlistMatch(self._names[nearest], self._actions[nearest], least, self._lines[nearest])


def load_hashlist(path: str | Path) -> Hashlist:
    """Read a list. Raises `UsageError`, naming file and line, for one that is missing, malformed or contradictory."""
    path = Path(path)
    lines = _read(path).split("\n")
    names = _column_names(lines)
    listed: dict[bytes, tuple[str, HashAction, int]] = {}
    ignored = 0
    for number, line in enumerate(lines, 1):
        if not line.strip() or line.lstrip().startswith("#") or (names and number == _first(lines)):
            continue
        row = _row(line, names, f"{path}:{number}")
        if row is None:
            ignored += 1
            continue
        pdq, name, action = row
        before = listed.setdefault(pdq, (name or f"{path.name}:{number}", action, number))
        if before[1] != action:
            raise UsageError(
                f"{path}:{number}: this hash is listed as {action!r}, but as {before[1]!r} on line {before[2]}"
            )
    if not listed:
        raise UsageError(f"{path}: expected PDQ hashes of 64 hexadecimal digits, found none that can be used")
    hashes = np.frombuffer(b"".join(listed), np.uint8).reshape(-1, 32)
    found = list(listed.values())
    result = Hashlist(hashes, [n for n, _, _ in found], [a for _, a, _ in found], [line for _, _, line in found])
    result.ignored = ignored
    return result


def _read(path: Path) -> str:
    try:
        if path.is_file() and path.stat().st_size <= MAX_BYTES:
            return path.read_text("utf-8-sig")
    except UnicodeDecodeError:
        raise UsageError(f"{path}: expected a text file in UTF-8") from None
    except OSError as error:
        raise UsageError(f"{path}: the hash list cannot be read: {error.strerror}") from None
    raise UsageError(f"{path}: expected a hash list, a text file of at most {MAX_BYTES >> 20} MiB")


def _first(lines: list[str]) -> int:
    """The number of the first line that says something."""
    return next((n for n, line in enumerate(lines, 1) if line.strip() and not line.lstrip().startswith("#")), 0)


def _cells(line: str) -> list[str]:
    delimiter = "\t" if "\t" in line else ","
    return [cell.strip() for cell in next(csv.reader([line], delimiter=delimiter), [])]


def _column_names(lines: list[str]) -> list[str]:
    """The columns a first line names; none if it is a row already."""
    first = _first(lines)
    names = [cell.lower() for cell in _cells(lines[first - 1])] if first else []
    return names if set(names) & set(_HASH_COLUMNS) else []


def _row(line: str, names: list[str], where: str) -> tuple[bytes, str, HashAction] | None:
    """Hash, name and action of one line; None for a row that is left out."""
    try:
        cells = _cells(line)
    except csv.Error as error:
        raise UsageError(f"{where}: not a row of a table: {error}") from None
    if names:
        fields = dict(zip(names, cells, strict=False))
    else:
        fields = _fields_without_header(cells)
    kind = fields.get("signal_type") or fields.get("type") or "pdq"
    if kind.lower() not in ("pdq", "hash_pdq") or fields.get("category", "").upper() == "NEGATIVE_CLASS":
        return None
    text = next((fields[column] for column in _HASH_COLUMNS if fields.get(column)), "")
    if not _HASH.fullmatch(text):
        raise UsageError(f"{where}: expected a PDQ hash of 64 hexadecimal digits, found {text[:80]!r}")
    quality = fields.get("quality") or "100"
    if not quality.isascii() or not quality.isdigit() or int(quality) > 100:
        raise UsageError(f"{where}: expected a quality of 0 to 100, found {quality[:80]!r}")
    action = fields.get("action", "").lower() or "match"
    if action not in get_args(HashAction):
        raise UsageError(f"{where}: expected the action 'match' or 'allow', found {action[:80]!r}")
    if int(quality) < MIN_QUALITY:
        return None
    name = next((fields[column] for column in _NAME_COLUMNS if fields.get(column)), "")
    return bytes.fromhex(text), name, "allow" if action == "allow" else "match"


def _fields_without_header(cells: list[str]) -> dict[str, str]:
    """`HASH`, `pdq HASH`, `HASH,NAME`, `HASH,QUALITY[,NAME]`, and with any of them a last cell `match` or `allow`."""
    kind, _, text = cells[0].partition(" ")
    fields = {"type": kind, "hash": text.strip()} if kind.lower() in _OTHER_KINDS | {"pdq"} else {"hash": cells[0]}
    rest = cells[1:]
    if rest and rest[-1].lower() in get_args(HashAction):
        fields["action"] = rest.pop()
    if rest and rest[0].isdigit():
        fields["quality"] = rest.pop(0)
    if rest:
        fields["name"] = ", ".join(cell for cell in rest if cell)
    return fields
