"""The loss of learning from a larger model's probabilities: hard labels and, softened, what the teacher would write.

    L = (1 - lambda) CE(z_s, y) + lambda T^2 KL(softmax(z_a / T) || softmax(z_s / T))

with z_s the student's scores, z_a those of its frozen teacher, T the temperature. The KL is meant over the places that
are learned, as the cross-entropy is. T^2 keeps the size of its gradient whatever T is (Hinton et al. 2015, section 2).

References:
    MulCoT-RD (arXiv 2508.05234) distils its assistant into its student so, with lambda 0.3 and T 2.0. Its released code
    differs twice: it has no T^2 (`squared=False`), and a wrong comparison lets every place into the KL, prompt, picture
    and padding included (`mask="everything"`).

Inputs:
    student   (n, w): scores of the vocabulary at each place
    teacher   (n, w): the same of the teacher; no gradient
    labels    (n,) int64: the token that is right there; `IGNORED` where nothing is learned

Example:
    >>> one = distillation_loss(torch.zeros(1, 4), torch.zeros(1, 4), torch.tensor([2]))
    >>> round(one.hard.item(), 4), one.soft.item(), round(one.loss.item(), 4)  # ln 4; two equal models; 0.7 ln 4
    (1.3863, 0.0, 0.9704)
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from memescope.errors import UsageError
from memescope.objectives.generation import IGNORED
from memescope.objectives.vocabulary import ROWS

Mask = Literal["answers", "everything"]
"""Where the teacher is listened to: at the places that are learned, or, as released, everywhere."""
WEIGHT = 0.3
TEMPERATURE = 2.0


@dataclass(frozen=True)
class Distilled:
    """`loss` to go down; `hard` and `soft` (with T^2 where it is asked for) are its two parts before weighting."""

    loss: Tensor
    hard: Tensor
    soft: Tensor


def distillation_loss(
    student: Tensor,
    teacher: Tensor,
    labels: Tensor,
    weight: float = WEIGHT,
    temperature: float = TEMPERATURE,
    *,
    squared: bool = True,
    mask: Mask = "answers",
    total: Tensor | int | None = None,
) -> Distilled:
    """Means over places, in nats; 0 where nothing is learned.

    `weight` is lambda. `total` is the number of learned tokens of all batches that one optimiser step sums over; None:
    of this batch. A KL over everything then counts as much as the batch's share of them. Raises `UsageError` for scores
    of different shapes: two vocabularies cannot be compared token by token.
    """
    _check(student, teacher, labels, weight, temperature, mask)
    scores, said, right = student.flatten(0, -2), teacher.detach().flatten(0, -2), labels.flatten()
    learned = right != IGNORED
    count = int(learned.sum())
    if mask == "answers" and count < len(right):
        scores, said, right = scores[learned], said[learned], right[learned]
    hard, soft = _Summed.apply(scores, said, right, float(temperature))
    whole = total if total is not None else max(count, 1)
    hard = hard / whole
    soft = soft / whole if mask == "answers" else soft / max(len(right), 1) * (count / whole)
    if squared:
        soft = soft * temperature**2
    return Distilled((1 - weight) * hard + weight * soft, hard, soft)


def check_vocabularies(teacher: Mapping[str, int], student: Mapping[str, int], names: tuple[str, str]) -> None:
    """Both roles must spell alike: the same tokens under the same numbers. `names` are those of teacher and student.

    Raises `UsageError` that says how the vocabularies differ.
    """
    if teacher == student:
        return
    alone = [sorted(set(a) - set(b), key=a.__getitem__) for a, b in ((teacher, student), (student, teacher))]
    moved = [token for token, number in teacher.items() if student.get(token, number) != number]
    shown = [
        f"{len(some)} tokens only in {name} (such as {some[0]!r})"
        for name, some in zip(names, alone, strict=True)
        if some
    ]
    if moved:
        shown.append(
            f"{len(moved)} tokens under other numbers (such as {moved[0]!r}: {teacher[moved[0]]} and "
            f"{student[moved[0]]})"
        )
    raise UsageError(
        f"{names[0]} ({len(teacher)} tokens) cannot teach {names[1]} ({len(student)} tokens) by its probabilities: "
        f"their vocabularies differ: {'; '.join(shown)}. Take two models of one family, or distil by chains alone "
        "(distil.weight=0)"
    )


def _check(student: Tensor, teacher: Tensor, labels: Tensor, weight: float, temperature: float, mask: str) -> None:
    if student.shape != teacher.shape or student.shape[:-1] != labels.shape:
        raise UsageError(
            f"scores of the student {tuple(student.shape)}, of the teacher {tuple(teacher.shape)} and labels "
            f"{tuple(labels.shape)} do not fit: expected (..., w), (..., w) and (...), one vocabulary of w tokens"
        )
    if not 0 <= weight <= 1 or not temperature > 0:
        raise UsageError(f"distillation: weight {weight} must be 0 to 1, temperature {temperature} above 0")
    if mask not in get_args(Mask):
        raise UsageError(f"distillation: mask {mask!r}: expected {' or '.join(get_args(Mask))}")


class _Summed(torch.autograd.Function):
    """Sums over rows of the cross-entropy (where a row has a label) and of the KL (of every row).

    As in `vocabulary.py`, a few rows at a time are taken to float32 and three numbers a row are kept:

        dCE/ds_j = exp(s_j - lse) - [j = y],    dKL/ds_j = (softmax(s / T)_j - softmax(t / T)_j) / T
    """

    @staticmethod
    def forward(ctx: Any, scores: Tensor, said: Tensor, labels: Tensor, temperature: float) -> tuple[Tensor, Tensor]:
        kind = torch.float64 if scores.dtype == torch.float64 else torch.float32
        rests = scores.new_zeros(3, len(scores), dtype=kind)  # log-sums: the student's, its softened, the teacher's
        hard, soft = (scores.new_zeros((), dtype=kind) for _ in range(2))
        learned = labels != IGNORED
        for start in range(0, len(scores), ROWS):
            some = slice(start, start + ROWS)
            own, other = scores[some].to(kind), said[some].to(kind) / temperature
            rests[0, some] = own.logsumexp(1)
            right = own.gather(1, labels[some, None].clamp(min=0))[:, 0]
            hard += torch.where(learned[some], rests[0, some] - right, 0).sum()
            own = own / temperature
            rests[1, some], rests[2, some] = own.logsumexp(1), other.logsumexp(1)
            difference = (other - own) - (rests[2, some] - rests[1, some])[:, None]
            soft += (other.sub_(rests[2, some, None]).exp_() * difference).sum()
        ctx.save_for_backward(scores, said, labels, rests)
        ctx.temperature = temperature
        return hard, soft

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, by_hard: Tensor, by_soft: Tensor) -> tuple[Tensor, None, None, None]:
        scores, said, labels, rests = ctx.saved_tensors
        learned = (labels != IGNORED).to(rests.dtype)
        found = torch.empty_like(scores)
        for start in range(0, len(scores), ROWS):
            some = slice(start, start + ROWS)
            own, other = scores[some].to(rests.dtype), said[some].to(rests.dtype) / ctx.temperature
            soft = (own / ctx.temperature).sub_(rests[1, some, None]).exp_()
            soft.sub_(other.sub_(rests[2, some, None]).exp_()).mul_(by_soft / ctx.temperature)
            hard = (own - rests[0, some, None]).exp_()
            hard.scatter_add_(1, labels[some, None].clamp(min=0), -learned[some, None])
            found[some] = soft.add_(hard.mul_(learned[some, None] * by_hard))
        return found, None, None, None
