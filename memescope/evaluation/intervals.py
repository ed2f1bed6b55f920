"""Intervals and paired comparison by bootstrap over clusters, with a fixed seed.

Rows that are one meme (the same picture or text, the same meme in several languages, near-duplicates) are drawn
together, so that they count as one observation (Field and Welsh 2007). Intervals are percentiles; two systems are
compared on the same resamples. Glossary of shapes: `n` rows, `r` resamples.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from memescope.errors import UsageError
from memescope.evaluation.metrics import LOWER_IS_BETTER, Scored, deciding, measures

Floats = NDArray[np.float64]
Decision = Literal["better", "no difference shown", "worse", "undecided"]

RESAMPLES = 2000
LEVEL = 0.95
NOT_COMPARED = frozenset({"coverage", "selective_accuracy", "ece"})
"""Figures without a better or worse of their own: how much is answered is a choice, and selective accuracy hangs on it;
ECE is read against its band, as a constant answer is perfectly calibrated."""
_BLOCK = 2_000_000  # weights held at a time: bounded memory whatever n is


@dataclass(frozen=True)
class Figure:
    """A figure and its percentile interval; NaN where it is not defined."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Comparison:
    """First minus second with its interval, and what it means for the first."""

    value: float
    low: float
    high: float
    verdict: Decision

    def to_dict(self) -> dict[str, float | str]:
        return asdict(self)


def clusters(keys: Sequence[Iterable[Hashable]]) -> NDArray[np.int64]:
    """Cluster numbers (n,), from 0 in order of appearance: rows that share a key, also through others, are one."""
    parent = list(range(len(keys)))

    def root(row: int) -> int:
        while parent[row] != row:
            parent[row] = parent[parent[row]]
            row = parent[row]
        return row

    first: dict[Hashable, int] = {}
    for row, its in enumerate(keys):
        for key in its:
            a, b = root(first.setdefault(key, row)), root(row)
            parent[max(a, b)] = min(a, b)
    numbers: dict[int, int] = {}
    return np.array([numbers.setdefault(root(row), len(numbers)) for row in range(len(keys))], dtype=np.int64)


def resample(cluster: NDArray[np.int64], resamples: int = RESAMPLES, seed: int = 0) -> Iterator[Floats]:
    """Row weights of the resamples, in blocks (b, n): how often each row's cluster was drawn. The same for one seed."""
    if not len(cluster):
        raise UsageError("bootstrap: there are no rows to resample")
    count = int(cluster.max()) + 1
    rng = np.random.default_rng(seed)
    block = max(1, _BLOCK // len(cluster))
    for start in range(0, resamples, block):
        drawn = rng.multinomial(count, np.full(count, 1 / count), size=min(block, resamples - start))
        yield drawn[:, cluster].astype(np.float64)


def distributions(
    systems: Mapping[str, Scored], cluster: NDArray[np.int64], resamples: int = RESAMPLES, seed: int = 0
) -> dict[str, dict[str, Floats]]:
    """For each system and figure, its values: the figure itself first, then one for each resample: (1 + r,).

    All systems speak of the same rows, and see the same resamples.
    """
    decides = {name: deciding(rows) for name, rows in systems.items()}
    parts: dict[str, dict[str, list[Floats]]] = {
        name: {figure: [value] for figure, value in measures(rows, decides=decides[name]).items()}
        for name, rows in systems.items()
    }
    for weights in resample(cluster, resamples, seed):
        for name, rows in systems.items():
            for figure, values in measures(rows, weights, decides[name]).items():
                parts[name][figure].append(values)
    return {name: {f: np.concatenate(v) for f, v in found.items()} for name, found in parts.items()}


def interval(values: Floats, level: float = LEVEL) -> Figure:
    """The figure and its interval, from (1 + r,) values as `distributions` gives them.

    Resamples in which the figure is not defined (a class missing) are left out; below half there is none.
    """
    value, drawn = float(values[0]), values[1:]
    low, high = _percentiles(drawn, level)
    return Figure(value, low, high)


def compare(first: Floats, second: Floats, figure: str, level: float = LEVEL) -> Comparison:
    """The paired difference of one figure, from (1 + r,) values of two systems over the same resamples."""
    difference = first - second
    low, high = _percentiles(difference[1:], level)
    verdict: Decision = "no difference shown"
    if np.isnan([difference[0], low, high]).any():
        verdict = "undecided"
    elif low > 0 or high < 0:
        verdict = "better" if (low > 0) != (figure in LOWER_IS_BETTER) else "worse"
    return Comparison(float(difference[0]), low, high, verdict)


def _percentiles(values: Floats, level: float) -> tuple[float, float]:
    defined = values[~np.isnan(values)]
    if len(defined) * 2 < len(values) or not len(defined):
        return float("nan"), float("nan")
    low, high = np.quantile(defined, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)
