"""Qwen2.5-VL (arXiv 2502.13923) and Qwen3-VL (arXiv 2511.21631): as many tokens as the picture has places, M-RoPE.

A picture's tokens have three positions each (time, row, column), and what follows it goes on after the larger side of
its grid, not after its number of tokens. Qwen3-VL gives features of three inner layers of its picture encoder to the
first layers of the language model too ("deepstack"); they stand beside the others in a `Sight`.

Shape letters: as in `base`; `l` layers that get features of their own.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from memescope.backbones.vlm.base import Sight, Vlm, rows_of
from memescope.perception.pictures import Picture

PICTURES_AT_ONCE = 8


class QwenVl(Vlm):
    """Qwen2.5-VL and Qwen3-VL. The grid counts places as the language model sees them, after merging."""

    text_path = "model.language_model"

    @property
    def kind(self) -> str:  # type: ignore[override]
        """`qwen2_5_vl` or `qwen3_vl`."""
        return str(self.model.config.model_type)

    @property
    def _merge(self) -> int:
        return int(self.model.config.vision_config.spatial_merge_size)

    def grid(self, picture: Picture) -> tuple[int, int]:
        """By the processor's rule for sizes: no pixel is looked at."""
        from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import smart_resize

        side = self.images.patch_size * self._merge
        height, width = smart_resize(
            picture.pixels.shape[0],
            picture.pixels.shape[1],
            factor=side,
            min_pixels=self.images.size["shortest_edge"],
            max_pixels=self.images.size["longest_edge"],
        )
        return height // side, width // side

    def _span(self, grid: tuple[int, int]) -> tuple[int, ...]:
        return (self.image,) * (grid[0] * grid[1])

    def see(self, pictures: Sequence[Picture]) -> list[Sight]:
        """Features (n, d) for Qwen2.5-VL, (n, (1 + l) d) for Qwen3-VL."""
        return rows_of(pictures, self._see)

    def _see(self, pictures: Sequence[Picture]) -> list[Sight]:
        found = []
        visual = self.model.model.visual
        for start in range(0, len(pictures), PICTURES_AT_ONCE):
            some = [torch.from_numpy(picture.pixels.copy()) for picture in pictures[start : start + PICTURES_AT_ONCE]]
            prepared = self.images([one.permute(2, 0, 1).numpy() for one in some], return_tensors="pt")
            thw = prepared["image_grid_thw"]
            with torch.inference_mode():
                out = self.model.model.get_image_features(
                    prepared["pixel_values"].to(visual.device), thw.to(visual.device), return_dict=True
                )
            inner: list[Any] = list(getattr(out, "deepstack_features", None) or [])
            for i, features in enumerate(out.pooler_output):
                whole = torch.cat([features, *(layer[i] for layer in inner)], 1)
                # a copy: tensors made in inference mode cannot be learnt behind
                grid = (int(thw[i, 1]) // self._merge, int(thw[i, 2]) // self._merge)
                found.append(Sight(whole.float().cpu().clone(), grid))
        return found

    def _project(self, features: Tensor, seen: Tensor) -> tuple[Tensor, dict[str, Any]]:
        width = self.text_model.config.hidden_size
        parts = features.split(width, 1)
        if len(parts) == 1:
            return features, {}
        dtype = self.decoder.dtype
        return parts[0], {
            "visual_pos_masks": seen,
            "deepstack_visual_embeds": [part.to(dtype) for part in parts[1:]],
        }

    def positions(self, ids: Tensor, mask: Tensor, sights: Sequence[Sight]) -> tuple[Tensor | None, Tensor]:
        """(3, b, t), by the model's own rule."""
        thw = torch.tensor(
            [[1, sight.grid[0] * self._merge, sight.grid[1] * self._merge] for sight in sights], device=ids.device
        ).reshape(-1, 3)
        kinds = (ids == self.image).int()
        positions, delta = self.model.model.get_rope_index(
            ids, mm_token_type_ids=kinds, image_grid_thw=thw if len(thw) else None, attention_mask=mask.long()
        )
        return positions, delta[:, 0].to(ids.device) + mask.sum(1)
