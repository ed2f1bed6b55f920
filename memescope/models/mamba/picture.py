"""The picture side: VMamba, ResNet- and ViT-shaped peers, and frozen encoders by name.

Each gives states (b, v, e) of the places of its last map; the mean over them is the picture's vector (source, 2.1).

Shape letters: `b` pictures, `v` places, `e` width, `s` side in pixels, `h` `w` the map.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from transformers import AutoConfig, AutoModel

from memescope.errors import UsageError
from memescope.models.mamba.vmamba import VMamba, VMambaSettings, vmamba_settings

MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""ImageNet's statistics, which the released VMamba and the peers on the hub were trained with."""


class PictureTower(nn.Module):
    """A trainable picture encoder; for `frozen` kinds it has no parameters and passes on the features it is given."""

    def __init__(self, about: dict[str, Any], backbone: Any = None) -> None:
        """`about`: `config.IMAGE`. Without a `backbone` its weights are random, to be loaded over."""
        super().__init__()
        self.about = about
        self.kind = about["kind"]
        if self.kind != "frozen":
            self.backbone = blank(about) if backbone is None else backbone

    @property
    def width(self) -> int:
        """`e`."""
        if self.kind == "frozen":
            return int(self.about["width"])
        if self.kind == "vmamba":
            return int(self.backbone.settings.dims[-1])
        config = self.backbone.config
        return int(config.hidden_sizes[-1] if self.kind == "resnet" else config.hidden_size)

    def forward(self, pixels: Tensor) -> Tensor:
        """States (b, v, e) from uint8 RGB (b, s, s, 3); for frozen encoders from their features (b, v, e)."""
        if self.kind == "frozen":
            return pixels
        states = self.map(self.prepared(pixels))
        return states.flatten(2).transpose(1, 2)

    def prepared(self, pixels: Tensor) -> Tensor:
        """float (b, 3, s, s), normalised."""
        dtype = next(self.backbone.parameters()).dtype
        mean = torch.tensor(MEAN, device=pixels.device, dtype=dtype) * 255
        deviation = torch.tensor(DEVIATION, device=pixels.device, dtype=dtype) * 255
        return ((pixels.to(dtype) - mean) / deviation).permute(0, 3, 1, 2).contiguous()

    def map(self, prepared: Tensor) -> Tensor:
        """The last map (b, e, h, w)."""
        if self.kind == "vmamba":
            found: Tensor = self.backbone.states(prepared)
        elif self.kind == "resnet":
            found = self.backbone(prepared).last_hidden_state
        else:
            # a picture of another size than the pretrained one: its places are interpolated
            states = self.backbone(prepared, interpolate_pos_encoding=True).last_hidden_state[:, 1:]
            side = prepared.shape[-1] // self.backbone.config.patch_size
            found = states.transpose(1, 2).unflatten(2, (side, side))
        return found

    def stages(self, prepared: Tensor) -> list[Tensor]:
        """The maps that Grad-CAM can be drawn on, first to last: a VMamba's four stages; the last map of others."""
        if self.kind == "vmamba":
            return list(self.backbone.stages(prepared))
        return [self.map(prepared)]

    def from_stage(self, last: Tensor) -> Tensor:
        """States (b, v, e) from the last of `stages`."""
        if self.kind == "vmamba":
            last = self.backbone.classifier.norm(last)
        return last.flatten(2).transpose(1, 2)


def blank(about: dict[str, Any]) -> Any:
    """A picture backbone of a configuration, its weights random."""
    values = dict(about["config"])
    kind = values.pop("model_type")
    if kind == "vmamba":
        return VMamba(vmamba_settings(values))
    config = AutoConfig.for_model(kind, **values)
    options = {"add_pooling_layer": False} if kind == "vit" else {}
    return AutoModel.from_config(config, **options)


def image_config(kind: str, width: int, depths: tuple[int, ...], states: int, drop_path: float, size: int) -> dict:
    """The configuration of a small encoder: `width` is that of the first stage (vmamba, resnet), or of all (vit).

    `depths`: blocks of each stage; for a ViT its only number is the layers.
    """
    if kind == "vmamba":
        settings = VMambaSettings(depths=depths, width=width, states=states, drop_path=drop_path)
        return {"model_type": "vmamba", **settings.to_dict()}
    if kind == "resnet":
        return {
            "model_type": "resnet", "embedding_size": width, "hidden_sizes": [width * 2**i for i in range(len(depths))],
            "depths": list(depths), "layer_type": "basic",
        }  # fmt: skip
    if len(depths) != 1 or width % 64:
        raise UsageError(f"image: a vit has one depth and a width that is a multiple of 64 (found {depths}, {width})")
    return {
        "model_type": "vit", "hidden_size": width, "num_hidden_layers": depths[0], "num_attention_heads": width // 64,
        "intermediate_size": 4 * width, "image_size": size, "patch_size": 16,
    }  # fmt: skip
