"""Writing for every family that writes: a batch at once, from the prompts as they were read, never again."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence

import torch
from torch import Tensor

from memescope.models.prefix import Prefix

Choose = Callable[[Tensor, Sequence[int]], Tensor]
"""The next token int64 (b,) of each row, from logits (b, w) and the rows' numbers among the prompts."""


def likeliest(logits: Tensor, rows: Sequence[int]) -> Tensor:
    """Greedy writing."""
    return logits.argmax(-1)


class Sampled:
    """Tokens drawn by their probability at a temperature, each prompt by a seed of its own.

    So what is drawn for a prompt does not depend on which others are written beside it.
    """

    def __init__(self, temperature: float, seeds: Sequence[int]) -> None:
        self._temperature = temperature
        self._dice = [torch.Generator().manual_seed(seed) for seed in seeds]

    def __call__(self, logits: Tensor, rows: Sequence[int]) -> Tensor:
        drawn = torch.tensor([float(torch.rand((), generator=self._dice[row], dtype=torch.float64)) for row in rows])
        risen = (logits.double() / self._temperature).softmax(-1).cumsum(-1)
        # what a row adds up to is 1 but for rounding: a draw beyond it must not leave the vocabulary
        places = drawn.to(risen)[:, None] * risen[:, -1:]
        return torch.searchsorted(risen, places, right=True)[:, 0].clamp(max=logits.shape[-1] - 1)


@torch.inference_mode()
def write(
    prefix: Prefix, lead: Sequence[int], end: Collection[int], longest: int, choose: Choose = likeliest
) -> list[list[int]]:
    """One token after another, after `lead`: at most `longest` tokens a prompt, its end left out.

    `choose` takes each next one, the likeliest unless told otherwise. Prompts that are done leave the batch. The prefix
    is used up.
    """
    written: list[list[int]] = [[] for _ in range(len(prefix))]
    rows = torch.arange(len(prefix))
    logits = prefix.feed(torch.tensor([list(lead)]).expand(len(prefix), -1)) if lead else prefix.logits
    for step in range(longest):
        tokens = choose(logits, rows.tolist())
        going = torch.tensor([int(token) not in end for token in tokens.tolist()])
        for row, token in zip(rows[going].tolist(), tokens[going.to(tokens.device)].tolist(), strict=True):
            written[row].append(token)
        if not going.any() or step + 1 == longest:
            break
        if not going.all():
            places = going.nonzero()[:, 0].to(tokens.device)
            prefix.keep(places)
            rows, tokens = rows[going], tokens[places]
        logits = prefix.feed(tokens[:, None])
    return written
