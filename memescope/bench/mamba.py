"""`memescope bench mamba`: a small Mamba of text against attention of equal size as texts grow (question M8).

Both are what the recipes train: `text_config` of width 256, eight Mamba blocks or four attention blocks, 3.5 and 3.2
million parameters beside the same embeddings. Each gets the same random tokens, one text a batch, and takes turns; the
best round counts, in the processor's time. Attention learns with its usual dropout, for which torch holds whole
matrices. Peak memory is that of a process of its own, beyond model and libraries.
"""

from __future__ import annotations

import json
import math
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from memescope.bench.ssm import slope
from memescope.bench.ssm_ways import resident
from memescope.errors import MemescopeError

LENGTHS = (64, 256, 1024, 4096)
KINDS = {"mamba": 8, "bert": 4}
"""Blocks of each kind: a Mamba block has about half the parameters of an attention block."""
WORDS = 1000


def run(quick: bool = False, data: Path | None = None) -> dict[str, Any]:
    """Seconds of the processor of answering (`forward_s`) and learning (`both_s`: forward and backward), peak MiB of
    learning, by kind and length; their exponents (slopes of logarithms), and attention's share over Mamba's. `data` is
    not needed."""
    width, lengths = (64, (32, 64)) if quick else (256, LENGTHS)
    rows: dict[str, dict[str, dict[str, Any]]] = {kind: {} for kind in KINDS}
    for length in lengths:
        models = {kind: made(kind, width, length) for kind in KINDS}
        for turn in range(3):
            for kind, model in models.items():
                forward, both = step(model, kind, length)
                row = rows[kind].setdefault(str(length), {"forward_s": math.inf, "both_s": math.inf})
                if turn:  # the first round loads libraries
                    row["forward_s"] = min(row["forward_s"], forward)
                    row["both_s"] = min(row["both_s"], both)
    for kind, by_length in rows.items():
        for name, row in by_length.items():
            row.update({key: float(f"{value:.3g}") for key, value in row.items()})
            row["peak_mib"] = peak(kind, width, int(name))
    return {
        "width": width,
        "parameters": {kind: parameters(made(kind, width, 1)) for kind in KINDS},
        "kinds": rows,
        "exponents": {
            kind: round(slope({int(n): row["both_s"] for n, row in rows[kind].items()}), 2) for kind in KINDS
        },
        "attention_over_mamba": {
            str(length): ratios(rows["bert"][str(length)], rows["mamba"][str(length)]) for length in lengths
        },
    }


def made(kind: str, width: int, length: int) -> Any:
    """A backbone with random weights that reads `length` tokens."""
    import torch

    from memescope.models.mamba.text import blank, text_config

    torch.manual_seed(0)
    return blank({"config": text_config(kind, width, KINDS[kind], 16, WORDS, length)}).train()


def parameters(model: Any) -> int:
    """Without embeddings."""
    return sum(p.numel() for name, p in model.named_parameters() if "embeddings" not in name)


def step(model: Any, kind: str, length: int) -> tuple[float, float]:
    """Processor's seconds of answering one text, and of learning from it."""
    import torch

    from memescope.models.mamba.mixer import run_mamba

    ids = torch.randint(0, WORDS, (1, length), generator=torch.Generator().manual_seed(length))

    def states() -> Any:
        if kind == "mamba":
            return run_mamba(model, model.get_input_embeddings()(ids), None)
        return model(input_ids=ids).last_hidden_state

    with torch.no_grad():
        start = time.process_time()
        states()
        forward = time.process_time() - start
    model.zero_grad()
    start = time.process_time()
    states().mean(1).square().sum().backward()
    return forward, time.process_time() - start


def ratios(one: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, float | None]:
    """Each figure over the other's; None where one is not known."""
    return {key: round(one[key] / other[key], 2) if one[key] and other[key] else None for key in one}


def peak(kind: str, width: int, length: int) -> float | None:
    """MiB that a learning step needs at most, in a process of its own; None where the system does not tell."""
    if not Path("/proc/self/clear_refs").exists():
        return None
    command = [sys.executable, "-m", "memescope.bench.mamba", kind, str(width), str(length)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise MemescopeError(f"bench mamba: measuring the memory of {kind} failed: {done.stderr.strip()[-300:]}")
    return float(json.loads(done.stdout.splitlines()[-1]))


def plot(measured: Mapping[str, Any], path: Path | str) -> None:
    """Draw time and memory of learning by length, both axes logarithmic. Extra `data`."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(1, 2, figsize=(9, 3.6))
    for axis, key, name in zip(axes, ("both_s", "peak_mib"), ("seconds of one core", "MiB"), strict=True):
        for kind, rows in measured["kinds"].items():
            some = {int(length): row[key] for length, row in rows.items() if row[key]}
            axis.plot(list(some), list(some.values()), marker="o", label={"bert": "attention"}.get(kind, kind))
        axis.set(xscale="log", yscale="log", xlabel="tokens of a text", ylabel=name)
        axis.legend()
    figure.tight_layout()
    figure.savefig(path)
    pyplot.close(figure)


def _main(kind: str, width: str, length: str) -> None:
    step(made(kind, int(width), 8), kind, 8)  # libraries loaded, kernel compiled
    model = made(kind, int(width), int(length))
    before = resident("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")  # VmHWM starts anew
    step(model, kind, int(length))
    print(json.dumps(round((resident("VmHWM") - before) / 2**20, 1)))


if __name__ == "__main__":
    _main(*sys.argv[1:])
