"""Meme text as the papers clean it, one function each. Our own models use `memescope.perception.cleaning.clean`.

These lose more than `clean` does (digits, punctuation, the lines of a meme): they are here so that a paper's rows can
be run as the paper has them.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable

_SPACE = re.compile(r"\s+")
_STILL_THERE = ("www.", ".com", "website", "sentence")
_BULLETS = ("- ", "• ")


def mmorient(text: str) -> str:
    """MM-ORIENT (arXiv:2508.16300; its preprocess_text.py): lower case; letters alone, digits and all signs taken out
    (`don't` becomes `dont`), white space folded.

    Deviation: the script keeps ASCII letters only, which leaves nothing of a meme in Hindi and breaks `café`; letters
    and marks of every script stay here. English without accents comes out the same.
    """
    kept = (c if unicodedata.category(c)[0] in "LM" else " " if c.isspace() else "" for c in text.lower())
    return _SPACE.sub(" ", "".join(kept)).strip()


def mmorient_rewrites(rewrites: Iterable[str]) -> list[str]:
    """The paraphrases of one text that MM-ORIENT would train on, cleaned, in the order given.

    Leading bullets go; a rewrite that still has an address (`www.`, `.com`), talks of a `website` or a `Sentence`, or
    has a word that starts with @ is dropped, as are rewrites that come again.

    Deviation: the script looks for addresses after it has taken the dots out, and then keeps the rows it found. What it
    is written to do is done here: look first, drop what is found, then clean.
    """
    kept: list[str] = []
    for rewrite in rewrites:
        words = rewrite.strip()
        for bullet in _BULLETS:
            words = words.removeprefix(bullet)
        low = words.lower()
        if any(sign in low for sign in _STILL_THERE) or any(word.startswith("@") for word in words.split()):
            continue
        cleaned = mmorient(words)
        if cleaned and cleaned not in kept:
            kept.append(cleaned)
    return kept


def mrharm(text: str) -> str:
    """MR.HARM (arXiv:2312.05434; its base_dataset.py): lower case and nothing else; the tokenizer cuts at 40."""
    return text.lower()


def mamba(text: str) -> str:
    """The Mamba report (Liu et al., Mamba-based approaches to the Hateful Memes challenge): states no text cleaning, so
    the text as it is; the tokenizer cuts at 50."""
    return text


PAPER_CLEANING: dict[str, Callable[[str], str]] = {"mmorient": mmorient, "mrharm": mrharm, "mamba": mamba}
"""By the family's name."""
