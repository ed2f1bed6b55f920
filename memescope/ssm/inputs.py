"""What a selective scan is given, checked and brought into one form, which every backend reads.

Shape letters: b batch, d channels (inner width), l length, n states of a channel, g groups of channels sharing B and C.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from memescope.errors import UsageError


@dataclass(frozen=True)
class Scan:
    """A checked selective scan. B and C are (d, n) where they do not change with time, else (b, g, n, l)."""

    u: Tensor
    delta: Tensor
    a: Tensor
    b: Tensor
    c: Tensor
    d: Tensor | None
    z: Tensor | None
    bias: Tensor | None
    softplus: bool
    state: Tensor | None
    mask: Tensor | None

    @property
    def precision(self) -> torch.dtype:
        """What the scan computes in: float64 for float64 input, else float32."""
        return torch.float64 if self.u.dtype == torch.float64 else torch.float32


def checked(
    u: Tensor,
    delta: Tensor,
    A: Tensor,
    B: Tensor,
    C: Tensor,
    D: Tensor | None,
    z: Tensor | None,
    delta_bias: Tensor | None,
    delta_softplus: bool,
    initial_state: Tensor | None,
    mask: Tensor | None,
) -> Scan:
    """The scan that these make; UsageError names the one whose shape or type is wrong."""
    if u.ndim != 3:
        raise UsageError(f"selective scan: u must be (batch, channels, length), found {_shape(u)}")
    b, d, length = u.shape
    if A.ndim != 2 or A.shape[0] != d or A.shape[1] < 1:
        raise UsageError(f"selective scan: A must be ({d}, states), as u has {d} channels, found {_shape(A)}")
    if A.is_complex():
        raise UsageError("selective scan: A must be real; complex state matrices are not supported")
    n = A.shape[1]
    for name, x, shape in (
        ("delta", delta, (b, d, length)), ("z", z, (b, d, length)), ("D", D, (d,)), ("delta_bias", delta_bias, (d,)),
        ("initial_state", initial_state, (b, d, n)), ("mask", mask, (b, length)),
    ):  # fmt: skip
        if x is not None and tuple(x.shape) != shape:
            raise UsageError(f"selective scan: {name} must be {shape}, found {_shape(x)}")
    if mask is not None and mask.dtype != torch.bool:
        raise UsageError(f"selective scan: mask must be boolean (True where there is a token), found {mask.dtype}")
    return Scan(
        u, delta, A, _by_group("B", B, b, d, n, length), _by_group("C", C, b, d, n, length), D, z, delta_bias,
        delta_softplus, initial_state, mask,
    )  # fmt: skip


def _by_group(name: str, x: Tensor, b: int, d: int, n: int, length: int) -> Tensor:
    """(d, n) as it is, (b, n, l) as one group."""
    if x.ndim == 2 and tuple(x.shape) == (d, n):
        return x
    if x.ndim == 3 and tuple(x.shape) == (b, n, length):
        return x.unsqueeze(1)
    if x.ndim == 4 and (x.shape[0], x.shape[2], x.shape[3]) == (b, n, length) and x.shape[1] and d % x.shape[1] == 0:
        return x
    raise UsageError(
        f"selective scan: {name} must be ({d}, {n}), ({b}, {n}, {length}) or ({b}, groups, {n}, {length}) with groups "
        f"that divide {d}, found {_shape(x)}"
    )


def _shape(x: Tensor) -> tuple[int, ...]:
    return tuple(x.shape)


def cleared(x: Tensor, mask: Tensor) -> Tensor:
    """(b, ..., l) with 0 at masked positions, whatever stood there (NaN too)."""
    return x.masked_fill(~mask.view(mask.shape[0], *(1,) * (x.ndim - 2), mask.shape[1]), 0)


def without_masked(scan: Scan) -> Scan:
    """The scan with 0 at masked positions (`steps` sees to it that `delta` stays 0 there after bias and softplus)."""
    mask = scan.mask
    if mask is None:
        return scan
    return replace(
        with_clear_weights(scan),
        u=cleared(scan.u, mask),
        delta=cleared(scan.delta, mask),
        z=None if scan.z is None else cleared(scan.z, mask),
    )


def with_clear_weights(scan: Scan) -> Scan:
    """The scan with 0 at masked positions of B and C."""
    mask = scan.mask
    if mask is None:
        return scan
    b, c = (x if x.ndim == 2 else cleared(x, mask) for x in (scan.b, scan.c))
    return replace(scan, b=b, c=c)


def steps(scan: Scan, precision: torch.dtype) -> Tensor:
    """Step sizes (b, d, l): softplus(delta + bias), 0 where masked."""
    delta = scan.delta.to(precision)
    if scan.bias is not None:
        delta = delta + scan.bias.to(precision)[:, None]
    if scan.softplus:
        delta = torch.nn.functional.softplus(delta)
    return delta if scan.mask is None else cleared(delta, scan.mask)


def finished(scan: Scan, u: Tensor, y: Tensor) -> Tensor:
    """From the sum over states (b, d, l) to the output: skip D, gate z, 0 where masked, the type of u. `u` is that of
    the scan in y's precision, given apart so that its two gradients meet before they are rounded."""
    if scan.d is not None:
        y = y + scan.d.to(y.dtype)[:, None] * u
    if scan.z is not None:
        y = y * torch.nn.functional.silu(scan.z.to(y.dtype))
    if scan.mask is not None:
        y = cleared(y, scan.mask)
    return y.to(scan.u.dtype)


def only_first_derivatives() -> None:
    """Called in a backward written by hand: UsageError where its result is to be differentiated once more."""
    if torch.is_grad_enabled():
        raise UsageError(
            "selective scan: second derivatives (create_graph=True) exist only on the backend 'reference': "
            "with memescope.ssm.use('reference'): ..."
        )
