"""Batches of rows of similar length: little padding, every row once an epoch, another order each epoch."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

POOL = 64
"""Rows are sorted by length within pools of so many batches: wide for tight batches, narrow for chance."""


def length_batches(
    lengths: Sequence[int], seed: int | str, most_rows: int, most_tokens: int | None = None
) -> list[list[int]]:
    """Positions in batches of at most `most_rows` rows and `most_tokens` tokens, padding counted.

    The same arguments give the same batches; give seed and epoch (`f"{seed}-{epoch}"`) for a new order. A row longer
    than `most_tokens` is a batch by itself.
    """
    rng = Random(f"batches-{seed}")
    order = list(range(len(lengths)))
    rng.shuffle(order)
    found: list[list[int]] = []
    for start in range(0, len(order), POOL * most_rows):
        # the shuffle stays among rows of one length: sorting is stable
        pool = sorted(order[start : start + POOL * most_rows], key=lambda i: lengths[i])
        batch: list[int] = []
        for i in pool:
            too_many = most_tokens is not None and lengths[i] * (len(batch) + 1) > most_tokens
            if batch and (too_many or len(batch) == most_rows):
                found.append(batch)
                batch = []
            batch.append(i)
        if batch:
            found.append(batch)
    rng.shuffle(found)
    return found
