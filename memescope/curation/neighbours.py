"""All pairs of 256-bit hashes within a radius, exactly, at a million hashes.

Multi-index hashing (Norouzi, Punjani and Fleet, CVPR 2012, https://arxiv.org/abs/1307.2982) as a self-join: hashes at
most `r` bits apart are at most one bit apart in one of r // 2 + 1 disjoint chunks. Hashes are sorted by a chunk, so
that every bucket is a contiguous range; each is joined with itself and with the buckets one bit away, and what two
other words of the hash do not rule out is compared in full. A pair that several chunks find is given by the first of
them, so that nothing found has to be remembered.

Hashes whose buckets are so full that this would cost more than comparing them with every hash are compared with every
hash. Memory does not grow with the number of pairs.

Glossary: n distinct hashes, c chunks, k pairs.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

RADIUS = 31
"""Most differing bits of 256 for the same picture: ThreatExchange's confident threshold for PDQ."""
BITS = 256
_WIDEST = 20  # bits of a chunk that are used: the table of its buckets stays at 8 MiB
_FEW = 4096  # up to here comparing all with all is faster than sorting
_BLOCK = 1 << 16  # candidates compared at a time: their words stay in the second-level cache
_FLAT_BLOCK = 256
_DEAR = 8  # a comparison with a candidate costs as much as this many in one sweep over all hashes

Words = NDArray[np.uint64]
Indices = NDArray[np.int64]


class Pairs(NamedTuple):
    """Rows `first` < `second`, int64 (k,), and by how many bits their hashes differ, int64 (k,)."""

    first: Indices
    second: Indices
    bits: Indices


class _Chunk(NamedTuple):
    """Bits `start` to `start + width` of a hash, the first being the most significant of the first byte."""

    start: int
    width: int


def near_pairs(
    hashes: NDArray[np.uint8],
    radius: int = RADIUS,
    *,
    mask: NDArray[np.uint8] | None = None,
    workers: int | None = None,
) -> Iterator[Pairs]:
    """Every pair of rows of `hashes`, uint8 (rows, 32), that differ in at most `radius` bits, in batches.

    Of equal hashes only the first is paired with others; each of the rest comes once, paired with that first one at 0
    bits, so a million equal hashes give a million pairs. With `mask`, uint8 (32,), the bits set there are negated in
    one of the two before they are compared (which of them makes no difference): how mirrored pictures are found.
    `workers` threads, by default one a core; the order of the batches does not depend on them.

    Raises `ValueError` for hashes of another shape or type and for a radius outside 0 to 255.
    """
    if hashes.ndim != 2 or hashes.shape[1] != BITS // 8 or hashes.dtype != np.uint8:
        raise ValueError(f"hashes: expected uint8 (rows, {BITS // 8}), found {hashes.dtype} {hashes.shape}")
    if not 0 <= radius < BITS:
        raise ValueError(f"radius: expected 0 to {BITS - 1} bits, found {radius}")
    words = np.ascontiguousarray(hashes).view(np.uint64)
    first = first_equal(hashes)
    rows = np.flatnonzero(first == np.arange(len(first)))
    again = np.flatnonzero(first != np.arange(len(first)))
    if len(again):
        yield Pairs(first[again], again, np.zeros(len(again), np.int64))
    if len(rows):
        negated = np.zeros(4, np.uint64) if mask is None else np.ascontiguousarray(mask).view(np.uint64)
        for found in _Join(words[rows], radius, negated).run(workers or os.cpu_count() or 1):
            yield Pairs(rows[found.first], rows[found.second], found.bits)


def first_equal(hashes: NDArray[np.uint8]) -> Indices:
    """For each row of uint8 (rows, 32) the first row with the same hash, int64 (rows,)."""
    words = np.ascontiguousarray(hashes).view(np.uint64)
    order = np.lexsort(words.T)
    placed = words[order]
    starts = np.ones(len(order), bool)
    starts[1:] = (placed[1:] != placed[:-1]).any(axis=1)
    # The sort is stable: the first of a run is the first of its rows.
    first = np.empty(len(order), np.int64)
    first[order] = order[starts][np.cumsum(starts) - 1] if len(order) else order
    return first


class _Join:
    """One self-join of distinct hashes, uint64 (n, 4)."""

    def __init__(self, words: Words, radius: int, mask: Words) -> None:
        self._words, self._radius, self._mask = words, radius, mask
        self._bytes = words.view(np.uint8)
        self._mirrors = bool(mask.any())
        self._chunks = _chunks(radius)

    def run(self, workers: int) -> Iterator[Pairs]:
        dear = self._dear()
        yield from self._flat(np.flatnonzero(dear), dear)
        light = np.flatnonzero(~dear)
        if not len(light):
            return
        with ThreadPoolExecutor(workers) as pool:
            waiting: deque[Future[Pairs]] = deque()
            for number in range(len(self._chunks)):
                for task in self._tasks(number, light):
                    waiting.append(pool.submit(task))
                    if len(waiting) > 4 * workers:
                        yield from _some(waiting.popleft().result())
            while waiting:
                yield from _some(waiting.popleft().result())

    def _dear(self) -> NDArray[np.bool_]:
        """Which hashes have so many candidates that comparing them with all hashes is cheaper."""
        n = len(self._words)
        if n <= _FEW:
            return np.ones(n, bool)
        candidates = np.zeros(n, np.int64)
        for chunk in self._chunks:
            keys = self._keys(chunk, self._bytes)
            sizes = np.bincount(keys, minlength=1 << chunk.width)
            reached, buckets = sizes.copy(), np.arange(1 << chunk.width)
            for bit in range(chunk.width):
                reached += sizes[buckets ^ (1 << bit)]
            candidates += reached[keys ^ self._masked(chunk)]
        return candidates * _DEAR > n

    def _flat(self, dear: Indices, is_dear: NDArray[np.bool_]) -> Iterator[Pairs]:
        """The pairs in which a dear hash takes part."""
        import faiss

        if not len(dear):
            return
        index = faiss.IndexBinaryFlat(BITS)
        index.add(self._bytes)
        for start in range(0, len(dear), _FLAT_BLOCK):
            own = dear[start : start + _FLAT_BLOCK]
            asked = (self._words[own] ^ self._mask).view(np.uint8)
            ends, bits, found = index.range_search(asked, self._radius + 1)
            mine = np.repeat(own, (ends[1:] - ends[:-1]).astype(np.int64))
            # Two dear hashes find each other; a light one is only found.
            once = (found > mine) | ((found != mine) & ~is_dear[found])
            yield from _some(_ordered(mine[once], found[once], bits[once].astype(np.int64)))

    def _tasks(self, number: int, light: Indices) -> Iterator[Callable[[], Pairs]]:
        """Comparisons of one chunk, about `_BLOCK` candidates each."""
        chunk = self._chunks[number]
        keys = self._keys(chunk, self._bytes[light])
        order = np.argsort(keys, kind="stable")
        keys, rows = keys[order], light[order]
        # Two words that lie apart from the chunk, whose bits are already known to be alike.
        inside = {chunk.start // 64, (chunk.start + chunk.width - 1) // 64}
        apart = [word for word in range(4) if word not in inside][:2]
        columns = [(np.ascontiguousarray(self._words[rows, word]), self._mask[word]) for word in apart]
        starts = np.concatenate([[0], np.cumsum(np.bincount(keys, minlength=1 << chunk.width))])
        for own, low, high in self._ranges(chunk, keys, starts):
            if not len(own):
                continue
            ends = np.cumsum(high - low)
            cuts = np.searchsorted(ends, np.arange(_BLOCK, ends[-1] + _BLOCK, _BLOCK)) + 1
            begin = 0
            for cut in np.minimum(np.unique(cuts), len(own)).tolist():
                if cut > begin:
                    yield _task(self._compare, number, rows, columns, own[begin:cut], low[begin:cut], high[begin:cut])
                begin = cut

    def _ranges(self, chunk: _Chunk, keys: Indices, starts: Indices) -> Iterator[tuple[Indices, Indices, Indices]]:
        """(places, first, after the last) of the sorted hashes each is to be compared with: its own bucket, then the
        buckets one bit away; each two buckets once, unless one side is negated."""
        own, asked = np.arange(len(keys)), keys ^ self._masked(chunk)
        yield _filled(own, starts[asked] if self._mirrors else own + 1, starts[asked + 1])
        for bit in range(chunk.width):
            flip = 1 << bit
            asking = own if self._mirrors else np.flatnonzero((asked & flip) == 0)
            bucket = asked[asking] ^ flip
            yield _filled(asking, starts[bucket], starts[bucket + 1])

    def _compare(
        self,
        number: int,
        rows: Indices,
        columns: list[tuple[Words, np.uint64]],
        own: Indices,
        low: Indices,
        high: Indices,
    ) -> Pairs:
        counts = high - low
        ends = np.cumsum(counts)
        others = np.arange(ends[-1]) + np.repeat(low - (ends - counts), counts)
        apart = np.zeros(len(others), np.uint8)
        for column, mask in columns:
            apart += np.bitwise_count(np.repeat(column[own] ^ mask, counts) ^ column[others])
        near = np.flatnonzero(apart <= self._radius)
        a, b = rows[np.repeat(own, counts)[near]], rows[others[near]]
        if self._mirrors:
            a, b = a[a < b], b[a < b]
        bits = self._distance(a, b)
        kept = bits <= self._radius
        a, b, bits = a[kept], b[kept], bits[kept]
        new = np.ones(len(a), bool)
        for chunk in self._chunks[:number]:
            differ = self._keys(chunk, self._bytes[a]) ^ self._keys(chunk, self._bytes[b]) ^ self._masked(chunk)
            new &= np.bitwise_count(differ) > 1
        return _ordered(a[new], b[new], bits[new])

    def _distance(self, a: Indices, b: Indices) -> Indices:
        differ = self._words[a] ^ self._words[b] ^ self._mask
        return np.bitwise_count(differ).sum(axis=1, dtype=np.int64)

    def _masked(self, chunk: _Chunk) -> int:
        return int(self._keys(chunk, self._mask.view(np.uint8)[None])[0])

    @staticmethod
    def _keys(chunk: _Chunk, hashes: NDArray[np.uint8]) -> Indices:
        """The bits of one chunk of hashes (n, 32) as numbers, int64 (n,)."""
        start, end = chunk.start // 8, (chunk.start + chunk.width + 7) // 8
        value = np.zeros(len(hashes), np.int64)
        for byte in range(start, end):
            value = (value << 8) | hashes[:, byte]
        return (value >> (8 * end - chunk.start - chunk.width)) & ((1 << chunk.width) - 1)


def _chunks(radius: int) -> list[_Chunk]:
    """Disjoint chunks, one more than half the radius: if each differed in two bits or more, the hashes would in more
    than `radius`. Where a chunk is too wide for a table its first bits alone are used, which only finds more."""
    count = radius // 2 + 1
    edges = [round(BITS * i / count) for i in range(count + 1)]
    return [_Chunk(a, min(b - a, _WIDEST)) for a, b in pairwise(edges)]


def _filled(own: Indices, low: Indices, high: Indices) -> tuple[Indices, Indices, Indices]:
    there = np.flatnonzero(high > low)
    return own[there], low[there], high[there]


def _task(function: Callable[..., Pairs], *arguments: object) -> Callable[[], Pairs]:
    return lambda: function(*arguments)


def _ordered(a: Indices, b: Indices, bits: Indices) -> Pairs:
    return Pairs(np.minimum(a, b), np.maximum(a, b), bits)


def _some(pairs: Pairs) -> Iterator[Pairs]:
    if len(pairs.first):
        yield pairs
