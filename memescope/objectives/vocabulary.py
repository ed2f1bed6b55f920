"""Cross-entropy over a large vocabulary without tables of its size in float32.

With n tokens and w words, the plain way keeps a float32 copy of the scores, their log-softmax and two gradients, each
(n, w): at w = 49,152 that costs more time than many a layer. Here a few rows at a time are taken to float32, and
between forward and backward only one number a row is kept beside the scores:

    L = sum_i (log sum_j exp s_ij - s_i,y_i),      dL/ds_ij = exp(s_ij - lse_i) - [j = y_i]
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

ROWS = 64
"""Rows taken to float32 at once: small enough for the cache of a core, large enough for one call's overhead."""


def summed_cross_entropy(scores: Tensor, labels: Tensor) -> Tensor:
    """Sum over rows, in nats, of the cross-entropy of scores (n, w) with the right words (n,) int64.

    float64 is computed in float64, all else in float32. The gradient has the scores' own precision.
    """
    loss: Tensor = _Summed.apply(scores, labels)
    return loss


class _Summed(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, scores: Tensor, labels: Tensor) -> Tensor:
        kind = torch.float64 if scores.dtype == torch.float64 else torch.float32
        rest = scores.new_empty(len(scores), dtype=kind)
        for some in range(0, len(scores), ROWS):
            torch.logsumexp(scores[some : some + ROWS].to(kind), 1, out=rest[some : some + ROWS])
        ctx.save_for_backward(scores, labels, rest)
        right = scores.gather(1, labels[:, None])[:, 0].to(kind)
        return (rest - right).sum()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        scores, labels, rest = ctx.saved_tensors
        found = torch.empty_like(scores)
        for start in range(0, len(scores), ROWS):
            some = slice(start, start + ROWS)
            part = (scores[some].to(rest.dtype) - rest[some, None]).exp_()
            part.scatter_add_(1, labels[some, None], part.new_full((len(part), 1), -1.0))
            found[some] = part.mul_(gradient)
        return found, None
