"""Sparsity by threshold, batches over several graphs, and the benchmark's own parts at a tiny size."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from memescope.bench import mmorient as bench
from memescope.bench.relations import THRESHOLD, dense, measured, ours, published, vectors
from memescope.errors import UsageError
from memescope.models.mmorient.graph import build
from memescope.models.mmorient.sampling import gather
from memescope.models.mmorient.sweep import plot_sweep, sweep


def test_sparsity_by_threshold_is_that_of_the_graphs() -> None:
    x = torch.randn(700, 6, generator=torch.Generator().manual_seed(0))
    rows = sweep(x, [0.95, -0.9, 0.3])
    assert [row["threshold"] for row in rows] == [-0.9, 0.3, 0.95]
    for row in rows:
        its = build(x, threshold=row["threshold"]).statistics()
        assert row["sparsity"] == pytest.approx(its["sparsity"], abs=1e-5)
        assert row["mean_degree"] == pytest.approx(its["degree"]["mean"], abs=1e-2)
        for name in ("isolated", "components", "largest_component"):
            assert row[name] == (its[name] if row["sparsity"] >= 0.9 else None)
    assert rows[0]["sparsity"] < 0.02
    assert rows[2]["isolated"] > 0


def test_a_sweep_is_drawn(tmp_path: Path) -> None:
    from PIL import Image

    x = torch.randn(60, 4, generator=torch.Generator().manual_seed(0))
    path = plot_sweep({"text": sweep(x), "image": sweep(x[:30])}, tmp_path / "s.png", "two sets")
    again = plot_sweep({"text": sweep(x), "image": sweep(x[:30])}, tmp_path / "t.png", "two sets")
    pixels = np.asarray(Image.open(path).convert("RGB")).reshape(-1, 3)
    for colour in ((0x00, 0x72, 0xB2), (0xD5, 0x5E, 0x00)):
        assert (pixels == colour).all(axis=1).sum() > 100
    assert path.read_bytes() == again.read_bytes()


def test_wrong_sweeps_are_told() -> None:
    with pytest.raises(UsageError, match="two memes or more, found 1"):
        sweep(torch.ones(1, 2))
    with pytest.raises(UsageError, match=r"thresholds from -1 to 1, found \[0\.5, 2\]"):
        sweep(torch.ones(3, 2), [0.5, 2])


def test_a_batch_in_several_graphs() -> None:
    luck = torch.Generator().manual_seed(1)
    x, y = torch.randn(80, 5, generator=luck), torch.randn(80, 5, generator=luck)
    graphs = {"one": build(x, threshold=0.2), "two": build(y, threshold=0.2), "same": build(x, threshold=0.2)}
    nodes = torch.tensor([7, 70, 3, 41])
    others, edges = gather(graphs, nodes, 6, seed=5)
    everyone = torch.cat([nodes, others])
    assert len(set(everyone.tolist())) == len(everyone)
    assert others.tolist() == sorted(others.tolist())
    told = set()
    for name, graph in graphs.items():
        senders, receivers = edges[name]
        degrees = torch.bincount(receivers, minlength=4)
        assert degrees.tolist() == [min(6, int(graph.indptr[i + 1] - graph.indptr[i])) for i in nodes.tolist()]
        for sender, receiver in zip(everyone[senders].tolist(), nodes[receivers].tolist(), strict=True):
            row = graph.indices[graph.indptr[receiver] : graph.indptr[receiver + 1]]
            assert sender in row
        told |= set(senders[senders >= 4].tolist())
    assert told == set(range(4, len(everyone)))  # nobody is brought along for nothing
    assert not torch.equal(edges["one"], edges["same"])  # graphs draw apart
    same = gather(graphs, nodes, 6, seed=5)
    assert torch.equal(same[0], others)
    assert all(torch.equal(same[1][name], edges[name]) for name in edges)
    assert gather({}, nodes, 6, seed=5)[0].tolist() == []


def test_the_ways_of_the_benchmark_find_the_same_edges() -> None:
    x = vectors(630, 20)
    assert x.norm(dim=1).allclose(torch.ones(630))
    assert ours(x) == dense(x) == published(x) == pytest.approx(630 * 20, rel=0.02)
    graph = build(x, threshold=THRESHOLD)
    assert graph.statistics()["largest_component"] == 21


def test_a_way_is_measured_in_its_own_process() -> None:
    found = measured("ours", 300, 20)
    assert found["edges"] == pytest.approx(300 * 20, rel=0.1)
    assert 0 < found["cpu_seconds"] < 20
    assert found["peak_mib"] >= 0


def test_growth_by_hand() -> None:
    assert bench.exponent((10, 3), (100, 300)) == 2
    assert bench.exponent((10, 0), (100, 300)) is None


def test_steps_and_answers_are_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench, "HIDDEN", (16, 8))
    monkeypatch.setattr(bench, "BATCH", 12)
    [row] = bench.steps([8], 1)
    assert row["batch"] == 8
    assert row["mmorient_rows_per_second"] > 0
    assert row["times_as_slow"] == pytest.approx(
        row["concatenation_rows_per_second"] / row["mmorient_rows_per_second"], rel=0.05
    )
    [row] = bench.sampled_steps([100], 1)
    assert row["edges"] > 0
    assert 0 < row["others"] <= 88
    [row] = bench.answers([8], 1)
    assert row["support"] == 8
    assert row["concatenation_answers_per_second"] > 0
