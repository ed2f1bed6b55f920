"""MM-ORIENT's relation graphs against a float64 reference over all pairs, and what they cost."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from memescope.errors import UsageError
from memescope.models.mmorient.graph import Graph, build

_SEEDS = st.integers(0, 2**32 - 1)


def vectors(seed: int, n: int, width: int, shift: float = 0.5) -> torch.Tensor:
    """Drawn vectors of all lengths with a common part; among them copies and one of length zero."""
    luck = np.random.default_rng(seed)
    drawn = luck.normal(size=(n, width)) + shift * luck.normal(size=width)
    if n > 4:
        drawn[n // 2] = drawn[0] * 3
        drawn[n - 1] = 0
    return torch.from_numpy((drawn * luck.uniform(0.1, 9, (n, 1))).astype(np.float32))


def reference(rows: torch.Tensor, columns: torch.Tensor | None = None) -> np.ndarray:
    """All cosines in float64, -9 for a meme with itself."""
    unit = [
        x.double() / x.double().norm(dim=1, keepdim=True).clamp(min=1e-300) for x in (rows, columns) if x is not None
    ]
    found = (unit[0] @ unit[-1].T).numpy()
    if columns is None:
        np.fill_diagonal(found, -9)
    return found


def dense(graph: Graph) -> np.ndarray:
    """Who receives from whom, as a bool matrix."""
    joined = np.zeros((graph.nodes, graph.senders), bool)
    joined[graph.rows().numpy(), graph.indices.numpy()] = True
    return joined


def assert_well_formed(graph: Graph) -> None:
    assert graph.indptr.dtype == graph.indices.dtype == torch.int64
    assert graph.weights.dtype == torch.float32
    assert graph.indptr[0] == 0
    assert graph.indptr[-1] == len(graph.indices) == len(graph.weights)
    for i in range(graph.nodes):
        row = graph.indices[graph.indptr[i] : graph.indptr[i + 1]]
        assert (row.diff() > 0).all()


@settings(max_examples=60, deadline=None)
@given(_SEEDS, st.integers(0, 40), st.integers(1, 9), st.floats(-1, 1), st.integers(1, 50))
def test_edges_are_the_pairs_above_the_threshold(seed: int, n: int, width: int, threshold: float, block: int) -> None:
    x = vectors(seed, n, width)
    graph, cosines = build(x, threshold=threshold, block=block), reference(x)
    sure = np.abs(cosines - threshold) > 1e-12
    assert_well_formed(graph)
    assert (dense(graph) == (cosines > threshold))[sure].all()
    assert (dense(graph) == dense(graph).T).all()
    assert np.allclose(graph.weights, cosines[graph.rows(), graph.indices], atol=1e-6)


@settings(max_examples=40, deadline=None)
@given(_SEEDS, st.integers(1, 20), st.integers(1, 30), st.integers(1, 9), st.floats(-0.9, 0.9), st.integers(1, 40))
def test_edges_from_a_support_set(seed: int, n: int, m: int, width: int, threshold: float, block: int) -> None:
    both = vectors(seed, n + m, width)
    graph = build(both[:n], threshold=threshold, against=both[n:], block=block)
    cosines = reference(both[:n], both[n:])
    assert_well_formed(graph)
    assert graph.bipartite
    assert (graph.nodes, graph.senders) == (n, m)
    assert (dense(graph) == (cosines > threshold))[np.abs(cosines - threshold) > 1e-12].all()


def test_an_edge_does_not_depend_on_the_batch_however_close_to_the_threshold() -> None:
    x = vectors(3, 300, 512)
    cosines = reference(x[:40], x[40:])
    # thresholds a hundred times nearer to a cosine than float32 can tell
    for pair in ((3, 17), (29, 200), (39, 5)):
        for side in (-1e-9, 1e-9):
            threshold = float(cosines[pair]) + side
            together = dense(build(x[:40], threshold=threshold, against=x[40:]))
            alone = np.concatenate([dense(build(x[i : i + 1], threshold=threshold, against=x[40:])) for i in range(40)])
            assert together[pair] == (side < 0)
            assert (together == alone).all()


def test_all_tiles_of_all_sizes_agree() -> None:
    x = vectors(5, 500, 64)
    graphs = [build(x, threshold=0.3, block=block) for block in (9, 64, 100, 499, 500, 4096)]
    assert len(graphs[0].indices) > 1000
    assert all(torch.equal(g.indptr, graphs[0].indptr) and torch.equal(g.indices, graphs[0].indices) for g in graphs)


@settings(max_examples=40, deadline=None)
@given(_SEEDS, st.integers(2, 40), st.integers(1, 50), st.integers(1, 20))
def test_the_nearest_of_each_meme(seed: int, n: int, k: int, block: int) -> None:
    x = vectors(seed, n, 6)
    graph, cosines = build(x, top_k=k, block=block), reference(x)
    assert_well_formed(graph)
    some = [i for i in range(n) if x[i].any()]
    for i in range(n):
        # by cosine, of equals the first; a vector of length zero is near to nothing
        others = [j for j in some if j != i and i in some]
        best = sorted(others, key=lambda j: (-round(cosines[i, j], 12), j))[:k]
        assert graph.indices[graph.indptr[i] : graph.indptr[i + 1]].tolist() == sorted(best)
    assert graph.threshold is None


def test_the_nearest_of_a_support_set_may_be_the_same_vector() -> None:
    x = vectors(1, 30, 8)
    graph = build(x[:5], top_k=1, against=x)
    assert graph.indices.tolist() == [0, 1, 2, 3, 4]  # of the copy of 0 at 15, the first
    assert np.allclose(graph.weights, 1)


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9, 0.99, 0.999])
def test_a_quantile_of_all_pairs_is_exact(share: float) -> None:
    x = vectors(2, 300, 16)
    x = x[:299]  # the zero vector is at cosine 0 to all, which would be ties
    x = torch.cat([x[:150], x[151:]])
    graph = build(x, quantile=share)
    pairs = 298 * 297 // 2
    assert len(graph.indices) == 2 * (pairs - int(np.ceil(share * pairs - 1e-9)))
    assert graph.estimate == {"pairs": pairs, "share_error": 0}
    again = build(x, threshold=graph.threshold)
    assert torch.equal(again.indices, graph.indices)


def test_a_quantile_of_many_pairs_is_estimated_within_its_error() -> None:
    x = vectors(4, 3000, 32)
    pairs = 3000 * 2999 // 2
    graph = build(x, quantile=0.95)
    assert graph.estimate is not None
    assert graph.estimate["pairs"] == 16 * 512 * 512 < pairs
    found = graph.statistics()["sparsity"]
    assert 0 < graph.estimate["share_error"] < 0.005
    assert abs(found - 0.95) < 4 * graph.estimate["share_error"]


@pytest.mark.parametrize("share", [0.05, 0.5, 0.97, 0.9999, 1.0])
@pytest.mark.parametrize("n", [50, 3000])
def test_sparsity_is_counted(share: float, n: int) -> None:
    if n == 3000 and share < 0.9:
        return
    x = torch.randn(n, 24, generator=torch.Generator().manual_seed(n))
    graph = build(x, sparsity=share)
    pairs = n * (n - 1) // 2
    assert len(graph.indices) == 2 * round((1 - share) * pairs)
    assert_well_formed(graph)
    assert torch.equal(build(x, threshold=graph.threshold).indices, graph.indices)


def test_equal_cosines_go_together() -> None:
    x = torch.eye(6)  # all 15 pairs at cosine 0
    assert len(build(x, sparsity=0.5).indices) == 0
    assert len(build(x, quantile=0.5).indices) == 0
    x[1] = x[0]
    assert build(x, sparsity=0.5).indices.tolist() == [1, 0]


def test_loops_are_added_on_request() -> None:
    graph = build(torch.tensor([[1.0, 0], [1, 0.1], [0, 1]]), threshold=0.9)
    assert graph.edge_index().tolist() == [[1, 0], [0, 1]]
    looped = graph.with_loops()
    assert looped.indptr.tolist() == [0, 2, 4, 5]
    assert looped.indices.tolist() == [0, 1, 0, 1, 2]
    assert torch.equal(looped.weights[[0, 3, 4]], torch.ones(3))
    assert looped.statistics()["sparsity"] == graph.statistics()["sparsity"] == pytest.approx(2 / 3)
    with pytest.raises(UsageError, match="no loops"):
        build(torch.ones(1, 2), threshold=0.5, against=torch.ones(1, 2)).with_loops()


def test_statistics_of_a_chain_and_a_lone_meme() -> None:
    angles = torch.tensor([0.0, 20, 40, 60, 170]).deg2rad()
    graph = build(torch.stack([angles.cos(), angles.sin()], 1), threshold=0.9)  # within 25.8 degrees
    found = graph.statistics()
    assert found == {
        "threshold": 0.9,
        "estimate": None,
        "nodes": 5,
        "senders": 5,
        "edges": 6,
        "sparsity": pytest.approx(1 - 6 / 20),
        "degree": {"mean": 1.2, "min": 0, "q25": 1, "median": 1, "q75": 2, "max": 2},
        "isolated": 1,
        "components": 2,
        "largest_component": 4,
        "warnings": [],
    }


@pytest.mark.parametrize(
    ("threshold", "warning"), [(1.0, "disconnected: no edges"), (-1.0, "complete: every meme"), (0.995, "mostly disc")]
)
def test_graphs_that_cannot_work_are_warned_about(threshold: float, warning: str) -> None:
    x = torch.tensor([[1.0, 0], [1, 0.05], [1, 1], [0, 1], [1, 3]])
    [said] = build(x, threshold=threshold).statistics()["warnings"]
    assert said.startswith(warning)


def test_nearly_complete_graphs_are_warned_about_too() -> None:
    x = torch.ones(60, 2)
    x[0] = torch.tensor([1.0, -1])
    x[1] = torch.tensor([1.0, 0])
    [said] = build(x, threshold=0.5).statistics()["warnings"]
    assert said == "nearly complete: 97% of all pairs are joined; raise its threshold"


def test_empty_and_single() -> None:
    for n in (0, 1):
        graph = build(torch.zeros(n, 3), threshold=0.0)
        assert graph.nodes == n
        assert len(graph.indices) == 0
        assert graph.statistics()["sparsity"] is None
        assert build(torch.zeros(n, 3), top_k=2).nodes == n
    assert build(torch.zeros(0, 3), threshold=0.0, against=torch.ones(4, 3)).statistics()["edges"] == 0


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({}, "exactly one of threshold, quantile, sparsity, top_k, found none"),
        ({"threshold": 0.5, "top_k": 3}, "found threshold, top_k"),
        ({"threshold": 1.5}, "threshold from -1 to 1, found 1.5"),
        ({"quantile": 1.0}, "quantile above 0 and below 1, found 1"),
        ({"sparsity": 0.0}, "sparsity above 0 and at most 1, found 0"),
        ({"top_k": 0}, "top_k of 1 or more, found 0"),
        ({"threshold": 0.5, "block": 0}, "block of 1 or more, found 0"),
        ({"threshold": 0.5, "against": torch.ones(2, 5)}, "width 3 against a support set of width 5"),
    ],
)
def test_wrong_questions_are_told(asked: dict, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        build(torch.ones(4, 3), **asked)


def test_wrong_vectors_are_told() -> None:
    with pytest.raises(UsageError, match=r"edges_from of shape \(n, w\), found \(3,\)"):
        build(torch.ones(3), threshold=0.5)
    with pytest.raises(UsageError, match="against hold numbers that are not finite"):
        build(torch.ones(2, 2), threshold=0.5, against=torch.tensor([[1.0, float("nan")]]))
    with pytest.raises(UsageError, match="at least one pair"):
        build(torch.ones(1, 2), quantile=0.5)


def test_memory_is_that_of_the_edges() -> None:
    x = torch.randn(6000, 16, generator=torch.Generator().manual_seed(0))
    tracemalloc.start()
    graph = build(x, threshold=0.7)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    # torch's tile is not traced; numpy's arrays are: a bool tile, and at most four times what is kept
    kept = 8 * len(graph.indptr) + 12 * len(graph.indices)
    assert len(graph.indices) > 10000
    assert peak < 4 * kept + 12 * 2**20 < 6000 * 6000  # of bytes, a quarter of an N x N matrix
