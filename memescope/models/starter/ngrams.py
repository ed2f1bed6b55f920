"""Hashed word and character n-grams: names, slang, spelling and other scripts stay visible.

A text is casefolded and cut into words (runs of letters and digits). Counted are single words and pairs of neighbouring
words, and runs of 2 to 5 characters inside each word with its borders. Each n-gram falls into one of `2**bits` buckets
by a fixed 64-bit mix (the finaliser of MurmurHash3), the same on every machine. After Weinberger et al., "Feature
Hashing for Large Scale Multitask Learning", ICML 2009, without the sign.

Shape letters: b texts, n buckets.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_WORD = re.compile(r"\w+")
_BORDER = 0x20
_BASE = np.uint64(0x9E3779B97F4A7C15)
_CHAR_SIZES = (2, 3, 4, 5)
_MAX_CHARACTERS = 4000


@dataclass(frozen=True)
class SparseRows:
    """Rows of a sparse matrix: row i has `values[s:e]` in columns `columns[s:e]`, s, e = `starts[i : i + 2]`."""

    columns: NDArray[np.int64]
    values: NDArray[np.float32]
    starts: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.starts) - 1

    def dot(self, dense: NDArray[np.float32]) -> NDArray[np.float32]:
        """The product with a dense (n, k) matrix, (b, k) float32. Each row by itself, so batches do not matter."""
        out = np.zeros((len(self), dense.shape[1]), dtype=np.float32)
        for row in range(len(self)):
            here = slice(self.starts[row], self.starts[row + 1])
            out[row] = self.values[here].astype(np.float32) @ dense[self.columns[here]].astype(np.float32)
        return out


def words(text: str) -> list[str]:
    """The words that are counted, in order."""
    return [match.group() for match in _WORD.finditer(text[:_MAX_CHARACTERS].casefold())]


def _mix(values: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """MurmurHash3's 64-bit finaliser: spreads every input bit over the output."""
    values = values ^ (values >> np.uint64(33))
    values = values * np.uint64(0xFF51AFD7ED558CCD)
    values = values ^ (values >> np.uint64(33))
    values = values * np.uint64(0xC4CEB9FE1A85EC53)
    return values ^ (values >> np.uint64(33))


def _word_hashes(tokens: Sequence[str]) -> NDArray[np.uint64]:
    single = np.array([zlib.crc32(token.encode("utf-8", "surrogatepass")) for token in tokens], dtype=np.uint64)
    single = _mix(single + np.uint64(1))
    return np.concatenate([single, _mix(single[:-1] * _BASE + single[1:])])


def _character_hashes(tokens: Sequence[str]) -> NDArray[np.uint64]:
    """One hash for each run of characters that lies inside one word with its borders."""
    joined = " " + " ".join(tokens) + " "
    points = np.frombuffer(joined.encode("utf-32-le", "surrogatepass"), dtype=np.uint32).astype(np.uint64)
    border = points == _BORDER
    hashes = []
    rolling = points.copy()
    inside = np.zeros(len(points), dtype=np.int64)  # borders strictly inside the run
    for size in range(2, max(_CHAR_SIZES) + 1):
        if len(points) < size:
            break
        end = len(points) - size + 1
        rolling = rolling[:end] * _BASE + points[size - 1 :]
        if size > 2:
            inside = inside[:end] + border[size - 2 : size - 2 + end]
        else:
            inside = inside[:end]
        if size in _CHAR_SIZES:
            hashes.append(_mix(rolling[inside == 0] + np.uint64(size << 40)))
    return np.concatenate(hashes) if hashes else np.zeros(0, dtype=np.uint64)


def _row(text: str, bits: int) -> tuple[NDArray[np.int64], NDArray[np.int64], int]:
    """Sorted buckets, their counts, and how many of the n-grams are words."""
    tokens = words(text)
    if not tokens:
        return np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64), 0
    hashes = np.concatenate([_word_hashes(tokens), _character_hashes(tokens)])
    buckets, counts = np.unique((hashes & np.uint64((1 << bits) - 1)).astype(np.int64), return_counts=True)
    return buckets, counts.astype(np.int64), len(tokens)


def count(texts: Sequence[str], bits: int) -> SparseRows:
    """How often each bucket occurs in each text, dampened to 1 + ln(count); (b, 2**bits), not normalised."""
    rows = [_row(text, bits) for text in texts]
    starts = np.cumsum([0, *(len(row[0]) for row in rows)])
    columns = np.concatenate([row[0] for row in rows]) if rows else np.zeros(0, dtype=np.int64)
    counts = np.concatenate([row[1] for row in rows]) if rows else np.zeros(0, dtype=np.int64)
    return SparseRows(columns, (1 + np.log(counts)).astype(np.float32), starts.astype(np.int64))


def weigh(rows: SparseRows, idf: NDArray[np.float32]) -> SparseRows:
    """`rows` times the inverse document frequency (n,), each row of unit length (empty rows stay empty)."""
    values = rows.values * idf[rows.columns].astype(np.float32)
    squares = np.add.reduceat(np.append(values**2, 0), rows.starts[:-1]) if len(rows) else np.zeros(0)
    lengths = np.diff(rows.starts)
    norm = np.sqrt(np.where(lengths > 0, squares, 1)).astype(np.float32)
    return SparseRows(
        rows.columns, (values / np.repeat(np.maximum(norm, 1e-12), lengths)).astype(np.float32), rows.starts
    )


def document_frequency_weights(rows: SparseRows, bits: int) -> NDArray[np.float32]:
    """Smoothed inverse document frequency ln((1 + b) / (1 + df)) + 1, (2**bits,)."""
    df = np.bincount(rows.columns, minlength=1 << bits)
    return (np.log((1 + len(rows)) / (1 + df)) + 1).astype(np.float32)
