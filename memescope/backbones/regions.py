"""Regions of a picture: features and where they are. Grids of an encoder, or what a detector (DETR) saw.

MM-ORIENT looks at 100 regions of Mask R-CNN X-152 (width 2048); MR.HARM and others at a grid of patches. Both come as
`Regions`, so that a model need not know which. Features computed elsewhere: `memescope.backbones.stored_regions`.

Shape letters: `n` regions, `d` width.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np

from memescope.backbones.hub import content_version, load_transformers, readable
from memescope.backbones.load import load_vision_encoder
from memescope.errors import MemescopeError, UsageError
from memescope.perception.pictures import Picture

DETR_REVISION = "no_timm"
"""The branch of facebook/detr-resnet-50 and -101 whose backbone is transformers' own."""
MOST_CONFIDENT = 36
"""Regions kept of a detector's, unless asked for others: as many as bottom-up attention's fixed setting."""


@dataclass(slots=True)
class Regions:
    """`features` (n, d) float32; `boxes` (n, 4) float32: left, top, right, bottom as fractions of width and height;
    `scores` (n,) float32 from 0 to 1 (1 for places of a grid)."""

    features: np.ndarray
    boxes: np.ndarray
    scores: np.ndarray

    def __post_init__(self) -> None:
        n = len(self.features)
        if self.features.ndim != 2 or self.boxes.shape != (n, 4) or self.scores.shape != (n,):
            raise MemescopeError(
                f"regions: expected features (n, d), boxes (n, 4), scores (n,), found {self.features.shape}, "
                f"{self.boxes.shape}, {self.scores.shape}"
            )

    def __len__(self) -> int:
        return len(self.features)


def padded(regions: Sequence[Regions | None], count: int, width: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A batch: features (b, count, width), boxes (b, count, 4), zeros where there are none, and a bool mask (b, count).

    The most confident stay where there are more than `count`. Raises `MemescopeError` for features of another width.
    """
    features = np.zeros((len(regions), count, width), np.float32)
    boxes = np.zeros((len(regions), count, 4), np.float32)
    mask = np.zeros((len(regions), count), bool)
    for row, some in enumerate(regions):
        if some is None:
            continue
        if some.features.shape[1] != width:
            raise MemescopeError(f"regions of width {some.features.shape[1]}, expected {width}: from another encoder?")
        kept = np.sort(np.argsort(-some.scores, kind="stable")[:count])
        features[row, : len(kept)], boxes[row, : len(kept)] = some.features[kept], some.boxes[kept]
        mask[row, : len(kept)] = True
    return features, boxes, mask


def grid_regions(picture: Picture, encoder: str = "effnet-lite0") -> Regions:
    """The places of a vision encoder's grid, row by row from the top left; by a packaged name, hub id or folder."""
    loaded = load_vision_encoder(encoder)
    features = loaded.patches([picture])[0].reshape(loaded.grid**2, loaded.dim)
    return Regions(features, grid_boxes(loaded.grid), np.ones(len(features), np.float32))


def grid_boxes(grid: int) -> np.ndarray:
    """Boxes (grid * grid, 4) of the places of a square grid over the whole picture."""
    edges = np.arange(grid + 1) / grid
    tops, lefts = np.divmod(np.arange(grid * grid), grid)
    return np.stack([edges[lefts], edges[tops], edges[lefts + 1], edges[tops + 1]], axis=1).astype(np.float32)


class Detr:
    """DETR (Carion et al. 2020, arXiv:2005.12872): the decoder's last state of the most confident object queries.

    `name` is a hub id or folder; confidence is the highest probability of any class but "no object" (section 3.1).
    Regions come in order of confidence. `version` names the checkpoint.
    """

    def __init__(self, name: str = "facebook/detr-resnet-50", device: str = "cpu") -> None:
        transformers = load_transformers(f"detector {name!r}")
        # The branch exists for these two repositories; others hold what their main branch says.
        revision = DETR_REVISION if name in ("facebook/detr-resnet-50", "facebook/detr-resnet-101") else "main"
        with readable("detector", name):
            config = transformers.AutoConfig.from_pretrained(name, revision=revision)
            if config.model_type != "detr":
                raise UsageError(f"detector {name!r}: a {config.model_type} model; expected a detr one")
            # As saved, the network would first fetch ImageNet weights that its own then replace.
            config.use_pretrained_backbone = False
            self._model = transformers.DetrForObjectDetection.from_pretrained(
                name, config=config, revision=revision, use_safetensors=True, dtype="float32"
            )
            self._processor = transformers.AutoImageProcessor.from_pretrained(name, revision=revision)
        self.name, self._device = name, device
        self.version = content_version(name, self._model.config)
        self.dim = int(self._model.config.d_model)
        self._model = self._model.to(device).eval()

    def regions(self, picture: Picture, count: int = MOST_CONFIDENT) -> Regions:
        """At most `count` regions, the most confident first."""
        import torch

        pixels = np.ascontiguousarray(picture.pixels)
        inputs = self._processor(images=[pixels], return_tensors="pt").to(self._device)
        with torch.inference_mode():
            out = self._model(**inputs)
        confidence = out.logits[0].softmax(-1)[:, :-1].max(-1).values.cpu().numpy()
        order = np.argsort(-confidence, kind="stable")[:count]
        x, y, w, h = out.pred_boxes[0].cpu().numpy()[order].T
        boxes = np.stack([x - w / 2, y - h / 2, x + w / 2, y + h / 2], axis=1).clip(0, 1)
        features = out.last_hidden_state[0].cpu().numpy()[order]
        return Regions(features.astype(np.float32), boxes.astype(np.float32), confidence[order].astype(np.float32))


@cache
def load_detr(name: str, device: str = "cpu") -> Detr:
    """The detector, opened once in each process."""
    return Detr(name, device)


def compact(features: np.ndarray) -> np.ndarray:
    """In float16, unless a value would not fit."""
    with np.errstate(over="ignore"):
        half = features.astype(np.float16)
    return half if np.isfinite(half).all() else features


def pack_regions(regions: Regions) -> bytes:
    """As safetensors, features in float16 (relative error 0.0005; float32 where they would not fit)."""
    from safetensors.numpy import save

    tensors: Mapping[str, np.ndarray] = {
        "features": compact(regions.features),
        "boxes": regions.boxes,
        "scores": regions.scores,
    }
    return save({name: np.ascontiguousarray(tensor) for name, tensor in tensors.items()})


def unpack_regions(data: bytes) -> Regions:
    """The inverse of `pack_regions`."""
    from safetensors.numpy import load

    tensors: dict[str, Any] = load(data)
    return Regions(tensors["features"].astype(np.float32), tensors["boxes"], tensors["scores"])
