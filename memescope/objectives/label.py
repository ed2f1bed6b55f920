"""The loss of learning to answer: cross-entropy over the labels of each task, from scored label strings.

Unlike the loss of writing the label it spends nothing on the rest of the vocabulary, and it is the loss of the very
probabilities that the model answers with.

References:
    Constrained scoring: `memescope.models.scoring`. Masking of missing labels: MemeLens (arXiv 2601.12539) trains
    20 tasks on datasets that each label a few of them.

Inputs:
    scores    task -> (b, k): the score of each label; for a multilabel task, of yes less no
    targets   task -> (b,) int64, or (b, k) 0 and 1 for a multilabel task; `MISSING` where a meme is not labelled

Example:
    >>> loss = label_loss({"harmful": torch.zeros(2, 2)}, {"harmful": torch.tensor([1, MISSING])})
    >>> round(loss.item(), 4)  # ln 2, of the one meme that is labelled
    0.6931
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

MISSING = -1
"""The target of a meme that a task does not label."""


def label_loss(
    scores: Mapping[str, Tensor],
    targets: Mapping[str, Tensor],
    smoothing: float = 0.0,
    weights: Mapping[str, float] | None = None,
) -> Tensor:
    """The mean over labelled memes of each task, summed over tasks times their `weights` (1 unless given).

    A task none of whose memes is labelled adds 0. Each label of a multilabel task is a yes-no question; its loss is the
    mean over all that are labelled.
    """
    import torch
    from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy

    total = torch.stack([table.sum() * 0 for table in scores.values()]).sum()
    for task, table in scores.items():
        target = targets[task]
        labelled = target != MISSING
        if not labelled.any():
            continue
        if target.dim() == 2:
            aim = target[labelled].to(table.dtype) * (1 - smoothing) + smoothing / 2
            loss = binary_cross_entropy_with_logits(table[labelled], aim)
        else:
            loss = cross_entropy(table[labelled], target[labelled], label_smoothing=smoothing)
        total = total + (weights or {}).get(task, 1.0) * loss
    return total
