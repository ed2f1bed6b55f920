"""Relation graphs of MM-ORIENT (arXiv:2508.16300, section 4.5; CMRL): memes joined where vectors of them are alike.

An edge is drawn where the cosine of two memes' vectors is *above* a threshold (the authors' model.py; 0.9 on CLIP's
vectors). Encoders differ in where their cosines live, so a threshold can also be named by the share of pairs it leaves
out, and each meme's nearest `top_k` can be taken instead. The vectors decide about edges only: what travels along them
is the other modality's business.

No N x N matrix is made (`memescope.models.mmorient.tiles`): memory is that of the vectors, one tile and the edges. A
pair so near the threshold that float32 could be wrong about it is computed again in float64, so that an edge depends on
its two vectors alone, never on the batch or the tile they came in.

Deviation: the authors' adjacency has ones on its diagonal (each vector is alike to itself). Here they are left out, so
that degrees and sparsity count relations; `Graph.with_loops` puts them back for the aggregation as published.

Shape letters: `n` memes (receivers), `m` memes of the support set (senders), `w` width of a vector, `e` edges.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from memescope.errors import UsageError
from memescope.models.mmorient.statistics import describe
from memescope.models.mmorient.thresholds import at_quantile, at_sparsity
from memescope.models.mmorient.tiles import Vectors, above, assemble, nearest

BLOCK = 512
"""Side of a tile: 1 MB of float32, of which comparing costs a fiftieth of multiplying at a width of 512."""


@dataclass(frozen=True)
class Graph:
    """Row `i` receives from `indices[indptr[i]:indptr[i + 1]]`, which ascend.

    `indptr` (n + 1,) int64; `indices` (e,) int64; `weights` (e,) float32, the cosines; `senders`, how many memes
    `indices` count over (m of a support set, else n); `bipartite`, whether there is a support set; `threshold`, which
    cosines are above (None: each meme's nearest); `estimate`, what a quantile rests on, see `build`.
    """

    indptr: Tensor
    indices: Tensor
    weights: Tensor
    senders: int
    bipartite: bool
    threshold: float | None
    estimate: dict[str, float] | None = None

    @property
    def nodes(self) -> int:
        """Memes that receive."""
        return len(self.indptr) - 1

    def rows(self) -> Tensor:
        """The receiver of each edge: (e,) int64."""
        return torch.repeat_interleave(torch.arange(self.nodes), self.indptr.diff())

    def edge_index(self) -> Tensor:
        """(2, e) int64: senders, then receivers, as torch-geometric has it."""
        return torch.stack([self.indices, self.rows()])

    def with_loops(self) -> Graph:
        """The same graph with an edge of weight 1 from each meme to itself; `UsageError` with a support set."""
        if self.bipartite:
            raise UsageError("graph: memes that are joined to a support set are not in it: no loops to add")
        own = torch.arange(self.nodes)
        rows, indices = torch.cat([self.rows(), own]), torch.cat([self.indices, own])
        order = torch.argsort(rows * self.senders + indices)
        weights = torch.cat([self.weights, torch.ones(self.nodes)])
        indptr = self.indptr + torch.arange(self.nodes + 1)
        return replace(self, indptr=indptr, indices=indices[order], weights=weights[order])

    def statistics(self) -> dict[str, Any]:
        """Counts, sparsity, degrees, components and warnings: `memescope.models.mmorient.statistics.describe`."""
        found = describe(self.indptr.numpy(), self.indices.numpy(), self.senders, self.bipartite)
        return {"threshold": self.threshold, "estimate": self.estimate} | found


def build(
    edges_from: Tensor,
    *,
    threshold: float | None = None,
    quantile: float | None = None,
    sparsity: float | None = None,
    top_k: int | None = None,
    block: int = BLOCK,
    against: Tensor | None = None,
) -> Graph:
    """The graph over memes whose vectors are `edges_from` (n, w), or from a support set `against` (m, w) to them.

    Exactly one of:

    - `threshold`: edges where the cosine is above it.
    - `quantile` q, 0 <= q < 1: above the cosine that a share q of the pairs does not pass. Of all pairs where there
      are at most four million, else of a sample: `Graph.estimate` has how many pairs were looked at and the standard
      error of the share.
    - `sparsity` s, 0 <= s <= 1: as many edges as leave a share s of the pairs without one; counted, not estimated.
      Where equal cosines forbid that many, fewer.
    - `top_k`: each meme receives from its k nearest, which is not symmetric. Of equally near ones the first (of more
      than 16 of them, any). Vectors of length zero are near to nothing.

    A graph by threshold is symmetric, unless `against` is given. To answer memes, give `threshold` or `top_k` with
    `against`: the other two depend on the whole batch. Vectors of length zero (no picture, no text) are
    at cosine 0 to all. Raises `UsageError` for anything else.
    """
    given = {"threshold": threshold, "quantile": quantile, "sparsity": sparsity, "top_k": top_k}
    asked = [name for name, value in given.items() if value is not None]
    if len(asked) != 1:
        raise UsageError(f"graph: expected exactly one of {', '.join(given)}, found {', '.join(asked) or 'none'}")
    if block < 1:
        raise UsageError(f"graph: expected a block of 1 or more, found {block}")
    rows = Vectors(edges_from, "edges_from")
    columns = rows if against is None else Vectors(against, "against")
    if rows.width != columns.width:
        raise UsageError(f"graph: vectors of width {rows.width} against a support set of width {columns.width}")
    if top_k is not None:
        return _nearest(rows, columns, top_k, block)
    if sparsity is not None:
        cut, found = at_sparsity(rows, columns, sparsity, block)
        return _graph(found, rows, columns, cut)
    estimate = None
    if quantile is not None:
        threshold, estimate = at_quantile(rows, columns, quantile)
    assert threshold is not None
    if not -1 <= threshold <= 1:
        raise UsageError(f"graph: expected a threshold from -1 to 1, found {threshold:g}")
    found = list(above(rows, columns, float(threshold), block))
    return _graph(found, rows, columns, float(threshold), estimate)


def _graph(
    found: list[Any], rows: Vectors, columns: Vectors, threshold: float, estimate: dict[str, float] | None = None
) -> Graph:
    arrays = assemble(found, rows.count, mirrored=rows is columns)
    return Graph(*arrays, columns.count, rows is not columns, threshold, estimate)


def _nearest(rows: Vectors, columns: Vectors, top_k: int, block: int) -> Graph:
    if top_k < 1:
        raise UsageError(f"graph: expected top_k of 1 or more, found {top_k}")
    counts, numbers, cosines = nearest(rows, columns, top_k, block)
    indptr = torch.from_numpy(np.concatenate([[0], np.cumsum(counts)]).astype(np.int64))
    arrays = indptr, torch.from_numpy(numbers), torch.from_numpy(cosines)
    return Graph(*arrays, columns.count, rows is not columns, None)
