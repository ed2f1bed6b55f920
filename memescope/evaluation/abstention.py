"""When to say "not sure": the lowest confidence threshold whose error is provably below a stated target.

`choose_threshold` controls the error among answered memes: with probability `1 - delta` over the calibration rows it is
at most `target_error` for memes of the same kind. Each candidate is tested with the exact binomial (Clopper-Pearson)
bound; choosing among many candidates is paid for by fixed sequence testing with several starts (Angelopoulos et al.
2021, arXiv 2110.01052): candidates are fixed beforehand and tested from the most confident downwards until the first
failure, and `delta` is shared between the starts. Rows must be out-of-fold predictions, never ones a model learnt.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray

from memescope.errors import UsageError

Floats = NDArray[np.float64]

GRID = tuple(round(1 - 0.005 * step, 3) for step in range(1, 201))
"""Candidate thresholds .995, .990, ... 0, fixed before any label is seen."""


@dataclass(frozen=True)
class Threshold:
    """Answer when the confidence is at least `threshold`.

    On the calibration rows: `answered` of `rows`, `errors` among them, and `bound`, the upper bound of the error rate
    at the level of the test that let this threshold pass.
    """

    threshold: float
    target_error: float
    delta: float
    rows: int
    answered: int
    errors: int
    bound: float

    @property
    def coverage(self) -> float:
        """The share of calibration rows that are answered."""
        return self.answered / self.rows

    def to_dict(self) -> dict[str, float]:
        return {**asdict(self), "coverage": self.coverage}


def upper_bound(errors: int, rows: int, delta: float = 0.05) -> float:
    """The exact one-sided upper confidence bound (Clopper and Pearson 1934) of an error rate, at level `1 - delta`."""
    from scipy.stats import beta

    _check_counts(errors, rows, delta)
    return 1.0 if errors == rows else float(beta.ppf(1 - delta, errors + 1, rows - errors))


def lower_bound(errors: int, rows: int, delta: float = 0.05) -> float:
    """The exact one-sided lower confidence bound of an error rate, at level `1 - delta`."""
    from scipy.stats import beta

    _check_counts(errors, rows, delta)
    return 0.0 if errors == 0 else float(beta.ppf(delta, errors, rows - errors + 1))


def choose_threshold(
    confidence: Floats,
    correct: NDArray[np.bool_],
    target_error: float,
    *,
    delta: float = 0.05,
    starts: int = 4,
    grid: Sequence[float] = GRID,
    groups: NDArray[np.generic] | None = None,
) -> Threshold | None:
    """The lowest threshold whose error is at most `target_error` with probability `1 - delta`; None: none qualifies.

    `confidence` (n,) and `correct` (n,) are out-of-fold. Rows with one value of `groups` (n,), such as duplicates, are
    not independent: only the first of each counts. `starts` places to begin are spread evenly in coverage over the
    candidates that have enough rows to pass at all (this looks at confidences only), each tested at `delta / starts`.
    """
    sure, right = np.asarray(confidence, np.float64), np.asarray(correct, bool)
    if sure.ndim != 1 or sure.shape != right.shape:
        raise UsageError(
            f"abstention: expected confidence and correct of one length, found {sure.shape}, {right.shape}"
        )
    if not 0 < target_error < 1 or not 0 < delta < 1 or starts < 1:
        raise UsageError(
            f"abstention: target_error {target_error} and delta {delta} must lie in (0, 1), starts {starts} above 0"
        )
    if groups is not None:
        first = np.sort(np.unique(groups, return_index=True)[1])
        sure, right = sure[first], right[first]
    level = delta / starts
    needed = np.log(level) / np.log1p(-target_error)  # rows without an error that the bound needs
    candidates = _distinct(sure, grid, needed)
    passed: dict[float, Threshold] = {}
    failed: set[float] = set()
    for start in _starts(sure, candidates, starts):
        for t in candidates[start:]:
            if t in failed:
                break
            if t in passed:
                continue
            answered = sure >= t
            n, errors = int(answered.sum()), int((answered & ~right).sum())
            bound = upper_bound(errors, n, level)
            if bound > target_error:
                failed.add(t)
                break
            passed[t] = Threshold(t, target_error, delta, len(sure), n, errors, bound)
    return passed[min(passed)] if passed else None


def risk_coverage(confidence: Floats, correct: NDArray[np.bool_]) -> tuple[Floats, Floats]:
    """(coverage, risk), one point for each distinct confidence from the highest down; risk is the error rate there."""
    order = np.argsort(-np.asarray(confidence, np.float64), kind="stable")
    sure = np.asarray(confidence, np.float64)[order]
    last = np.flatnonzero(np.r_[sure[1:] != sure[:-1], True])
    wrong = np.cumsum(~np.asarray(correct, bool)[order])[last]
    return (last + 1) / len(sure), wrong / (last + 1)


def aurc(confidence: Floats, correct: NDArray[np.bool_]) -> float:
    """Area under the risk-coverage curve: 0 is perfect; a model whose confidence says nothing gets its error rate."""
    coverage, risk = risk_coverage(confidence, correct)
    return float((np.diff(coverage, prepend=0) * risk).sum())


def threshold_table(
    confidence: Floats, correct: NDArray[np.bool_], thresholds: Sequence[float] = (0.5, 0.6, 0.7, 0.8, 0.9, 0.95)
) -> list[dict[str, float | None]]:
    """For each threshold: share and number answered, errors, error rate and its exact 95 % bounds (None: no row)."""
    sure, right = np.asarray(confidence, np.float64), np.asarray(correct, bool)
    table: list[dict[str, float | None]] = []
    for t in thresholds:
        n, errors = int((sure >= t).sum()), int(((sure >= t) & ~right).sum())
        table.append(
            {
                "threshold": float(t),
                "coverage": n / len(sure),
                "answered": n,
                "errors": errors,
                "error": errors / n if n else None,
                "low": lower_bound(errors, n, 0.025) if n else None,
                "high": upper_bound(errors, n, 0.025) if n else None,
            }
        )
    return table


def _distinct(sure: Floats, grid: Sequence[float], needed: float) -> list[float]:
    """Falling thresholds that at least `needed` rows reach; of several that the same rows reach, the highest."""
    highest: dict[int, float] = {}
    for t in sorted(grid, reverse=True):
        highest.setdefault(int((sure >= t).sum()), t)
    return [t for n, t in sorted(highest.items()) if n >= needed]


def _starts(sure: Floats, candidates: Sequence[float], starts: int) -> list[int]:
    """Positions among the candidates whose coverages are spread evenly from the first candidate's upwards."""
    if not candidates:
        return []
    reached = np.array([(sure >= t).sum() for t in candidates])
    wanted = reached[0] + (reached[-1] - reached[0]) * np.arange(starts) / starts
    return sorted({int(position) for position in np.searchsorted(reached, wanted)})


def _check_counts(errors: int, rows: int, delta: float) -> None:
    if rows < 1 or not 0 <= errors <= rows or not 0 < delta < 1:
        raise UsageError(f"binomial bound: {errors} errors of {rows} rows at delta {delta} is not possible")
