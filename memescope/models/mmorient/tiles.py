"""Cosines of many vectors in tiles: those above a threshold, and each row's nearest. What `graph.build` is made of.

Tiles are `torch.mm` into one buffer that stays in the processor's cache; of a tile only the pairs above the threshold
are taken out, as their place in the tile and their cosine, 8 bytes a pair. A symmetric graph needs the tiles on and
above the diagonal. They come in an order in which each row meets its neighbours in ascending order, so that the rows
of the final arrays are filled without sorting.

Shape letters: `n` rows, `m` columns, `w` width, `e` edges, `k` nearest.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from memescope.errors import UsageError

DOUBT = 1e-5
"""Cosines nearer to a threshold than this are computed again in float64. Float32's error was below 1e-6 wherever it
was measured (widths to 2048)."""
SPARE = 16
"""Nearest ones looked at again in float64 beyond those asked for."""
_NOT = -2.0
_AT_ONCE = 1 << 18
"""Numbers in one float64 computation: 2 MB."""


class Vectors:
    """Vectors (n, w) of any scale: `unit` (n, w) float32 of length 1, and exact cosines on demand.

    Raises `UsageError` for another shape and for numbers that are not finite; `what` names them.
    """

    def __init__(self, vectors: Tensor, what: str) -> None:
        if vectors.ndim != 2:
            raise UsageError(f"graph: expected {what} of shape (n, w), found {tuple(vectors.shape)}")
        self._raw = vectors.detach().cpu().numpy()
        self._raw = self._raw if self._raw.dtype == np.float64 else self._raw.astype(np.float32, copy=False)
        self.count, self.width = self._raw.shape
        self.unit = torch.empty(self.count, self.width)
        step = max(1, _AT_ONCE // max(1, self.width))
        for start in range(0, self.count, step):
            some = self.exact(np.arange(start, min(start + step, self.count)))
            if not np.isfinite(some).all():
                raise UsageError(f"graph: {what} hold numbers that are not finite")
            self.unit[start : start + step] = torch.from_numpy(some)

    def exact(self, rows: np.ndarray) -> np.ndarray:
        """Some rows in float64, scaled to length 1; those of length 0 stay so."""
        some = self._raw[rows].astype(np.float64)
        length = np.sqrt(np.einsum("nw,nw->n", some, some))
        return some / np.where(length > 0, length, 1)[:, None]

    def cosines(self, rows: np.ndarray, other: Vectors, columns: np.ndarray) -> np.ndarray:
        """float64 cosines of pairs: the same for the same two vectors, whatever else is asked."""
        found = np.empty(len(rows))
        step = max(1, _AT_ONCE // max(1, self.width))
        for start in range(0, len(rows), step):
            part = slice(start, start + step)
            found[part] = np.einsum("nw,nw->n", self.exact(rows[part]), other.exact(columns[part]))
        return found


@dataclass(frozen=True, slots=True)
class Found:
    """Pairs of one tile, row by row: `flat` (e,) int32 places in a tile of `wide` columns, `cosines` (e,) float32."""

    top: int
    left: int
    wide: int
    flat: np.ndarray
    cosines: np.ndarray

    @property
    def rows(self) -> np.ndarray:
        """(e,) int64 row numbers."""
        return self.top + self.flat.astype(np.int64) // self.wide

    @property
    def columns(self) -> np.ndarray:
        """(e,) int64 column numbers."""
        return self.left + self.flat.astype(np.int64) % self.wide

    def over(self, threshold: float, rows: Vectors, columns: Vectors) -> Found:
        """The pairs that are above the threshold; those close to it are computed again in float64."""
        keep = self.cosines > threshold
        close = np.flatnonzero(np.abs(self.cosines - threshold) <= DOUBT)
        if len(close):
            keep[close] = rows.cosines(self.rows[close], columns, self.columns[close]) > threshold
        return replace(self, flat=self.flat[keep], cosines=self.cosines[keep])


def above(rows: Vectors, columns: Vectors, threshold: float, block: int) -> Iterator[Found]:
    """Pairs whose cosine is above `threshold`, tile by tile; decided in float64 where it is close.

    With the same object twice, the pairs of different rows, each once (row < column).
    """
    same = rows is columns
    buffer = torch.empty(min(block, rows.count) * min(block, columns.count))
    for top in range(0, rows.count, block):
        left_part = rows.unit[top : top + block]
        for left in range(top if same else 0, columns.count, block):
            right_part = columns.unit[left : left + block]
            tall, wide = len(left_part), len(right_part)
            tile = buffer[: tall * wide].view(tall, wide)
            torch.mm(left_part, right_part.T, out=tile)
            cosines = tile.numpy().ravel()
            flat = np.flatnonzero(cosines > threshold - DOUBT)
            if same and top == left:
                flat = flat[flat // wide < flat % wide]
            found = Found(top, left, wide, flat.astype(np.int32), cosines[flat]).over(threshold, rows, columns)
            if len(found.flat):
                yield found


def assemble(found: list[Found], rows: int, mirrored: bool) -> tuple[Tensor, Tensor, Tensor]:
    """`indptr`, `indices`, `weights` of a `Graph` over `rows`, `mirrored` with both ways; the list is emptied."""
    degrees = np.zeros(rows, np.int64)
    for one in found:
        _count(degrees, one.rows)
        if mirrored:
            _count(degrees, one.columns)
    indptr = np.concatenate([[0], np.cumsum(degrees)])
    del degrees
    indices, weights = np.empty(indptr[-1], np.int64), np.empty(indptr[-1], np.float32)
    cursor = indptr[:-1].copy()
    # Of a tile the mirrored pairs come first: a row meets those before it in tiles above its own, then in its own.
    found.reverse()
    while found:
        one = found.pop()
        tile_rows, tile_columns = one.rows, one.columns
        if mirrored:
            order = np.argsort(tile_columns, kind="stable")
            _put(cursor, tile_columns[order], tile_rows[order], one.cosines[order], indices, weights)
        _put(cursor, tile_rows, tile_columns, one.cosines, indices, weights)
    return torch.from_numpy(indptr), torch.from_numpy(indices), torch.from_numpy(weights)


def _count(degrees: np.ndarray, rows: np.ndarray) -> None:
    first = int(rows.min())
    counts = np.bincount(rows - first)
    degrees[first : first + len(counts)] += counts


def _put(
    cursor: np.ndarray,
    rows: np.ndarray,
    columns: np.ndarray,
    cosines: np.ndarray,
    indices: np.ndarray,
    weights: np.ndarray,
) -> None:
    """Append pairs, `rows` ascending, to their rows' parts of `indices` and `weights`."""
    first = int(rows[0])
    counts = np.bincount(rows - first)
    starts = np.concatenate([[0], np.cumsum(counts)[:-1]])
    place = cursor[rows] + np.arange(len(rows)) - starts[rows - first]
    indices[place], weights[place] = columns, cosines
    cursor[first : first + len(counts)] += counts


def nearest(rows: Vectors, columns: Vectors, k: int, block: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Each row's `k` nearest columns, ascending: how many (n,), their numbers (e,) int64 and cosines (e,) float32.

    Fewer where there are fewer. No row is its own, and vectors of length zero are near to nothing. The order is decided
    in float64 among `SPARE` more than asked for; of equals the first columns.
    """
    same = rows is columns
    wanted = min(k + SPARE + same, columns.count)
    nothing = torch.from_numpy(np.flatnonzero(~columns.unit.numpy().any(axis=1)))
    counts, numbers, cosines = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)], [np.zeros(0, np.float32)]
    for top in range(0, rows.count, block):
        part = rows.unit[top : top + block]
        best, where = torch.empty(len(part), 0), torch.empty(len(part), 0, dtype=torch.int64)
        for left in range(0, columns.count, block):
            tile = part @ columns.unit[left : left + block].T
            tile[:, nothing[(nothing >= left) & (nothing < left + block)] - left] = _NOT
            if same and top == left:
                tile.fill_diagonal_(_NOT)
            some, places = tile.topk(min(wanted, tile.shape[1]), dim=1)
            best, where = torch.cat([best, some], dim=1), torch.cat([where, places + left], dim=1)
            best, kept = best.topk(min(wanted, best.shape[1]), dim=1)
            where = where.gather(1, kept)
        candidates = where.numpy()
        here = np.repeat(np.arange(top, top + len(part)), candidates.shape[1])
        exact = rows.cosines(here, columns, candidates.ravel()).reshape(candidates.shape)
        nowhere = ~np.asarray(part.numpy().any(axis=1))
        exact[(best.numpy() == _NOT) | nowhere[:, None]] = _NOT
        # Rounded, so that copies of one vector are equals whatever their last bits say.
        order = np.lexsort((candidates, -np.round(exact, 12)), axis=1)[:, :k]
        chosen = np.take_along_axis(candidates, order, 1)
        ascending = np.argsort(chosen, axis=1)
        chosen = np.take_along_axis(chosen, ascending, 1)
        values = np.take_along_axis(exact, np.take_along_axis(order, ascending, 1), 1)
        there = np.asarray(values > _NOT)
        counts.append(there.sum(axis=1))
        numbers.append(chosen[there])
        cosines.append(values[there].astype(np.float32))
    return np.concatenate(counts), np.concatenate(numbers), np.concatenate(cosines)
