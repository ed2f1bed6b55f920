"""The ways of running a selective scan that `memescope bench ssm` compares, on the same tensors; run as a module, it
tells the peak memory of one way in a process of its own.

Shape letters: b batch, d channels, l length, n states.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from memescope.errors import MemescopeError

TENSORS = {"ours": 1, "ours in torch": 1, "mambapy": 13, "transformers": 9, "attention": 2}
"""About how many tensors (b, d, l, n) a way holds at its peak, forward and backward (ours: one in all, with room to
spare): what decides whether it fits."""
Way = Callable[[dict[str, Any]], Any]


def inputs(b: int, d: int, n: int, length: int) -> dict[str, Any]:
    """What a Mamba block gives its scan, with the step sizes and decays of Mamba's initialisation; leaves."""
    import torch

    torch.manual_seed(0)
    made = {
        "u": torch.randn(b, d, length), "delta": torch.randn(b, d, length) * 0.5,
        "A": -torch.arange(1.0, n + 1).repeat(d, 1), "B": torch.randn(b, n, length), "C": torch.randn(b, n, length),
        "D": torch.ones(d), "z": torch.randn(b, d, length), "delta_bias": torch.rand(d) * 4 - 6,
    }  # fmt: skip
    return {name: x.requires_grad_() for name, x in made.items()}


def ways() -> dict[str, Way]:
    """Every way there is here: ours (the best backend), ours in plain torch, mambapy's parallel scan, and the slow path
    of transformers, as a Mamba of theirs runs without CUDA kernels."""
    found: dict[str, Way] = {"ours": partial(_ours, ""), "ours in torch": partial(_ours, "torch")}
    if find_spec("mambapy") is not None:
        found["mambapy"] = partial(_theirs, True)
    found["transformers"] = partial(_theirs, False)
    return found


def _ours(name: str, t: dict[str, Any]) -> Any:
    from memescope.ssm import backend, selective_scan, use

    with use(name or backend()):
        return selective_scan(**t, delta_softplus=True)


def _theirs(parallel: bool, t: dict[str, Any]) -> Any:
    from transformers.models.mamba.modeling_mamba import mamba_selective_scan

    return mamba_selective_scan(
        t["u"], t["delta"], t["A"], t["B"], t["C"], D=t["D"], z=t["z"], delta_bias=t["delta_bias"],
        delta_softplus=True, use_mambapy=parallel,
    )  # fmt: skip


def attention(t: dict[str, Any]) -> Any:
    """Causal attention of the same width (heads of 64): u as queries, delta as keys, z as values, (b, d, l)."""
    import torch

    q, k, v = (t[name].unflatten(1, (-1, 64)).transpose(2, 3) for name in ("u", "delta", "z"))
    return torch.nn.functional.scaled_dot_product_attention(q, k, v, is_causal=True)


def fitting_batch(way: str, b: int, d: int, n: int, length: int) -> int:
    """The largest batch up to b at which this way is sure to find memory: half of what is free now."""
    import psutil

    one = TENSORS[way] * 4 * d * n * length
    return max(1, min(b, int(psutil.virtual_memory().available / 2 / one)))


def peak(way: str, b: int, d: int, n: int, length: int) -> float | None:
    """MiB that forward and backward of a way need at most beyond its inputs, by the kernel's count of resident memory
    (VmHWM) in a process of its own; None where the system does not tell."""
    if not Path("/proc/self/clear_refs").exists():
        return None
    command = [sys.executable, "-m", "memescope.bench.ssm_ways", way, *map(str, (b, d, n, length))]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise MemescopeError(f"bench ssm: measuring the memory of {way!r} failed: {done.stderr.strip()[-300:]}")
    return float(json.loads(done.stdout.splitlines()[-1]))


def resident(which: str) -> int:
    """Bytes that the kernel counts for this process: `VmRSS` now, `VmHWM` at most."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(which))


def _main(way: str, *sizes: str) -> None:
    run = ways()[way]
    run(inputs(1, 64, 2, 4)).sum().backward()  # libraries loaded, kernel compiled
    t = inputs(*map(int, sizes))
    before = resident("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")  # VmHWM starts anew
    run(t).sum().backward()
    print(json.dumps(round((resident("VmHWM") - before) / 2**20, 1)))


if __name__ == "__main__":
    _main(*sys.argv[1:])
