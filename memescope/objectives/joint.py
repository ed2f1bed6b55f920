"""Several things learnt at once, each counting the same whatever its length.

    L = sum over tasks of weight x mean over the task's places

A reasoning chain has hundreds of tokens, the label behind it one or two: in a mean over all of them the label would
hardly count.

References:
    MulCoT-RD (arXiv 2508.05234): two forward passes for each batch, reasoning and classification, whose losses are
    added. One pass over rows of both, with the places told apart, gives the same.

Inputs:
    task      (n,) int64: which task a place belongs to, from 0
    loss      the loss of some of the places, given as a mask bool (n,)

Example:
    >>> losses = torch.tensor([4.0, 2.0, 10.0])
    >>> joint_loss(torch.tensor([0, 0, 1]), lambda places: losses[places].mean()).item()
    13.0
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor


def joint_loss(
    task: Tensor,
    loss: Callable[[Tensor], Tensor],
    weights: Sequence[float] = (1.0, 1.0),
    shares: Tensor | None = None,
) -> Tensor:
    """Sum over the tasks that have a place; a task without one adds nothing.

    `shares` float (number of tasks,): this batch's part of each task's places in all batches that one optimiser step
    sums over. Several small batches are then what one large batch is, whichever of them has the chains.
    """
    total = task.new_zeros(()).float()
    for number, weight in enumerate(weights):
        places = task == number
        if bool(places.any()):
            total = total + weight * (1.0 if shares is None else shares[number]) * loss(places)
    return total
