"""Where MM-ORIENT's features come from: regions of a picture, and pooled vectors of text and picture.

    regions: effnet-lite0, or a vision transformer       the places of its grid
    regions: facebook/detr-resnet-50, or another DETR    its most confident regions
    regions: a folder or file (`stored_regions`)         regions computed elsewhere, by the meme's id or picture
    text, image: openai/clip-vit-base-patch32            CLIP's projected vectors, `text_embeds` and `image_embeds`
    text, image: any other encoder                       its pooled vectors

The paper has Mask R-CNN X-152 features computed beforehand, 100 x 2048 a picture, and CLIP ViT-B/32.

Shape letters: `b` memes, `r` regions, `d` width.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from memescope.backbones import load_text_encoder, load_vision_encoder
from memescope.backbones.hub import content_version, load_transformers, readable
from memescope.backbones.language import Quiet
from memescope.backbones.packaged import TEXT, VISION
from memescope.backbones.regions import Regions, grid_boxes, load_detr
from memescope.backbones.stored_regions import StoredRegions
from memescope.cache import content_key
from memescope.errors import MemescopeError
from memescope.meme import Meme
from memescope.perception.pictures import Picture

PUBLISHED = 100
"""Regions of a picture that are kept, as in the paper."""
_AT_ONCE = 32


class RegionSource(Protocol):
    """Regions of memes, of one width."""

    version: str
    dim: int

    def of(self, memes: Sequence[Meme], pictures: Sequence[Picture | None]) -> list[Regions | None]:
        """The regions of each meme, None where there are none."""
        ...


class PooledText(Protocol):
    """One vector for each text."""

    version: str
    dim: int

    def pooled(self, texts: Sequence[str]) -> np.ndarray:
        """float32 (b, d)."""
        ...


class PooledImage(Protocol):
    """One vector for each picture."""

    version: str
    dim: int

    def pooled(self, pictures: Sequence[Picture]) -> np.ndarray:
        """float32 (b, d)."""
        ...


class GridSource:
    """The places of a vision encoder's grid, row by row from the top left."""

    def __init__(self, name: str) -> None:
        self._encoder = load_vision_encoder(name)
        self.version, self.dim = self._encoder.version, self._encoder.dim
        self._boxes = grid_boxes(self._encoder.grid)

    def of(self, memes: Sequence[Meme], pictures: Sequence[Picture | None]) -> list[Regions | None]:
        """The grid of each picture; all regions of score 1."""
        shown = [picture for picture in pictures if picture is not None]
        grids = iter(self._encoder.patches(shown).reshape(len(shown), -1, self.dim)) if shown else iter(())
        ones = np.ones(len(self._boxes), np.float32)
        return [None if picture is None else Regions(next(grids), self._boxes, ones) for picture in pictures]


class DetectedSource:
    """The `count` most confident regions that a DETR model sees."""

    def __init__(self, name: str, count: int) -> None:
        self._detector, self._count = load_detr(name), count
        self.version, self.dim = f"{count} regions {self._detector.version}", self._detector.dim

    def of(self, memes: Sequence[Meme], pictures: Sequence[Picture | None]) -> list[Regions | None]:
        """Fewer than `count` where the model has fewer object queries."""
        return [None if picture is None else self._detector.regions(picture, self._count) for picture in pictures]


class StoredSource:
    """The `count` most confident of the regions that somebody else computed; none for a meme that is not among them.

    Whatever was done to the pictures was done before: inpainting and augmentation have no effect on these. The version
    names the files, their sizes and the content of the first.
    """

    def __init__(self, path: str, count: int) -> None:
        self._stored, self._count, self._path = StoredRegions(path), count, path
        first = self._stored.of(Meme(id=self._stored.names()[0]))
        assert first is not None
        self.dim = int(first.features.shape[1])
        self.version = f"{count} stored regions@{_contents(Path(path))}"

    def of(self, memes: Sequence[Meme], pictures: Sequence[Picture | None]) -> list[Regions | None]:
        """Raises `MemescopeError` for regions of another width than the first file's."""
        found: list[Regions | None] = []
        for meme in memes:
            regions = self._stored.of(meme)
            if regions is not None:
                if regions.features.shape[1] != self.dim:
                    raise MemescopeError(
                        f"regions of meme {meme.id!r} in {self._path}: width {regions.features.shape[1]}, expected "
                        f"{self.dim} as the others have: computed by another model?"
                    )
                kept = np.sort(np.argsort(-regions.scores, kind="stable")[: self._count])
                regions = Regions(regions.features[kept], regions.boxes[kept], regions.scores[kept])
            found.append(regions)
        return found


@cache
def _clip(name: str) -> Any:
    """CLIP whole, once for its two sides."""
    transformers = load_transformers(f"encoder {name!r}")
    with readable("text and vision encoder", name), Quiet():
        return transformers.CLIPModel.from_pretrained(name, use_safetensors=True, dtype="float32").eval()


class ClipText:
    """CLIP's `text_embeds`: projected and of length 1; texts are cut at the model's own length (77)."""

    def __init__(self, name: str) -> None:
        self._model, config = _clip(name), _clip(name).config
        with readable("text encoder", name):
            self._tokenizer = load_transformers(f"text encoder {name!r}").AutoTokenizer.from_pretrained(name)
        self.version, self.dim = f"projected {content_version(name, config)}", int(config.projection_dim)
        self._most = min(int(config.text_config.max_position_embeddings), self._tokenizer.model_max_length)

    def pooled(self, texts: Sequence[str]) -> np.ndarray:
        """float32 (b, d) of length 1."""
        import torch

        found = [np.zeros((0, self.dim), np.float32)]
        for start in range(0, len(texts), _AT_ONCE):
            some = list(texts[start : start + _AT_ONCE])
            batch = self._tokenizer(some, padding=True, truncation=True, max_length=self._most, return_tensors="pt")
            tokens = {name: batch[name] for name in ("input_ids", "attention_mask")}
            with torch.inference_mode():
                pooled = self._model.text_model(**tokens).pooler_output
                found.append(_unit(self._model.text_projection(pooled).numpy()))
        return np.concatenate(found)


class ClipImage:
    """CLIP's `image_embeds`: projected and of length 1, of the picture's middle square, as published."""

    def __init__(self, name: str) -> None:
        self._model, config = _clip(name), _clip(name).config
        with readable("vision encoder", name):
            self._processor = load_transformers(f"vision encoder {name!r}").AutoImageProcessor.from_pretrained(name)
        self.version, self.dim = f"projected {content_version(name, config)}", int(config.projection_dim)

    def pooled(self, pictures: Sequence[Picture]) -> np.ndarray:
        """float32 (b, d) of length 1."""
        import torch

        found = [np.zeros((0, self.dim), np.float32)]
        for start in range(0, len(pictures), _AT_ONCE):
            pixels = [np.ascontiguousarray(picture.pixels) for picture in pictures[start : start + _AT_ONCE]]
            batch = self._processor(images=pixels, return_tensors="pt", input_data_format="channels_last")
            with torch.inference_mode():
                pooled = self._model.vision_model(pixel_values=batch["pixel_values"]).pooler_output
                found.append(_unit(self._model.visual_projection(pooled).numpy()))
        return np.concatenate(found)


def load_regions(name: str, count: int = PUBLISHED) -> RegionSource:
    """What a recipe's `regions` names; `count` bounds detected and stored ones."""
    if name in VISION:
        return GridSource(name)
    path = Path(name)
    if path.exists() and not (path / "config.json").is_file():
        return StoredSource(name, count)
    return DetectedSource(name, count) if _kind(name, "vision encoder") == "detr" else GridSource(name)


def load_pooled_text(name: str) -> PooledText:
    """What a recipe's `text` names."""
    return ClipText(name) if name not in TEXT and _kind(name, "text encoder") == "clip" else load_text_encoder(name)


def load_pooled_image(name: str) -> PooledImage:
    """What a recipe's `image` names."""
    clip = name not in VISION and _kind(name, "vision encoder") == "clip"
    return ClipImage(name) if clip else load_vision_encoder(name)


def _kind(name: str, what: str) -> str:
    transformers = load_transformers(f"{what} {name!r}")
    with readable(what, name):
        config: Any = transformers.AutoConfig.from_pretrained(name)
    return str(config.model_type)


def _unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)


def _contents(path: Path) -> str:
    files = sorted(file for file in path.rglob("*") if file.is_file()) if path.is_dir() else [path]
    with files[0].open("rb") as file:
        first = hashlib.file_digest(file, "sha256").hexdigest()
    return content_key([[file.name, file.stat().st_size] for file in files], first)[:12]
