"""The cosine that leaves a wanted share of the pairs below it: by a sample, or by counting.

Shape letters: `n` rows, `m` columns of which the pairs are made.
"""

from __future__ import annotations

import numpy as np

from memescope.errors import UsageError
from memescope.models.mmorient.tiles import DOUBT, Found, Vectors, above

EXACT = 1 << 22
"""Pairs up to which all are looked at."""
EVERYTHING = -2.0
SAME = 1e-9
"""Cosines that differ by less are equal."""
_SQUARES, _SIDE = 16, 512
_SEED = 0


def pairs(rows: Vectors, columns: Vectors) -> int:
    """How many pairs there are: unordered, of different memes, unless there is a support set."""
    return rows.count * (rows.count - 1) // 2 if rows is columns else rows.count * columns.count


def at_quantile(rows: Vectors, columns: Vectors, share: float) -> tuple[float, dict[str, float]]:
    """A threshold that a share of the pairs is not above, and what it rests on: `pairs`, `share_error`.

    From all pairs where they are at most `EXACT`; else from 16 squares of 512 x 512 pairs of memes drawn at random.
    `share_error` is the standard error of the share, from how the squares differ (0 for all pairs). Raises `UsageError`
    for a share that is not between 0 and 1 and where there are no pairs.
    """
    if not 0 < share < 1:
        raise UsageError(f"graph: expected a quantile above 0 and below 1, found {share:g}")
    total = pairs(rows, columns)
    if total == 0:
        raise UsageError("graph: a quantile needs at least one pair of memes")
    if total <= EXACT:
        every = rows.exact(np.arange(rows.count)) @ columns.exact(np.arange(columns.count)).T
        values = every[np.triu_indices(rows.count, 1)] if rows is columns else every.ravel()
        return _between(values, share), {"pairs": float(total), "share_error": 0.0}
    squares = _sample(rows, columns)
    cut = _between(np.concatenate(squares).astype(np.float64), share)
    below = [float((square <= cut).mean()) for square in squares]
    error = float(np.std(below, ddof=1) / np.sqrt(len(below)))
    return cut, {"pairs": float(sum(map(len, squares))), "share_error": error}


def _between(values: np.ndarray, share: float) -> float:
    """Half-way from the smallest value that has this share at or below it to the next one, which differs from it."""
    rank = int(np.ceil(share * len(values) - 1e-9)) - 1
    low = np.partition(values, rank)[rank]
    higher = values[values > low + SAME]
    return float(np.clip((low + (higher.min() if len(higher) else 1.0)) / 2, -1, 1))


def _sample(rows: Vectors, columns: Vectors) -> list[np.ndarray]:
    """Cosines of each square; no meme with itself."""
    luck = np.random.default_rng(_SEED)
    found = []
    for _ in range(_SQUARES):
        if rows is columns:
            drawn = luck.choice(rows.count, 2 * _SIDE, replace=False)
            left, right = drawn[:_SIDE], drawn[_SIDE:]
        else:
            left = luck.choice(rows.count, min(_SIDE, rows.count), replace=False)
            right = luck.choice(columns.count, min(_SIDE, columns.count), replace=False)
        found.append((rows.unit[left] @ columns.unit[right].T).numpy().ravel())
    return found


def at_sparsity(rows: Vectors, columns: Vectors, share: float, block: int) -> tuple[float, list[Found]]:
    """The threshold that leaves a share of the pairs without an edge, and the pairs above it, of whole tiles.

    A sample gives a threshold that lets rather too many through, of which the least alike are then cut off. Where it
    let too few through the tiles are passed again. Raises `UsageError` for a share that is not above 0 and at most 1.
    """
    if not 0 < share <= 1:
        raise UsageError(f"graph: expected a sparsity above 0 and at most 1, found {share:g}")
    total = pairs(rows, columns)
    wanted = round((1 - share) * total)
    if wanted == 0:
        return 1.0, []
    generous = 1.1
    while True:
        start = EVERYTHING
        if generous * wanted < total:
            aim = 1 - generous * wanted / total
            start, estimate = at_quantile(rows, columns, aim)
            if estimate["share_error"] > 0 and aim > 3 * estimate["share_error"]:
                start = at_quantile(rows, columns, aim - 3 * estimate["share_error"])[0]
        found = list(above(rows, columns, start, block))
        if sum(len(one.flat) for one in found) >= wanted:
            cut = _cut(found, wanted, rows, columns)
            kept = [one.over(cut, rows, columns) for one in found]
            return cut, [one for one in kept if len(one.flat)]
        generous *= 2


def _cut(found: list[Found], wanted: int, rows: Vectors, columns: Vectors) -> float:
    """A threshold above which `wanted` of the pairs are, or as many fewer as are equal to the first that is not."""
    every = np.concatenate([one.cosines for one in found])
    middle = float(np.partition(every, len(every) - wanted)[len(every) - wanted])
    close, sure = [], int((every > middle + DOUBT).sum())
    del every
    for one in found:
        at = np.flatnonzero(np.abs(one.cosines - middle) <= DOUBT)
        if len(at):
            close.append(rows.cosines(one.rows[at], columns, one.columns[at]))
    exact = -np.sort(-np.concatenate(close))
    low = exact[wanted - sure] if wanted - sure < len(exact) else middle - DOUBT
    higher = exact[exact > low + SAME]
    return float((low + (higher.min() if len(higher) else middle + DOUBT)) / 2)
