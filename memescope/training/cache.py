"""Features of training memes, kept by content: a killed run goes on where it stopped, a second one starts at once.

Uses the caches of evaluation (`$MEMESCOPE_CACHE`): a picture read or encoded there is not done again here.

Shape letters: n rows, d width of a feature.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from memescope.backbones import load_text_encoder, load_vision_encoder
from memescope.cache import Cache, content_key
from memescope.datasets.transforms import picture_digest
from memescope.meme import Meme
from memescope.models.starter import ngrams
from memescope.models.starter.features import TEXT_ENCODER, VISION_ENCODER, Features, readable
from memescope.perception.cleaning import clean
from memescope.perception.pictures import open_picture

BATCH = 32
Progress = Callable[[str, int, int], None]


def encode_memes(memes: Sequence[Meme], bits: int, progress: Progress) -> Features:
    """What `memescope.models.starter.features.encode` gives, from the cache where it was computed before."""
    texts = [clean(meme.text) for meme in memes]
    text_encoder, vision_encoder = load_text_encoder(TEXT_ENCODER), load_vision_encoder(VISION_ENCODER)
    cache = Cache("features")
    has_text = np.array([readable(text) for text in texts], dtype=bool)
    has_picture = np.array([meme.image is not None for meme in memes], dtype=bool)
    text: NDArray[np.float32] = np.zeros((len(memes), text_encoder.dim), np.float32)
    picture: NDArray[np.float32] = np.zeros((len(memes), vision_encoder.dim), np.float32)
    read, seen = np.flatnonzero(has_text).tolist(), np.flatnonzero(has_picture).tolist()
    text[read] = _through(
        cache,
        [content_key(text_encoder.name, text_encoder.version, texts[i]) for i in read],
        lambda some: text_encoder.pooled([texts[read[i]] for i in some]),
        text_encoder.dim,
        lambda done, total: progress("encode texts", done, total),
    )
    picture[seen] = _through(
        cache,
        [content_key(vision_encoder.name, vision_encoder.version, picture_digest(memes[i])) for i in seen],
        lambda some: vision_encoder.pooled([open_picture(memes[seen[i]].image) for i in some]),
        vision_encoder.dim,
        lambda done, total: progress("encode pictures", done, total),
    )
    counts = ngrams.count([t if there else "" for t, there in zip(texts, has_text, strict=True)], bits)
    return Features(counts, text, picture, has_text, has_picture)


def with_ocr_text(memes: Sequence[Meme], progress: Progress) -> list[Meme]:
    """The same memes with the text our OCR reads in their pictures."""
    from memescope.perception.ocr import kept_texts

    found = []
    for meme, text in zip(memes, kept_texts((meme.image, picture_digest(meme)) for meme in memes), strict=True):
        found.append(replace(meme, text=text))
        progress("read text", len(found), len(memes))
    return found


def _through(
    cache: Cache,
    keys: Sequence[str],
    compute: Callable[[list[int]], np.ndarray],
    width: int,
    progress: Callable[[int, int], None],
) -> NDArray[np.float32]:
    """Vectors (n, d) by key; `compute` gets the positions of missing keys, `BATCH` at a time, each key once."""
    known = cache.get(keys)
    first = {key: i for i, key in reversed(list(enumerate(keys)))}
    missing = sorted(i for key, i in first.items() if key not in known)
    for start in range(0, len(missing), BATCH):
        some = missing[start : start + BATCH]
        vectors = compute(some).astype(np.float32)
        fresh = {keys[i]: vector.tobytes() for i, vector in zip(some, vectors, strict=True)}
        cache.put(fresh)
        known |= fresh
        progress(min(start + BATCH, len(missing)), len(missing))
    out = np.zeros((len(keys), width), np.float32)
    for row, key in enumerate(keys):
        out[row] = np.frombuffer(known[key], np.float32)
    return out
