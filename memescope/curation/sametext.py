"""Whether two memes say the same, whatever slips OCR made, words a crop took or a watermark added."""

from __future__ import annotations

from typing import Literal

from memescope.perception.cleaning import letters

SAME, DOUBTFUL = 0.6, 0.25
"""Least share of the shorter text's letter groups that the longer one has, for texts that are the same, or might be the
same text misread. Measured (docs/duplicates.md): other captions on one picture share .17 in 95 of 100 pairs, OCR of a
changed copy .6 or more in 18 of 20."""
FEWEST = 6
"""With fewer groups than this, texts tell nothing unless they are equal."""

TextRelation = Literal["same", "doubtful", "other", "unknown"]


def letter_groups(text: str) -> frozenset[str]:
    """The groups of three letters in a text; of two where it is written in Chinese characters."""
    joined = letters(text)
    length = 2 if sum("\u2e80" <= c <= "\u9fff" for c in joined) * 2 > len(joined) else 3
    return frozenset(joined[i : i + length] for i in range(len(joined) - length + 1))


def compare(first: frozenset[str], second: frozenset[str]) -> TextRelation:
    """The relation of two texts by their `letter_groups`."""
    fewer = min(len(first), len(second))
    if fewer < FEWEST:
        return "same" if first and first == second else "unknown"
    share = len(first & second) / fewer
    return "same" if share >= SAME else "doubtful" if share >= DOUBTFUL else "other"
