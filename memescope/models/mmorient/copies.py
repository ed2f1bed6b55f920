"""Changed copies of training memes, one for each rewrite of the text, as MM-ORIENT augments (section 4.1).

As published each copy has a paraphrase by a teacher and its own random change of the picture, and inherits all labels.
Without a teacher a copy can have its words dropped and exchanged (`noised`): noise, no paraphrase, and named so; or the
text as it is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from memescope.datasets.stored import StoredParaphrases
from memescope.errors import UsageError
from memescope.meme import Meme
from memescope.perception.augment import RANGES, augment, noised
from memescope.perception.paper_cleaning import mmorient_rewrites
from memescope.perception.pictures import Picture

COPY = "copy"
"""The entry of a copy's `meta`: its number, from 1, and the ranges of its picture."""


@dataclass(frozen=True)
class Copying:
    """`copies` of each training meme. `text`: "same", "noised" (10 % of words dropped, 10 % exchanged) or
    "paraphrases" (of `paraphrases`; at most as many copies as a meme has). `pictures`: "same", "mild" or "mmorient",
    the published ranges (`perception.augment`)."""

    copies: int = 0
    text: Literal["same", "noised", "paraphrases"] = "same"
    pictures: Literal["same", "mild", "mmorient"] = "same"

    def __post_init__(self) -> None:
        if self.text not in ("same", "noised", "paraphrases") or self.pictures not in ("same", *RANGES):
            raise UsageError(
                f"copies: expected text same, noised or paraphrases and pictures same, {' or '.join(RANGES)}, found "
                f"{self.text!r} and {self.pictures!r}"
            )
        if self.copies < 0 or (self.copies and self.text == self.pictures == "same"):
            raise UsageError(f"copies: expected 0, or copies that differ in text or pictures, found {self.copies}")


def copies_of(memes: Sequence[Meme], how: Copying, paraphrases: StoredParaphrases | None = None) -> list[Meme]:
    """The copies alone, meme by meme; `meta["copy_of"]` has the id of the meme. For training only.

    A paraphrase counts as the authors count it (`paper_cleaning.mmorient_rewrites`): bullets go, rewrites with
    addresses, users' names or talk of a sentence are dropped. Raises `UsageError` for paraphrases without a file, and
    for a file that has none for these memes.
    """
    if (how.text == "paraphrases") != (paraphrases is not None):
        raise UsageError("copies: paraphrases need augment.paraphrases (a file of them), and nothing else does")
    found = []
    for meme in memes:
        for number, text in enumerate(_texts(meme, how, paraphrases), 1):
            meta = {**meme.meta, "copy_of": meme.id, COPY: [number, how.pictures]}
            found.append(replace(meme, id=f"{meme.id}#c{number}", text=text, labels=dict(meme.labels), meta=meta))
    if paraphrases is not None and memes and how.copies and not found:
        raise UsageError(f"{paraphrases.path}: no paraphrases of these {len(memes)} memes: are they another dataset's?")
    return found


def _texts(meme: Meme, how: Copying, paraphrases: StoredParaphrases | None) -> list[str]:
    if paraphrases is not None:
        return _usable(paraphrases.of(meme) or [])[: how.copies]
    if how.text == "noised":
        return [noised(meme.text, meme.id, number) for number in range(1, how.copies + 1)]
    return [meme.text] * how.copies


def _usable(rewrites: Sequence[str]) -> list[str]:
    """The rewrites that count, without bullets, not yet cleaned: that is done with every text."""
    kept: dict[str, str] = {}
    for rewrite in rewrites:
        for cleaned in mmorient_rewrites([rewrite]):
            kept.setdefault(cleaned, rewrite.strip().removeprefix("- ").removeprefix("• "))
    return list(kept.values())


def picture_of_copy(picture: Picture, meme: Meme, mirror_letters: bool) -> Picture:
    """The picture as a copy has it; as it is for a meme that is no copy. `mirror_letters`: see `augment`."""
    number, ranges = meme.meta.get(COPY, (0, "same"))
    if ranges == "same":
        return picture
    return augment(picture, str(meme.meta["copy_of"]), number, RANGES[ranges], mirror_letters)
