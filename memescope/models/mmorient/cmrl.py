"""Cross-modal relation learning (MM-ORIENT, arXiv 2508.16300, section 4.5): four graphs, GraphSAGE over each.

    graph M1-M2   nodes are the memes' vectors of modality M1; two are joined where the cosine of their vectors of M2
                  passes the graph's threshold; each node is joined to itself
    SAGE          x'_i = W_1 mean_{j in N(i)} x_j + b + W_2 x_i       then x' / |x'|
    output        image-image (+) text-text (+) image-text (+) text-image

The second modality decides who hears whom, and its numbers go no further: no product of the two is formed. As released
(Spektral's GraphSageConv(512)): one layer, mean aggregation, no activation, own edge included, output of length 1.
Here it is torch-geometric's `SAGEConv`, which is the same with its two matrices apart.

Shape letters: `b` memes that are answered, `o` other memes that they may hear (support set, sampled neighbours), `d`
width of a graph's output, `E` edges.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch_geometric.nn import SAGEConv

from memescope.models.mmorient.graph import Graph, build

Vectors = Mapping[str, Tensor]
"""Pooled vectors of some memes by modality: "text" (b, p), "image" (b, q)."""
Edges = Mapping[str, Tensor]
"""Graph -> (2, E): from (the answered memes, then the others) to the answered memes; own edges are not in it."""


class Cmrl(nn.Module):
    """The graphs that there are, each with its own layer."""

    def __init__(self, widths: Mapping[str, int], graphs: list[str], width: int, normalise: bool = True) -> None:
        super().__init__()
        self.graphs = list(graphs)
        self.layers = nn.ModuleDict(
            {name: SAGEConv(widths[nodes_of(name)], width, aggr="mean", normalize=normalise) for name in graphs}
        )
        self.width = width * len(graphs)

    def forward(self, vectors: Vectors, edges: Edges, others: Vectors | None = None) -> Tensor:
        """(b, graphs * d): each meme's vectors renewed from those it is joined to."""
        found = []
        for name in self.graphs:
            own = vectors[nodes_of(name)]
            heard = own if others is None else torch.cat([own, others[nodes_of(name)].to(own.dtype)])
            loops = torch.arange(len(own), device=own.device).expand(2, -1)
            joined = torch.cat([edges[name].to(own.device), loops], 1)
            found.append(self.layers[name]((heard, own), joined))
        return torch.cat(found, -1)


def nodes_of(graph: str) -> str:
    """The modality whose vectors are a graph's nodes."""
    return graph.split("-")[0]


def edges_of(graph: str) -> str:
    """The modality whose likeness makes a graph's edges."""
    return graph.split("-")[1]


def relate(vectors: Vectors, thresholds: Mapping[str, float], against: Vectors | None = None) -> dict[str, Graph]:
    """The graph of each threshold: among the memes given, or from the memes of a support set to them."""
    return {
        name: build(
            vectors[edges_of(name)].detach().cpu().float(),
            threshold=threshold,
            against=None if against is None else against[edges_of(name)].detach().cpu().float(),
        )
        for name, threshold in thresholds.items()
    }


def edges_among(vectors: Vectors, thresholds: Mapping[str, float]) -> dict[str, Tensor]:
    """The edges of a batch, as published: every meme may hear every other."""
    return {name: graph.edge_index() for name, graph in relate(vectors, thresholds).items()}


def edges_from(vectors: Vectors, thresholds: Mapping[str, float], support: Vectors) -> dict[str, Tensor]:
    """The edges from a support set to memes that do not hear each other; senders are counted behind the memes."""
    found = {}
    for name, graph in relate(vectors, thresholds, support).items():
        senders, receivers = graph.edge_index()
        found[name] = torch.stack([senders + len(vectors["text"]), receivers])
    return found
