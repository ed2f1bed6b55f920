"""After the last stage: calibration and the abstain threshold, from the selection split.

DESIGN asks for out-of-fold training predictions; training a network five times over is what that would cost, so the
split that chose the checkpoint is used, which the network did not learn from. The card says so.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from memescope.evaluation.abstention import choose_threshold
from memescope.evaluation.calibration import choose, fit_sigmoid
from memescope.evaluation.metrics import Scored, figures
from memescope.evaluation.reliability import ece, events
from memescope.meme import Meme, Reading
from memescope.training.groups import near_groups
from memescope.training.staged.recipe import AbstainPart
from memescope.training.staged.stage import score_task

METHODS = ("none", "temperature", "bias")
"""Few parameters: a selection split has a few hundred rows."""
_TINY = 1e-9


@dataclass(frozen=True)
class Settled:
    """One task: `scale` and `bias` (one number a label) applied to its log-probabilities (multilabel: to its log-odds),
    `abstain` the least confidence that is believed (None: none is), `figures` on the selection split after it."""

    scale: tuple[float, ...]
    bias: tuple[float, ...]
    method: str
    abstain: float | None
    figures: dict[str, Any]


def settle(
    readings: Sequence[Reading], memes: Sequence[Meme], tasks: Sequence[str], abstain: AbstainPart, seed: int
) -> dict[str, Settled]:
    """What to store for each task, from uncalibrated answers to the selection split; a task without a row has none."""
    found = {}
    for name in tasks:
        rows = score_task(name, readings, memes)
        if rows is not None:
            mine = [meme for meme in memes if name in meme.labels]
            found[name] = _settle(rows, near_groups(mine), abstain, seed)
    return found


def _settle(rows: Scored, groups: np.ndarray, abstain: AbstainPart, seed: int) -> Settled:
    p = np.clip(rows.probabilities, _TINY, 1 - _TINY)
    if rows.multilabel:
        fitted = fit_sigmoid(np.log(p / (1 - p)), rows.truth)
        after = fitted.sigmoid(np.log(p / (1 - p)))
        predicted: np.ndarray = after >= 0.5
    else:
        truth = rows.truth.astype(np.int64)
        if len(np.unique(groups)) > 1:
            fitted, _ = choose(np.log(p), truth, methods=METHODS, seed=seed, groups=groups)
        else:
            fitted, _ = choose(np.log(p), truth, methods=METHODS[:1], seed=seed, groups=np.arange(len(truth)))
        after = fitted.softmax(np.log(p))
        predicted = after.argmax(axis=1)
    rows = replace(rows, probabilities=after, predicted=predicted)
    threshold = choose_threshold(
        rows.confidence, rows.correct, abstain.target_error, delta=abstain.delta, groups=groups
    )
    its = figures(rows)
    happened = events(rows.kind, rows.probabilities, rows.truth_matrix)
    shown: dict[str, Any] = {name: round(its[name], 4) for name in ("macro_f1", "log_loss") if name in its}
    shown |= {"n": len(rows), "accuracy": round(its["subset_accuracy" if rows.multilabel else "accuracy"], 4)}
    shown |= {"ece": round(ece(*happened), 4)}
    return Settled(fitted.scale, fitted.bias, fitted.method, threshold.threshold if threshold else None, shown)
