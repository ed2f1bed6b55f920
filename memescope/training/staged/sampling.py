"""Batches of memes of like length, so that little is padded; one seed and epoch give one order, also when resumed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from torch.utils.data import Sampler

POOL = 32
"""Batches that are sorted by length together: enough to fill them evenly, few enough to keep epochs different."""


class LengthBuckets(Sampler[int]):
    """Indices of one epoch: shuffled, cut into pools of `POOL` batches, sorted by length within each, batches shuffled.

    `lengths` are tokens. The last, smaller batch comes last.
    """

    def __init__(self, lengths: Sequence[int], batch_size: int, seed: int) -> None:
        self._lengths = np.asarray(lengths)
        self._batch_size, self._seed, self._epoch = batch_size, seed, 0

    def __len__(self) -> int:
        return len(self._lengths)

    def set_epoch(self, epoch: int) -> None:
        """The order of this epoch comes next."""
        self._epoch = epoch

    def __iter__(self) -> Iterator[int]:
        rng = np.random.default_rng([self._seed, self._epoch])
        order = rng.permutation(len(self._lengths))
        pool = POOL * self._batch_size
        batches: list[np.ndarray] = []
        rest: list[np.ndarray] = []
        for start in range(0, len(order), pool):
            some = order[start : start + pool]
            some = some[np.argsort(-self._lengths[some], kind="stable")]
            cuts = [some[at : at + self._batch_size] for at in range(0, len(some), self._batch_size)]
            for cut in cuts:
                (batches if len(cut) == self._batch_size else rest).append(cut)
        for number in rng.permutation(len(batches)):
            yield from batches[number].tolist()
        for cut in rest:
            yield from cut.tolist()
