"""SmolVLM and Idefics3 (arXiv 2504.05299): a picture as tiles of equal size and itself made small, each so many tokens.

Shape letters: as in `base`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from memescope.backbones.vlm.base import Sight, Vlm, centres, rows_of
from memescope.perception.pictures import Picture

AROUND, WHOLE = "<fake_token_around_image>", "<global-img>"
"""Marks that these models were trained with; `<row_1_col_1>` names a tile."""


class SmolVl(Vlm):
    """SmolVLM and Idefics3. The grid counts tiles, (0, 0) for a picture that is not cut."""

    text_path = "model.text_model"

    @property
    def kind(self) -> str:  # type: ignore[override]
        """`smolvlm` or `idefics3`."""
        return str(self.model.config.model_type)

    @property
    def _count(self) -> int:
        config = self.model.config
        side = config.vision_config.image_size // config.vision_config.patch_size
        return int(side**2 / config.scale_factor**2)

    def grid(self, picture: Picture) -> tuple[int, int]:
        """By the processor's rule for sizes: no pixel is looked at."""
        if not self.images.do_image_splitting:
            return 0, 0
        _, rows, columns = self.images.get_number_of_image_patches(*picture.pixels.shape[:2])
        return rows, columns

    def _span(self, grid: tuple[int, int]) -> tuple[int, ...]:
        rows, columns = grid
        places = str(self.tokenizer.convert_ids_to_tokens(self.image)) * self._count
        text = "".join(
            "".join(f"{AROUND}<row_{r + 1}_col_{c + 1}>{places}" for c in range(columns)) + "\n" for r in range(rows)
        )
        text += f"{chr(10) if rows else ''}{AROUND}{WHOLE}{places}{AROUND}"
        return tuple(self.tokenizer(text, add_special_tokens=False)["input_ids"])

    def places(self, grid: tuple[int, int]) -> Tensor:
        """Tile after tile, then the picture as a whole."""
        side = int(self._count**0.5)
        rows, columns = grid
        own = centres(side, side)
        tiles = [
            (own + torch.tensor([r, c])) / torch.tensor([rows, columns]) for r in range(rows) for c in range(columns)
        ]
        return torch.cat([*tiles, own])

    def see(self, pictures: Sequence[Picture]) -> list[Sight]:
        """Features (n, d), tile after tile, behind the model's own connector."""
        return rows_of(pictures, self._see)

    def _see(self, pictures: Sequence[Picture]) -> list[Sight]:
        found = []
        for picture in pictures:
            pixels = np.ascontiguousarray(picture.pixels.transpose(2, 0, 1))
            prepared: Any = self.images([[pixels]], return_tensors="pt", return_row_col_info=True)
            device = self.model.device
            with torch.inference_mode():
                out = self.model.model.get_image_features(
                    prepared["pixel_values"].to(device),
                    prepared["pixel_attention_mask"].to(device) if "pixel_attention_mask" in prepared else None,
                    return_dict=True,
                )
            features = (
                torch.cat(list(out.pooler_output)) if not torch.is_tensor(out.pooler_output) else out.pooler_output
            )
            grid = (int(prepared["rows"][0][0]), int(prepared["cols"][0][0]))
            found.append(Sight(features.float().cpu().clone(), grid))
        return found
