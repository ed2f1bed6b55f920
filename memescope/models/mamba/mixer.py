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

from memescope.ssm import selective_scan


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
    mask: Tensor | None = None,
    dropout: float = 0.0,
    backward: bool = False,
    size: tuple[int, int] | None = None,
) -> Tensor:
    """The selective scan without gate, (b, e, l); `delta` is before softplus. Recorded where that is asked for.

    `dropout` is on delta after softplus: a place that is dropped neither writes to the state nor lets it decay, in that
    channel. Half precision is computed in float32.
    """
    record = _RECORD.get()
    precise = torch.float64 if u.dtype == torch.float64 else torch.float32
    u, delta, B, C, A, D = (value.to(precise) for value in (u, delta, B, C, A, D))
    if record is None and dropout == 0:
        return selective_scan(u, delta, A, B, C, D, delta_softplus=True, mask=mask)
    delta = F.dropout(F.softplus(delta), dropout)
    y = selective_scan(u, delta, A, B, C, D, mask=mask)
    if record is not None:
        if y.requires_grad:
            y.retain_grad()
        groups = B if B.dim() == 4 else B.unsqueeze(1)
        record.append(Scanned(place, u, delta, A, groups, C if C.dim() == 4 else C.unsqueeze(1), y, backward, size))
    return y


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
    if mask is not None:
        x = x * mask.unsqueeze(-1).to(x.dtype)
    u, z = mixer.in_proj(x).transpose(1, 2).chunk(2, dim=1)
    y = _inner(mixer, u, mask, dropout, place, backward=False)
    backward = mixer._modules.get("backward_ssm")
    if backward is not None:
        lengths = None if mask is None else mask.sum(1)
        turned = reverse(u.transpose(1, 2), lengths).transpose(1, 2)
        back = _inner(backward, turned, mask, dropout, place, backward=True)
        y = (y + reverse(back.transpose(1, 2), lengths).transpose(1, 2)) / 2
    y = y * F.silu(z.to(y.dtype))
    out: Tensor = mixer.out_proj(y.transpose(1, 2).to(x.dtype))
    return out


def _inner(ssm: Any, u: Tensor, mask: Tensor | None, dropout: float, place: str, backward: bool) -> Tensor:
    length = u.shape[-1]
    u = F.silu(ssm.conv1d(u)[..., :length])
    if mask is not None:
        u = u * mask.unsqueeze(1).to(u.dtype)
    rank, states = ssm.dt_proj.weight.shape[1], ssm.A_log.shape[1]
    t, B, C = ssm.x_proj(u.transpose(1, 2)).split([rank, states, states], dim=-1)
    delta = ssm.dt_proj(t).transpose(1, 2)
    A = -torch.exp(ssm.A_log.float() if ssm.A_log.dtype != torch.float64 else ssm.A_log)
    return scan(place, u, delta, A, B.transpose(1, 2), C.transpose(1, 2), ssm.D, mask, dropout, backward)


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
