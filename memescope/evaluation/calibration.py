"""Calibration with few parameters, fitted on out-of-fold training predictions in float64.

Every method ends as one affine map of the logits, `scale * logits + bias`, which a model stores as two short vectors
and applies before its softmax or sigmoid:

| method | parameters | from |
|---|---|---|
| temperature | 1: the same scale for all labels | Guo et al. 2017 (arXiv 1706.04599) |
| bias | k + 1: one scale and a bias for each label | Alexandari, Kundaje and Shrikumar 2020 (arXiv 1901.06852) |
| vector | 2k: scale and bias for each label | Guo et al. 2017 |
| platt | 2 for each label, sigmoid | Platt 1999, with his smoothed targets |

Glossary of shapes: `n` rows, `k` labels. Binary tasks are given as (n, 2) logits or as one score (n,) to `fit_platt`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from memescope.errors import UsageError

Floats = NDArray[np.float64]

METHODS = ("none", "temperature", "bias", "vector")
"""Methods of `fit_softmax` and `choose`, from none to 2k parameters."""
RIDGE = 1.0
"""Weight of the pull towards the identity, against the log-loss summed over rows: what one surprising row weighs."""
_LOWEST, _HIGHEST = 0.02, 50.0


@dataclass(frozen=True)
class Calibration:
    """`scale * logits + bias` before the softmax (one label of k) or the sigmoid (multilabel). Vectors of k floats."""

    method: str
    scale: tuple[float, ...]
    bias: tuple[float, ...]

    def logits(self, logits: Floats) -> Floats:
        """Calibrated logits, (n, k)."""
        return np.asarray(logits, np.float64) * np.array(self.scale) + np.array(self.bias)

    def softmax(self, logits: Floats) -> Floats:
        """Calibrated probabilities of one label of k, (n, k)."""
        return np.exp(log_softmax(self.logits(logits)))

    def sigmoid(self, logits: Floats) -> Floats:
        """Calibrated probability of each label on its own, (n, k)."""
        return _sigmoid(self.logits(logits))


def log_softmax(logits: Floats) -> Floats:
    """Row-wise log-softmax, (n, k)."""
    shifted = logits - logits.max(axis=1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))


def log_loss(logits: Floats, truth: NDArray[np.integer]) -> float:
    """Mean negative log-likelihood of label indices (n,) under softmax(logits)."""
    return float(-log_softmax(np.asarray(logits, np.float64))[np.arange(len(truth)), truth].mean())


def fit_softmax(
    logits: Floats, truth: NDArray[np.integer], method: str = "temperature", ridge: float = RIDGE
) -> Calibration:
    """Fit one of `METHODS` to logits (n, k) and label indices (n,).

    The ridge pulls scales (in log) and biases to the identity, so that a class with few rows cannot run away; the
    temperature alone has none. `UsageError` for an unknown method, no rows, or shapes and indices that do not fit.
    """
    x, y = _checked(logits, truth)
    k = x.shape[1]
    if method == "none":
        return Calibration(method, (1.0,) * k, (0.0,) * k)
    if method == "temperature":
        return Calibration(method, (_inverse_temperature(x, y),) * k, (0.0,) * k)
    if method not in METHODS:
        raise UsageError(f"calibration method {method!r} is none of {', '.join(METHODS)}")
    from scipy.optimize import minimize

    scales = 1 if method == "bias" else k
    onehot = np.eye(k)[y]

    def loss(values: Floats) -> tuple[float, Floats]:
        scale, bias = np.exp(values[:scales]), values[scales:]
        logs = log_softmax(x * scale + bias)
        error = np.exp(logs) - onehot
        by_scale = (error * x).sum(axis=0) * scale
        slope = np.concatenate([by_scale if scales == k else [by_scale.sum()], error.sum(axis=0)])
        total = -logs[np.arange(len(y)), y].sum() + ridge / 2 * (values**2).sum()
        return float(total), slope + ridge * values

    found = minimize(loss, np.zeros(scales + k), jac=True, method="L-BFGS-B", options={"maxiter": 500, "ftol": 1e-14})
    scale = np.broadcast_to(np.exp(found.x[:scales]), (k,))
    bias = found.x[scales:] - found.x[scales:].mean()  # softmax does not see a common shift
    return Calibration(method, tuple(map(float, scale)), tuple(map(float, bias)))


def fit_platt(scores: Floats, truth: NDArray[np.generic], smooth: bool = True) -> tuple[float, float]:
    """(a, b) of the probability sigmoid(a * score + b), for scores (n,) and truth 0 or 1 (n,).

    `smooth` uses Platt's targets (N+ + 1) / (N+ + 2) and 1 / (N- + 2), which keep a finite where the scores separate
    the classes. Newton steps with halving, as the problem is convex (Lin, Lin and Weng 2007).
    """
    s, y = np.asarray(scores, np.float64), np.asarray(truth, np.float64)
    if s.ndim != 1 or s.shape != y.shape or not len(s):
        raise UsageError(f"Platt scaling: expected scores and truth of one length (n,), found {s.shape} and {y.shape}")
    ups, downs = y.sum(), len(y) - y.sum()
    target = np.where(y > 0, (ups + 1) / (ups + 2), 1 / (downs + 2)) if smooth else y
    x = np.stack([s, np.ones_like(s)], axis=1)
    theta = np.array([0.0, np.log((ups + 1) / (downs + 1))])

    def loss(values: Floats) -> float:
        z = x @ values
        return float((np.logaddexp(0, z) - target * z).sum())

    current = loss(theta)
    for _ in range(100):
        p = _sigmoid(x @ theta)
        slope = x.T @ (p - target)
        curvature = (x * (p * (1 - p))[:, None]).T @ x + 1e-12 * np.eye(2)
        step = np.linalg.solve(curvature, slope)
        size = 1.0
        while size > 1e-8 and loss(theta - size * step) > current:
            size /= 2
        theta, previous = theta - size * step, current
        current = loss(theta)
        if previous - current < 1e-12 * (1 + abs(current)):
            break
    return float(theta[0]), float(theta[1])


def fit_sigmoid(logits: Floats, truth: NDArray[np.generic], smooth: bool = True) -> Calibration:
    """Platt scaling of every label of a multilabel task on its own: logits (n, k), truth 0 or 1 (n, k).

    A label that never or always holds in `truth` cannot be fitted: it keeps its scale and takes the bias that gives its
    smoothed rate on average.
    """
    x, y = np.asarray(logits, np.float64), np.asarray(truth, np.float64)
    if x.ndim != 2 or x.shape != y.shape:
        raise UsageError(f"calibration: expected logits and truth of one shape (n, k), found {x.shape} and {y.shape}")
    pairs = [
        fit_platt(x[:, j], y[:, j], smooth) if 0 < y[:, j].sum() < len(y) else (1.0, _constant_bias(x[:, j], y[:, j]))
        for j in range(x.shape[1])
    ]
    return Calibration("platt", tuple(a for a, _ in pairs), tuple(b for _, b in pairs))


def choose(
    logits: Floats,
    truth: NDArray[np.integer],
    *,
    methods: Sequence[str] = METHODS,
    folds: int = 5,
    seed: int = 0,
    groups: NDArray[np.generic] | None = None,
) -> tuple[Calibration, dict[str, float]]:
    """The method with the least cross-validated log-loss, fitted on all rows, and every method's log-loss.

    Rows with one value of `groups` (n,) stay in one fold. Simplicity wins ties: a later method is taken only where it
    lowers the log-loss by more than one standard error of the paired difference over rows. `UsageError` for one group.
    """
    x, y = _checked(logits, truth)
    fold = _folds(len(y), folds, seed, groups)
    losses = {method: np.empty(len(y)) for method in methods}
    for f in np.unique(fold):
        inside, outside = fold != f, fold == f
        for method in methods:
            z = fit_softmax(x[inside], y[inside], method).logits(x[outside])
            losses[method][outside] = -log_softmax(z)[np.arange(len(z)), y[outside]]
    best = methods[0]
    for method in methods[1:]:
        gain = losses[best] - losses[method]
        if gain.mean() > gain.std() / np.sqrt(len(gain)):
            best = method
    return fit_softmax(x, y, best), {method: float(loss.mean()) for method, loss in losses.items()}


def out_of_fold(
    logits: Floats,
    truth: NDArray[np.generic],
    fit: Callable[[Floats, NDArray[Any]], Calibration],
    *,
    folds: int = 5,
    seed: int = 0,
    groups: NDArray[np.generic] | None = None,
) -> Floats:
    """Calibrated logits (n, k): each row's by a fit to the rows of the other folds. Folds and errors as in `choose`."""
    x = np.asarray(logits, np.float64)
    fold = _folds(len(x), folds, seed, groups)
    found = np.empty_like(x)
    for f in np.unique(fold):
        found[fold == f] = fit(x[fold != f], truth[fold != f]).logits(x[fold == f])
    return found


def _folds(n: int, folds: int, seed: int, groups: NDArray[np.generic] | None) -> NDArray[np.integer]:
    """The fold of each row; rows of one group together."""
    group = np.arange(n) if groups is None else np.unique(groups, return_inverse=True)[1]
    if group.max() == 0:
        raise UsageError("calibration: folds need rows of at least two groups")
    return np.asarray(np.random.default_rng(seed).permutation(int(group.max()) + 1)[group] % folds)


def _inverse_temperature(x: Floats, y: NDArray[np.integer]) -> float:
    from scipy.optimize import minimize_scalar

    bounds = (float(np.log(_LOWEST)), float(np.log(_HIGHEST)))
    found = minimize_scalar(
        lambda value: log_loss(np.exp(value) * x, y), bounds=bounds, method="bounded", options={"xatol": 1e-10}
    )
    return float(np.exp(found.x))


def _constant_bias(scores: Floats, truth: Floats) -> float:
    from scipy.optimize import brentq

    rate = (truth.sum() + 1) / (len(truth) + 2)
    widest = float(np.abs(scores).max()) + 50
    return float(brentq(lambda b: _sigmoid(scores + b).mean() - rate, -widest, widest))


def _sigmoid(x: Floats) -> Floats:
    return np.exp(-np.logaddexp(0, -x))


def _checked(logits: Floats, truth: NDArray[np.integer]) -> tuple[Floats, NDArray[np.integer]]:
    x, y = np.asarray(logits, np.float64), np.asarray(truth)
    if x.ndim != 2 or y.shape != x.shape[:1] or not len(y):
        raise UsageError(
            f"calibration: expected logits (n, k) and labels (n,), n above 0; found {x.shape} and {y.shape}"
        )
    if not np.isfinite(x).all() or y.min() < 0 or y.max() >= x.shape[1]:
        raise UsageError(f"calibration: logits must be finite and labels lie in 0 .. {x.shape[1] - 1}")
    return x, y
