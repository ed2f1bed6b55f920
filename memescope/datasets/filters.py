"""Which memes have text: pure tests of one meme, for those who leave out memes without.

MemeLens (arXiv 2601.12539) drops a row whose text is empty, white space, or made of a fixed list of punctuation marks
alone; `memelens_text` is that rule to the letter, also where it is odd: a lone ellipsis sign, an emoji or a currency
sign counts as text, a row of full stops does not. It applied the rule to every set but MMHS150K.
"""

from __future__ import annotations

from memescope.meme import Meme

MEMELENS_PUNCTUATION = frozenset(" \t\n\r.,;:!?-_()[]{}\"'")
"""What MemeLens does not count as text."""


def has_text(meme: Meme) -> bool:
    """Whether the text has anything but white space."""
    return bool(meme.text.strip())


def memelens_text(meme: Meme) -> bool:
    """Whether MemeLens's empty-text filter keeps the meme."""
    return not MEMELENS_PUNCTUATION.issuperset(meme.text.strip())


def has_words(meme: Meme) -> bool:
    """Whether the text has a letter or a digit of any script: stricter than MemeLens, emoji and signs are not words."""
    return any(character.isalnum() for character in meme.text)
