"""Do weights point at what moves an answer? Deletion and insertion curves (Petsiuk et al., RISE, BMVC 2018).

Deletion takes parts out from the weightiest on: the sooner the answer falls, the better the weights, so a small area
under the curve is good. Insertion puts them into an emptied meme: a large area is good. Chance is the mean over random
orders. Parts are words of the text, or the cells of a g x g grid over the picture, filled with its mean colour.

Shape letters: `m` versions of a meme, `n` parts, `g` cells along one side.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from memescope.explanation.words import Word, without
from memescope.meme import Meme, Span
from memescope.perception.pictures import open_picture

Score = Callable[[np.ndarray], np.ndarray]
"""Parts kept, bool (m, n) -> the probability of the answer, (m,)."""
STEPS = 8
GRID = 7


@dataclass(frozen=True)
class Curves:
    """Areas under the deletion and the insertion curve, between 0 and 1; and those of the mean of random orders."""

    deletion: float
    insertion: float
    random_deletion: float
    random_insertion: float

    @property
    def gain(self) -> float:
        """How much better than chance, both together: above 0 the weights point at something."""
        return (self.random_deletion - self.deletion) + (self.insertion - self.random_insertion)


def curves(score: Score, weights: Sequence[float] | np.ndarray, orders: int = 3, seed: int = 0) -> Curves:
    """The areas for parts of these weights, with `orders` random orders beside them. Needs at least 2 parts."""
    weights = np.asarray(weights, np.float64)
    n = len(weights)
    rng = np.random.default_rng(seed)
    # equal weights are no order: they are shuffled, so that a flat heat is chance
    shuffled = rng.permutation(n)
    best = shuffled[np.argsort(-weights[shuffled], kind="stable")]
    ways = [best, *(rng.permutation(n) for _ in range(orders))]
    cuts = np.unique(np.linspace(0, n, min(n, STEPS) + 1).round().astype(int))
    masks = np.ones((len(ways), 2, len(cuts), n), bool)
    for i, way in enumerate(ways):
        for j, cut in enumerate(cuts):
            masks[i, 0, j, way[:cut]] = False
            masks[i, 1, j, way[cut:]] = False
    found = np.asarray(score(masks.reshape(-1, n)), np.float64).reshape(len(ways), 2, len(cuts))
    shares = cuts / n
    areas = ((found[..., 1:] + found[..., :-1]) / 2 * np.diff(shares)).sum(-1)
    return Curves(*areas[0].tolist(), *areas[1:].mean(0).tolist())


def word_versions(meme: Meme, words: Sequence[Span], kept: np.ndarray) -> list[Meme]:
    """The meme with only some of its words, by masks (m, n)."""
    pieces = [Word(span.text, span.start, span.end) for span in words]
    return [
        replace(meme, text=without(meme.text, [piece for piece, stays in zip(pieces, row, strict=True) if not stays]))
        for row in kept
    ]


def cell_versions(meme: Meme, kept: np.ndarray, grid: int = GRID) -> list[Meme]:
    """The meme with only some cells of its picture, by masks (m, g*g)."""
    picture = open_picture(meme.image)
    height, width = picture.pixels.shape[:2]
    mean = picture.pixels.reshape(-1, 3).mean(0).round().astype(np.uint8)
    rows = np.minimum(np.arange(height) * grid // height, grid - 1)
    columns = np.minimum(np.arange(width) * grid // width, grid - 1)
    found = []
    for number, row in enumerate(kept):
        there = row.reshape(grid, grid)[rows][:, columns]
        pixels = np.where(there[..., None], picture.pixels, mean)
        key = f"{picture.key}-cells-{grid}-{np.packbits(row).tobytes().hex()}"
        found.append(replace(meme, image=replace(picture, pixels=pixels, key=key), id=f"{meme.id}-{number}"))
    return found


def resampled(places: np.ndarray, grid: int = GRID) -> np.ndarray:
    """Weights (h, w) as those of g x g cells, (g*g,): the mean over each cell of the map drawn as constant places."""
    h, w = places.shape
    down = _overlaps(h, grid) @ np.asarray(places, np.float64) @ _overlaps(w, grid).T
    return down.reshape(-1)


def _overlaps(size: int, grid: int) -> np.ndarray:
    """(g, size): the share of each cell that each place covers."""
    edges, places = np.arange(grid + 1) / grid, np.arange(size + 1) / size
    low = np.maximum(edges[:-1, None], places[None, :-1])
    high = np.minimum(edges[1:, None], places[None, 1:])
    return np.clip(high - low, 0, None) * grid
