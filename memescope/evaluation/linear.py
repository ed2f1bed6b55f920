"""Logistic regression with its two choices, C and how it decides, made by cross-validation on the training rows.

Probabilities stay those of the regression. Only the decision may lean towards rare labels: the answer is the label with
the greatest p / rate^power, power 0 (plain), 1/2 or 1, or for several labels all above one threshold, whichever gives
the best out-of-fold F1. Papers' rows often weight the classes instead, which moves the answers alike but spoils the
probabilities.

Glossary of shapes: `n` training rows, `m` test rows, `k` labels, `d` features.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from memescope.errors import MissingExtra

Floats = NDArray[np.float64]

POWERS = (0.0, 0.5, 1.0)
THRESHOLDS = (0.5, 0.4, 0.3, 0.2, 0.15, 0.1)
FOLDS = 3


@dataclass(frozen=True)
class Linear:
    """Test probabilities (m, k), the answers (label indices (m,), or bool (m, k) for several labels), choices."""

    probabilities: Floats
    predicted: NDArray[np.generic]
    chosen: dict[str, float]


def fit_predict(
    train: Any,
    truth: NDArray[np.generic],
    test: Any,
    labels: int,
    groups: NDArray[np.int64],
    strengths: tuple[float, ...],
    seed: int = 0,
) -> Linear:
    """Fit on `train` (n, d), dense or sparse, and answer for `test` (m, d).

    `truth` is label indices (n,) for one label of `labels`, or bool (n, labels) for several. Rows of one of
    `groups` (n,) stay in one fold. `strengths` are the candidate C. Raises `MissingExtra` without scikit-learn.
    """
    fold = np.random.default_rng(seed).permutation(int(groups.max()) + 1)[groups] % FOLDS
    several = truth.ndim == 2
    columns = [truth[:, j].astype(np.int64) for j in range(labels)] if several else [truth.astype(np.int64)]
    width = 2 if several else labels
    held = {c: np.zeros((len(columns), len(truth), width)) for c in strengths}
    for number, column in enumerate(columns):
        for f in range(FOLDS):
            inside, outside = fold != f, fold == f
            if outside.any():
                fits = _path(train[inside], column[inside], train[outside], width, strengths)
                for c, probabilities in fits.items():
                    held[c][number, outside] = probabilities
    rates = np.bincount(columns[0], minlength=width) / len(truth)
    best: tuple[float, float, float] | None = None
    for c in strengths:
        for rule in THRESHOLDS if several else POWERS:
            if several:
                score = _micro_f1(truth.astype(bool), rule <= held[c][:, :, 1].T)
            else:
                score = _macro_f1(columns[0], _decide(held[c][0], rates, rule), width)
            if best is None or score > best[0] + 1e-12:
                best = (score, c, rule)
    assert best is not None
    score, c, rule = best
    fitted = [_path(train, column, test, width, (c,))[c] for column in columns]
    chosen = {"C": c, "threshold" if several else "power": rule, "out_of_fold_f1": score}
    if several:
        probabilities = np.stack([p[:, 1] for p in fitted], axis=1)
        return Linear(probabilities, probabilities >= rule, chosen)
    return Linear(fitted[0], _decide(fitted[0], rates, rule), chosen)


def _path(
    train: Any, truth: NDArray[np.int64], test: Any, width: int, strengths: tuple[float, ...]
) -> dict[float, Floats]:
    """Probabilities (m, width) for each C, from weak to strong, each fit starting where the last one ended."""
    try:
        from sklearn.exceptions import ConvergenceWarning
        from sklearn.linear_model import LogisticRegression
    except ImportError:
        raise MissingExtra("the linear baselines of `eval`", "train") from None
    there = np.unique(truth)
    found: dict[float, Floats] = {}
    model = LogisticRegression(max_iter=300, tol=1e-3, warm_start=True)
    for c in sorted(strengths):
        probabilities = np.zeros((test.shape[0], width))
        if len(there) == 1:
            probabilities[:, there[0]] = 1.0
        else:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", ConvergenceWarning)  # 300 steps are enough for a floor
                model.set_params(C=c).fit(train, truth)
            probabilities[:, there] = model.predict_proba(test)
        found[c] = probabilities
    return found


def _decide(probabilities: Floats, rates: Floats, power: float) -> NDArray[np.int64]:
    """The label with the greatest p / rate^power; labels that never occur in training are not answered."""
    weight = np.where(rates > 0, np.maximum(rates, 1e-12) ** -power, 0)
    return np.asarray((probabilities * weight).argmax(axis=1))


def _macro_f1(truth: NDArray[np.int64], predicted: NDArray[np.int64], labels: int) -> float:
    hits = np.bincount(truth[truth == predicted], minlength=labels)
    held, said = np.bincount(truth, minlength=labels), np.bincount(predicted, minlength=labels)
    return float((2 * hits / np.maximum(held + said, 1))[held > 0].mean())


def _micro_f1(truth: NDArray[np.bool_], predicted: NDArray[np.bool_]) -> float:
    return float(2 * (truth & predicted).sum() / max(truth.sum() + predicted.sum(), 1))
