"""From features to probabilities: linear experts, late fusion, coarse answers shared out among their finer ones.

Each expert is one linear layer over one input with a column for every label of every task. A task's logits are the
weighted sum of its experts' columns and a bias; weights and bias are fitted on out-of-fold predictions, which
calibrates them at the same time (stacking, Wolpert 1992), once for memes with text and picture and once for each alone.

Shape letters: b memes, k labels of a task (1 column for a binary task), c columns of all tasks, e experts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

INPUTS = ("both", "text", "picture")
"""Which parts of a meme are there: each has a fusion of its own."""


@dataclass(frozen=True)
class Fusion:
    """Logits (b, k) = sum over experts e of `weights[e]` * columns of e, + `bias` (k,)."""

    weights: Mapping[str, float]
    bias: tuple[float, ...]

    def logits(self, columns: Mapping[str, NDArray[np.floating]]) -> Floats:
        """Fused logits of one task from the experts' own, each (b, k)."""
        rows = len(next(iter(columns.values())))  # a task nothing can tell apart has no weights, only biases
        total = np.tile(np.array(self.bias, dtype=np.float64), (rows, 1))
        for expert, weight in self.weights.items():
            total = total + weight * columns[expert].astype(np.float64)
        return total


@dataclass(frozen=True)
class Member:
    """What one training source taught of a task: its columns and its fusions by `INPUTS`."""

    columns: slice
    fusions: Mapping[str, Fusion]

    def logits(self, columns: Mapping[str, NDArray[np.floating]], have: str) -> Floats:
        """Fused logits (b, k) from the experts' columns (b, c)."""
        return self.fusions[have].logits({expert: z[:, self.columns] for expert, z in columns.items()})


@dataclass(frozen=True)
class TaskHead:
    """One task: its labels, what each source taught of it, and how a label is chosen.

    A task that several sources label has a member for each: they mean different things by one word (a tweet's sentiment
    is not a meme's). Their probabilities are mixed by which of the sources the meme looks like.
    `within` maps each label to a label of the task `parent`: the parent's probability is shared out among them.
    `decision` (k,) multiplies the probabilities before the largest is taken; for a multilabel task it holds each
    label's threshold. `prior` (k,) are the label rates of the training memes, `abstain` the lowest confidence believed
    (None: none is), `target_error` what it promises.
    """

    name: str
    kind: str
    labels: tuple[str, ...]
    members: Mapping[str, Member]
    prior: tuple[float, ...]
    decision: tuple[float, ...]
    abstain: float | None
    parent: str | None = None
    within: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def from_dict(cls, name: str, entry: Mapping[str, Any]) -> TaskHead:
        """From the JSON of a stored model."""
        members = {
            source: Member(
                slice(*member["columns"]),
                {have: Fusion(f["weights"], tuple(f["bias"])) for have, f in member["fusions"].items()},
            )
            for source, member in entry["members"].items()
        }
        return cls(
            name=name,
            kind=entry["kind"],
            labels=tuple(entry["labels"]),
            members=members,
            prior=tuple(entry["prior"]),
            decision=tuple(entry["decision"]),
            abstain=entry["abstain"],
            parent=entry["parent"],
            within=entry["within"],
        )

    @property
    def sources(self) -> tuple[str, ...]:
        """The sources it was trained on."""
        return tuple(self.members)

    def mixed(self, logits: Mapping[str, Floats], source_logits: Mapping[str, Floats]) -> Floats:
        """(b, k) from each member's fused logits, mixed by the softmax of its sources' logits (b,)."""
        shares = softmax(np.stack([source_logits[source] for source in self.members], axis=1))
        return np.sum([shares[:, [i]] * self.alone(logits[s]) for i, s in enumerate(self.members)], axis=0)

    def alone(self, logits: Floats) -> Floats:
        """(b, k) of one member: sigmoid for multilabel and binary tasks, softmax otherwise."""
        if self.kind == "multilabel":
            return sigmoid(logits)
        return softmax(as_pairs(logits) if self.kind == "binary" else logits)

    def shared_out(self, own: Floats, parents: Mapping[str, tuple[tuple[str, ...], Floats]]) -> Floats:
        """(b, k): `own` with its parent's probabilities shared out among the labels below each.

        `parents` maps each task answered before to its labels and probabilities; one that is not there is not used.
        """
        if self.parent is None or self.parent not in parents:
            return own
        labels, above = parents[self.parent]
        shared = np.zeros_like(own)
        for j, label in enumerate(labels):
            inside = [i for i, fine in enumerate(self.labels) if self.within[fine] == label]
            part = own[:, inside]
            shared[:, inside] = above[:, [j]] * part / np.maximum(part.sum(axis=1, keepdims=True), 1e-300)
        return shared

    def pull(self, probabilities: Floats, trust: Floats) -> Floats:
        """Towards the training rates where the meme is unlike the training memes: `trust` (b,) from 0 to 1."""
        return trust[:, None] * probabilities + (1 - trust)[:, None] * np.array(self.prior)[None, :]

    def choose(self, probabilities: Floats) -> tuple[list[str | list[str]], Floats]:
        """The answered label of each row (a list for multilabel) and its confidence (b,).

        The confidence of an answer that is not the most probable one (of a yes below 1/2, for multilabel) is 0: it may
        be the best guess where labels are rare, but it is never to be believed.
        """
        decision = np.array(self.decision)
        if self.kind == "multilabel":
            held = probabilities >= decision
            names: list[str | list[str]] = [
                [label for label, yes in zip(self.labels, row, strict=True) if yes] for row in held
            ]
            agreed = (held == (probabilities >= 0.5)).all(axis=1)
            return names, np.where(held, probabilities, 1 - probabilities).min(axis=1) * agreed
        best = (probabilities * decision).argmax(axis=1)
        top = probabilities[np.arange(len(best)), best]
        return [self.labels[i] for i in best], np.where(top >= probabilities.max(axis=1), top, 0.0)


def in_order(heads: Sequence[TaskHead]) -> list[TaskHead]:
    """Parents before the tasks they are shared out to."""
    names = {head.name for head in heads}
    first = [head for head in heads if head.parent not in names]
    return first + [head for head in heads if head.parent in names]


def as_pairs(logits: Floats) -> Floats:
    """One log-odds column (b, 1) as two logits (b, 2), the negative label's 0."""
    return np.concatenate([np.zeros_like(logits), logits], axis=1)


def softmax(logits: Floats) -> Floats:
    """Along the last axis."""
    shifted = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return shifted / shifted.sum(axis=-1, keepdims=True)


def sigmoid(logits: Floats) -> Floats:
    """1 / (1 + exp(-logits)) without overflow."""
    return np.exp(-np.logaddexp(0, -logits))
