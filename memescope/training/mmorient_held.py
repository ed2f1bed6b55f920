"""Features of all memes of an MM-ORIENT recipe, held in memory.

Token states and regions are held in float16, 180 KB a meme with the packaged encoders.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from memescope.meme import Meme
from memescope.models.mmorient.features import Features, join
from memescope.models.mmorient.making import Making
from memescope.training.run import Progress

AT_ONCE = 256


class Held:
    """Features by meme. Memes are told apart as objects: a training and a test meme may have one id."""

    def __init__(self, making: Making, memes: Sequence[Meme], report: Progress) -> None:
        self._memes = memes  # kept, so that their identities are not given to other objects
        self._rows = {id(meme): row for row, meme in enumerate(memes)}
        parts = []
        for start in range(0, len(memes), AT_ONCE):
            parts.append(making(memes[start : start + AT_ONCE], half=True))
            report("features", min(start + AT_ONCE, len(memes)), len(memes))
        self.features = join(parts)

    def rows(self, memes: Sequence[Meme]) -> list[int]:
        """Where the features of these memes are."""
        return [self._rows[id(meme)] for meme in memes]

    def of(self, memes: Sequence[Meme]) -> Features:
        """The features of these memes, float32."""
        return self.features.take(self.rows(memes)).to(torch.float32)

    def pooled(self, rows: Sequence[int]) -> dict[str, Any]:
        """The pooled vectors at these rows, "text" (n, p) and "image" (n, q)."""
        return {"text": self.features.text[list(rows)], "image": self.features.image[list(rows)]}
