"""What the language model looks at: the frozen features of a picture as a row of visual tokens.

A packaged encoder (or another one of `backbones.load_vision_encoder`) gives its g x g places. CLIP by a hub id or
folder gives the last hidden state of `CLIPVisionModel`, [CLS] and patches, as published.

Shape letters: `b` pictures, `v` visual tokens, `e` their width, `s` side in pixels.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal, Protocol

import numpy as np
import torch
from torch import Tensor

from memescope.backbones import load_vision_encoder
from memescope.backbones.base import squeeze
from memescope.backbones.hub import content_version, load_transformers, readable
from memescope.backbones.language import Quiet
from memescope.errors import UsageError
from memescope.perception.pictures import Picture, open_picture

PICTURES_AT_ONCE = 32


@dataclass(frozen=True)
class VisualSettings:
    """How pictures are prepared for CLIP.

    `crop`: "centre" resizes the shorter side and cuts the middle, as published; "whole" squeezes it to a square.
    `statistics`: "own" normalises with CLIP's mean and deviation; "half" with 0.5 and 0.5, which the released code did
    and CLIP was not trained for.
    """

    crop: Literal["centre", "whole"] = "centre"
    statistics: Literal["own", "half"] = "own"

    def __post_init__(self) -> None:
        if self.crop not in ("centre", "whole") or self.statistics not in ("own", "half"):
            raise UsageError(f"vision settings {asdict(self)}: crop is centre or whole, statistics are own or half")


class VisualEncoder(Protocol):
    """Pictures to visual tokens, frozen."""

    name: str
    version: str
    width: int
    count: int

    def __call__(self, pictures: Sequence[Any]) -> Tensor:
        """float32 (b, v, e) for files, bytes, pictures; zeros for None. `PictureError` for what cannot be read."""
        ...


class _Frozen(ABC):
    """Fills in zeros for memes without a picture, which is how the model is told that there is none."""

    count: int
    width: int

    def __call__(self, pictures: Sequence[Any]) -> Tensor:
        there = [i for i, picture in enumerate(pictures) if picture is not None]
        tokens = torch.zeros(len(pictures), self.count, self.width)
        if there:
            tokens[there] = self._encode([open_picture(pictures[i]) for i in there])
        return tokens

    @abstractmethod
    def _encode(self, pictures: list[Picture]) -> Tensor:
        """float32 (b, v, e)."""


class Grid(_Frozen):
    """The places of a vision encoder's grid, row by row from the top left."""

    def __init__(self, name: str) -> None:
        self._encoder = load_vision_encoder(name)
        self.name, self.version = name, self._encoder.version
        self.width, self.count = self._encoder.dim, self._encoder.grid**2

    def _encode(self, pictures: list[Picture]) -> Tensor:
        return torch.from_numpy(self._encoder.patches(pictures)).flatten(1, 2)


class Clip(_Frozen):
    """CLIP's [CLS] and patches as its last layer leaves them, before the final norm: 50 x 768 for ViT-B/32."""

    def __init__(self, name: str, settings: VisualSettings, device: str = "cpu") -> None:
        transformers = load_transformers(f"vision encoder {name!r}")
        with readable("vision encoder", name):
            with Quiet():  # the text tower of a whole CLIP is told as unexpected
                self._model = transformers.CLIPVisionModel.from_pretrained(name, use_safetensors=True, dtype="float32")
            processor = transformers.AutoImageProcessor.from_pretrained(name)
        config = self._model.config
        self.name, self.version, self.settings = name, content_version(name, config), settings
        self.width, self.size = config.hidden_size, config.image_size
        self.count = (config.image_size // config.patch_size) ** 2 + 1
        own = settings.statistics == "own"
        self._mean = torch.tensor(processor.image_mean if own else [0.5] * 3, device=device) * 255
        self._deviation = torch.tensor(processor.image_std if own else [0.5] * 3, device=device) * 255
        self._model = self._model.to(device).eval().requires_grad_(False)

    def _encode(self, pictures: list[Picture]) -> Tensor:
        square = centre if self.settings.crop == "centre" else squeeze
        found = []
        for start in range(0, len(pictures), PICTURES_AT_ONCE):
            some = [square(picture.pixels, self.size) for picture in pictures[start : start + PICTURES_AT_ONCE]]
            pixels = torch.tensor(np.stack(some), dtype=torch.float32, device=self._mean.device)
            scaled = ((pixels - self._mean) / self._deviation).permute(0, 3, 1, 2).contiguous()
            with torch.inference_mode():
                found.append(self._model(pixel_values=scaled).last_hidden_state.cpu())
        return torch.cat(found).clone()


def centre(pixels: np.ndarray, size: int) -> np.ndarray:
    """uint8 RGB (h, w, 3) with its shorter side resized to `size` (bicubic), cut to its middle (size, size, 3)."""
    from PIL import Image

    height, width = pixels.shape[:2]
    scale = size / min(height, width)
    to = max(round(width * scale), size), max(round(height * scale), size)
    resized = Image.fromarray(np.ascontiguousarray(pixels)).resize(to, Image.Resampling.BICUBIC)
    left, top = (to[0] - size) // 2, (to[1] - size) // 2
    return np.asarray(resized.crop((left, top, left + size, top + size)))


def load_visual_encoder(name: str, settings: VisualSettings | None = None) -> VisualEncoder:
    """The encoder of a packaged name, or CLIP or another vision transformer by hub id or folder."""
    from memescope.backbones.packaged import VISION

    if name not in VISION:
        transformers = load_transformers(f"vision encoder {name!r}")
        with readable("vision encoder", name):
            kind = transformers.AutoConfig.from_pretrained(name).model_type
        if kind in ("clip", "clip_vision_model"):
            return Clip(name, settings or VisualSettings())
    return Grid(name)
