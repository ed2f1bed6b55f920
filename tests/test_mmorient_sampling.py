"""Neighbour sampling against a plain reading of the graph: which edges may be drawn, how many, how evenly."""

from __future__ import annotations

from collections import Counter

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from memescope.errors import UsageError
from memescope.models.mmorient.graph import Graph, build
from memescope.models.mmorient.sampling import Sampled, neighbours

_FANOUTS = st.lists(st.sampled_from([-1, 1, 2, 5]), min_size=1, max_size=3)


def drawn_graph(seed: int, n: int, threshold: float = 0.3) -> Graph:
    return build(torch.randn(n, 4, generator=torch.Generator().manual_seed(seed)), threshold=threshold)


def around(graph: Graph) -> list[dict[int, float]]:
    """Each node's senders with their weights."""
    found: list[dict[int, float]] = [{} for _ in range(graph.nodes)]
    for (sender, receiver), weight in zip(graph.edge_index().T.tolist(), graph.weights.tolist(), strict=True):
        found[receiver][sender] = weight
    return found


def received(sampled: Sampled) -> dict[int, list[int]]:
    """Receiver -> senders, by their numbers in the graph."""
    found: dict[int, list[int]] = {}
    for sender, receiver in sampled.nodes[sampled.edge_index].T.tolist():
        found.setdefault(receiver, []).append(sender)
    return found


@settings(max_examples=80, deadline=None)
@given(
    st.integers(0, 10**6),
    st.integers(1, 40),
    st.lists(st.sampled_from([-1, 1, 2, 5]), min_size=1, max_size=3),
    st.data(),
)
def test_every_hop_draws_what_the_graph_has(seed: int, n: int, fanouts: list[int], data: st.DataObject) -> None:
    graph = drawn_graph(seed, n)
    asked = data.draw(st.lists(st.integers(0, n - 1), unique=True))
    sampled = neighbours(graph, torch.tensor(asked, dtype=torch.int64), fanouts, seed)
    real, got = around(graph), received(sampled)
    assert sampled.nodes[: sampled.asked].tolist() == asked
    assert len(set(sampled.nodes.tolist())) == len(sampled.nodes) == sampled.nodes_of[-1]
    assert len(sampled.nodes_of) == len(fanouts) + 1
    assert sampled.edges_of[-1] == sampled.edge_index.shape[1]
    places = sampled.edge_index.T.tolist()
    for (sender, receiver), weight in zip(places, sampled.weights.tolist(), strict=True):
        assert real[int(sampled.nodes[receiver])][int(sampled.nodes[sender])] == weight
    first, begun = 0, 0
    for hop, most in enumerate(fanouts):
        frontier = sampled.nodes[first : sampled.nodes_of[hop]].tolist()
        for node in frontier:
            senders = got.get(node, [])
            assert len(set(senders)) == len(senders)
            assert len(senders) == (len(real[node]) if most == -1 else min(most, len(real[node])))
        of_hop = places[begun : sampled.edges_of[hop]]
        assert all(first <= receiver < sampled.nodes_of[hop] for _, receiver in of_hop)
        # the nodes this hop adds are those it drew and nobody had seen
        assert {s for s, _ in of_hop if s >= sampled.nodes_of[hop]} == set(
            range(sampled.nodes_of[hop], sampled.nodes_of[hop + 1])
        )
        first, begun = sampled.nodes_of[hop], sampled.edges_of[hop]


def test_a_node_draws_the_same_in_every_batch() -> None:
    graph = drawn_graph(1, 200)
    together = received(neighbours(graph, torch.arange(200), 5, seed=3))
    for node in (0, 77, 199):
        alone = received(neighbours(graph, torch.tensor([node]), 5, seed=3))
        assert alone[node] == together[node]
    other = received(neighbours(graph, torch.arange(200), 5, seed=4))
    assert sum(other[i] != together[i] for i in together) > 150


def test_draws_are_uniform() -> None:
    """Each of 20 senders is drawn in a quarter of 2000 seeds; pairs of them in 5/20 x 4/19."""
    graph = build(torch.ones(21, 2), threshold=0.5)
    single: Counter[int] = Counter()
    pairs: Counter[tuple[int, int]] = Counter()
    for seed in range(2000):
        senders = received(neighbours(graph, torch.tensor([7]), 5, seed))[7]
        single.update(senders)
        pairs.update((a, b) for a in senders for b in senders if a < b)
    assert len(single) == 20
    expected = 2000 * 5 / 20
    chi = sum((count - expected) ** 2 / expected for count in single.values())
    assert chi < 45  # 19 degrees of freedom, less for a fixed total: far beyond the 99.9 % point
    expected = 2000 * 5 * 4 / (20 * 19)
    assert len(pairs) == 190
    assert sum((count - expected) ** 2 / expected for count in pairs.values()) < 280


def test_hops_do_not_draw_alike() -> None:
    graph = build(torch.ones(60, 2), threshold=0.5)
    first = received(neighbours(graph, torch.tensor([0]), [3, 3], seed=0))
    node = first[0][0]
    assert received(neighbours(graph, torch.tensor([node]), [3], seed=0))[node] != first[node]


def test_wrong_questions_are_told() -> None:
    graph = drawn_graph(0, 10)
    with pytest.raises(UsageError, match="each node once"):
        neighbours(graph, torch.tensor([1, 1]), 2, 0)
    with pytest.raises(UsageError, match="nodes from 0 to 9, found 3 to 10"):
        neighbours(graph, torch.tensor([10, 3]), 2, 0)
    with pytest.raises(UsageError, match=r"fanouts of 1 or more, or -1 for all, found \[2, 0\]"):
        neighbours(graph, torch.tensor([1]), [2, 0], 0)
    with pytest.raises(UsageError, match="one set of memes"):
        neighbours(build(torch.ones(2, 2), threshold=0.0, against=torch.ones(3, 2)), torch.tensor([0]), 2, 0)
