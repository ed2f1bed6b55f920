"""Tables for people: Markdown whose cells hold untrusted text safely, and numbers as they are written."""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Iterable, Sequence
from typing import Any

_MARKUP = str.maketrans({c: f"\\{c}" for c in "\\|`*_[]<>#"})


def plain(text: str, limit: int | None = None) -> str:
    """One line without control, bidirectional and other invisible characters; cut at `limit` characters."""
    kept = "".join(" " if c in "\n\r\t\u2028\u2029" else c for c in text)
    kept = "".join(c for c in kept if unicodedata.category(c) not in ("Cc", "Cf", "Cs", "Co", "Cn"))
    line = " ".join(kept.split())
    return line if limit is None or len(line) <= limit else line[: limit - 1].rstrip() + "…"


def cell(value: Any, limit: int | None = None) -> str:
    """A value in a table: text without markup, fractions with three digits, no figure as a dash."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return "–"
    if isinstance(value, float):
        return f"{value:.3f}"
    return plain(str(value), limit).translate(_MARKUP)


def table(header: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """A Markdown table, numbers to the right; "" without rows."""
    cells = [list(row) for row in rows]
    if not cells:
        return ""
    right = [all(isinstance(row[i], int | float) or row[i] is None for row in cells) for i in range(len(header))]
    lines = ["| " + " | ".join(header) + " |", "|" + "|".join("---:" if r else "---" for r in right) + "|"]
    lines += ["| " + " | ".join(cell(value) for value in row) + " |" for row in cells]
    return "\n".join(lines) + "\n"
