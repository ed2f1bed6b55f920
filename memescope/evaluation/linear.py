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
class Choice:
    """C, the rule of decision (a power, or a threshold for several labels), and the out-of-fold F1 they reached."""

    c: float
    rule: float
    out_of_fold_f1: float


def choose(
    train: Any,
    truth: NDArray[np.generic],
    labels: int,
    groups: NDArray[np.int64],
    strengths: tuple[float, ...],
    seed: int = 0,
) -> Choice:
    """The best C and rule by cross-validation on `train` (n, d), dense or sparse; of equals the first.

    `truth` is label indices (n,) for one label of `labels`, or bool (n, labels) for several. Rows of one of
    `groups` (n,) stay in one fold. `strengths` are the candidate C. Raises `MissingExtra` without scikit-learn.
    """
    fold = np.random.default_rng(seed).permutation(int(groups.max()) + 1)[groups] % FOLDS
    columns, width = _columns(truth, labels)
    held = {c: np.zeros((len(columns), len(truth), width)) for c in strengths}
    for number, column in enumerate(columns):
        for f in range(FOLDS):
            inside, outside = fold != f, fold == f
            if inside.any() and outside.any():
                fits = _path(train[inside], column[inside], train[outside], width, strengths)
                for c, probabilities in fits.items():
                    held[c][number, outside] = probabilities
    tried = []
    for c in strengths:
        for rule in THRESHOLDS if truth.ndim == 2 else POWERS:
            if truth.ndim == 2:
                score = _micro_f1(truth.astype(bool), rule <= held[c][:, :, 1].T)
            else:
                score = _macro_f1(columns[0], _decide(held[c][0], _rates(columns[0], width), rule), width)
            tried.append(Choice(c, rule, round(score, 12)))
    return max(tried, key=lambda choice: choice.out_of_fold_f1)


def fit_predict(
    train: Any, truth: NDArray[np.generic], test: Any, labels: int, choice: Choice
) -> tuple[NDArray[np.generic], Floats]:
    """Answers of `test` (m, d) and their probabilities (m, k), fitted on all of `train` as was chosen.

    Answers are label indices (m,), or bool (m, k) for several labels. Raises `MissingExtra` without scikit-learn.
    """
    columns, width = _columns(truth, labels)
    fitted = [_path(train, column, test, width, (choice.c,))[choice.c] for column in columns]
    if truth.ndim == 2:
        probabilities = np.stack([p[:, 1] for p in fitted], axis=1)
        return probabilities >= choice.rule, probabilities
    return _decide(fitted[0], _rates(columns[0], width), choice.rule), fitted[0]


def _columns(truth: NDArray[np.generic], labels: int) -> tuple[list[NDArray[np.int64]], int]:
    """What is regressed on: one column of label indices, or one of 0 and 1 for each of several labels; its width."""
    if truth.ndim == 2:
        return [truth[:, j].astype(np.int64) for j in range(labels)], 2
    return [truth.astype(np.int64)], labels


def _rates(column: NDArray[np.int64], width: int) -> Floats:
    return np.bincount(column, minlength=width) / len(column)


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
