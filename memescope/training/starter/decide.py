"""How a label is chosen from calibrated probabilities, and when it is believed: fitted on out-of-fold predictions.

One number `tau` a task: answered is the label with the largest probability / mean**tau, where the mean is that label's
over the training memes. 0 is the most probable label, 1 the label that is most raised above its mean. A task that can
hardly be told apart (the most probable label is nearly always the common one, which says nothing) gets a tau above 0,
as macro-F1 wants. An answer that is not the most probable label always abstains. For a multilabel task tau is the
threshold, one for all labels.

Shape letters: b rows, k labels.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from memescope.models.starter.heads import TaskHead

Floats = NDArray[np.float64]

TAUS = tuple(round(0.1 * step, 1) for step in range(11))
THRESHOLDS = (0.5, 0.45, 0.4, 0.35, 0.3, 0.25, 0.2, 0.15)
GAIN = 0.005
"""F1 that a value further from the plain choice must gain over a nearer one."""


@dataclass(frozen=True)
class Decision:
    """The factors (k,) of `TaskHead.decision`, the tau (or threshold) they come from, the out-of-fold F1 of each."""

    factors: tuple[float, ...]
    tau: float
    scores: dict[float, float]


def choose_decision(kind: str, probabilities: Floats, truth: Floats, weights: Floats | None = None) -> Decision:
    """`probabilities` and `truth` (one-hot, or many-hot for multilabel) are (b, k); `weights` (b,) count rows.

    The macro-F1 decides, for a multilabel task the micro-F1.
    """
    prior = np.clip(np.average(probabilities, axis=0, weights=weights), 1e-4, 1.0)
    scores: dict[float, float] = {}
    candidates = THRESHOLDS if kind == "multilabel" else TAUS
    best = candidates[0]
    for tau in candidates:
        held = _held(kind, probabilities, _factors(kind, prior, tau))
        scores[tau] = micro_f1(held, truth) if kind == "multilabel" else macro_f1(held, truth, weights)
        if scores[tau] > scores[best] + GAIN:
            best = tau
    return Decision(tuple(map(float, _factors(kind, prior, best))), best, scores)


def _factors(kind: str, prior: Floats, tau: float) -> Floats:
    return np.full(len(prior), tau) if kind == "multilabel" else (prior / prior.max()) ** -tau


def _held(kind: str, probabilities: Floats, factors: Floats) -> Floats:
    if kind == "multilabel":
        return (probabilities >= factors).astype(float)
    return np.eye(probabilities.shape[1])[(probabilities * factors).argmax(axis=1)]


def macro_f1(held: Floats, truth: Floats, weights: Floats | None = None) -> float:
    """The mean F1 over the labels that occur, answered and true both (b, k) of 0 and 1; `weights` (b,) of rows."""
    w = np.ones(len(truth)) if weights is None else weights
    both, said, there = w @ (held * truth), w @ held, w @ truth
    return float((2 * both / np.maximum(said + there, 1e-12))[there > 0].mean())


def micro_f1(held: Floats, truth: Floats) -> float:
    """F1 over all decisions at once."""
    return float(2 * (held * truth).sum() / max(held.sum() + truth.sum(), 1))


def decided_f1(head: TaskHead, probabilities: Floats, truth: Floats) -> float:
    """Macro-F1 of the answers a head gives for probabilities (b, k)."""
    return macro_f1(_held(head.kind, probabilities, np.array(head.decision)), truth)


def confidence_and_correct(head: TaskHead, probabilities: Floats, truth: Floats) -> tuple[Floats, NDArray[np.bool_]]:
    """What the abstain threshold is chosen on: confidence (b,) of the answer and whether it is right in full."""
    answers, confidence = head.choose(probabilities)
    named = [[head.labels[j] for j in np.flatnonzero(row)] for row in truth]
    right = [
        sorted(answer) == sorted(labels) if isinstance(answer, list) else [answer] == labels
        for answer, labels in zip(answers, named, strict=True)
    ]
    return confidence, np.array(right, dtype=bool)
