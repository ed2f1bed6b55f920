"""The whole of an explanation by occlusion, for any model that can score texts against pooled picture vectors."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from memescope.explanation.regions import explain_regions, pooled_without
from memescope.explanation.says import Effects, says
from memescope.explanation.words import MAX_UNITS, Word, explain_words, log_odds, strongest, without
from memescope.meme import Evidence, Region

Probability = Callable[[Sequence[str], np.ndarray | None], np.ndarray]
"""n texts and n pooled vectors (n, d), or None for "no picture" -> probability of the explained label, shape (n,)."""


def explain(
    label: str, text: str, grid: np.ndarray | None, probability: Probability, limit: int = MAX_UNITS
) -> Evidence:
    """Words, regions and the sentence for one answered label of one meme.

    `grid` is the encoder's features (g, g, d), None for a meme without a picture. `probability` must take None for the
    pooled vectors, and answer then as it does for a meme without a picture. Words are pieces of `text` as it is given;
    cleaning is the callee's business, so spans are characters of the original.
    """
    whole = np.zeros((1, *grid.shape[:2]), bool) if grid is not None else None
    pooled = pooled_without(grid, whole) if grid is not None and whole is not None else None

    def of_texts(texts: Sequence[str]) -> np.ndarray:
        return probability(texts, None if pooled is None else np.repeat(pooled, len(texts), axis=0))

    def of_pooled(vectors: np.ndarray) -> np.ndarray:
        return log_odds(probability([text] * len(vectors), vectors))

    spans = explain_words(text, lambda texts: log_odds(of_texts(texts)), limit)
    words = strongest(spans)
    regions = explain_regions(grid, of_pooled)[1] if grid is not None else []
    gone = [Word(span.text, span.start, span.end) for span in words]
    p, without_words, without_text = (float(value) for value in of_texts([text, without(text, gone), ""]))
    effects = Effects(
        probability=p,
        words=words,
        without_words=without_words if words else None,
        regions=regions,
        without_regions=_without_regions(grid, regions, text, probability) if grid is not None and regions else None,
        without_text=without_text if spans else None,
        without_picture=float(probability([text], None)[0]) if grid is not None else None,
    )
    return Evidence(spans, regions, says(label, effects))


def _without_regions(grid: np.ndarray, regions: Sequence[Region], text: str, probability: Probability) -> float:
    g = grid.shape[0]
    mask = np.zeros((1, g, g), bool)
    for region in regions:
        rows = slice(round(region.y * g), round((region.y + region.height) * g))
        columns = slice(round(region.x * g), round((region.x + region.width) * g))
        mask[0, rows, columns] = True
    return float(probability([text], pooled_without(grid, mask))[0])
