"""How far probabilities can be believed: equal-mass ECE, the band of a perfectly calibrated model, Brier's parts.

Which event a task's probability speaks of: the positive label for a binary task (what a policy's threshold sees), the
most probable label for several classes (Guo et al. 2017, arXiv 1706.04599), every label's yes or no for a multilabel
task.

A binned ECE is above 0 even for a perfect model, the more so the fewer rows there are (Roelofs et al. 2022,
arXiv 2012.08668). So it is read beside the ECE that a perfectly calibrated model with the same probabilities would show
at that n: labels are drawn from the probabilities themselves, many times.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

BINS = 10


@dataclass(frozen=True)
class Band:
    """ECE of a perfectly calibrated model at this n: mean, 95 % quantile; `inside` if the ECE found is at most that."""

    mean: float
    high: float
    inside: bool


def events(kind: str, probabilities: Floats, truth: Floats) -> tuple[Floats, Floats]:
    """(m,) probabilities of these events and (m,) whether they happened, from (n, k) each; m is n, multilabel n*k."""
    if kind == "multilabel":
        return probabilities.reshape(-1), truth.reshape(-1)
    if kind == "binary":
        return probabilities[:, 1], truth[:, 1]
    top = probabilities.argmax(axis=1)
    rows = np.arange(len(top))
    return probabilities[rows, top], truth[rows, top]


def weighted_ece(probability: Floats, happened: Floats, weights: Floats, bins: int = BINS) -> Floats:
    """Equal-mass expected calibration error for row weights (r, n): (r,), of m = n * c events, c of each row in a run.

    The figure is the weighted mean over bins of |mean probability - rate of the event|. Bins are cut once, on the
    events as they are (`bin_of`), and kept for all weights: a resample moves rows, not the yardstick.
    """
    n = weights.shape[1]
    each = len(probability) // n
    gaps = np.zeros((n, bins))
    np.add.at(gaps, (np.repeat(np.arange(n), each), bin_of(probability, bins)), probability - happened)
    return np.asarray(np.abs(weights @ gaps).sum(axis=1) / (weights.sum(axis=1) * each))


def bin_of(probability: Floats, bins: int = BINS) -> NDArray[np.int64]:
    """The bin (0 .. bins-1) of each of (m,) probabilities: bins of equal mass, equal probabilities in one bin (that of
    their middle)."""
    _, inverse, counts = np.unique(probability, return_inverse=True, return_counts=True)
    middle = (counts.cumsum() - counts / 2) / len(probability)
    return np.clip(middle * bins, 0, bins - 1).astype(np.int64)[inverse]


def ece(probability: Floats, happened: Floats, bins: int = BINS) -> float:
    """Equal-mass expected calibration error of (m,) probabilities and (m,) outcomes 0 or 1."""
    return float(weighted_ece(probability, np.asarray(happened, np.float64), np.ones((1, len(probability))), bins)[0])


def perfect_band(
    probability: Floats, happened: Floats, *, seed: int = 0, simulations: int = 2000, bins: int = BINS
) -> Band:
    """The ECE that labels drawn from these very probabilities give: mean and 95 % quantile over `simulations`.

    Rows are drawn independently; where the test set holds the same meme several times the true band is wider, so this
    one is strict.
    """
    which = np.eye(bins)[bin_of(probability, bins)]
    rng = np.random.default_rng(seed)
    found = np.empty(simulations)
    block = max(1, 4_000_000 // max(1, len(probability)))
    for start in range(0, simulations, block):
        size = min(block, simulations - start)
        drawn = rng.random((size, len(probability))) < probability
        found[start : start + size] = np.abs((drawn - probability) @ which).sum(axis=1) / len(probability)
    high = float(np.quantile(found, 0.95))
    return Band(mean=float(found.mean()), high=high, inside=ece(probability, happened, bins) <= high)


def reliability_curve(probability: Floats, happened: Floats, bins: int = BINS) -> list[dict[str, float]]:
    """What a reliability diagram draws: for each bin its rows, mean probability and rate of the event."""
    which = bin_of(probability, bins)
    return [
        {
            "rows": int((which == b).sum()),
            "probability": float(probability[which == b].mean()),
            "rate": float(happened[which == b].mean()),
        }
        for b in np.unique(which)
    ]


def brier_parts(probability: Floats, happened: Floats, bins: int = BINS) -> dict[str, float]:
    """Brier = reliability - resolution + uncertainty + within (Murphy 1973; `within` as in Stephenson et al. 2008).

    Reliability is the miscalibration (0 is perfect), resolution what the probabilities tell apart, uncertainty the
    score of always saying the base rate, `within` what the binning hides.
    """
    which = np.eye(bins)[bin_of(probability, bins)]
    count = which.sum(axis=0)
    there = count > 0
    share = count[there] / len(probability)
    said, rate = (probability @ which)[there] / count[there], (happened @ which)[there] / count[there]
    base = float(happened.mean())
    reliability = float((share * (said - rate) ** 2).sum())
    resolution = float((share * (rate - base) ** 2).sum())
    uncertainty = base * (1 - base)
    brier = float(((probability - happened) ** 2).mean())
    return {
        "reliability": reliability,
        "resolution": resolution,
        "uncertainty": uncertainty,
        "within": brier - (reliability - resolution + uncertainty),
    }
