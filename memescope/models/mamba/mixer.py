"""Mamba's block on transformers' weights, with our selective scan in place of its slow path (Gu and Dao 2023).

The modules are transformers' own (`MambaModel`), so that checkpoints in hub layout load as they are; only what is
computed is written here. In a block, with x (b, l, d):

    u, z  = in_proj(norm(x))                     two halves of width e
    u     = silu(conv1d(u))                      causal, each channel by itself
    t, B, C = x_proj(u);  delta = dt_proj(t)     what makes the scan selective
    x    += out_proj(scan(u, softplus(delta), A, B, C, D) * silu(z))

Both ways inside a block (state-spaces/mamba issues 32 and 163; Vision Mamba): conv1d, x_proj, dt_proj, A and D have a
second copy that reads the row backwards; the two outputs are averaged before out_proj. A sum would double the output of
a pretrained block at the start, as the second copy begins as the first.

Shape letters: `b` rows, `l` places, `d` width, `e` inner width (2 d), `n` states, `r` rank of delta.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from memescope.ssm import causal_conv, selective_scan


@dataclass
class Scanned:
    """One scan that was recorded: what went in, and its output `y` with its gradient after a backward pass.

    `delta` is after softplus. u, delta, y: (b, e, l); A: (e, n); B, C: (b, g, n, l), g groups of channels. `backward`:
    the row was read from its end.
    """

    place: str
    u: Tensor
    delta: Tensor
    A: Tensor
    B: Tensor
    C: Tensor
    y: Tensor
    backward: bool = False
    size: tuple[int, int] | None = None


_RECORD: ContextVar[list[Scanned] | None] = ContextVar("scans", default=None)


@contextmanager
def recorded() -> Iterator[list[Scanned]]:
    """Inside, every scan is kept with its inputs and output: what hidden attention is computed from."""
    found: list[Scanned] = []
    token = _RECORD.set(found)
    try:
        yield found
    finally:
        _RECORD.reset(token)


def scan(
    place: str,
    u: Tensor,
    delta: Tensor,
    A: Tensor,
    B: Tensor,
    C: Tensor,
    D: Tensor,
    z: Tensor | None = None,
    bias: Tensor | None = None,
    mask: Tensor | None = None,
    dropout: float = 0.0,
    backward: bool = False,
    size: tuple[int, int] | None = None,
) -> Tensor:
    """`ssm.selective_scan`, (b, e, l) in u's type; `delta` is before bias and softplus. Recorded where that is asked.

    `dropout` is on delta after softplus: a place that is dropped neither writes to the state nor lets it decay, in that
    channel. What is recorded is before the gate `z`, which is no part of hidden attention, and not rounded to half
    precision.
    """
    record = _RECORD.get()
    if record is None and dropout == 0:
        return selective_scan(u, delta, A, B, C, D, z, bias, delta_softplus=True, mask=mask)
    precise = torch.float64 if u.dtype == torch.float64 else torch.float32
    delta = delta.to(precise) if bias is None else delta.to(precise) + bias.to(precise)[:, None]
    delta = F.dropout(F.softplus(delta), dropout)
    if record is None:
        return selective_scan(u, delta, A, B, C, D, z, mask=mask)
    fine, B, C = u.to(precise), B.to(precise), C.to(precise)
    y = selective_scan(fine, delta, A, B, C, D, mask=mask)
    if y.requires_grad:
        y.retain_grad()
    B, C = (x if x.dim() == 4 else x.unsqueeze(1) for x in (B, C))
    record.append(Scanned(place, fine, delta, A, B, C, y, backward, size))
    return y.to(u.dtype) if z is None else (y * F.silu(z.to(precise))).to(u.dtype)


def run_mamba(model: Any, embeds: Tensor, mask: Tensor | None, delta_dropout: float = 0.0, place: str = "") -> Tensor:
    """Final states (b, l, d), normed, of transformers' `MambaModel` for embeddings (b, l, d) and a mask (b, l) bool.

    Rows are padded on the right. `delta_dropout` acts in training mode only.
    """
    x = embeds
    dropout = delta_dropout if model.training else 0.0
    for number, block in enumerate(model.layers):
        residual = x.float() if block.residual_in_fp32 and x.dtype != torch.float64 else x
        normed = block.norm(x.to(block.norm.weight.dtype))
        x = residual + run_mixer(block.mixer, normed, mask, dropout, f"{place}{number}")
    states: Tensor = model.norm_f(x.to(model.norm_f.weight.dtype))
    return states


def run_mixer(mixer: Any, x: Tensor, mask: Tensor | None, dropout: float = 0.0, place: str = "") -> Tensor:
    """What a block adds to its input, (b, l, d)."""
    both = mixer.in_proj(x).transpose(1, 2)
    y = _inner(mixer, both, mask, dropout, place, backward=False)
    backward = mixer._modules.get("backward_ssm")
    if backward is not None:
        lengths = None if mask is None else mask.sum(1)
        turned = reverse(both.transpose(1, 2), lengths).transpose(1, 2)
        back = _inner(backward, turned, mask, dropout, place, backward=True)
        y = (y + reverse(back.transpose(1, 2), lengths).transpose(1, 2)) / 2
    out: Tensor = mixer.out_proj(y.transpose(1, 2))
    return out


def _inner(ssm: Any, both: Tensor, mask: Tensor | None, dropout: float, place: str, backward: bool) -> Tensor:
    """Gated output (b, e, l) of one reading of u and z, (b, 2 e, l)."""
    u, z = both.chunk(2, dim=1)
    u = causal_conv(u, ssm.conv1d.weight[:, 0], ssm.conv1d.bias, mask=mask)
    rank, states = ssm.dt_proj.weight.shape[1], ssm.A_log.shape[1]
    t, B, C = ssm.x_proj(u.transpose(1, 2)).split([rank, states, states], dim=-1)
    if isinstance(ssm.dt_proj, nn.Linear):
        delta, bias = F.linear(t, ssm.dt_proj.weight), ssm.dt_proj.bias
    else:  # with an adapter
        delta, bias = ssm.dt_proj(t), None
    A = -torch.exp(ssm.A_log.float() if ssm.A_log.dtype != torch.float64 else ssm.A_log)
    B, C = B.transpose(1, 2), C.transpose(1, 2)
    return scan(place, u, delta.transpose(1, 2), A, B, C, ssm.D, z, bias, mask, dropout, backward)


class BackwardSSM(nn.Module):
    """The second copy of what scans, for reading backwards; it starts as the first."""

    def __init__(self, mixer: Any) -> None:
        super().__init__()
        for name in ("conv1d", "x_proj", "dt_proj"):
            setattr(self, name, copy.deepcopy(getattr(mixer, name)))
        self.A_log = nn.Parameter(mixer.A_log.detach().clone())
        self.D = nn.Parameter(mixer.D.detach().clone())


def read_both_ways(model: Any) -> None:
    """Give every block of a `MambaModel` its second copy."""
    for block in model.layers:
        block.mixer.backward_ssm = BackwardSSM(block.mixer)


def reverse(rows: Tensor, lengths: Tensor | None) -> Tensor:
    """Each row (b, l, ...) backwards within its own length (b,): padding stays at the end. Its own inverse."""
    if lengths is None:
        return rows.flip(1)
    places = torch.arange(rows.shape[1], device=rows.device).expand(rows.shape[0], -1)
    order = torch.where(places < lengths.unsqueeze(1), lengths.unsqueeze(1) - 1 - places, places)
    return rows.gather(1, order.reshape(*order.shape, *[1] * (rows.dim() - 2)).expand_as(rows))
