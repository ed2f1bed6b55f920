"""Batches of memes of like length, so that little is padded; one seed and epoch give one order, also when resumed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from torch.utils.data import Sampler

from memescope.models.batching import length_batches


class LengthBuckets(Sampler[int]):
    """The indices of one epoch, batch after batch (`length_batches`); the last, smaller batch comes last.

    `lengths` are tokens.
    """

    def __init__(self, lengths: Sequence[int], batch_size: int, seed: int) -> None:
        self._lengths, self._batch_size = lengths, batch_size
        self._seed, self._epoch = seed, 0

    def __len__(self) -> int:
        return len(self._lengths)

    def set_epoch(self, epoch: int) -> None:
        """The order of this epoch comes next."""
        self._epoch = epoch

    def __iter__(self) -> Iterator[int]:
        batches = length_batches(self._lengths, f"{self._seed}-{self._epoch}", self._batch_size)
        # The loader cuts batches of one size: the one that is smaller must not stand between them.
        for batch in sorted(batches, key=lambda batch: len(batch) < self._batch_size):
            yield from batch
