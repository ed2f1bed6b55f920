"""How far the labels of two splits lie apart: total variation with its interval, what chance gives, chi-square."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Counts = Mapping[str, int]
RESAMPLES = 2000
LEAST_EXPECTED = 5.0
"""Below this expected count the chi-square says nothing."""


@dataclass(frozen=True)
class Shift:
    """`distance`: total variation, the share of rows whose label would have to change; `low`, `high`: its 95 %
    percentile bootstrap interval. `chance`: the distance that 95 % of splits drawn from one pool stay below. `p`: of
    Pearson's chi-square, NaN where a cell expects fewer than 5 rows."""

    task: str
    first: str
    second: str
    distance: float
    low: float
    high: float
    chance: float
    p: float


def total_variation(first: NDArray[np.float64], second: NDArray[np.float64]) -> NDArray[np.float64]:
    """Half the summed difference of the shares, from counts (..., v)."""
    shares = [counts / np.maximum(counts.sum(axis=-1, keepdims=True), 1) for counts in (first, second)]
    return np.abs(shares[0] - shares[1]).sum(axis=-1) / 2


def shift(task: str, names: tuple[str, str], counts: tuple[Counts, Counts], seed: int = 0) -> Shift:
    """The shift of one task between two splits, from how often each label occurs in them."""
    from scipy.stats import chi2_contingency

    labels = sorted({label for part in counts for label, n in part.items() if n})
    table = np.array([[part.get(label, 0) for label in labels] for part in counts], np.int64)
    sizes, pool = table.sum(axis=1), table.sum(axis=0) / table.sum()
    rng = np.random.default_rng(seed)
    drawn = [rng.multinomial(n, part / n, size=RESAMPLES).astype(float) for n, part in zip(sizes, table, strict=True)]
    equal = [rng.multinomial(n, pool, size=RESAMPLES).astype(float) for n in sizes]
    low, high = np.quantile(total_variation(drawn[0], drawn[1]), [0.025, 0.975])
    chance = float(np.quantile(total_variation(equal[0], equal[1]), 0.95))
    p = float("nan")
    if len(labels) > 1 and (np.outer(sizes, pool) >= LEAST_EXPECTED).all():
        p = float(chi2_contingency(table, correction=False).pvalue)
    value = float(total_variation(table[0].astype(float), table[1].astype(float)))
    return Shift(task, *names, value, float(low), float(high), chance, p)
