"""Neighbours drawn from a relation graph, hop by hop: GraphSAGE's mini-batches (Hamilton et al. 2017, algorithm 2).

A step then costs what its batch and the fanout say, however large the graph. Own, from CSR: the sampler of
torch-geometric needs libraries that the package index does not have.

Shape letters: `b` asked nodes, `s` nodes of the sample, `e` edges, `h` hops.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from memescope.errors import UsageError

if TYPE_CHECKING:
    from memescope.models.mmorient.graph import Graph


_MIX = (np.uint64(0x9E3779B97F4A7C15), np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB))
_ROW_BITS = 24


@dataclass(frozen=True)
class Sampled:
    """Some nodes of a graph and edges among them, both numbered anew.

    `nodes` (s,) int64: numbers in the graph; the asked ones first, in their order, then those that each hop added,
    ascending. `edge_index` (2, e) int64: places in `nodes` of sender and receiver. `weights` (e,) float32.
    `nodes_of` (h + 1 numbers) and `edges_of` (h): how many nodes are within 0 ... h hops and how many edges lead to
    the nodes within 0 ... h - 1, so that the last of h layers needs the first `edges_of[0]` edges and gives the first
    `nodes_of[0]` nodes.
    """

    nodes: Tensor
    edge_index: Tensor
    weights: Tensor
    nodes_of: tuple[int, ...]
    edges_of: tuple[int, ...]

    @property
    def asked(self) -> int:
        """How many nodes were asked for."""
        return self.nodes_of[0]


def neighbours(graph: Graph, nodes: Tensor, fanout: int | Sequence[int], seed: int) -> Sampled:
    """At most `fanout` senders for each of `nodes` (b,), uniform without replacement; all of them for -1.

    A sequence of fanouts is one for each hop: senders of the nodes asked for, then of those that were new, and so on.
    What a node draws depends on the seed, the hop and the node alone, not on the others of its batch. Raises
    `UsageError` for nodes that the graph does not have or that come twice, for other fanouts, and for a graph from a
    support set, whose senders have no edges of their own.
    """
    fanouts = [fanout] if isinstance(fanout, int) else list(fanout)
    if graph.bipartite:
        raise UsageError("sampling: expected a graph over one set of memes, found one from a support set")
    if not fanouts or any(one < 1 and one != -1 for one in fanouts):
        raise UsageError(f"sampling: expected fanouts of 1 or more, or -1 for all, found {fanouts}")
    frontier = nodes.numpy().astype(np.int64)
    known, places = np.unique(frontier, return_index=True)
    if len(known) < len(frontier):
        raise UsageError("sampling: expected each node once")
    if len(known) and not 0 <= known[0] <= known[-1] < graph.nodes:
        raise UsageError(f"sampling: expected nodes from 0 to {graph.nodes - 1}, found {known[0]} to {known[-1]}")
    indptr, indices = graph.indptr.numpy(), graph.indices.numpy()
    found, senders, receivers, edges = [frontier], [], [], []
    nodes_of, edges_of = [len(frontier)], [0]
    for hop, most in enumerate(fanouts):
        chosen, owner = _draw(indptr, indices, frontier, most, seed, hop)
        first = nodes_of[-1] - len(frontier)
        receivers.append(first + owner)
        edges.append(chosen)
        drawn = indices[chosen]
        frontier = np.setdiff1d(drawn, known)
        at = np.searchsorted(known, frontier)
        places = np.insert(places, at, nodes_of[-1] + np.arange(len(frontier)))
        known = np.insert(known, at, frontier)
        senders.append(places[np.searchsorted(known, drawn)])
        found.append(frontier)
        nodes_of.append(nodes_of[-1] + len(frontier))
        edges_of.append(edges_of[-1] + len(chosen))
    edge_index = np.stack([np.concatenate(senders), np.concatenate(receivers)])
    return Sampled(
        torch.from_numpy(np.concatenate(found)),
        torch.from_numpy(edge_index),
        graph.weights[torch.from_numpy(np.concatenate(edges))],
        tuple(nodes_of),
        tuple(edges_of[1:]),
    )


def _draw(
    indptr: np.ndarray, indices: np.ndarray, rows: np.ndarray, most: int, seed: int, hop: int
) -> tuple[np.ndarray, np.ndarray]:
    """Places of the chosen edges, and for each the place of its row in `rows`; row by row, senders ascending.

    Each edge draws a number from seed, hop and its two ends; the `most` smallest of a row are chosen.
    """
    starts, degrees = indptr[rows], indptr[rows + 1] - indptr[rows]
    owner = np.repeat(np.arange(len(rows)), degrees)
    edges = np.arange(len(owner)) + np.repeat(starts - (np.cumsum(degrees) - degrees), degrees)
    if most == -1 or not (degrees > most).any():
        return edges, owner
    ends = _mixed(rows.astype(np.uint64) + _mixed(np.array([seed & (2**64 - 1), hop], np.uint64)).sum(dtype=np.uint64))
    drawn = _mixed(ends[owner] ^ indices[edges].astype(np.uint64))
    order = np.argsort(owner.astype(np.uint64) << np.uint64(64 - _ROW_BITS) | drawn >> np.uint64(_ROW_BITS))
    rank = np.arange(len(owner)) - np.repeat(np.cumsum(degrees) - degrees, degrees)
    kept = np.sort(order[rank < most])
    return edges[kept], owner[kept]


def _mixed(numbers: np.ndarray) -> np.ndarray:
    """Each uint64 turned into one that looks random (splitmix64; Steele, Lea and Flood 2014)."""
    mixed = numbers + _MIX[0]
    mixed = (mixed ^ mixed >> np.uint64(30)) * _MIX[1]
    mixed = (mixed ^ mixed >> np.uint64(27)) * _MIX[2]
    return mixed ^ mixed >> np.uint64(31)


def gather(graphs: Mapping[str, Graph], nodes: Tensor, fanout: int, seed: int) -> tuple[Tensor, dict[str, Tensor]]:
    """A training step's batch of `nodes` (b,) in graphs over all training memes, one hop, each graph sampled by itself.

    Gives the memes that are heard beyond the batch (o,), ascending, and for each graph its edges (2, e): senders among
    the batch and then those others, receivers in the batch. It is what `MmOrient.forward` takes as `edges`, with the
    others' vectors. Graphs differ in what they draw. Errors are those of `neighbours`.
    """
    drawn = {
        name: neighbours(graph, nodes, fanout, seed + (number << 32))
        for number, (name, graph) in enumerate(graphs.items())
    }
    beyond = [sampled.nodes[sampled.asked :] for sampled in drawn.values()]
    others = torch.unique(torch.cat(beyond)) if beyond else torch.zeros(0, dtype=torch.int64)
    edges = {}
    for name, sampled in drawn.items():
        # places in the sample become places in the batch, followed by the others of all graphs
        place = torch.arange(len(sampled.nodes))
        place[sampled.asked :] = len(nodes) + torch.searchsorted(others, sampled.nodes[sampled.asked :])
        edges[name] = place[sampled.edge_index]
    return others, edges
