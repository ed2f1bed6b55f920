"""The figures of one task: accuracy, F1s, AUROC, Brier, log-loss, ECE, risk-coverage; for many resamples at once.

Glossary of shapes: `n` rows, `k` labels of the task, `r` resamples. Every measure takes row weights (r, n) and gives
(r,) figures, so that the figure itself (all weights 1) and its bootstrap distribution come from one definition.

Absent classes. Macro figures average over the classes that occur in the (re)sample's truth: an absent class has neither
F1 nor AUROC, and a false alarm for it is already a miss of the true class. A class with fewer than `DECIDING_ROWS` rows
is shown and counts in `macro_f1` as the papers count it, but not in `deciding_f1`, which comparisons rest on. A figure
that is not defined (no row, one class only for AUROC, nothing answered) is NaN.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from memescope.errors import UsageError
from memescope.evaluation.reliability import events, weighted_ece

Floats = NDArray[np.float64]

DECIDING_ROWS = 20
"""A class with fewer test rows than this is shown but decides nothing."""
LOWER_IS_BETTER = frozenset({"hamming", "brier", "log_loss", "ece", "aurc"})
_TINY = float(np.finfo(np.float64).eps)  # scikit-learn's clip for log-loss


@dataclass(frozen=True)
class Scored:
    """What one system said of one task, beside the truth.

    `truth` and `predicted` are label indices (n,), or for `multilabel` bool (n, k). A row whose truth the system cannot
    say keeps its true index: its probability there is 0. `probabilities` float64 (n, k); `abstained` bool (n,).
    """

    kind: str
    labels: tuple[str, ...]
    truth: NDArray[np.generic]
    predicted: NDArray[np.generic]
    probabilities: Floats
    abstained: NDArray[np.bool_]

    def __post_init__(self) -> None:
        n, k = len(self.truth), len(self.labels)
        wanted = (n, k) if self.multilabel else (n,)
        for name, shape in (("truth", wanted), ("predicted", wanted), ("probabilities", (n, k)), ("abstained", (n,))):
            found = getattr(self, name).shape
            if found != shape:
                raise UsageError(f"{name}: expected shape {shape} for {n} rows and {k} labels, found {found}")

    def __len__(self) -> int:
        return len(self.truth)

    @property
    def multilabel(self) -> bool:
        return self.kind == "multilabel"

    @property
    def truth_matrix(self) -> Floats:
        """1 where a label holds, (n, k)."""
        return _indicators(self.truth, len(self.labels), self.multilabel)

    @property
    def predicted_matrix(self) -> Floats:
        """1 where a label was answered, (n, k)."""
        return _indicators(self.predicted, len(self.labels), self.multilabel)

    @property
    def correct(self) -> NDArray[np.bool_]:
        """Rows answered right, (n,); for multilabel, right in every label."""
        same = np.asarray(self.truth == self.predicted)
        return np.asarray(same.all(axis=1) if self.multilabel else same)

    @property
    def confidence(self) -> Floats:
        """The probability of the answered label, (n,); for multilabel of the least sure yes or no."""
        if self.multilabel:
            return np.maximum(self.probabilities, 1 - self.probabilities).min(axis=1)
        return self.probabilities[np.arange(len(self)), self.predicted.astype(int)]

    def take(self, rows: NDArray[np.generic]) -> Scored:
        """The same for some rows only (indices or mask)."""
        return replace(
            self,
            truth=self.truth[rows],
            predicted=self.predicted[rows],
            probabilities=self.probabilities[rows],
            abstained=self.abstained[rows],
        )


def scored(
    kind: str,
    labels: Sequence[str],
    truth: Sequence[str] | Sequence[Sequence[str]],
    predicted: Sequence[str] | Sequence[Sequence[str]],
    probabilities: Floats,
    abstained: Sequence[bool] | None = None,
) -> Scored:
    """`Scored` from label strings: one a row, or for `multilabel` a list a row. Unknown labels are a `UsageError`."""
    names = tuple(labels)
    return Scored(
        kind=kind,
        labels=names,
        truth=label_indices(kind, names, truth),
        predicted=label_indices(kind, names, predicted),
        probabilities=np.asarray(probabilities, np.float64).reshape(len(truth), len(names)),
        abstained=np.asarray([False] * len(truth) if abstained is None else abstained, bool),
    )


def label_indices(
    kind: str, labels: Sequence[str], values: Sequence[str] | Sequence[Sequence[str]]
) -> NDArray[np.generic]:
    """Indices (n,) of labels, or for `multilabel` a bool matrix (n, k)."""
    index = {label: i for i, label in enumerate(labels)}
    try:
        if kind != "multilabel":
            return np.array([index[value] for value in values], dtype=np.int64)  # type: ignore[index]
        matrix = np.zeros((len(values), len(labels)), bool)
        for row, several in enumerate(values):
            matrix[row, [index[value] for value in several]] = True
        return matrix
    except KeyError as error:
        raise UsageError(f"no label {error.args[0]!r} among {', '.join(labels)}") from None


def _indicators(values: NDArray[np.generic], k: int, multilabel: bool) -> Floats:
    return values.astype(np.float64) if multilabel else np.eye(k)[values.astype(int)]


def deciding(rows: Scored) -> NDArray[np.bool_]:
    """Which labels have enough true rows to decide anything, (k,)."""
    return rows.truth_matrix.sum(axis=0) >= DECIDING_ROWS


def measures(
    rows: Scored, weights: Floats | None = None, decides: NDArray[np.bool_] | None = None
) -> dict[str, Floats]:
    """Every figure of a task, by name, each (r,).

    `weights` (r, n) count each row in each resample; None is one resample of all rows. `decides` (k,) are the labels
    `deciding_f1` rests on, by default those of these rows.
    """
    w = np.ones((1, len(rows))) if weights is None else np.asarray(weights, np.float64)
    decides = deciding(rows) if decides is None else decides
    truth = rows.truth_matrix
    counts = _count(rows, w)
    total = w.sum(axis=1)
    figures = _label_figures(rows, w, counts)
    with np.errstate(invalid="ignore", divide="ignore"):
        figures["deciding_f1"] = _deciding_f1(rows.multilabel, decides, counts)
        figures["auroc"] = _mean(np.stack([_auroc(*column, w) for column in _ranked(rows, truth)], axis=1))
        brier, log_loss = _losses(rows, truth)
        figures["brier"] = (w @ brier) / total
        figures["log_loss"] = (w @ log_loss) / total
        figures["ece"] = _ece(rows, truth, w)
        figures["coverage"] = 1 - (w @ rows.abstained) / total
        if not rows.multilabel:
            answered = w * ~rows.abstained
            figures["selective_accuracy"] = (answered @ rows.correct) / answered.sum(axis=1)
            figures["aurc"] = weighted_aurc(rows.confidence, rows.correct, w)
    return figures


def label_figures(rows: Scored, weights: Floats | None = None) -> dict[str, Floats]:
    """The figures that need answered labels alone, each (r,): accuracy and F1s, as in `measures`."""
    w = np.ones((1, len(rows))) if weights is None else np.asarray(weights, np.float64)
    return _label_figures(rows, w, _count(rows, w))


def figures(rows: Scored) -> dict[str, float]:
    """Every figure of a task, by name."""
    return {name: float(values[0]) for name, values in measures(rows).items()}


def by_label(rows: Scored) -> dict[str, dict[str, float | int | bool]]:
    """For each label: true and answered rows, precision, recall, F1 (NaN where undefined), and whether it decides."""
    truth, predicted = rows.truth_matrix, rows.predicted_matrix
    held, said, hits = truth.sum(axis=0), predicted.sum(axis=0), (truth * predicted).sum(axis=0)
    with np.errstate(invalid="ignore", divide="ignore"):
        precision, recall, f1 = hits / said, hits / held, np.where(held > 0, 2 * hits / (said + held), np.nan)
    return {
        label: {
            "rows": int(held[i]),
            "answered": int(said[i]),
            "precision": float(precision[i]),
            "recall": float(recall[i]),
            "f1": float(f1[i]),
            "decides": bool(held[i] >= DECIDING_ROWS),
        }
        for i, label in enumerate(rows.labels)
    }


def weighted_auroc(scores: Floats, truth: Floats, weights: Floats) -> Floats:
    """Area under the ROC curve of scores (n,) for truth 0 or 1 (n,), ties counting half, for weights (r, n): (r,)."""
    return _auroc(*_order(scores), np.asarray(truth, np.float64), weights)


def weighted_aurc(confidence: Floats, correct: NDArray[np.bool_], weights: Floats) -> Floats:
    """Area under the risk-coverage curve, (r,): the mean over rows of the error rate among rows at least as confident.

    Geifman and El-Yaniv 2017 (arXiv 1705.08500); rows of equal confidence enter together.
    """
    order, starts = _order(-confidence)
    rows = np.add.reduceat(weights[:, order], starts, axis=1)
    wrong = np.add.reduceat(weights[:, order] * ~correct[order], starts, axis=1)
    seen = rows.cumsum(axis=1)
    risk = np.divide(wrong.cumsum(axis=1), seen, out=np.zeros_like(seen), where=seen > 0)
    return (rows * risk).sum(axis=1) / rows.sum(axis=1)


def _order(scores: Floats) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Rows by rising score, and where each run of equal scores starts."""
    order = np.argsort(scores, kind="stable")
    ordered = scores[order]
    return order, np.flatnonzero(np.r_[True, ordered[1:] != ordered[:-1]])


def _auroc(order: NDArray[np.intp], starts: NDArray[np.intp], truth: Floats, weights: Floats) -> Floats:
    w, positive = weights[:, order], truth[order]
    ups = np.add.reduceat(w * positive, starts, axis=1)
    downs = np.add.reduceat(w * (1 - positive), starts, axis=1)
    below = downs.cumsum(axis=1) - downs / 2
    with np.errstate(invalid="ignore", divide="ignore"):
        return (ups * below).sum(axis=1) / (ups.sum(axis=1) * downs.sum(axis=1))


def _ranked(rows: Scored, truth: Floats) -> list[tuple[NDArray[np.intp], NDArray[np.intp], Floats]]:
    """What AUROC ranks: the positive label of a binary task, every label against the rest otherwise."""
    columns = [1] if rows.kind == "binary" else range(len(rows.labels))
    return [(*_order(rows.probabilities[:, column]), truth[:, column]) for column in columns]


def _mean(values: Floats) -> Floats:
    """The mean over labels of (r, k), leaving NaN out; NaN where nothing is left."""
    there = ~np.isnan(values)
    return np.where(there, values, 0).sum(axis=1) / there.sum(axis=1)


@dataclass(frozen=True)
class _Counts:
    """For each resample and label, (r, k): rows answered so rightly, answered so, truly so, and F1 (NaN: absent)."""

    hits: Floats
    said: Floats
    held: Floats
    f1: Floats


def _count(rows: Scored, w: Floats) -> _Counts:
    truth, predicted = rows.truth_matrix, rows.predicted_matrix
    hits, said, held = w @ (truth * predicted), w @ predicted, w @ truth
    with np.errstate(invalid="ignore", divide="ignore"):
        return _Counts(hits, said, held, np.where(held > 0, 2 * hits / (said + held), np.nan))


def _label_figures(rows: Scored, w: Floats, counts: _Counts) -> dict[str, Floats]:
    hits, said, held, total = counts.hits, counts.said, counts.held, w.sum(axis=1)
    figures: dict[str, Floats] = {}
    with np.errstate(invalid="ignore", divide="ignore"):
        if rows.multilabel:
            truth, predicted = rows.truth_matrix, rows.predicted_matrix
            figures["subset_accuracy"] = (w @ rows.correct) / total
            figures["hamming"] = (w @ np.abs(truth - predicted).mean(axis=1)) / total
            figures["samples_f1"] = (w @ _samples_f1(truth, predicted)) / total
        else:
            figures["accuracy"] = hits.sum(axis=1) / total
        figures["macro_f1"] = _mean(counts.f1)
        figures["micro_f1"] = 2 * hits.sum(axis=1) / (said + held).sum(axis=1)
        figures["weighted_f1"] = np.nansum(held * counts.f1, axis=1) / held.sum(axis=1)
    return figures


def _deciding_f1(multilabel: bool, decides: NDArray[np.bool_], counts: _Counts) -> Floats:
    """Macro F1 (multilabel: micro F1) over the labels with enough rows; NaN where these are too few to compare."""
    if decides.sum() < (1 if multilabel else 2):
        return np.full(len(counts.f1), np.nan)
    if multilabel:
        both = (counts.said + counts.held)[:, decides].sum(axis=1)
        return 2 * counts.hits[:, decides].sum(axis=1) / both
    return _mean(counts.f1[:, decides])


def _samples_f1(truth: Floats, predicted: Floats) -> Floats:
    """F1 of each row's set of labels, (n,); 1 where both sets are empty."""
    size = truth.sum(axis=1) + predicted.sum(axis=1)
    return np.divide(2 * (truth * predicted).sum(axis=1), size, out=np.ones(len(truth)), where=size > 0)


def _losses(rows: Scored, truth: Floats) -> tuple[Floats, Floats]:
    """Brier score and log-loss of each row, (n,) each.

    Brier is (p - y)^2 of the positive label for binary tasks (0 to 1), summed over labels for several classes (0 to 2),
    and for multilabel both are means over labels.
    """
    p = rows.probabilities
    squares = (p - truth) ** 2
    if rows.multilabel:
        clipped = np.clip(p, _TINY, 1 - _TINY)
        logs = truth * np.log(clipped) + (1 - truth) * np.log1p(-clipped)
        return squares.mean(axis=1), -logs.mean(axis=1)
    log_loss = -np.log(np.clip((p * truth).sum(axis=1), _TINY, 1))
    return (squares[:, 1] if rows.kind == "binary" else squares.sum(axis=1)), log_loss


def _ece(rows: Scored, truth: Floats, weights: Floats) -> Floats:
    probability, happened = events(rows.kind, rows.probabilities, truth)
    return weighted_ece(probability, happened, weights)
