"""The selective scan as its equations say it, one step at a time in float64 (Gu and Dao 2023, section 3).

    step      dt_t = softplus(delta_t + bias)
    (zero-order hold)  Abar_t = exp(dt_t A)      Bbar_t u_t = dt_t B_t u_t
    state     h_t = Abar_t h_{t-1} + Bbar_t u_t
    output    y_t = (C_t . h_t + D u_t) silu(z_t)

B's discretisation is the first-order one (dt B) of every published Mamba, not (exp(dt A) - 1) / A B. Slow; autograd
gives its gradients. Shape letters: see `inputs`.
"""

from __future__ import annotations

import torch
from torch import Tensor

from memescope.ssm.inputs import Scan, finished, steps, without_masked


def scan(given: Scan) -> tuple[Tensor, Tensor]:
    """Output (b, d, l) in u's type and the state after the last step (b, d, n) in float64."""
    given = without_masked(given)
    b, d, length = given.u.shape
    dt = steps(given, torch.float64)
    u, a = given.u.double(), given.a.double()
    big_b, big_c = per_channel(given.b.double(), d), per_channel(given.c.double(), d)
    h = u.new_zeros(b, d, a.shape[1]) if given.state is None else given.state.double()
    y = []
    for t in range(length):
        abar = torch.exp(dt[:, :, t, None] * a)
        h = abar * h + dt[:, :, t, None] * at(big_b, t) * u[:, :, t, None]
        y.append((at(big_c, t) * h).sum(-1))
    return finished(given, u, torch.stack(y, -1) if y else torch.zeros_like(u)), h


def per_channel(x: Tensor, d: int) -> Tensor:
    """(b, g, n, l) -> (b, d, n, l): channels of one group share B and C; (d, n) stays."""
    return x if x.ndim == 2 else x.repeat_interleave(d // x.shape[1], 1)


def at(x: Tensor, t: int) -> Tensor:
    """B or C of step t: (b, d, n), or (d, n) where they do not change."""
    return x if x.ndim == 2 else x[..., t]
