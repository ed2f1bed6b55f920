"""The selective scan on a GPU: the fused kernel of mamba-ssm (Gu and Dao), where that package is installed.

The kernel knows neither masks nor an initial state: masked positions get a step of size 0, worked out here, and a scan
that begins with a state goes to plain torch.
"""

from __future__ import annotations

from importlib.util import find_spec

import torch
from torch import Tensor

from memescope.ssm import parallel
from memescope.ssm.inputs import Scan, steps, without_masked


def missing() -> str | None:
    """Why the kernel cannot be used, or None."""
    if find_spec("mamba_ssm") is None:
        return "mamba-ssm is not installed: pip install mamba-ssm causal-conv1d (needs CUDA and its compiler)"
    return None


def scan(given: Scan) -> tuple[Tensor, Tensor]:
    """Output (b, d, l) in u's type and the state after the last step (b, d, n) in float32."""
    if given.state is not None or given.precision == torch.float64:
        return parallel.scan(given)
    from mamba_ssm.ops.selective_scan_interface import selective_scan_fn

    cleared = without_masked(given)
    delta, bias, softplus = cleared.delta, cleared.bias, cleared.softplus
    if given.mask is not None:
        delta, bias, softplus = steps(cleared, torch.float32).to(given.u.dtype), None, False
    y, state = selective_scan_fn(
        cleared.u,
        delta,
        cleared.a.float(),
        cleared.b,
        cleared.c,
        D=None if cleared.d is None else cleared.d.float(),
        z=cleared.z,
        delta_bias=None if bias is None else bias.float(),
        delta_softplus=softplus,
        return_last_state=True,
    )
    return (y if given.mask is None else y.masked_fill(~given.mask[:, None], 0)), state
