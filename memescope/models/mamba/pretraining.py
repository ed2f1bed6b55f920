"""What a small backbone is pretrained with: the next token, masked tokens, a teacher's features.

The head over the vocabulary is the embedding itself (tied), as in the released Mamba and BERT.

Shape letters: `b` rows, `t` tokens, `d` width, `w` words of the vocabulary, `v` places of the teacher's grid, `e` its
width.
"""

from __future__ import annotations

from math import isqrt
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers.utils import ModelOutput

from memescope.models.mamba.mixer import run_mamba
from memescope.models.mamba.picture import PictureTower
from memescope.objectives.generation import IGNORED, token_cross_entropy

HIDDEN_SHARE = 0.15


class NextToken(nn.Module):
    """Cross-entropy of each token given those before it."""

    def __init__(self, backbone: Any) -> None:
        super().__init__()
        self.backbone = backbone

    def forward(self, input_ids: Tensor, attention_mask: Tensor, labels: Tensor) -> ModelOutput:
        """`loss` of ids and labels (b, t), labels `IGNORED` where nothing stands."""
        words = self.backbone.get_input_embeddings().weight
        states = run_mamba(self.backbone, F.embedding(input_ids, words), attention_mask.bool())[:, :-1]
        told = labels[:, 1:]
        learned = told != IGNORED
        return ModelOutput(loss=token_cross_entropy(states[learned] @ words.T, told[learned]))


class Masked(nn.Module):
    """Cross-entropy of hidden tokens given all others."""

    def __init__(self, backbone: Any) -> None:
        super().__init__()
        self.backbone = backbone
        width = backbone.config.hidden_size
        self.transform = nn.Sequential(nn.Linear(width, width), nn.GELU(), nn.LayerNorm(width))

    def forward(self, input_ids: Tensor, attention_mask: Tensor, labels: Tensor) -> ModelOutput:
        """`loss` of ids and labels (b, t), labels `IGNORED` where nothing was hidden."""
        states = self.backbone(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state
        learned = labels != IGNORED
        words = self.backbone.get_input_embeddings().weight
        return ModelOutput(loss=token_cross_entropy(self.transform(states[learned]) @ words.T, labels[learned]))

    def hide(self, batch: dict[str, Tensor], mask_token: int, words: int, seed: int) -> dict[str, Tensor]:
        """`input_ids` with 15 % hidden (of them 80 % the mask, 10 % another word, 10 % as they are) and `labels`."""
        generator = torch.Generator().manual_seed(seed)
        ids, there = batch["input_ids"].clone(), batch["attention_mask"].bool()
        chance = torch.rand(ids.shape, generator=generator)
        chosen = (chance < HIDDEN_SHARE) & there
        if not chosen.any():
            chosen[0, 0] = True
        labels = ids.masked_fill(~chosen, IGNORED)
        how = torch.rand(ids.shape, generator=generator)
        other = torch.randint(0, words, ids.shape, generator=generator)
        ids = torch.where(chosen & (how < 0.8), torch.full_like(ids, mask_token), ids)
        ids = torch.where(chosen & (how >= 0.8) & (how < 0.9), other, ids)
        return {"input_ids": ids, "labels": labels}


class Distil(nn.Module):
    """Mean squared error of the teacher's features, scaled by their mean square: 1 is what telling zero would cost."""

    def __init__(self, tower: PictureTower, width: int) -> None:
        super().__init__()
        self.tower = tower
        self.told = nn.Linear(tower.width, width)

    def forward(self, pixels: Tensor, labels: Tensor) -> ModelOutput:
        """`loss` of pixels uint8 (b, s, s, 3) and the teacher's places (b, v, e), averaged to the student's map.

        The mean over places, which is what classifiers read, counts as much as all places together.
        """
        found = self.tower.map(self.tower.prepared(pixels))
        side = isqrt(labels.shape[1])
        grid = labels.to(found.dtype).transpose(1, 2).unflatten(2, (side, side))
        grid = F.adaptive_avg_pool2d(grid, (found.shape[-2], found.shape[-1]))
        told = self.told(found.flatten(2).transpose(1, 2))
        wanted = grid.flatten(2).transpose(1, 2)
        return ModelOutput(loss=_relative(told, wanted) / 2 + _relative(told.mean(1), wanted.mean(1)) / 2)


def _relative(told: Tensor, wanted: Tensor) -> Tensor:
    return (told - wanted).square().mean() / wanted.square().mean().clamp(min=1e-9)
