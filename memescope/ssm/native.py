"""The selective scan on our C++ kernel (kernel.cpp, scan.cpp), through ctypes: no torch headers, no build system.

Memory that moves is what goes in and comes out, and one state for every 32 steps (`kept`) between forward and backward.
"""

from __future__ import annotations

import ctypes
import os
from ctypes import c_int64, c_void_p
from typing import Any

import torch
from torch import Tensor

from memescope.errors import MemescopeError, UsageError
from memescope.ssm import build
from memescope.ssm.inputs import Scan, only_first_derivatives, with_clear_weights

LEVELS = ("base", "avx2", "avx512")
"""Instruction sets the kernel is compiled for; the best one the machine has is used."""
VARIABLE = "MEMESCOPE_SSM_LEVEL"
KINDS = {torch.float32: 1, torch.bfloat16: 2, torch.float64: 3}


class Tensor3(ctypes.Structure):
    _fields_ = (("data", c_void_p), ("batch", c_int64), ("channel", c_int64), ("time", c_int64), ("kind", c_int64))


class _Scan(ctypes.Structure):
    """`struct Scan` of scan.h."""

    _fields_ = (
        *((name, c_int64) for name in ("batch", "channels", "length", "states", "groups_b", "groups_c")),
        *((name, c_int64) for name in ("double_", "softplus", "threads", "level")),
        *((name, Tensor3) for name in ("u", "delta", "z", "y", "dy", "du", "ddelta", "dz")),
        *((name, c_void_p) for name in ("a", "b", "c", "skip", "bias", "first", "mask", "last", "kept", "dlast")),
        *((name, c_void_p) for name in ("da", "db", "dc", "dskip", "dbias", "dfirst")),
        *((name, c_void_p) for name in ("part_a", "part_b", "part_c", "part_skip", "part_bias")),
    )


def missing() -> str | None:
    """Why the kernel cannot be used here, or None. Compiles it on first use."""
    return build.library()[1]


def level() -> str:
    """The instruction set in use: the best the machine has, or $MEMESCOPE_SSM_LEVEL."""
    library, wanted = loaded(), os.environ.get(VARIABLE, "")
    if wanted and wanted not in LEVELS:
        raise UsageError(f"{VARIABLE}: no instruction set {wanted!r}; there are: {', '.join(LEVELS)}")
    there = [name for i, name in enumerate(LEVELS) if library.memescope_has(c_int64(i))]
    if wanted and wanted not in there:
        raise UsageError(f"{VARIABLE}: this machine lacks {wanted}; it has: {', '.join(there)}")
    return wanted or there[-1]


def exponential(x: Tensor) -> Tensor:
    """e^x of float32 values as the kernel takes it (relative error below 1e-7 where the result is a normal number)."""
    x = x.float().contiguous()
    y = torch.empty_like(x)
    number = c_int64(LEVELS.index(level()))
    loaded().memescope_exp(number, c_void_p(x.data_ptr()), c_void_p(y.data_ptr()), c_int64(x.numel()))
    return y


def scan(given: Scan) -> tuple[Tensor, Tensor]:
    """Output (b, d, l) in u's type and the state after the last step (b, d, n) in the scan's precision."""
    given = with_clear_weights(given)  # masked u, delta and z the kernel skips by itself
    tensors = (given.u, given.delta, given.a, given.b, given.c, given.d, given.z, given.bias, given.state)
    if torch.is_grad_enabled() and any(x is not None and x.requires_grad for x in tensors):
        y, last = _Native.apply(*tensors, given.mask, given.softplus)
        return y, last
    y, last, _ = _forward(*tensors, given.mask, given.softplus, keep=False)
    return y, last


class _Native(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, *given: Any) -> tuple[Tensor, Tensor]:
        y, last, kept = _forward(*given, keep=True)
        ctx.save_for_backward(*given[:-1], kept)
        ctx.softplus = given[-1]
        return y, last

    @staticmethod
    def backward(ctx: Any, dy: Tensor, dlast: Tensor) -> tuple[Tensor | None, ...]:
        only_first_derivatives()
        *given, kept = ctx.saved_tensors
        return (*_backward(*given, ctx.softplus, kept=kept, dy=dy, dlast=dlast), None, None)


class Call:
    """One call of the kernel: the structure it reads and the tensors that must outlive the call."""

    struct: ctypes.Structure

    def __init__(self, precise: bool) -> None:
        self.kind = torch.float64 if precise else torch.float32
        self.held: list[Tensor] = []

    def wide(self, name: str, x: Tensor) -> Tensor:
        """A tensor (b, d, l) in any strides and in float32, bfloat16 or float64 (others are converted)."""
        x = x if x.dtype in KINDS else x.to(self.kind)
        self.held.append(x)
        setattr(self.struct, name, Tensor3(x.data_ptr(), *x.stride(), KINDS[x.dtype]))
        return x

    def like(self, name: str, x: Tensor) -> Tensor:
        """Room for a result in the shape of x."""
        return self.wide(name, torch.empty_like(x, dtype=x.dtype if x.dtype in KINDS else self.kind))

    def flat(self, name: str, x: Tensor) -> Tensor:
        """A tensor in its own order."""
        self.held.append(x)
        setattr(self.struct, name, x.data_ptr())
        return x

    def new(self, name: str, *shape: int) -> Tensor:
        """Room for a result of this shape in the call's precision."""
        return self.flat(name, self.held[0].new_empty(shape, dtype=self.kind))


class _Call(Call):
    struct: _Scan

    def __init__(
        self, u: Tensor, delta: Tensor, a: Tensor, b: Tensor, c: Tensor, skip: Tensor | None, z: Tensor | None,
        bias: Tensor | None, state: Tensor | None, mask: Tensor | None, softplus: bool,
    ) -> None:  # fmt: skip
        super().__init__(u.dtype == torch.float64)
        batch, channels, length = u.shape
        groups = [0 if x.ndim == 2 else x.shape[1] for x in (b, c)]
        self.struct = _Scan(
            batch, channels, length, a.shape[1], *groups, self.kind == torch.float64, softplus,
            torch.get_num_threads(), LEVELS.index(level()),
        )  # fmt: skip
        self.wide("u", u)
        self.wide("delta", delta)
        if z is not None:
            self.wide("z", z)
        for name, x in (("a", a), ("b", b), ("c", c), ("skip", skip), ("bias", bias), ("first", state)):
            if x is not None:
                x = x.to(self.kind)
                self.flat(name, x.transpose(-1, -2).contiguous() if x.ndim == 4 else x.contiguous())
        if mask is not None:
            self.flat("mask", mask.contiguous())

    def sizes(self) -> list[int]:
        """Elements of what forward keeps for backward and of the parts of the gradients of B and C."""
        found = (c_int64 * 3)()
        loaded().memescope_sizes(ctypes.byref(self.struct), found)
        return list(found)

    def run(self, back: bool) -> None:
        check(loaded().memescope_scan(ctypes.byref(self.struct), int(back)), "selective scan")


def _forward(*given: Any, keep: bool) -> tuple[Tensor, Tensor, Tensor | None]:
    call = _Call(*given)
    u, z = given[0], given[6]
    batch, channels, _ = u.shape
    y = torch.empty_like(u if z is None else z, dtype=u.dtype)
    out = y if y.dtype in KINDS else y.to(call.kind)
    call.wide("y", out)
    last = call.new("last", batch, channels, given[2].shape[1])
    kept = call.new("kept", call.sizes()[0]) if keep else None
    call.run(back=False)
    return out.to(y.dtype), last, kept


def _backward(*given: Any, kept: Tensor, dy: Tensor, dlast: Tensor) -> list[Tensor | None]:
    call = _Call(*given)
    u, delta, a, b, c, skip, z, bias, state = given[:9]
    batch, channels, length = u.shape
    n = a.shape[1]
    call.wide("dy", dy)
    call.flat("dlast", dlast.to(call.kind).contiguous())
    call.flat("kept", kept)
    wide: list[Tensor | None] = []
    for name, x in (("du", u), ("ddelta", delta), ("dz", z)):
        wide.append(None if x is None else call.like(name, x))
    _, size_b, size_c = call.sizes()
    call.new("part_a", batch * channels * n)
    call.new("part_b", size_b)
    call.new("part_c", size_c)
    call.new("part_skip", batch * channels)
    call.new("part_bias", batch * channels)
    da = call.new("da", channels, n)
    db, dc = (
        call.new(name, *((channels, n) if x.ndim == 2 else (batch, x.shape[1], length, n)))
        for name, x in (("db", b), ("dc", c))
    )
    dskip = None if skip is None else call.new("dskip", channels)
    dbias = None if bias is None else call.new("dbias", channels)
    dstate = None if state is None else call.new("dfirst", batch, channels, n)
    call.run(back=True)
    db, dc = (x if x.ndim == 2 else x.transpose(-1, -2) for x in (db, dc))
    grads = (wide[0], wide[1], da, db, dc, dskip, wide[2], dbias, dstate)
    return [None if g is None else g.to(x.dtype) for g, x in zip(grads, given[:9], strict=True)]


def check(failed: int, what: str) -> None:
    """MemescopeError where the kernel says that it failed."""
    if failed:
        reason = "out of memory" if failed == 2 else f"this machine lacks {level()}"
        raise MemescopeError(f"{what}: {reason} in the kernel")


def loaded() -> Any:
    """The compiled library; MemescopeError where there is none."""
    library, reason = build.library()
    if library is None:
        raise MemescopeError(f"the compiled selective scan cannot be used: {reason}")
    return library
