"""TinyVLM among the others: the packaged encoder's grid, projected by a part of its own that is trained.

Shape letters: as in `base`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from memescope.backbones.language import load_language_model
from memescope.backbones.tinyvlm import (
    CHAT_TEMPLATE,
    IMAGE_TOKEN,
    TinyVlmConfig,
    TinyVlmImageProcessor,
    TinyVlmProcessor,
    compose,
)
from memescope.backbones.vlm.base import Sight, Vlm, rows_of
from memescope.perception.pictures import Picture


class TinyVl(Vlm):
    """The grid counts places, as many for every picture."""

    kind = "tinyvlm"
    text_path = "model.language_model"

    @property
    def seen_by(self) -> str:
        """The packaged encoder: its features are those of every TinyVLM."""
        return str(self.model.config.vision_version)

    @property
    def fixed_grid(self) -> tuple[int, int]:  # type: ignore[override]
        """`visual_side` places along each side."""
        side = int(self.model.config.visual_side)
        return side, side

    def grid(self, picture: Picture) -> tuple[int, int]:
        """The same for every picture."""
        return self.fixed_grid

    def _span(self, grid: tuple[int, int]) -> tuple[int, ...]:
        return (self.image,) * (grid[0] * grid[1])

    def see(self, pictures: Sequence[Picture]) -> list[Sight]:
        """Features (n, e) of the packaged encoder, before the projector."""
        return rows_of(pictures, self._see)

    def _see(self, pictures: Sequence[Picture]) -> list[Sight]:
        side = self.model.config.visual_side
        return [Sight(features, (side, side)) for features in self.images.features(pictures)]

    def _project(self, features: Tensor, seen: Tensor) -> tuple[Tensor, dict[str, Any]]:
        projector = self.model.model.projector
        return projector(features.to(projector.rise.weight.dtype)), {}

    def new_parts(self) -> list[nn.Module]:
        """The projector."""
        return [self.model.model.projector]

    def save(self, folder: Any) -> None:
        """With the processor that transformers' own pipelines look for."""
        self.model.save_pretrained(folder)
        TinyVlmProcessor(self.images, self.tokenizer, self.tokenizer.chat_template).save_pretrained(folder)


def new_tiny(
    language: str = "smollm2-135m",
    layers: int | None = None,
    vision: str = "effnet-lite0",
    side: int = 4,
    width: int = 1152,
    seed: int = 0,
    dtype: str = "float32",
) -> TinyVl:
    """A TinyVLM to be trained, around a pretrained decoder-only model by name, hub id or folder.

    `layers` keeps the first so many; `side` squared are the tokens of a picture; `width` is the projector's. The
    projector is new, by `seed`.
    """
    from memescope.backbones import load_vision_encoder

    loaded, encoder = load_language_model(language, layers, dtype), load_vision_encoder(vision)
    tokenizer = loaded.tokenizer
    tokenizer.add_special_tokens({"additional_special_tokens": [IMAGE_TOKEN]})
    if any(mark not in tokenizer.get_vocab() for mark in ("<|im_start|>", "<|im_end|>")):
        # a tokenizer without marks of turns gets its own words for them
        tokenizer.chat_template = CHAT_TEMPLATE.replace("<|im_start|>", "\n### ").replace(
            "<|im_end|>", str(tokenizer.eos_token)
        )
    else:
        tokenizer.chat_template = CHAT_TEMPLATE
    config = TinyVlmConfig(
        text_config=loaded.model.config.to_dict(),
        vision=vision,
        vision_version=encoder.version,
        visual_width=encoder.dim,
        visual_side=side,
        projector_width=width,
        image_token_id=tokenizer.convert_tokens_to_ids(IMAGE_TOKEN),
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = compose(config, loaded.model)
    version = f"tinyvlm/{loaded.version}/{encoder.version}/{side}/{width}/{seed}"
    images = TinyVlmImageProcessor(vision, side)
    return TinyVl("tinyvlm", version, model.to(loaded.model.dtype), tokenizer, images, tokenizer.chat_template)
