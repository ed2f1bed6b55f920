"""Ridge-penalised logistic regression by L-BFGS: one label of k (softmax), yes or no (sigmoid), or many of each.

Minimises the summed log-loss + |W|^2 / (2 * strength), the bias free: `strength` is scikit-learn's C. Starts at zero,
no random numbers.

Shape letters: b rows, d inputs, k output columns.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from memescope.errors import UsageError

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Linear:
    """`x @ weight + bias`: weight (d, k) float64, bias (k,)."""

    weight: Floats
    bias: Floats

    def logits(self, x: Any) -> Floats:
        """(b, k) for dense or scipy-sparse x (b, d)."""
        return np.asarray(x @ self.weight) + self.bias


def fit_linear(
    x: Any,
    target: Floats,
    softmax: bool,
    strength: float,
    steps: int = 200,
    row_weights: Floats | None = None,
    start: Linear | None = None,
) -> Linear:
    """Fit to `target` (b, k): one-hot rows (or soft labels) with `softmax`, otherwise each column 0 to 1 on its own.

    `x` is dense or scipy-sparse (b, d); `row_weights` (b,) count a row more or less than once; the search begins at
    `start`. `UsageError` where the shapes do not fit.
    """
    from scipy.optimize import minimize

    target = np.asarray(target, np.float64)
    if target.ndim != 2 or x.shape[0] != len(target) or not len(target):
        raise UsageError(f"logistic regression: expected x (b, d) and target (b, k); found {x.shape}, {target.shape}")
    d, k = x.shape[1], target.shape[1]
    transposed = x.T.tocsr() if hasattr(x, "tocsr") else x.T
    counts = np.ones(len(target)) if row_weights is None else np.asarray(row_weights, np.float64)
    rates = np.clip((counts @ target) / counts.sum(), 1e-3, 1 - 1e-3)
    if start is None:  # the bias alone explains the rates
        start = Linear(np.zeros((d, k)), np.log(rates) if softmax else np.log(rates / (1 - rates)))

    def loss(values: Floats) -> tuple[float, Floats]:
        weight, bias = values[: d * k].reshape(d, k), values[d * k :]
        z = np.asarray(x @ weight) + bias
        if softmax:
            top = z.max(axis=1, keepdims=True)
            e = np.exp(z - top)
            total = e.sum(axis=1, keepdims=True)
            cost = float(counts @ (np.log(total) + top)[:, 0] - counts @ (target * z).sum(axis=1))
            error = e / total - target
        else:
            cost = float(counts @ (np.logaddexp(0, z) - target * z).sum(axis=1))
            error = np.exp(-np.logaddexp(0, -z)) - target
        error = error * counts[:, None]
        slope = np.asarray(transposed @ error) + weight / strength
        return cost + float((weight**2).sum()) / (2 * strength), np.concatenate([slope.ravel(), error.sum(axis=0)])

    options = {"maxiter": steps, "maxfun": 2 * steps, "gtol": 1e-2, "ftol": 1e-5, "maxcor": 10}
    first = np.concatenate([start.weight.ravel(), start.bias])
    found = minimize(loss, first, jac=True, method="L-BFGS-B", options=options)
    return Linear(found.x[: d * k].reshape(d, k), found.x[d * k :])
