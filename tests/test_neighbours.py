"""All pairs of hashes within a radius: exactly those that comparing each with each finds, in either way of looking."""

from __future__ import annotations

import itertools
import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from memescope.curation import neighbours
from memescope.curation.neighbours import first_equal, near_pairs

BY_CHUNKS, BY_SWEEP = {"_FEW": 0, "_DEAR": 0}, {"_FEW": 10**9}


def found(hashes: np.ndarray, radius: int, **options: object) -> dict[tuple[int, int], int]:
    """Pairs with their bits; each must come once."""
    pairs: dict[tuple[int, int], int] = {}
    for batch in near_pairs(hashes, radius, **options):  # type: ignore[arg-type]
        for a, b, bits in zip(*(part.tolist() for part in batch), strict=True):
            assert a < b
            assert (a, b) not in pairs
            pairs[a, b] = bits
    return pairs


def expected(hashes: np.ndarray, radius: int, mask: np.ndarray | None = None) -> dict[tuple[int, int], int]:
    first: dict[bytes, int] = {}
    stands = [first.setdefault(row.tobytes(), i) for i, row in enumerate(hashes)]
    pairs = {}
    negated = np.zeros(32, np.uint8) if mask is None else mask
    for b in range(len(hashes)):
        if stands[b] != b:
            pairs[stands[b], b] = 0
            continue
        for a in range(b):
            bits = sum(int(x).bit_count() for x in hashes[a] ^ hashes[b] ^ negated)
            if stands[a] == a and bits <= radius:
                pairs[a, b] = bits
    return pairs


def families(seed: int, count: int, spread: int) -> np.ndarray:
    """`count` hashes around a few centres, up to `spread` bits from them, some equal, some mirrored."""
    rng = np.random.default_rng(seed)
    centres = rng.integers(0, 256, (max(1, count // 6), 32), dtype=np.uint8)
    rows = centres[rng.integers(0, len(centres), count)]
    for row in rows:
        flipped = np.zeros(256, np.uint8)
        flipped[rng.choice(256, rng.integers(0, spread + 1), replace=False)] = 1
        row ^= np.packbits(flipped)
    return rows


@pytest.mark.parametrize("way", [BY_CHUNKS, BY_SWEEP], ids=["chunks", "sweep"])
@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    count=st.integers(0, 40),
    spread=st.integers(0, 40),
    radius=st.sampled_from([0, 1, 2, 12, 24, 31, 32, 63, 255]),
    masked=st.booleans(),
    workers=st.integers(1, 3),
)
def test_as_comparing_each_with_each(way, seed, count, spread, radius, masked, workers) -> None:  # type: ignore[no-untyped-def]
    hashes = families(seed, count, spread)
    mask = np.random.default_rng(seed).integers(0, 256, 32, dtype=np.uint8) if masked else None
    if masked and count > 1:
        hashes[0] = hashes[1] ^ mask  # one that only the negated comparison finds
    with pytest.MonkeyPatch.context() as patch:
        for name, value in way.items():
            patch.setattr(neighbours, name, value)
        assert found(hashes, radius, mask=mask, workers=workers) == expected(hashes, radius, mask)


@pytest.mark.parametrize("radius", [0, 1, 12, 24, 31])
def test_the_edge_of_the_radius(radius: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """The worst case: the differing bits are spread so that every chunk but one has two of them."""
    for name, value in BY_CHUNKS.items():
        monkeypatch.setattr(neighbours, name, value)
    base = np.random.default_rng(radius).integers(0, 256, 32, dtype=np.uint8)
    for bits, is_near in ((radius, True), (radius + 1, False)):
        flipped = np.zeros(256, np.uint8)
        chunks = neighbours._chunks(radius)
        places = [chunk.start + 9 * k for k in range(2) for chunk in chunks][:bits]
        flipped[places] = 1
        pair = np.stack([base, base ^ np.packbits(flipped)])
        assert found(pair, radius) == ({(0, 1): bits} if is_near else {})


def test_chunks_are_disjoint_and_enough() -> None:
    for radius in range(256):
        chunks = neighbours._chunks(radius)
        # with two bits in each chunk a pair is further apart than the radius
        assert 2 * len(chunks) > radius
        assert all(a.start + a.width <= b.start for a, b in itertools.pairwise(chunks))
        assert all(chunk.width >= 1 for chunk in chunks)
        assert chunks[-1].start + chunks[-1].width <= 256


def test_full_buckets_are_swept_and_nothing_is_lost() -> None:
    """A third of the hashes share a chunk each: they are compared with all, the others by chunks; both find both."""
    rng = np.random.default_rng(3)
    hashes = rng.integers(0, 256, (9000, 32), dtype=np.uint8)
    hashes[:3000, :20] = 7  # ten chunks with one value
    hashes[4000:4050] = hashes[5000:5050]
    hashes[4000:4050, 3] ^= 0b1001
    hashes[100:150] = hashes[200:250]
    hashes[100:150, 31] ^= 0b11
    join = neighbours._Join(hashes.view(np.uint64), 31, np.zeros(4, np.uint64))
    assert 2900 < join._dear().sum() < 3200
    words, reference = hashes.view(np.uint64), {}
    for a in range(len(words)):
        bits = np.bitwise_count(words[a] ^ words[a + 1 :]).sum(axis=1, dtype=int)
        reference |= {(a, a + 1 + int(b)): int(bits[b]) for b in np.flatnonzero(bits <= 31)}
    assert len(reference) >= 100
    assert found(hashes, 31) == reference


def test_many_equal_hashes_stay_few_pairs() -> None:
    """200,000 hashes of which all but two are equal: each comes once, and memory stays small."""
    hashes = np.zeros((200_000, 32), np.uint8)
    hashes[70_000, 0], hashes[150_000] = 1, 255
    tracemalloc.start()
    pairs = found(hashes, 31)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(pairs) == 200_000 - 3 + 1
    assert pairs[0, 70_000] == 1
    assert all(a == 0 for a, _ in pairs)
    assert peak < 150 << 20  # all pairs would be 20 thousand million


def test_first_equal() -> None:
    rows = np.array([[5] * 32, [1] * 32, [5] * 32, [1] * 31 + [2], [1] * 32], np.uint8)
    assert first_equal(rows).tolist() == [0, 1, 0, 3, 1]
    assert first_equal(rows[:0]).tolist() == []


def test_wrong_input_is_named() -> None:
    with pytest.raises(ValueError, match=r"expected uint8 \(rows, 32\), found uint8 \(2, 31\)"):
        list(near_pairs(np.zeros((2, 31), np.uint8)))
    with pytest.raises(ValueError, match="radius: expected 0 to 255 bits, found 256"):
        list(near_pairs(np.zeros((2, 32), np.uint8), 256))
