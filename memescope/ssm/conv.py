"""The short causal convolution of a Mamba block, over real positions only.

Each channel has its own kernel of k taps (Mamba: 4) over the last k positions. Masked positions count as 0, both as
input and as output, so that padding, wherever it stands, never reaches a real position through the kernel's bias.
Shape letters: b batch, d channels, l length, k taps.
"""

from __future__ import annotations

import torch
from torch import Tensor

from memescope.errors import UsageError
from memescope.ssm.choice import backend
from memescope.ssm.conv_native import conv


def causal_conv(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    silu: bool = True,
    mask: Tensor | None = None,
    initial: Tensor | None = None,
) -> Tensor:
    """y_t = silu(bias + sum over i of weight_i x_(t-k+1+i)): `x` (b, d, l), `weight` (d, k), `bias` (d,), `mask` (b, l)
    True where there is a token, `initial` the k - 1 inputs before the first, (b, d, k - 1), 0 where not given.

    Returns (b, d, l) in x's type. For streaming keep the last k - 1 inputs and give them as `initial`.
    """
    if x.ndim != 3 or weight.ndim != 2 or weight.shape[0] != x.shape[1]:
        raise UsageError(
            "causal convolution: x must be (batch, channels, length) and weight (channels, taps), found "
            f"{tuple(x.shape)} and {tuple(weight.shape)}"
        )
    taps = weight.shape[1]
    if not x.numel():
        return x.clone()
    if initial is None and backend(x.device) == "native":
        return conv(x, weight, bias, silu, mask)
    if mask is not None:
        x = x.masked_fill(~mask[:, None], 0)
    if initial is None:
        padded = torch.nn.functional.pad(x, (taps - 1, 0))
    elif tuple(initial.shape) == (*x.shape[:2], taps - 1):
        padded = torch.cat([initial.to(x.dtype), x], -1)
    else:
        raise UsageError(
            f"causal convolution: initial must be {(*x.shape[:2], taps - 1)}, found {tuple(initial.shape)}"
        )
    y = torch.nn.functional.conv1d(
        padded, weight.to(x.dtype)[:, None], None if bias is None else bias.to(x.dtype), groups=len(weight)
    )
    y = torch.nn.functional.silu(y) if silu else y
    return y if mask is None else y.masked_fill(~mask[:, None], 0)
