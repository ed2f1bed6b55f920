"""Low-rank adapters (Hu et al. 2021) for plain and channel-first linear layers.

    h = W x + (alpha / r) B A dropout(x),      A (r, in) starts at random, B (out, r) at zero; W is frozen

Why not PEFT's: VMamba's layers are `nn.Linear` by their weights and 1 x 1 convolutions by what they do, and PEFT's
adapter acts on the last axis, which is a picture's width there. PEFT also refuses `out_proj` and `conv1d` of Mamba
models, because the fused GPU kernel reads their weights past the module, so that an adapter would be ignored without a
word. Every path of this family calls the modules (`mixer.run_mixer`), so adapters on out_proj act here; they would not
under `mamba_inner_fn`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn import functional as F

from memescope.errors import UsageError

DEFAULTS = {"r": 8, "alpha": 8, "dropout": 0.1}
"""The source's (section 2.2)."""
TEXT_TARGETS = ("in_proj", "x_proj", "out_proj")
IMAGE_TARGETS = ("in_proj", "out_proj", "fc1", "fc2")
"""The layers whose adapters add up to the source's table 1: 3,969,024 for mamba-370m and 1,343,488 for VMamba-B."""


class Linear2d(nn.Linear):
    """A linear layer over channels that come first: (b, in, h, w) -> (b, out, h, w)."""

    def forward(self, x: Tensor) -> Tensor:
        """A 1 x 1 convolution."""
        return over_channels(x, self.weight, self.bias)


def over_channels(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """(b, in, h, w) -> (b, out, h, w) as one matrix product with channels last, where VMamba's maps are laid out so
    already; torch's 1 x 1 convolution copies the map into columns first."""
    return F.linear(x.permute(0, 2, 3, 1), weight, bias).permute(0, 3, 1, 2)


class LowRank(nn.Module):
    """A frozen layer with its adapter; what it computes in evaluation mode is the layer with `weight`."""

    def __init__(self, base: nn.Linear, r: int, alpha: float, dropout: float) -> None:
        super().__init__()
        self.base = base.requires_grad_(False)
        new = base.weight.new_empty
        self.lora_A = nn.Parameter(new(r, base.in_features))
        self.lora_B = nn.Parameter(new(base.out_features, r))
        self.scale = alpha / r
        self.dropout = nn.Dropout(dropout)
        if base.weight.device.type != "meta":
            nn.init.kaiming_uniform_(self.lora_A, a=math.sqrt(5))
            nn.init.zeros_(self.lora_B)

    def forward(self, x: Tensor) -> Tensor:
        """As the layer it stands for: channels last, or first where that is a `Linear2d`."""
        y: Tensor = self.base(x)
        x = self.dropout(x)
        if isinstance(self.base, Linear2d):
            low = over_channels(over_channels(x, self.lora_A), self.lora_B)
        else:
            low = F.linear(F.linear(x, self.lora_A), self.lora_B)
        return y + self.scale * low

    @property
    def weight(self) -> Tensor:
        """The dense weight that layer and adapter add up to, (out, in)."""
        return self.base.weight + self.scale * self.lora_B @ self.lora_A


def adapt(module: nn.Module, targets: Sequence[str], r: int = 8, alpha: float = 8, dropout: float = 0.1) -> int:
    """Freeze a module and give its layers named in `targets` adapters; the number of trainable parameters.

    Raises `UsageError` for a target that names no linear layer of it.
    """
    module.requires_grad_(False)
    found: set[str] = set()
    for parent in list(module.modules()):
        for name, child in list(parent.named_children()):
            if name in targets and isinstance(child, nn.Linear):
                setattr(parent, name, LowRank(child, r, alpha, dropout).train(child.training))
                found.add(name)
    if absent := set(targets) - found:
        layers = sorted({name.rpartition(".")[2] for name, m in module.named_modules() if isinstance(m, nn.Linear)})
        raise UsageError(
            f"lora: {', '.join(sorted(absent))} is no linear layer of {type(module).__name__}; there are: "
            f"{', '.join(layers)} (VMamba's x_proj_weight and dt_projs_weight are bare parameters)"
        )
    return sum(p.numel() for p in module.parameters() if p.requires_grad)
