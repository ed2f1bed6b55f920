"""Greedy writing for every family that writes: a batch at once, from the prompts as they were read, never again."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import torch

from memescope.models.prefix import Prefix


@torch.inference_mode()
def write(prefix: Prefix, lead: Sequence[int], end: Collection[int], longest: int) -> list[list[int]]:
    """The likeliest next token again and again, after `lead`: at most `longest` tokens a prompt, its end left out.

    Prompts that are done leave the batch. The prefix is used up.
    """
    written: list[list[int]] = [[] for _ in range(len(prefix))]
    rows = torch.arange(len(prefix))
    logits = prefix.feed(torch.tensor([list(lead)]).expand(len(prefix), -1)) if lead else prefix.logits
    for step in range(longest):
        tokens = logits.argmax(-1)
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
