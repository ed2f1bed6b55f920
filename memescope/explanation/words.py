"""How much each word of a text moves an answer: take it out, answer again, compare the log-odds.

Occlusion as in Zeiler and Fergus 2014 and Li, Monroe and Jurafsky 2016 ("erasure"): it asks only for the model's
answers, so every family can use it, and the numbers are measured, not estimated.
"""

from __future__ import annotations

import itertools
import re
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from memescope.meme import Span

MAX_UNITS = 32
"""At most so many pieces of a text are taken out one by one; the words of a longer text go together in equal runs."""
UNSPACED_RUN = 2
"""Letters of a script without spaces that make one piece: most Chinese words have two."""

# Han, kana, bopomofo; Thai, Lao, Myanmar, Khmer: written without spaces between words
_UNSPACED = (
    (0x0E00, 0x0EFF), (0x1000, 0x109F), (0x1780, 0x17FF), (0x2E80, 0x2FDF), (0x3005, 0x3007), (0x3040, 0x312F),
    (0x3400, 0x4DBF), (0x4E00, 0x9FFF), (0xF900, 0xFAFF), (0x20000, 0x3FFFF),
)  # fmt: skip
# an address, a handle, a hashtag is one word, whatever stands inside it
_WHOLE = re.compile(r"(?:https?://|www\.)\S+|[@#]\w[\w.]*|\b[\w-]+\.(?:com|org|net|co|me|ly|io|tv|in|uk|de)\b(?:/\S*)?")
_INSIDE = frozenset("'’ʼ-‐·_")
_JOINERS = frozenset("\u200c\u200d\u00ad")


@dataclass(frozen=True, slots=True)
class Word:
    """A piece of a text: characters `start` to `end` of it."""

    text: str
    start: int
    end: int


def split_words(text: str) -> list[Word]:
    """The words of a text in order, in any script; punctuation and spaces belong to none.

    Letters carry their combining marks (Devanagari vowels, Arabic points) and apostrophes or hyphens between letters;
    12:47 is a word. Chinese, Japanese, Thai and other scripts without spaces are cut into pieces of two letters.
    Addresses, handles and hashtags stay whole; an emoji is a word.
    """
    words: list[Word] = []
    at = 0
    for match in _WHOLE.finditer(text):
        words.extend(_plain_words(text, at, match.start()))
        words.append(Word(match.group(), match.start(), match.end()))
        at = match.end()
    return words + _plain_words(text, at, len(text))


def _plain_words(text: str, start: int, end: int) -> list[Word]:
    words = []
    at = start
    while at < end:
        kind = _kind(text[at])
        if kind == "other":
            at += 1
            continue
        stop, letters = at + 1, 1
        while stop < end:
            here = text[stop]
            if _continues(here):
                stop += 1
            elif kind == "word" and stop + 1 < end and _joins(text[stop - 1], here, text[stop + 1]):
                stop += 2
            elif kind != "symbol" and _kind(here) == kind and (kind == "word" or letters < UNSPACED_RUN):
                stop, letters = stop + 1, letters + 1
            elif kind == "symbol" and text[stop - 1] == "\u200d" and _kind(here) == "symbol":
                stop += 1  # an emoji glued to the one before it
            else:
                break
        words.append(Word(text[at:stop], at, stop))
        at = stop
    return words


def _kind(character: str) -> str:
    category = unicodedata.category(character)
    if category[0] in "LN":
        code = ord(character)
        return "unspaced" if any(low <= code <= high for low, high in _UNSPACED) else "word"
    return "symbol" if category == "So" else "other"


def _joins(before: str, mark: str, after: str) -> bool:
    if mark in ".,:":
        return before.isdigit() and after.isdigit()
    return mark in _INSIDE and _kind(after) == "word"


def _continues(character: str) -> bool:
    return unicodedata.category(character)[0] == "M" or character in _JOINERS or 0x1F3FB <= ord(character) <= 0x1F3FF


def pieces(text: str, limit: int = MAX_UNITS) -> list[Word]:
    """The words of a text; where there are more than `limit`, runs of neighbouring words of about equal number."""
    words = split_words(text)
    if len(words) <= limit:
        return words
    bounds = np.linspace(0, len(words), limit + 1).round().astype(int)
    runs = [(words[a].start, words[b - 1].end) for a, b in itertools.pairwise(bounds)]
    return [Word(text[start:end], start, end) for start, end in runs]


def without(text: str, gone: Sequence[Word]) -> str:
    """The text without these pieces; of the two spaces around a hole one is left, none at either end."""
    kept = ""
    at = 0
    for piece in sorted(gone, key=lambda piece: piece.start):
        kept += text[at : piece.start]
        at = piece.end
        if (not kept or kept[-1].isspace()) and at < len(text) and text[at].isspace():
            at += 1
    return kept + text[at:] if at < len(text) else kept.rstrip()


def log_odds(probability: np.ndarray | float) -> np.ndarray:
    """ln(p / (1 - p)), p kept 1e-6 away from 0 and 1 (so at most 13.8 either way)."""
    p = np.clip(np.asarray(probability, np.float64), 1e-6, 1 - 1e-6)
    return np.log(p) - np.log1p(-p)


def explain_words(text: str, score: Callable[[Sequence[str]], np.ndarray], limit: int = MAX_UNITS) -> list[Span]:
    """Every piece of the text in order, with the log-odds the answer loses when that piece alone is taken out.

    `score` gives the log-odds of the answer, shape (n,), for n versions of the text; it is called once, with the whole
    text first. Empty when the text has no word.
    """
    parts = pieces(text, limit)
    if not parts:
        return []
    scores = np.asarray(score([text, *(without(text, [part]) for part in parts)]), np.float64)
    return [
        Span(part.text, part.start, part.end, float(scores[0] - lost))
        for part, lost in zip(parts, scores[1:], strict=True)
    ]


def strongest(spans: Sequence[Span], count: int = 3, share: float = 0.3, least: float = 0.05) -> list[Span]:
    """The few spans that speak most for the answer, strongest first.

    Kept are weights of at least `least` (log-odds) and at least `share` of the greatest one.
    """
    best = sorted((s for s in spans if s.weight >= least), key=lambda s: -s.weight)[:count]
    return [s for s in best if s.weight >= share * best[0].weight]
