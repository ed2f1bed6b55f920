"""What the starter sees of a meme: hashed n-grams, a text vector and a picture vector, from the packaged encoders.

Shape letters: b memes, d width of a feature, n n-gram buckets.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from memescope.backbones import load_text_encoder, load_vision_encoder
from memescope.meme import Meme
from memescope.models.starter import ngrams
from memescope.perception.cleaning import clean
from memescope.perception.pictures import open_picture

if TYPE_CHECKING:
    from memescope.perception.pictures import Picture

TEXT_ENCODER = "minilm"
VISION_ENCODER = "effnet-lite0"


@dataclass(frozen=True)
class Features:
    """`text` (b, 384) and `picture` (b, 1280) float32, zero where there is none; `counts` n-gram counts of b texts;
    `has_text` and `has_picture` bool (b,)."""

    counts: ngrams.SparseRows
    text: NDArray[np.float32]
    picture: NDArray[np.float32]
    has_text: NDArray[np.bool_]
    has_picture: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.has_text)


def readable(text: str) -> bool:
    """Whether a cleaned text has anything to read: one word at least."""
    return bool(ngrams.words(text))


def encode(memes: Sequence[Meme], bits: int) -> Features:
    """Features of memes as they come: text is cleaned, pictures are opened. Raises `PictureError` for a broken one."""
    pictures = [None if meme.image is None else open_picture(meme.image) for meme in memes]
    return encode_parts([clean(meme.text) for meme in memes], pictures, bits)


def encode_parts(texts: Sequence[str], pictures: Sequence[Picture | None], bits: int) -> Features:
    """Features of cleaned texts and opened pictures, one of each for a meme."""
    has_text = np.array([readable(text) for text in texts], dtype=bool)
    has_picture = np.array([picture is not None for picture in pictures], dtype=bool)
    text_encoder, vision_encoder = load_text_encoder(TEXT_ENCODER), load_vision_encoder(VISION_ENCODER)
    text = np.zeros((len(texts), text_encoder.dim), dtype=np.float32)
    picture = np.zeros((len(texts), vision_encoder.dim), dtype=np.float32)
    if has_text.any():
        text[has_text] = text_encoder.pooled([t for t, there in zip(texts, has_text, strict=True) if there])
    if has_picture.any():
        picture[has_picture] = vision_encoder.pooled([p for p in pictures if p is not None])
    counts = ngrams.count([t if there else "" for t, there in zip(texts, has_text, strict=True)], bits)
    return Features(counts, text, picture, has_text, has_picture)
