"""Answers of generative models by scoring every allowed label, for every family that writes.

A model is never asked to write a label and to be parsed: each label string gets its log-probability after the prompt,
and the softmax over the labels of a task is the answer. A label outside the set cannot come out. All labels of all
tasks form one tree of tokens behind each prompt (`tree.py`), which the model reads once (`prefix.py`).

A multilabel task is a yes-no question for each of its labels.

Shape letters: `b` memes, `k` labels of a task, `n` nodes of the tree, `l` label strings of all tasks.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor

from memescope.errors import UsageError
from memescope.meme import Answer
from memescope.models.prefix import Prefix
from memescope.models.tree import Tree
from memescope.taxonomy.tasks import Task

Length = Literal["sum", "mean"]
"""How the log-probabilities of a label's tokens become its score.

"sum" is the default: by the chain rule it is the log-probability of the label, so the softmax is what the model, told
to name one of the labels, would answer; and what training on label strings drives to the right value. "mean" (per
token) is for models that were not trained on the labels, where it keeps long labels from losing by their length alone.
"""
NO, YES = "no", "yes"
Tokenise = Callable[[str], list[int]]


@dataclass(frozen=True)
class Question:
    """A task as a model is asked it: what is put behind the prompt, and the answers to choose from.

    `parts` has one entry for a task with one label, and one for each label of a multilabel task, whose answers are no
    and yes: (tokens given, tokens of each answer).
    """

    task: str
    labels: tuple[str, ...]
    multilabel: bool
    parts: tuple[tuple[tuple[int, ...], tuple[tuple[int, ...], ...]], ...]


def ask(task: Task, lead: str, tokenise: Tokenise, end: int, labels: Sequence[str] | None = None) -> Question:
    """The question that a task is, with `lead` before its answers ("The answer is:"; "{label}" in it for multilabel).

    Tokens are those of the parts by themselves, `lead` then " label": what is trained must be put together the same
    way. `labels` are written for the task's own labels, in their order. `end` is added to the answers where one begins
    with another, which could not be told apart otherwise. Raises `UsageError` for two labels with the same tokens.
    """
    names = tuple(labels or task.labels)
    multilabel = task.kind == "multilabel"
    leads = [lead.replace("{label}", name) for name in names] if multilabel else [lead]
    answers = [tuple(tokenise(f" {answer}")) for answer in ((NO, YES) if multilabel else names)]
    if len(set(answers)) < len(answers) or not all(answers):
        raise UsageError(f"task {task.name!r}: two of {', '.join(names)} have the same tokens, or one has none")
    if any(a != b and b[: len(a)] == a for a in answers for b in answers):
        answers = [(*answer, end) for answer in answers]
    if multilabel and len(set(leads)) < len(names):
        raise UsageError(f"task {task.name!r} has several labels: its question {lead!r} must say {{label}} somewhere")
    parts = tuple((tuple(tokenise(one)), tuple(answers)) for one in leads)
    return Question(task.name, tuple(task.labels), multilabel, parts)


class Scorer:
    """Some questions, ready to be put to a model."""

    def __init__(self, questions: Sequence[Question], length: Length = "sum") -> None:
        if length not in ("sum", "mean"):
            raise UsageError(f"length {length!r} of labels: expected sum or mean")
        self.questions = tuple(questions)
        self.tree = Tree()
        nodes = [
            self.tree.add(given, answer)
            for question in self.questions
            for given, answers in question.parts
            for answer in answers
        ]
        self._weights = torch.zeros(len(self.tree.tokens), len(nodes), dtype=torch.float64)
        for column, path in enumerate(nodes):
            self._weights[path, column] = 1.0 if length == "sum" else 1 / len(path)

    def __call__(self, prefix: Prefix) -> dict[str, Tensor]:
        """The score (b, k) of each label by task; for a multilabel task that of yes less that of no. Differentiable."""
        edges = prefix.branch(self.tree)
        scores = edges @ self._weights.to(edges)
        found, at = {}, 0
        for question in self.questions:
            answers = len(question.parts[0][1])
            some = scores[:, at : at + answers * len(question.parts)].unflatten(1, (-1, answers))
            at += answers * len(question.parts)
            found[question.task] = some[..., 1] - some[..., 0] if question.multilabel else some[:, 0]
        return found


def calibrated(scores: Tensor, entry: Mapping[str, Any] | None) -> Tensor:
    """Scores (b, k) / `temperature` + `bias`, each (k,) or one number, as stored with a model; None changes nothing."""
    if not entry:
        return scores
    temperature, bias = (
        torch.as_tensor(entry.get(name, usual), dtype=scores.dtype, device=scores.device)
        for name, usual in (("temperature", 1.0), ("bias", 0.0))
    )
    return scores / temperature + bias


def probabilities(scores: Tensor, multilabel: bool, calibration: Mapping[str, Any] | None = None) -> Tensor:
    """(b, k): softmax over the labels, or for a multilabel task the probability of each yes."""
    scores = calibrated(scores, calibration)
    return scores.sigmoid() if multilabel else scores.softmax(-1)


def answers(question: Question, table: Tensor, least: float | None = 0.0) -> list[Answer]:
    """One Answer a meme from probabilities (b, k). It abstains below the confidence `least`; None: always."""
    found = []
    for row in table.double().cpu().tolist():
        held = dict(zip(question.labels, row, strict=True))
        label = (
            [name for name, p in held.items() if p >= 0.5] if question.multilabel else max(held, key=held.__getitem__)
        )
        answer = Answer(label, held)
        answer.abstain = least is None or answer.confidence < least
        found.append(answer)
    return found
