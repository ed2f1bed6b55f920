"""Where and in what products are computed: on a GPU where there is one; in bfloat16 where the device multiplies it by
itself, float32 everywhere else.

A processor without instructions for bfloat16 emulates it: a training step of a small language model takes some twenty
times as long as in float32 there. So `bf16` in a recipe is a wish, and a run's metrics state what became of it.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch


def best_device() -> str:
    """Where vision-language models compute. `CUDA_VISIBLE_DEVICES` set to nothing keeps them off a GPU."""
    return "cuda" if torch.cuda.is_available() else "cpu"


def fast_bf16(device: torch.device | str = "cpu") -> bool:
    """Whether `device` multiplies bfloat16 by itself (on x86: AMX or AVX-512 with bf16; on ARM: its bf16 extension)."""
    kind = torch.device(device).type
    if kind == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    if kind != "cpu":
        return False
    return any(there is True and name.endswith("bf16") for name, there in torch.cpu.get_capabilities().items())


def computes_in(precision: str, device: torch.device | str) -> str:
    """What a model of `precision` (float32 or bfloat16) computes its answers in on `device`."""
    return "bfloat16" if precision == "bfloat16" and fast_bf16(device) else "float32"


def products(precision: str, device: torch.device | str) -> AbstractContextManager[Any]:
    """The context that a model of `precision` (float32 or bfloat16) answers in on `device`."""
    if computes_in(precision, device) == "bfloat16":
        return torch.autocast(torch.device(device).type, dtype=torch.bfloat16)
    return nullcontext()


def trains_in(precision: str) -> str:
    """What a recipe's `train.precision` (float32 or bf16) comes to on the device that trains."""
    wanted = precision == "bf16" and fast_bf16(best_device())
    return "bf16" if wanted else "float32"
