"""What a selective scan runs on: chosen by itself, by `use`, or by the environment variable MEMESCOPE_SSM."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import torch

from memescope.errors import UsageError

BACKENDS = {
    "reference": "the equations, one step at a time in float64",
    "torch": "plain torch, chunks side by side, states computed again in backward",
    "native": "our C++ kernel, compiled on first use",
    "cuda": "the kernel of mamba-ssm, where it is installed and the tensors are on a GPU",
}
"""Every backend and what it is."""
VARIABLE = "MEMESCOPE_SSM"
_CHOSEN: ContextVar[str] = ContextVar("memescope_ssm", default="")


@contextmanager
def use(name: str) -> Iterator[None]:
    """Within this context scans run on backend `name`; UsageError where it cannot."""
    token = _CHOSEN.set(_known(name, "use(...)"))
    try:
        yield
    finally:
        _CHOSEN.reset(token)


def backend(device: torch.device | str = "cpu") -> str:
    """The backend that a scan of tensors on this device runs on now."""
    from memescope.ssm import cuda, native

    kind = torch.device(device).type
    name = _CHOSEN.get() or _known(os.environ.get(VARIABLE, ""), VARIABLE)
    if not name:
        if kind == "cuda":
            return "cuda" if cuda.missing() is None else "torch"
        return "native" if kind == "cpu" and native.missing() is None else "torch"
    wanted = {"native": "cpu", "cuda": "cuda"}.get(name, kind)
    if wanted != kind:
        raise UsageError(f"backend {name!r} of the selective scan runs on {wanted} tensors, these are on {kind}")
    reason = {"native": native.missing, "cuda": cuda.missing}.get(name, lambda: None)()
    if reason:
        raise UsageError(f"backend {name!r} of the selective scan cannot be used: {reason}")
    return name


def _known(name: str, where: str) -> str:
    if name and name not in BACKENDS:
        raise UsageError(f"{where}: no backend {name!r} of the selective scan; there are: {', '.join(BACKENDS)}")
    return name
