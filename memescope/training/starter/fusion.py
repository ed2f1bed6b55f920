"""Late fusion by stacking: how much each expert weighs, and a bias a label, on out-of-fold logits.

Weights are not negative and the log-loss is minimised, so the fused probabilities are calibrated on the training memes
(Wolpert 1992, "Stacked Generalization").

Shape letters: b rows, k columns, e experts.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from memescope.models.starter.heads import Fusion
from memescope.training.starter.experts import Targets

Floats = NDArray[np.float64]
RIDGE = 1.0
"""Pull of the weights towards equal shares that sum to 1, and of biases to 0, against the summed log-loss."""


def fit_fusion(columns: Mapping[str, Floats], targets: Targets) -> Fusion:
    """Weights of experts (each (b, k) out-of-fold logits, rows as in `targets`) and biases (k,)."""
    from scipy.optimize import minimize

    names = list(columns)
    z = np.stack([columns[name] for name in names])
    e, _, k = z.shape
    share = np.full(e, 1 / e)
    counts = targets.row_weights

    def loss(values: Floats) -> tuple[float, Floats]:
        fused = np.tensordot(values[:e], z, axes=1) + values[e:]
        if targets.softmax:
            top = fused.max(axis=1, keepdims=True)
            exp = np.exp(fused - top)
            total = exp.sum(axis=1, keepdims=True)
            cost = counts @ ((np.log(total) + top)[:, 0] - (targets.target * fused).sum(axis=1))
            error = exp / total - targets.target
        else:
            cost = counts @ (np.logaddexp(0, fused) - targets.target * fused).sum(axis=1)
            error = np.exp(-np.logaddexp(0, -fused)) - targets.target
        error = error * counts[:, None]
        away = values - np.concatenate([share, np.zeros(k)])
        slope = np.concatenate([np.tensordot(z, error, axes=((1, 2), (0, 1))), error.sum(axis=0)])
        return float(cost + RIDGE / 2 * (away**2).sum()), slope + RIDGE * away

    bounds = [(0.0, 10.0)] * e + [(-10.0, 10.0)] * k
    found = minimize(loss, np.concatenate([share, np.zeros(k)]), jac=True, method="L-BFGS-B", bounds=bounds)
    weights = {name: float(weight) for name, weight in zip(names, found.x[:e], strict=True) if weight > 1e-4}
    return Fusion(weights, tuple(map(float, found.x[e:])))
