"""What a relation graph looks like: density, degrees, pieces; and a warning where it cannot do its work.

A graph with no edges passes nothing on, and one with nearly all of them gives every meme the same mean: the seed's
failure signatures (threshold too high, threshold too low).
"""

from __future__ import annotations

from typing import Any

import numpy as np

MOSTLY = 0.5
"""Share of memes without an edge from which that is warned about."""
FULL = 0.05
"""Sparsity at and below which a graph is as good as complete."""


def describe(indptr: np.ndarray, indices: np.ndarray, senders: int, bipartite: bool) -> dict[str, Any]:
    """`nodes`, `senders`, `edges` (directed), `sparsity` (share of the possible edges that are absent, None where none
    is possible), `degree` (`mean, min, q25, median, q75, max` of edges received), `isolated` (receive none),
    `components` and `largest_component` (directions ignored; None with a support set), `warnings`.

    An edge from a meme to itself counts for the degree and not for sparsity.
    """
    nodes, edges = len(indptr) - 1, len(indices)
    degrees = np.diff(indptr)
    possible = nodes * senders if bipartite else nodes * (nodes - 1)
    loops = 0 if bipartite else int((indices == np.repeat(np.arange(nodes), degrees)).sum())
    found: dict[str, Any] = {
        "nodes": nodes,
        "senders": senders,
        "edges": edges,
        "sparsity": 1 - (edges - loops) / possible if possible else None,
        "degree": _degrees(degrees),
        "isolated": int((degrees == 0).sum()),
        "components": None,
        "largest_component": None,
    }
    if not bipartite and nodes:
        found["components"], found["largest_component"] = _pieces(indptr, indices)
    return found | {"warnings": _warnings(found, edges - loops)}


def _degrees(degrees: np.ndarray) -> dict[str, float]:
    names = ("min", "q25", "median", "q75", "max")
    values = np.quantile(degrees, (0, 0.25, 0.5, 0.75, 1)).tolist() if len(degrees) else [0.0] * 5
    return {"mean": float(degrees.mean()) if len(degrees) else 0.0} | dict(zip(names, values, strict=True))


def _pieces(indptr: np.ndarray, indices: np.ndarray) -> tuple[int, int]:
    from scipy.sparse import csr_array
    from scipy.sparse.csgraph import connected_components

    nodes = len(indptr) - 1
    matrix = csr_array((np.ones(len(indices), bool), indices, indptr), shape=(nodes, nodes))
    count, piece = connected_components(matrix, directed=True, connection="weak")
    return int(count), int(np.bincount(piece).max())


def _warnings(found: dict[str, Any], edges: int) -> list[str]:
    nodes, sparsity = found["nodes"], found["sparsity"]
    if sparsity is None:
        return []
    if edges == 0:
        return ["disconnected: no edges, so the graph passes nothing on; lower its threshold"]
    if sparsity <= 0:
        return ["complete: every meme receives the mean of all others; raise its threshold"]
    if sparsity <= FULL:
        return [f"nearly complete: {1 - sparsity:.0%} of all pairs are joined; raise its threshold"]
    if found["isolated"] > MOSTLY * nodes:
        return [f"mostly disconnected: {found['isolated']} of {nodes} memes have no edge; lower its threshold"]
    return []
