"""Multifeature learning and classification (MLC) of MM-ORIENT, and the fusions it is compared with.

    MLC     joined features -> (dense, ReLU, dropout) for each width of `hidden` -> one dense head for each task

Shape letters: `b` memes, `k` labels of a task, `t` tokens, `w` their width, `r` regions, `v` their width.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from memescope.models.mmorient.hima import mean


class Classifier(nn.Module):
    """Dense layers that the tasks share, then a head for each."""

    def __init__(self, width: int, hidden: Sequence[int], dropout: float, labels: Mapping[str, int]) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for size in hidden:
            layers += [nn.Linear(width, size), nn.ReLU(), nn.Dropout(dropout)]
            width = size
        self.shared = nn.Sequential(*layers)
        self.heads = nn.ModuleDict({task: nn.Linear(width, count) for task, count in labels.items()})

    def forward(self, joined: Tensor) -> dict[str, Tensor]:
        """Scores (b, k) by task."""
        shared = self.shared(joined)
        return {task: head(shared) for task, head in self.heads.items()}


class CrossAttention(nn.Module):
    """Words attend to regions and regions to words, one head each way: the direct interaction CMRL does without.

    Either side is projected to one width; what each found is averaged over its states. `MMCA` of the paper's table.
    """

    def __init__(self, word_width: int, region_width: int, width: int) -> None:
        super().__init__()
        self.words = nn.Linear(word_width, width)
        self.regions = nn.Linear(region_width, width)
        self.to_regions = nn.MultiheadAttention(width, 1, batch_first=True)
        self.to_words = nn.MultiheadAttention(width, 1, batch_first=True)
        self.width = 2 * width

    def forward(self, words: Tensor, word_mask: Tensor, regions: Tensor, region_mask: Tensor) -> Tensor:
        """(b, 2 width)."""
        text, picture = self.words(words), self.regions(regions)
        seen = _attend(self.to_regions, text, picture, region_mask)
        read = _attend(self.to_words, picture, text, word_mask)
        return torch.cat([mean(seen, word_mask), mean(read, region_mask)], -1)


def _attend(attention: nn.MultiheadAttention, query: Tensor, states: Tensor, mask: Tensor) -> Tensor:
    """What each query found; 0 where there is nothing to attend to."""
    there = mask.any(-1)
    # a row without any state would be a softmax over nothing: it looks at zeros, and what it finds is left out
    found, _ = attention(query, states, states, key_padding_mask=~(mask | ~there[:, None]), need_weights=False)
    return found * there[:, None, None].to(found.dtype)
