"""`memescope bench ssm`: its parts on small shapes, worked out by hand where they can be."""

from __future__ import annotations

import math

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

from memescope.bench import ssm, ssm_ways  # noqa: E402
from memescope.ssm import native  # noqa: E402


def test_every_way_computes_the_same() -> None:
    t = ssm_ways.inputs(2, 64, 4, 9)
    wanted = ssm_ways.ways()["ours"](t)
    assert len(ssm_ways.ways()) >= 3
    for name, way in ssm_ways.ways().items():
        assert (way(t) - wanted).abs().max() <= 1e-5 * wanted.abs().max(), name
    # attention is causal and as wide as the scan
    out = ssm_ways.attention(t)
    assert out.shape == (2, 1, 9, 64)
    torch.testing.assert_close(out[:, 0, 0], t["z"][..., 0])


def test_slopes() -> None:
    assert ssm.slope({64: 1.0, 128: 2.0, 512: 8.0}) == pytest.approx(1)
    assert ssm.slope({10: 3.0, 100: 300.0}) == pytest.approx(2)


def test_peak_memory_of_a_process_of_its_own() -> None:
    """Forward and backward of ours: the gradients of u, delta and z, y, and what is kept; not all states."""
    b, d, n, length = 2, 256, 16, 512
    found = ssm_ways.peak("ours", b, d, n, length)
    if found is None:
        pytest.skip("this system does not tell a process's peak memory")
    each = 4 * b * d * length / 2**20
    assert 4 * each <= found <= 4 * each + 10
    assert found < each * n  # one tensor of all states


def test_a_layer_a_floor_and_a_model(monkeypatch: pytest.MonkeyPatch) -> None:
    shape = (2, 64, 4)
    monkeypatch.setattr(ssm, "peak", lambda way, *sizes: {"ours": 2.0, "mambapy": 9.0}.get(way))
    found = ssm.layer(shape, 16, 1)
    assert list(found) == list(ssm_ways.ways())
    for row in found.values():
        assert row["batch"] == 2
        assert 0 < row["forward_s"] < row["both_s"]
    assert found["ours"]["times_ours"] == {"forward": 1, "both": 1, "forward_cpu": 1, "both_cpu": 1, "peak": 1}
    if "mambapy" in found:
        assert found["mambapy"]["times_ours"]["peak"] == 4.5
    if not native.missing():
        floor = ssm.floor(shape, (16,), {"16": found})
        exponentials = 2 * 64 * 16 * 4 / floor["exponentials_per_s"]
        moved = 4 * 2 * 64 * 16 * 4 / floor["bytes_per_s"]
        assert floor["16"]["forward_floor_s"] == pytest.approx(max(exponentials, moved), rel=0.02)
        over = found["ours"]["both_cpu_s"] / floor["16"]["both_floor_s"]
        assert floor["16"]["both_over_floor"] == pytest.approx(over, rel=0.05)
    model = ssm.model(2, 2, 16, 32)
    assert model["speedup"] == pytest.approx(model["transformers_s"] / model["ours_s"], rel=0.1)
    growth = ssm.growth(64, 4, (16, 64))
    assert math.isfinite(growth["scan"]["exponent"])
    assert set(growth["attention"]["cpu_s"]) == {"16", "64"}


def test_long_sequences_leave_out_what_would_take_hours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ssm, "SLOWEST", 8)
    monkeypatch.setattr(ssm, "peak", lambda way, *sizes: 1.0)
    found = ssm.layer((1, 64, 2), 16, 1)
    assert "forward_s" in found["transformers"]
    assert "both_s" not in found["transformers"]


def test_a_batch_that_fits(monkeypatch: pytest.MonkeyPatch) -> None:
    import psutil

    class Memory:
        available = 2 * 13 * 4 * 64 * 16 * 100 * 3  # room for three rows of mambapy

    monkeypatch.setattr(psutil, "virtual_memory", lambda: Memory)
    assert ssm_ways.fitting_batch("mambapy", 8, 64, 16, 100) == 3
    assert ssm_ways.fitting_batch("ours", 8, 64, 16, 100) == 8
