"""`memescope bench ssm`: the selective scan against transformers' slow path and mambapy, alone and in whole models, its
growth with length beside attention's, and how far it is from the least it could cost.

All ways get the same tensors and take turns; the best round counts, by the clock and by the processor's time. A way
that would not find memory at the full batch runs a smaller one; its times are then given for the full batch (they are
proportional) and `batch` says what was run. The backward pass of transformers' slow path grows with the square of the
length, so it is left out beyond SLOWEST steps.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from memescope.bench.ssm_ways import Way, attention, fitting_batch, inputs, peak, ways

SLOWEST = 256
LENGTHS = (64, 256, 1024, 4096)
SHAPE = (8, 1536, 16)
"""Batch, channels and states of a layer of Mamba-130m."""


def run(quick: bool = False, data: Path | None = None) -> dict[str, Any]:
    """Layers, growth, floor and whole models. `data` is not needed."""
    import torch

    from memescope.ssm import backend, native

    shape = (2, 128, 16) if quick else SHAPE
    lengths = (16, 64) if quick else LENGTHS
    layers = {str(length): layer(shape, length, 1 if quick else 3) for length in lengths}
    return {
        "threads": torch.get_num_threads(),
        "backend": backend(),
        "instructions": None if native.missing() else native.level(),
        "shape": dict(zip(("batch", "channels", "states"), shape, strict=True)),
        "layers": layers,
        "growth": growth(128 if quick else shape[1], shape[2], (64, 128, 256) if quick else LENGTHS),
        "floor": floor(shape, lengths, layers),
        "models": [model(2, 2, 16, 32)] if quick else [model(24, 4, 64, 768), model(24, 1, 256, 768)],
    }


def timed(steps: Sequence[Callable[[], Any]]) -> list[tuple[float, float]]:
    """Seconds by the clock and of the processor from the start to the end of each step, run one after another."""
    wall, cpu, found = time.perf_counter(), time.process_time(), []
    for step in steps:
        step()
        found.append((time.perf_counter() - wall, time.process_time() - cpu))
    return found


def scanned(way: Way, t: dict[str, Any], backward: bool = True) -> list[tuple[float, float]]:
    """Times of one scan, forward and with backward."""
    kept: list[Any] = []
    steps: list[Callable[[], Any]] = [lambda: kept.append(way(t)), lambda: kept.pop().sum().backward()]
    return timed(steps if backward else steps[:1])


def layer(shape: tuple[int, int, int], length: int, rounds: int) -> dict[str, Any]:
    """Seconds of each way for one scan, forward and with backward, its peak memory, and ratios to ours."""
    b, d, n = shape
    found: dict[str, Any] = {}
    every = ways()
    for way in every.values():
        scanned(way, inputs(1, 64, 2, 4))  # libraries loaded, kernel compiled
    for turn in range(rounds):
        for name, way in every.items():
            backward = name != "transformers" or length <= SLOWEST
            if name == "transformers" and turn and length >= SLOWEST:
                continue  # minutes a round, and no wobble could matter
            batch = fitting_batch(name, b, d, n, length)
            t = inputs(batch, d, n, length)
            if turn == 0 and name.startswith("ours"):
                way(t)
            times = scanned(way, t, backward)
            row = found.setdefault(name, {"batch": batch, "peak_mib": None})
            for key, (wall, cpu) in zip(("forward", "both"), times, strict=False):
                for clock, value in (("", wall), ("_cpu", cpu)):
                    seconds = value * b / batch
                    row[f"{key}{clock}_s"] = min(row.get(f"{key}{clock}_s", math.inf), seconds)
    for name, row in found.items():
        if name != "transformers" or length <= SLOWEST:
            measured = peak(name, row["batch"], d, n, length)
            row["peak_mib"] = None if measured is None else round(measured * b / row["batch"], 1)
    for row in found.values():
        row["times_ours"] = {
            key: round(row[f"{key}_s"] / found["ours"][f"{key}_s"], 1)
            for key in ("forward", "both", "forward_cpu", "both_cpu")
            if f"{key}_s" in row
        }
        if row["peak_mib"] is not None:
            row["times_ours"]["peak"] = round(row["peak_mib"] / max(0.1, found["ours"]["peak_mib"]), 2)
        row.update({key: float(f"{value:.4g}") for key, value in row.items() if key.endswith("_s")})
    return found


def growth(d: int, n: int, lengths: Sequence[int]) -> dict[str, Any]:
    """Seconds forward and backward at batch 1 by length, for the scan and for attention of equal width, and the
    exponents: the slope of log time on log length over all lengths, and between the last two."""
    every: dict[str, Way] = {"scan": ways()["ours"], "attention": attention}
    found: dict[str, dict[int, float]] = {name: {} for name in every}
    for length in lengths:
        t = inputs(1, d, n, length)
        for turn in range(4):
            for name, way in every.items():
                if turn == 3 and length > 1024:
                    continue
                _, (_, cpu) = scanned(way, t)
                found[name][length] = min(found[name].get(length, math.inf), cpu)
    return {
        name: {
            "cpu_s": {str(length): float(f"{seconds:.3g}") for length, seconds in times.items()},
            "exponent": round(slope(times), 2),
            "exponent_at_end": round(slope(dict(list(times.items())[-2:])), 2),
        }
        for name, times in found.items()
    }


def slope(times: dict[int, float]) -> float:
    """Of log time on log length, by least squares."""
    x, y = [math.log(length) for length in times], [math.log(seconds) for seconds in times.values()]
    mean_x, mean_y = sum(x) / len(x), sum(y) / len(y)
    return sum((a - mean_x) * (b - mean_y) for a, b in zip(x, y, strict=True)) / sum((a - mean_x) ** 2 for a in x)


def floor(shape: tuple[int, int, int], lengths: Sequence[int], layers: dict[str, Any]) -> dict[str, Any]:
    """The least a scan could take here: its exponentials, one for each channel, step and state, forward and once more
    backward (keeping them would mean moving them), at the rate the kernel's exponential reaches alone; and the bytes
    that must move (u, delta, z, y; backward also their gradients and dy) at the rate of a plain copy. Beside it, how
    many times that the measured scan takes (processor's time)."""
    import torch

    from memescope.ssm import native

    if native.missing():
        return {"left out": native.missing()}
    x = torch.randn(1 << 18)
    best = min(timed([lambda: [native.exponential(x) for _ in range(8)]])[0][1] for _ in range(9)) / 8
    exponentials = x.numel() / best
    block, room = torch.randn(1 << 24), torch.empty(1 << 24)
    copied = min(timed([lambda: room.copy_(block)])[0][1] for _ in range(5))
    rate = 2 * block.nbytes / copied
    b, d, n = shape
    found: dict[str, Any] = {"exponentials_per_s": float(f"{exponentials:.3g}"), "bytes_per_s": float(f"{rate:.3g}")}
    for length in lengths:
        each = b * d * length
        ours, row = layers[str(length)]["ours"], {}
        for key, times, tensors in (("forward", 1, 4), ("both", 2, 11)):
            least = max(times * each * n / exponentials, tensors * each * 4 / rate)
            row[f"{key}_floor_s"] = float(f"{least:.3g}")
            row[f"{key}_over_floor"] = round(ours[f"{key}_cpu_s"] / least, 2)
        found[str(length)] = row
    return found


def model(count: int, batch: int, length: int, width: int) -> dict[str, Any]:
    """A training step (forward, backward, AdamW) of a whole Mamba of transformers, as it comes and with our scan in
    place of its slow path; in 24 layers of width 768 that is Mamba-130m but for its vocabulary."""
    import torch
    from transformers import MambaConfig, MambaModel

    from memescope.models.mamba.mixer import run_mamba

    torch.manual_seed(0)
    made = MambaModel(MambaConfig(hidden_size=width, num_hidden_layers=count, vocab_size=1000)).train()
    optimizer = torch.optim.AdamW(made.parameters(), lr=1e-5)
    ids = torch.randint(0, 1000, (batch, length))
    results: dict[str, Any] = {}

    def step(states: Callable[[], Any]) -> None:
        optimizer.zero_grad()
        states().float().mean(1).square().sum().backward()
        optimizer.step()

    every: dict[str, Callable[[], Any]] = {
        "ours": lambda: run_mamba(made, made.get_input_embeddings()(ids), None),
        "transformers": lambda: made(ids, use_cache=False).last_hidden_state,
    }
    for states in every.values():
        if count <= 2 or states is every["ours"]:
            step(states)
    for turn in range(3):
        for name, states in every.items():
            if name == "ours" or turn == 0:
                ((wall, cpu),) = timed([partial(step, states)])
                before = results.get(name, (math.inf, math.inf))
                results[name] = (min(before[0], wall), min(before[1], cpu))
    (wall, cpu), (slow_wall, slow_cpu) = results["ours"], results["transformers"]
    return {
        "layers": count,
        "batch": batch,
        "length": length,
        "width": width,
        "ours_s": round(wall, 4),
        "transformers_s": round(slow_wall, 3),
        "speedup": round(slow_wall / wall, 1),
        "speedup_cpu": round(slow_cpu / cpu, 1),
    }
