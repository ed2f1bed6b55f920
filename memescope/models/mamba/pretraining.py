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

from memescope.models.mamba.picture import PictureTower
from memescope.models.mamba.text import read
from memescope.objectives.generation import token_cross_entropy

HIDDEN_SHARE = 0.15


class NextToken(nn.Module):
    """Cross-entropy of each token given those before it."""

    def __init__(self, backbone: Any) -> None:
        super().__init__()
        self.backbone = backbone

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> ModelOutput:
        """`loss` of ids (b, t) with their mask."""
        words = self.backbone.get_input_embeddings().weight
        there = attention_mask.bool()
        states = read(self.backbone, F.embedding(input_ids, words), there)[:, :-1]
        learned = there[:, 1:]
        return ModelOutput(loss=token_cross_entropy(states[learned] @ words.T, input_ids[:, 1:][learned]))


class Masked(nn.Module):
    """Cross-entropy of hidden tokens given all others.

    What is hidden while learning is chosen as dropout is, by torch's random state, which a checkpoint holds; in
    evaluation it depends on the batch alone, so that losses can be compared.
    """

    def __init__(self, backbone: Any, mask_token: int) -> None:
        super().__init__()
        self.backbone, self.mask_token = backbone, mask_token
        width = backbone.config.hidden_size
        self.transform = nn.Sequential(nn.Linear(width, width), nn.GELU(), nn.LayerNorm(width))

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> ModelOutput:
        """`loss` of ids (b, t) with their mask."""
        shown, hidden = self.hide(input_ids, attention_mask)
        states = self.backbone(input_ids=shown, attention_mask=attention_mask).last_hidden_state
        words = self.backbone.get_input_embeddings().weight
        return ModelOutput(loss=token_cross_entropy(self.transform(states[hidden]) @ words.T, input_ids[hidden]))

    def hide(self, input_ids: Tensor, attention_mask: Tensor) -> tuple[Tensor, Tensor]:
        """Ids with 15 % hidden (of them 80 % the mask, 10 % another word, 10 % as they are), and which, (b, t) bool."""
        generator = None if self.training else torch.Generator().manual_seed(int(input_ids.sum()))
        chance, how = torch.rand(2, *input_ids.shape, generator=generator).to(input_ids.device)
        words = self.backbone.config.vocab_size
        other = torch.randint(words, input_ids.shape, generator=generator).to(input_ids.device)
        hidden = (chance < HIDDEN_SHARE) & attention_mask.bool()
        if not hidden.any():
            hidden[0, 0] = True
        shown = input_ids.masked_fill(hidden & (how < 0.8), self.mask_token)
        return torch.where(hidden & (how >= 0.8) & (how < 0.9), other, shown), hidden


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
