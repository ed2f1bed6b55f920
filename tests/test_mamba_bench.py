"""`memescope bench mamba` on tiny models: both kinds are measured alike and its ratios are those of its figures."""

from __future__ import annotations

from pathlib import Path

import pytest

torch = pytest.importorskip("torch")
torch.set_num_threads(1)

from memescope.bench import mamba  # noqa: E402


def test_figures_of_both_kinds_and_their_plot(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mamba, "peak", lambda kind, width, length: {"mamba": 2.0 * length, "bert": None}[kind])
    found = mamba.run(quick=True)
    for kind in ("mamba", "bert"):
        assert list(found["kinds"][kind]) == ["32", "64"]
        for row in found["kinds"][kind].values():
            assert 0 < row["forward_s"] < row["both_s"]
    longest = {kind: rows["64"] for kind, rows in found["kinds"].items()}
    ratio = found["attention_over_mamba"]["64"]
    assert ratio["both_s"] == pytest.approx(longest["bert"]["both_s"] / longest["mamba"]["both_s"], abs=0.01)
    assert ratio["peak_mib"] is None
    pytest.importorskip("matplotlib")
    mamba.plot(found, tmp_path / "m8.png")
    assert (tmp_path / "m8.png").read_bytes().startswith(b"\x89PNG")


def test_the_two_kinds_are_of_one_size_and_the_peak_is_that_of_a_process_of_its_own() -> None:
    sizes = {kind: mamba.parameters(mamba.made(kind, 256, 64)) for kind in mamba.KINDS}
    assert 0.9 < sizes["bert"] / sizes["mamba"] < 1.1
    found = mamba.peak("mamba", 64, 512)
    if found is None:
        pytest.skip("this system does not tell a process's peak memory")
    # u, z, delta, y of eight blocks of inner width 128, in float32, are kept between forward and backward
    assert found > 8 * 4 * 128 * 512 * 4 / 2**20
