"""After the last stage: calibration and the abstain threshold, from the selection split.

DESIGN asks for out-of-fold training predictions; training a network five times over is what that would cost, so the
split that chose the checkpoint is used, which the network did not learn from. The card says so. What calibrated answers
are like, and from which confidence they are believed, is measured out of fold: each row by a fit to the other folds'.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np

from memescope.evaluation.abstention import choose_threshold
from memescope.evaluation.calibration import Calibration, choose, fit_sigmoid, fit_softmax, log_softmax, out_of_fold
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
    `abstain` the least confidence that is believed (None: none is), `figures` on the selection split, out of fold."""

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


def store(config: Any, settled: Mapping[str, Settled], card: dict[str, dict[str, Any]]) -> None:
    """Calibration, thresholds and card into a model's configuration.

    A task of the card that no selection meme is labelled for has no calibration: its answers are never believed.
    """
    config.calibration = {
        task: {"temperature": [1 / scale for scale in one.scale], "bias": list(one.bias)}
        for task, one in settled.items()
    }
    config.abstain = {task: settled[task].abstain if task in settled else None for task in card}
    config.card = card


def _settle(rows: Scored, groups: np.ndarray, abstain: AbstainPart, seed: int) -> Settled:
    p = np.clip(rows.probabilities, _TINY, 1 - _TINY)
    logits = np.log(p / (1 - p)) if rows.multilabel else np.log(p)
    truth: np.ndarray = rows.truth if rows.multilabel else rows.truth.astype(np.int64)
    alone = len(np.unique(groups)) == 1
    if rows.multilabel:
        fit: Callable[..., Calibration] = fit_sigmoid
    elif alone:
        fit = partial(fit_softmax, method=METHODS[0])
    else:
        fit = partial(fit_softmax, method=choose(logits, truth, methods=METHODS, seed=seed, groups=groups)[0].method)
    fitted = fit(logits, truth)
    after = fitted.logits(logits) if alone else out_of_fold(logits, truth, fit, seed=seed, groups=groups)
    after = 1 / (1 + np.exp(-after)) if rows.multilabel else np.exp(log_softmax(after))
    predicted: np.ndarray = after >= 0.5 if rows.multilabel else after.argmax(axis=1)
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
