"""Meme text as data: a JSON string between two lines that carry a word nobody could have guessed.

A text cannot break out: it holds no line break and no quotation mark that is not escaped, and the word of the two lines
is drawn for each request until the text does not hold it. Invisible characters (bidirectional controls, hidden tags,
zero-width ones) are written as escapes, so that what a model reads is what a person would see.
"""

from __future__ import annotations

import json
import re
import secrets
import unicodedata
from collections.abc import Callable, Mapping
from typing import Any

_KEPT = frozenset("\u200c\u200d")
"""Joiners that emoji, Arabic and Indic scripts need."""
_BRACKETS = re.compile("[<>]")


def draw_word() -> str:
    """Sixteen hexadecimal digits from the system's random source."""
    return secrets.token_hex(8)


def as_data(fields: Mapping[str, Any], draw: Callable[[], str] = draw_word) -> tuple[str, str]:
    """The block for these fields, and the word of its two lines. Fields that are None are left out."""
    body = _shown(json.dumps({name: value for name, value in fields.items() if value is not None}, ensure_ascii=False))
    word = draw()
    while word in body:
        word = draw()
    return f"<<<DATA {word}\n{body}\nDATA {word}>>>", word


def read_back(block: str, word: str) -> dict[str, Any]:
    """The fields of a block that `as_data` made with this word."""
    first, body, last = block.split("\n")
    if first != f"<<<DATA {word}" or last != f"DATA {word}>>>":
        raise ValueError("not a block of this word")
    fields: dict[str, Any] = json.loads(body)
    return fields


def _shown(body: str) -> str:
    """JSON with angle brackets (chat templates' markers: `<|im_end|>`) and invisible characters as escapes."""
    body = _BRACKETS.sub(lambda match: f"\\u{ord(match[0]):04x}", body)
    return "".join(_escape(character) if _hidden(character) else character for character in body)


def _hidden(character: str) -> bool:
    # Cc control, Cf format, Cs lone surrogate, Co private use, Cn unassigned, Zl and Zp line and paragraph separators
    return unicodedata.category(character) in ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp") and character not in _KEPT


def _escape(character: str) -> str:
    units = character.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{int.from_bytes(units[i : i + 2], 'big'):04x}" for i in range(0, len(units), 2))
