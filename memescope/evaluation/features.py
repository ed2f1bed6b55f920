"""Frozen features of memes for the linear probe: packaged text and vision vectors side by side, kept by content.

The text is cleaned first, as models do with theirs.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from memescope.backbones import load_text_encoder, load_vision_encoder
from memescope.cache import Cache, content_key
from memescope.curation.identity import Identity, Progress
from memescope.meme import Meme
from memescope.perception.cleaning import clean
from memescope.perception.pictures import open_picture

Features = NDArray[np.float32]

TEXT, VISION = "minilm", "effnet-lite0"
_BATCH = 32


def encode(
    memes: Sequence[Meme], identities: Sequence[Identity], progress: Progress = lambda stage, done, total: None
) -> Features:
    """Pooled text and vision vectors, float32 (n, d_text + d_vision). Every picture must be readable."""
    cache = Cache("features")
    text, vision = load_text_encoder(TEXT), load_vision_encoder(VISION)
    rows = np.empty((len(memes), text.dim + vision.dim), np.float32)
    for start in range(0, len(memes), _BATCH):
        batch = range(start, min(start + _BATCH, len(memes)))
        words = [clean(memes[i].text) for i in batch]
        text_keys = [content_key(text.name, text.version, one) for one in words]
        vision_keys = [content_key(vision.name, vision.version, identities[i].picture) for i in batch]
        known = cache.get(text_keys + vision_keys)
        fresh: dict[str, bytes] = {}
        if missing := {key: one for key, one in zip(text_keys, words, strict=True) if key not in known}:
            vectors = text.pooled(list(missing.values()))
            fresh |= {key: vector.astype(np.float32).tobytes() for key, vector in zip(missing, vectors, strict=True)}
        if pictures := {key: memes[i].image for key, i in zip(vision_keys, batch, strict=True) if key not in known}:
            vectors = vision.pooled([open_picture(image) for image in pictures.values()])
            fresh |= {key: vector.astype(np.float32).tobytes() for key, vector in zip(pictures, vectors, strict=True)}
        cache.put(fresh)
        known |= fresh
        for i, text_key, vision_key in zip(batch, text_keys, vision_keys, strict=True):
            rows[i, : text.dim] = np.frombuffer(known[text_key], np.float32)
            rows[i, text.dim :] = np.frombuffer(known[vision_key], np.float32)
        progress("encode for the probe", batch.stop, len(memes))
    return rows
