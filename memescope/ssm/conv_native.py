"""The short causal convolution on the C++ kernel (conv.h), with silu and mask in one pass over memory, backward too."""

from __future__ import annotations

import ctypes
from ctypes import c_int64, c_void_p
from typing import Any

import torch
from torch import Tensor

from memescope.ssm.inputs import only_first_derivatives
from memescope.ssm.native import LEVELS, Call, Tensor3, check, level, loaded


class _Conv(ctypes.Structure):
    """`struct Conv` of scan.h."""

    _fields_ = (
        *((name, c_int64) for name in ("batch", "channels", "length", "taps", "double_", "silu", "threads", "level")),
        *((name, Tensor3) for name in ("x", "y", "dy", "dx")),
        *((name, c_void_p) for name in ("weight", "bias", "mask", "part", "sums")),
    )


def conv(x: Tensor, weight: Tensor, bias: Tensor | None, silu: bool, mask: Tensor | None) -> Tensor:
    """`causal_conv` without `initial`, its arguments checked."""
    given: tuple[Any, ...] = (x, weight, bias, mask, silu)
    if torch.is_grad_enabled() and any(t is not None and t.requires_grad for t in (x, weight, bias)):
        made: Tensor = _Native.apply(*given)
        return made
    return _forward(*given)


class _Native(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, *given: Any) -> Tensor:
        ctx.save_for_backward(*given[:-1])
        ctx.silu = given[-1]
        return _forward(*given)

    @staticmethod
    def backward(ctx: Any, dy: Tensor) -> tuple[Tensor | None, ...]:
        only_first_derivatives()
        x, weight, bias, mask = ctx.saved_tensors
        call = _Call(x, weight, bias, mask, ctx.silu)
        call.wide("dy", dy)
        dx = call.like("dx", x)
        batch, channels, _ = x.shape
        taps = weight.shape[1]
        call.new("part", batch, taps + 1, channels)
        sums = call.new("sums", taps + 1, channels)
        call.run(back=True)
        dbias = None if bias is None else sums[taps].to(bias.dtype)
        return dx.to(x.dtype), sums[:taps].T.to(weight.dtype), dbias, None, None


class _Call(Call):
    struct: _Conv

    def __init__(self, x: Tensor, weight: Tensor, bias: Tensor | None, mask: Tensor | None, silu: bool) -> None:
        super().__init__(x.dtype == torch.float64)
        self.struct = _Conv(
            *x.shape, weight.shape[1], self.kind == torch.float64, silu, torch.get_num_threads(), LEVELS.index(level())
        )
        self.wide("x", x)
        for name, t in (("weight", weight), ("bias", bias)):
            if t is not None:
                self.flat(name, t.detach().to(self.kind).contiguous())
        if mask is not None:
            self.flat("mask", mask.contiguous())

    def run(self, back: bool) -> None:
        check(loaded().memescope_conv(ctypes.byref(self.struct), int(back)), "causal convolution")


def _forward(x: Tensor, weight: Tensor, bias: Tensor | None, mask: Tensor | None, silu: bool) -> Tensor:
    call = _Call(x, weight, bias, mask, silu)
    y = call.like("y", x)
    call.run(back=False)
    return y.to(x.dtype)
