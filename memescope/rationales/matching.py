"""Whether words stand in a text that OCR read: spaces, case, accents, look-alike letters and a share of slips aside.

Long strings are looked for in the text's letters without spaces (OCR joins words) by the fewest edits that turn the
string into some part of it (Sellers, J. Algorithms 1980). Short ones must be a word of the text, or two joined: in
running letters nearly every short string is found with an edit or two.
"""

from __future__ import annotations

import itertools
import re
import unicodedata
from collections.abc import Sequence
from functools import lru_cache
from importlib.resources import files

SLIPS = 0.25
"""Share of a string's letters that may be misread, joined or lost."""
SHORT = 8
"""Strings with fewer letters are compared with whole words."""
_JOINED = 5
"""A short string of so many letters may be part of a word: OCR joins words."""
_ALIKE = str.maketrans("авекмнорстухіјѕ", "abekmhopctyxijs")  # Cyrillic letters that OCR reads for Latin ones
_WORD = re.compile(r"[^\W_]+(?:['’][^\W_]+)*")
_ELLIPSIS = re.compile(r"\.{2,}|…|\[\s*\.*\s*\]")
_LATIN = re.compile(r"[a-z]")
_SUFFIXES = ("ings", "ing", "ies", "ied", "ers", "er", "ed", "es", "s", "ly")


def listed(name: str) -> frozenset[str]:
    """The words of a list of ours, `NAME.txt`."""
    lines = files("memescope.rationales").joinpath(f"{name}.txt").read_text("utf-8").splitlines()
    return frozenset(word for line in lines if not line.startswith("#") for word in line.split())


STOP = listed("stop")
"""English words that carry no content of their own."""


def fold(text: str) -> str:
    """Case folded, compatibility forms resolved, Latin accents off; Cyrillic look-alikes in a Latin text made Latin."""
    folded = unicodedata.normalize("NFKD", unicodedata.normalize("NFKC", text).casefold())
    kept: list[str] = []
    for c in folded:
        if not (unicodedata.combining(c) and kept and "a" <= kept[-1] <= "z"):
            kept.append(c)
    folded = unicodedata.normalize("NFC", "".join(kept)).replace("’", "'").replace("‘", "'")
    return re.sub(r"\w+", _latin, folded) if _LATIN.search(folded) else folded


def _latin(match: re.Match[str]) -> str:
    """A word with Latin letters, or made of nothing but look-alikes, in Latin letters."""
    word, alike = match[0], match[0].translate(_ALIKE)
    return alike if _LATIN.search(word) or alike.isascii() else word


@lru_cache(maxsize=50_000)
def squeeze(text: str) -> str:
    """Letters, marks and digits alone, folded."""
    return "".join(c for c in fold(text) if c.isalnum() or unicodedata.category(c) in ("Mn", "Mc"))


def words(text: str) -> list[str]:
    """The words of a text, folded, without a possessive's end."""
    return [re.sub(r"'s$", "", word) for word in _WORD.findall(fold(text))]


def content_words(text: str) -> list[str]:
    """Words of three letters or more that are no stop words, folded, in order."""
    return [word for word in words(text) if len(word) > 2 and word not in STOP]


def stem(word: str) -> str:
    """A word without a usual English ending, if three letters remain: enough to tell `masks` and `mask` for one."""
    for suffix in _SUFFIXES:
        if word.endswith(suffix) and len(word) - len(suffix) >= 3:
            return word[: -len(suffix)]
    return word


def allowed(letters: int) -> int:
    """Slips that a string of so many letters may have."""
    return 0 if letters < 4 else max(1, int(SLIPS * letters))


def edits(string: str, text: str, inside: bool = True) -> int:
    """The fewest letters to insert, delete or change so that `string` is a part of `text` (not `inside`: all of it)."""
    if inside and string in text:
        return 0
    above = [0] * (len(text) + 1) if inside else list(range(len(text) + 1))
    for row, letter in enumerate(string, 1):
        here = [row]
        for column, other in enumerate(text, 1):
            here.append(min(above[column - 1] + (letter != other), above[column] + 1, here[-1] + 1))
        above = here
    return min(above) if inside else above[-1]


def stands_in(string: str, text: str) -> bool:
    """Whether the words of `string` stand in `text`, each part between ellipses for itself.

    Lines may be in another order: it is enough that every word is found. A string without a letter stands anywhere.
    """
    return all(_part_in(part, text) for part in _ELLIPSIS.split(string) if squeeze(part))


def _part_in(part: str, text: str) -> bool:
    wanted, there = squeeze(part), squeeze(text)
    if not there:
        return False
    if len(wanted) < SHORT:
        several = len(words(part)) > 1 and wanted in there
        return several or _is_word(wanted, words(text))
    if edits(wanted, there) <= allowed(len(wanted)):
        return True
    parts, tokens = words(part), words(text)
    return len(parts) > 1 and all(_is_word(squeeze(one), tokens) or _long_in(squeeze(one), there) for one in parts)


def _long_in(word: str, there: str) -> bool:
    return len(word) >= SHORT and edits(word, there) <= allowed(len(word))


def _is_word(wanted: str, tokens: Sequence[str]) -> bool:
    """Whether a short string is a word of these, or two neighbours joined, or starts the same inflected word."""
    singles = [squeeze(token) for token in tokens]
    joined = [a + b for a, b in itertools.pairwise(singles)]
    if len(wanted) >= _JOINED and any(edits(wanted, token) <= (len(wanted) > _JOINED) for token in singles):
        return True
    if wanted in singles or wanted in joined or any(stem(wanted) == stem(one) for one in singles):
        return True
    room = allowed(len(wanted))
    if not room:
        return False
    near = [one for one in singles + joined if abs(len(one) - len(wanted)) <= room]
    return any(edits(wanted, one, inside=False) <= room for one in near)
