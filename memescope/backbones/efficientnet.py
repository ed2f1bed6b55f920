"""EfficientNet-lite0 in PyTorch: the reference the packaged ONNX graph is made from and tested against.

Tan and Le 2019 (EfficientNet, table 1) with the "lite" changes its authors published in 2020: no squeeze-and-
excitation, ReLU6 in place of swish, stem and head widths not scaled. Padding is TensorFlow's SAME (more on the right
and bottom when it is odd), batch norm has epsilon 1e-3: the published weights come from TensorFlow.

Shape letters: `b` batch, `c` channels, `h w` picture or grid.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

STEM, HEAD, CLASSES = 32, 1280, 1000
EPSILON = 1e-3


class Stage(NamedTuple):
    """One row of the architecture table: `repeats` inverted bottlenecks, the first with `stride`."""

    repeats: int
    kernel: int
    stride: int
    expand: int
    width: int


STAGES = (
    Stage(1, 3, 1, 1, 16),
    Stage(2, 3, 2, 6, 24),
    Stage(2, 5, 2, 6, 40),
    Stage(3, 3, 2, 6, 80),
    Stage(3, 5, 1, 6, 112),
    Stage(4, 5, 2, 6, 192),
    Stage(1, 3, 1, 6, 320),
)


def same_padding(size: int, kernel: int, stride: int) -> tuple[int, int]:
    """Zeros before and after one axis so that the output has ceil(size / stride) places, as TensorFlow's SAME."""
    total = max((-(-size // stride) - 1) * stride + kernel - size, 0)
    return total // 2, total - total // 2


class SameConv(nn.Conv2d):
    """A convolution without bias, padded as TensorFlow's SAME."""

    def __init__(self, width_in: int, width_out: int, kernel: int, stride: int = 1, groups: int = 1) -> None:
        super().__init__(width_in, width_out, kernel, stride, groups=groups, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        kernel, stride = self.kernel_size[0], self.stride[0]
        top, bottom = same_padding(x.shape[2], kernel, stride)
        left, right = same_padding(x.shape[3], kernel, stride)
        return super().forward(F.pad(x, (left, right, top, bottom)))


class Bottleneck(nn.Module):
    """Inverted bottleneck: 1x1 expansion, depthwise convolution, 1x1 projection, with a skip where shapes agree."""

    def __init__(self, width_in: int, width_out: int, kernel: int, stride: int, expand: int) -> None:
        super().__init__()
        hidden = width_in * expand
        if expand > 1:
            self.expand_conv = SameConv(width_in, hidden, 1)
            self.bn0 = nn.BatchNorm2d(hidden, EPSILON)
        self.depthwise_conv = SameConv(hidden, hidden, kernel, stride, groups=hidden)
        self.bn1 = nn.BatchNorm2d(hidden, EPSILON)
        self.project_conv = SameConv(hidden, width_out, 1)
        self.bn2 = nn.BatchNorm2d(width_out, EPSILON)
        self.expands = expand > 1
        self.skips = stride == 1 and width_in == width_out

    def forward(self, x: Tensor) -> Tensor:
        out = F.relu6(self.bn0(self.expand_conv(x))) if self.expands else x
        out = F.relu6(self.bn1(self.depthwise_conv(out)))
        out = self.bn2(self.project_conv(out))
        return out + x if self.skips else out


class EfficientNetLite0(nn.Module):
    """Input (b, 3, h, w), RGB, (value - 127) / 128. `forward` gives ImageNet logits (b, 1000)."""

    def __init__(self) -> None:
        super().__init__()
        self.conv_stem = SameConv(3, STEM, 3, 2)
        self.bn0 = nn.BatchNorm2d(STEM, EPSILON)
        blocks, width = [], STEM
        for stage in STAGES:
            for repeat in range(stage.repeats):
                stride = stage.stride if repeat == 0 else 1
                blocks.append(Bottleneck(width, stage.width, stage.kernel, stride, stage.expand))
                width = stage.width
        self.blocks = nn.ModuleList(blocks)
        self.conv_head = SameConv(width, HEAD, 1)
        self.bn1 = nn.BatchNorm2d(HEAD, EPSILON)
        self.fc = nn.Linear(HEAD, CLASSES)

    def grid(self, x: Tensor) -> Tensor:
        """Features after the head convolution: (b, 1280, h/32, w/32), between 0 and 6."""
        x = F.relu6(self.bn0(self.conv_stem(x)))
        for block in self.blocks:
            x = block(x)
        return F.relu6(self.bn1(self.conv_head(x)))

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(self.grid(x).mean((2, 3)))


def load_reference(path: str | Path) -> EfficientNetLite0:
    """The model with the published ImageNet weights: a state dict whose names begin with underscores, read strictly."""
    state = torch.load(path, map_location="cpu", weights_only=True)
    model = EfficientNetLite0()
    model.load_state_dict(
        {name.replace("._", ".").removeprefix("_"): value for name, value in state.items()}, strict=True
    )
    return model.eval()


def load_folder(folder: str | Path) -> EfficientNetLite0:
    """The model in a folder that `memescope models pull effnet-lite0-torch` has made, ready to be trained further."""
    from safetensors.torch import load_file

    model = EfficientNetLite0()
    model.load_state_dict(load_file(Path(folder) / "model.safetensors"), strict=True)
    return model.eval()
