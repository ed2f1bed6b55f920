"""The selective scan over sequences and its one-step form; both check what they are given, then call a backend."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from memescope.errors import UsageError
from memescope.ssm import cuda, native, parallel, reference
from memescope.ssm.choice import backend
from memescope.ssm.inputs import checked

_SCANS = {"reference": reference.scan, "torch": parallel.scan, "native": native.scan, "cuda": cuda.scan}


def selective_scan(
    u: Tensor,
    delta: Tensor,
    A: Tensor,
    B: Tensor,
    C: Tensor,
    D: Tensor | None = None,
    z: Tensor | None = None,
    delta_bias: Tensor | None = None,
    delta_softplus: bool = False,
    initial_state: Tensor | None = None,
    mask: Tensor | None = None,
    return_state: bool = False,
) -> Any:
    """Selective state space model over sequences (Gu and Dao 2023, algorithm 2), differentiable in every tensor.

        dt_t = softplus(delta_t + delta_bias)          (softplus where delta_softplus, bias where given)
        h_t = exp(dt_t A) h_{t-1} + dt_t B_t u_t       for each channel, n states; h_0 = initial_state or 0
        y_t = (C_t . h_t + D u_t) silu(z_t)            (D and z where given)

    b batch, d channels, l length, n states, g groups of channels that share B and C (channel i is in group i g / d):
    `u`, `delta`, `z` (b, d, l) in any strides; `A` (d, n), real; `B`, `C` (d, n), (b, n, l) or (b, g, n, l); `D`,
    `delta_bias` (d,); `initial_state` (b, d, n); `mask` (b, l), True where there is a token.

    Where `mask` is False the position does not change the state, takes and gives no gradient, and y is 0, whatever
    stands there. Computes in float32, for float64 input in float64. Returns y (b, d, l) in u's type and, with
    `return_state`, the state after the last step (b, d, n) in float32 (float64 for float64 input). UsageError names the
    argument whose shape is wrong.
    """
    given = checked(u, delta, A, B, C, D, z, delta_bias, delta_softplus, initial_state, mask)
    y, state = _SCANS[backend(u.device)](given)
    return (y, state.to(given.precision)) if return_state else y


def selective_step(
    u: Tensor,
    delta: Tensor,
    A: Tensor,
    B: Tensor,
    C: Tensor,
    state: Tensor,
    D: Tensor | None = None,
    z: Tensor | None = None,
    delta_bias: Tensor | None = None,
    delta_softplus: bool = False,
) -> tuple[Tensor, Tensor]:
    """One step of the scan, for streaming: the same as `selective_scan` over one position.

    `u`, `delta`, `z` (b, d); `B`, `C` (b, n) or (b, g, n) (those that do not change: `B.expand(b, d, n)`); `state`
    (b, d, n); the rest as in `selective_scan`. Returns y (b, d) in u's type and the new state (b, d, n) in float32
    (float64 for float64 input).
    """
    if u.ndim != 2:
        raise UsageError(f"selective step: u must be (batch, channels), found {tuple(u.shape)}")
    y, last = selective_scan(
        u[..., None], delta[..., None], A, B[..., None], C[..., None], D, None if z is None else z[..., None],
        delta_bias, delta_softplus, state, return_state=True,
    )  # fmt: skip
    return y[..., 0], last
