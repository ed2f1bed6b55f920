"""The starter's linear experts: fitted on folds, so that every training meme has out-of-fold predictions.

The stored expert is the mean of the fold models, which for linear layers is one linear layer again (bagging for free).

Shape letters: b rows, d inputs, k columns of a task.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from memescope.meme import Meme
from memescope.taxonomy import Task
from memescope.training.starter.linear import Linear, fit_linear

Floats = NDArray[np.float64]

LEAST = 0.05
"""The least weight of a meme in calibration."""


@dataclass(frozen=True)
class Targets:
    """One task's truth: `rows` (b,) positions of the memes that have it, `target` (b, k) as `fit_linear` wants it,
    `truth` label index (b,) (for a multilabel task: 0), `row_weights` (b,) that balance the sources."""

    task: Task
    rows: NDArray[np.int64]
    target: Floats
    truth: NDArray[np.int64]
    row_weights: Floats

    @property
    def softmax(self) -> bool:
        return self.task.kind in ("multiclass", "ordinal")


def like_validation(memes: Sequence[Meme], match: Mapping[str, str]) -> Floats:
    """Weights (n,) that give each source in `match` the label mix of its val split in the task named there.

    Of a source that is not in `match`, or has no val split, every meme weighs 1. A label that val lacks weighs
    `LEAST`, so that calibration still sees it.
    """
    weights = np.ones(len(memes))
    for source, task in match.items():
        mine = [i for i, meme in enumerate(memes) if meme.source == source and task in meme.labels]
        seen = Counter(str(memes[i].labels[task]) for i in mine)
        wanted = Counter(str(memes[i].labels[task]) for i in mine if memes[i].split == "val")
        for i in mine if wanted else []:
            label = str(memes[i].labels[task])
            weights[i] = max(wanted[label] / wanted.total() / (seen[label] / seen.total()), LEAST)
    return weights


def targets_of(memes: Sequence[Meme], task: Task, source: str | None = None) -> Targets:
    """The truth of one task over memes (of one source), those without a label for it left out: their loss is masked.

    A meme that comes twice (with given and with OCR text) counts half each time.
    """
    rows = np.array(
        [i for i, m in enumerate(memes) if task.name in m.labels and source in (None, m.source)], dtype=np.int64
    )
    found = [memes[i].labels[task.name] for i in rows]
    if task.kind == "multilabel":
        target = np.array([[float(label in held) for label in task.labels] for held in found])
        truth = np.zeros(len(rows), dtype=np.int64)
    else:
        truth = np.array([task.labels.index(str(label)) for label in found], dtype=np.int64)
        target = truth[:, None].astype(float) if task.kind == "binary" else np.eye(len(task.labels))[truth]
    return Targets(task, rows, target, truth, _row_weights([memes[i] for i in rows]))


def _row_weights(memes: Sequence[Meme]) -> Floats:
    """Every source weighs the same, all together as much as there are memes; copies of one meme share its weight."""
    copies = Counter((meme.source, meme.split, meme.id) for meme in memes)
    share = np.array([1 / copies[meme.source, meme.split, meme.id] for meme in memes])
    names, inverse = np.unique([meme.source or "" for meme in memes], return_inverse=True)
    mass = np.bincount(inverse, share)
    return share * (share.sum() / (len(names) * mass))[inverse]


@dataclass(frozen=True)
class Fitted:
    """An expert for one task: the mean layer, its out-of-fold logits (b, k), the strength taken and each one's loss."""

    layer: Linear
    out_of_fold: Floats
    strength: float
    losses: Mapping[float, float]


def fit_expert(x: Any, targets: Targets, folds: NDArray[np.int64], strengths: Sequence[float], steps: int) -> Fitted:
    """Fit on every fold's rest, strength by strength upwards for as long as the out-of-fold log-loss falls.

    `x` (n, d) holds all memes; `folds` (n,) their folds.
    """
    mine, fold = x[targets.rows], folds[targets.rows]
    parts = np.unique(fold)
    last: list[Linear | None] = [None] * len(parts)
    losses: dict[float, float] = {}
    best: tuple[float, Floats, list[Linear]] | None = None
    for strength in sorted(strengths):
        out = np.zeros(targets.target.shape)
        layers = []
        for number, f in enumerate(parts):
            inside = fold != f
            # from weak to strong, each fit starts where the one before ended
            layer = fit_linear(
                mine[inside],
                targets.target[inside],
                targets.softmax,
                strength,
                steps,
                targets.row_weights[inside],
                last[number],
            )
            last[number] = layer
            layers.append(layer)
            out[~inside] = layer.logits(mine[~inside])
        losses[strength] = log_loss(out, targets)
        if best is not None and losses[strength] >= losses[best[0]]:
            break  # the loss falls to one lowest point and rises from there
        best = (strength, out, layers)
    assert best is not None
    strength, out, layers = best
    weight = np.mean([layer.weight for layer in layers], axis=0)
    return Fitted(Linear(weight, np.mean([layer.bias for layer in layers], axis=0)), out, strength, losses)


def log_loss(logits: Floats, targets: Targets) -> float:
    """Mean log-loss over rows, sources balanced; of a multilabel task the mean over labels too."""
    if targets.softmax:
        top = logits.max(axis=1, keepdims=True)
        log_p = logits - top - np.log(np.exp(logits - top).sum(axis=1, keepdims=True))
        rows = -(targets.target * log_p).sum(axis=1)
    else:
        rows = (np.logaddexp(0, logits) - targets.target * logits).mean(axis=1)
    return float(targets.row_weights @ rows / targets.row_weights.sum())
