"""VMamba (Liu et al. 2024, arXiv 2401.10166), written after the definition of its released checkpoints (s2l5, s2l15).

Names and shapes of parameters are the official ones, so a released state dict loads as it is (`official.py`). Only what
those checkpoints use is here: channels first, `ln2d`, patch embedding v2, downsampling v3, forward type v05_noz.

    pixels (b, 3, s, s) -> patch_embed /4 -> stage 1 -> /2 -> stage 2 -> /2 -> stage 3 -> /2 -> stage 4 -> norm
    block:  x += op(norm(x));  x += mlp(norm2(x))
    op (SS2D):  out_proj(out_norm(merge(scan(cross(silu(conv2d(in_proj(x)))))))

Cross-scan reads the map in four orders: along rows, along columns, and both backwards; each has its own B, C, delta, A
and D. Cross-merge puts the four outputs back in place and adds them.

Shape letters: `b` pictures, `d` width, `e` inner width, `k` the 4 directions, `n` states, `r` rank of delta, `h` `w`
the map, `l` = h w.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from memescope.models.mamba.lora import Linear2d
from memescope.models.mamba.mixer import scan

DIRECTIONS = 4


@dataclass(frozen=True)
class VMambaSettings:
    """Sizes. `classes` 0: no classifier, the states of the last stage are what is wanted."""

    depths: tuple[int, ...] = (2, 2, 15, 2)
    width: int = 128
    states: int = 1
    ratio: float = 2.0
    mlp_ratio: float = 4.0
    drop_path: float = 0.0
    classes: int = 0

    @property
    def dims(self) -> tuple[int, ...]:
        """Width of each stage."""
        return tuple(self.width * 2**i for i in range(len(self.depths)))

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return asdict(self) | {"depths": list(self.depths)}


OFFICIAL = {
    "vmamba_tiny_s2l5": VMambaSettings((2, 2, 5, 2), 96, drop_path=0.2, classes=1000),
    "vmamba_base_s2l15": VMambaSettings((2, 2, 15, 2), 128, drop_path=0.6, classes=1000),
}
"""The released models, by their names there; `drop_path` is what they were trained with."""


class LayerNorm2d(nn.LayerNorm):
    """Layer norm over channels that come first."""

    def forward(self, x: Tensor) -> Tensor:
        """(b, d, h, w) -> the same."""
        return super().forward(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


def cross_scan(x: Tensor) -> Tensor:
    """(b, e, h, w) -> (b, 4, e, l): by rows, by columns, and the two backwards."""
    ways = torch.stack([x.flatten(2), x.transpose(2, 3).flatten(2)], 1)
    return torch.cat([ways, ways.flip(-1)], 1)


def in_orders(x: Tensor, h: int, w: int) -> Tensor:
    """(b, 4, c, l), each of the four along rows -> each in the order of its own direction, as `cross_scan` reads."""
    turned = x[:, 1::2].unflatten(-1, (h, w)).transpose(3, 4).flatten(3)
    return torch.stack([x[:, 0], turned[:, 0], x[:, 2].flip(-1), turned[:, 1].flip(-1)], 1)


def cross_merge(y: Tensor, h: int, w: int) -> Tensor:
    """(b, 4, e, l) -> (b, e, h, w): the four ways back in place, added."""
    ways = y[:, :2] + y[:, 2:].flip(-1)
    return ways[:, 0].unflatten(-1, (h, w)) + ways[:, 1].unflatten(-1, (w, h)).transpose(2, 3)


class SS2D(nn.Module):
    """The 2D selective scan, without gate (`noz`)."""

    def __init__(self, width: int, settings: VMambaSettings, place: str) -> None:
        super().__init__()
        self.place = place
        inner, n = int(settings.ratio * width), settings.states
        self.rank, self.states = math.ceil(width / 16), n
        self.in_proj = Linear2d(width, inner, bias=False)
        self.conv2d = nn.Conv2d(inner, inner, 3, padding=1, groups=inner, bias=False)
        self.x_proj_weight = nn.Parameter(torch.empty(DIRECTIONS, self.rank + 2 * n, inner))
        self.dt_projs_weight = nn.Parameter(torch.empty(DIRECTIONS, inner, self.rank))
        self.dt_projs_bias = nn.Parameter(torch.empty(DIRECTIONS, inner))
        self.A_logs = nn.Parameter(torch.empty(DIRECTIONS * inner, n))
        self.Ds = nn.Parameter(torch.ones(DIRECTIONS * inner))
        self.out_norm = LayerNorm2d(inner)
        self.out_proj = Linear2d(inner, width, bias=False)

    @torch.no_grad()
    def start(self) -> None:
        """Mamba's initialisation: A_n = -n, delta between .001 and .1."""
        bound = self.x_proj_weight.shape[-1] ** -0.5
        nn.init.uniform_(self.x_proj_weight, -bound, bound)
        nn.init.uniform_(self.dt_projs_weight, -(self.rank**-0.5), self.rank**-0.5)
        delta = torch.exp(torch.rand_like(self.dt_projs_bias) * math.log(0.1 / 0.001) + math.log(0.001)).clamp(min=1e-4)
        self.dt_projs_bias.copy_(delta + torch.log(-torch.expm1(-delta)))
        self.A_logs.copy_(torch.arange(1, self.states + 1).float().log().expand_as(self.A_logs))
        self.Ds.fill_(1.0)

    def forward(self, x: Tensor) -> Tensor:
        """(b, d, h, w) -> the same."""
        x = F.silu(self.conv2d(self.in_proj(x)))
        inner, h, w = x.shape[1:]
        # projected before the map is read in four orders: the four projections are few channels, the map many
        found = torch.matmul(self.x_proj_weight.flatten(0, 1), x.flatten(2))  # (b, k c, l)
        found = in_orders(found.unflatten(1, (DIRECTIONS, -1)), h, w)
        t, B, C = found.split([self.rank, self.states, self.states], dim=2)
        delta = torch.matmul(self.dt_projs_weight, t)  # (b, k, e, l)
        y = scan(
            self.place,
            cross_scan(x).flatten(1, 2),
            delta.flatten(1, 2),
            -torch.exp(self.A_logs if self.A_logs.dtype == torch.float64 else self.A_logs.float()),
            B,
            C,
            self.Ds,
            bias=self.dt_projs_bias.flatten(),
            size=(h, w),
        )
        merged = cross_merge(y.unflatten(1, (DIRECTIONS, inner)), h, w)
        out: Tensor = self.out_proj(self.out_norm(merged).to(x.dtype))
        return out


class Mlp(nn.Module):
    """Two linear layers over channels with GELU between."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.fc1, self.fc2 = Linear2d(width, hidden), Linear2d(hidden, width)

    def forward(self, x: Tensor) -> Tensor:
        """(b, d, h, w) -> the same."""
        out: Tensor = self.fc2(F.gelu(self.fc1(x)))
        return out


class VSSBlock(nn.Module):
    """Scan, then MLP, each with its norm and residual; in training either is dropped for a picture by `drop_path`."""

    def __init__(self, width: int, drop_path: float, settings: VMambaSettings, place: str) -> None:
        super().__init__()
        self.norm = LayerNorm2d(width)
        self.op = SS2D(width, settings, place)
        self.norm2 = LayerNorm2d(width)
        self.mlp = Mlp(width, int(width * settings.mlp_ratio))
        self.drop_path = drop_path

    def forward(self, x: Tensor) -> Tensor:
        """(b, d, h, w) -> the same."""
        x = x + self._dropped(self.op(self.norm(x)))
        return x + self._dropped(self.mlp(self.norm2(x)))

    def _dropped(self, branch: Tensor) -> Tensor:
        if not self.training or self.drop_path == 0:
            return branch
        kept = 1 - self.drop_path
        return branch * branch.new_empty(branch.shape[0], 1, 1, 1).bernoulli_(kept) / kept


class VMamba(nn.Module):
    """The backbone; `states` is what memes are read from."""

    def __init__(self, settings: VMambaSettings) -> None:
        super().__init__()
        self.settings = settings
        dims = settings.dims
        self.patch_embed = nn.Sequential(
            nn.Conv2d(3, dims[0] // 2, 3, stride=2, padding=1),
            nn.Identity(),
            LayerNorm2d(dims[0] // 2),
            nn.Identity(),
            nn.GELU(),
            nn.Conv2d(dims[0] // 2, dims[0], 3, stride=2, padding=1),
            nn.Identity(),
            LayerNorm2d(dims[0]),
        )
        rates = iter(torch.linspace(0, settings.drop_path, sum(settings.depths), device="cpu").tolist())
        self.layers = nn.ModuleList()
        for i, depth in enumerate(settings.depths):
            blocks = [VSSBlock(dims[i], next(rates), settings, f"{i}.{j}") for j in range(depth)]
            last = i == len(dims) - 1
            down = nn.Identity() if last else _downsample(dims[i], dims[i + 1])
            self.layers.append(nn.Sequential(OrderedDict(blocks=nn.Sequential(*blocks), downsample=down)))
        self.classifier = nn.Sequential(OrderedDict(norm=LayerNorm2d(dims[-1])))
        if settings.classes:
            self.classifier.add_module("head", nn.Linear(dims[-1], settings.classes))
        if self.patch_embed[0].weight.device.type != "meta":
            self.start()

    def start(self) -> None:
        """Random weights, as published: linear layers normal with deviation .02, scans as Mamba starts."""
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.trunc_normal_(module.weight, std=0.02)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
            elif isinstance(module, SS2D):
                module.start()

    def stages(self, pixels: Tensor) -> list[Tensor]:
        """The map after the blocks of each stage, (b, d_i, h_i, w_i), before it is made smaller."""
        x = self.patch_embed(pixels)
        found = []
        for layer in self.layers:
            # channels last in memory: norms and linear layers, which act on channels, then copy nothing
            x = layer.get_submodule("blocks")(x.contiguous(memory_format=torch.channels_last))
            found.append(x)
            x = layer.get_submodule("downsample")(x)
        return found

    def states(self, pixels: Tensor) -> Tensor:
        """Normed map of the last stage, (b, d, h, w)."""
        normed: Tensor = self.classifier.get_submodule("norm")(self.stages(pixels)[-1])
        return normed

    def forward(self, pixels: Tensor) -> Tensor:
        """Scores of the classes (b, c), as the released models give them; needs `classes`."""
        scores: Tensor = self.classifier.get_submodule("head")(self.states(pixels).mean((2, 3)))
        return scores


def _downsample(width: int, to: int) -> nn.Sequential:
    return nn.Sequential(nn.Identity(), nn.Conv2d(width, to, 3, stride=2, padding=1), nn.Identity(), LayerNorm2d(to))


def vmamba_settings(values: dict[str, Any]) -> VMambaSettings:
    """From `VMambaSettings.to_dict`."""
    depths: Sequence[int] = values["depths"]
    return VMambaSettings(**(values | {"depths": tuple(depths)}))
