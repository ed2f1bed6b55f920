"""The loss of learning to write: cross-entropy of the next token.

References:
    Mr.Harm (arXiv 2312.05434) trains both of its stages, rationale and label, with this loss alone.

Inputs:
    logits    (n, w) or (b, t, w): scores of the vocabulary at each place
    labels    (n,) or (b, t) int64: the token that is right there; `IGNORED` where nothing is learned (prompt, padding)
    total     the number of learned tokens of all batches that one optimiser step sums over; None: of this batch

Example:
    >>> loss = token_cross_entropy(torch.zeros(1, 2, 4), torch.tensor([[1, IGNORED]]))
    >>> round(loss.item(), 4)  # ln 4
    1.3863
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

IGNORED = -100
"""The label of places that are not learned, as everywhere in transformers."""


def token_cross_entropy(
    logits: Tensor, labels: Tensor, smoothing: float = 0.0, total: Tensor | int | None = None
) -> Tensor:
    """Mean over the learned tokens, in nats; 0 where none is. With `total`, their sum divided by it.

    `smoothing` shares so much of the target's probability among the whole vocabulary. `total` makes several small
    batches equal to one large batch whatever their lengths (gradient accumulation).
    """
    from torch.nn.functional import cross_entropy

    from memescope.objectives.vocabulary import summed_cross_entropy

    scores, flat = logits.reshape(-1, logits.shape[-1]), labels.reshape(-1)
    if smoothing or scores.is_cuda:
        scores = scores if scores.dtype.itemsize == 8 else scores.float()
        loss = cross_entropy(scores, flat, ignore_index=IGNORED, label_smoothing=smoothing, reduction="sum")
    else:
        learned = flat != IGNORED
        every = bool(learned.all())
        loss = summed_cross_entropy(scores if every else scores[learned], flat if every else flat[learned])
    return loss / (total if total is not None else (flat != IGNORED).sum().clamp(min=1))
