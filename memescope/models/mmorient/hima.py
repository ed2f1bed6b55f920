"""Hierarchical interactive monomodal attention (MM-ORIENT, arXiv 2508.16300, section 4.4; figure of the released code).

    level 1   e_j = gelu(u . h_j + c)   a = softmax_j(e)   s = sum_j a_j h_j        over a meme's tokens, or its regions
    level 2   the same over the s of all memes of the batch: one vector g          the batch's "bias"
    output    s (+) g                                                              for each meme, each modality

The released code has level 1 only. Whether the paper's levels share weights is not known; here each has its own.

A meme without states (no text, or no picture) has s = 0 and takes no part in level 2.

Shape letters: `b` memes, `t` tokens or regions, `w` their width, `s` memes of a support set.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import gelu


class Attention(nn.Module):
    """One level: a score for each state by a dense layer with GELU, softmax, weighted sum."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.score = nn.Linear(width, 1)

    def scores(self, states: Tensor) -> Tensor:
        """(..., t) of states (..., t, w)."""
        return gelu(self.score(states)).squeeze(-1)

    def weights(self, states: Tensor, mask: Tensor) -> Tensor:
        """(..., t): sums to 1 over the places of `mask`, exactly 0 elsewhere; all 0 where the mask is empty."""
        scores = self.scores(states)
        scores = scores.masked_fill(~mask, torch.finfo(scores.dtype).min)
        return scores.softmax(-1) * mask

    def forward(self, states: Tensor, mask: Tensor) -> Tensor:
        """(..., w): the weighted sum of states (..., t, w)."""
        return (self.weights(states, mask).unsqueeze(-2) @ states).squeeze(-2)


@dataclass(frozen=True)
class Crowd:
    """Level 2 over a support set, so far as it is the same for every meme: the log of the summed weights (), their
    weighted mean (w,)."""

    log_sum: Tensor
    mean: Tensor


class Hima(nn.Module):
    """Both levels for one modality. `level_one=False`: the mean of the states; `level_two=False`: no batch vector."""

    def __init__(self, width: int, level_one: bool = True, level_two: bool = True) -> None:
        super().__init__()
        self.one = Attention(width) if level_one else None
        self.two = Attention(width) if level_two else None
        self.width = width * (2 if level_two else 1)

    def first(self, states: Tensor, mask: Tensor) -> Tensor:
        """Level 1: (b, w)."""
        return mean(states, mask) if self.one is None else self.one(states, mask)

    def forward(self, states: Tensor, mask: Tensor) -> Tensor:
        """(b, w) or with level 2 (b, 2 w): the memes given are the batch."""
        return self.among(self.first(states, mask), mask.any(-1))

    def among(self, first: Tensor, there: Tensor) -> Tensor:
        """Level 2 over the first-level vectors (b, w) of a batch; `there` (b,) says which memes have one."""
        if self.two is None:
            return first
        shared = self.two(first, there)
        return torch.cat([first, shared.expand_as(first)], -1)

    def crowd(self, first: Tensor, there: Tensor) -> Crowd | None:
        """What a support set of first-level vectors (s, w) adds to level 2."""
        if self.two is None:
            return None
        scores = self.two.scores(first).masked_fill(~there, torch.finfo(first.dtype).min)
        return Crowd(scores.logsumexp(-1), self.two(first, there))

    def beside(self, first: Tensor, there: Tensor, crowd: Crowd | None) -> Tensor:
        """Level 2 of each meme (b, w) over the support set and itself, whatever the others in the call are."""
        if self.two is None or crowd is None:
            return first
        own = self.two.scores(first).masked_fill(~there, torch.finfo(first.dtype).min)
        share = (own - torch.logaddexp(own, crowd.log_sum)).exp().unsqueeze(-1)
        return torch.cat([first, share * first + (1 - share) * crowd.mean], -1)


@dataclass(frozen=True)
class First:
    """First-level vectors of some memes, `text` (b, w) and `image` (b, v), and which memes have one (b,)."""

    text: Tensor
    text_there: Tensor
    image: Tensor
    image_there: Tensor


class BothHima(nn.Module):
    """HIMA of text and of picture, each with its own weights, joined."""

    def __init__(self, word_width: int, region_width: int, level_one: bool = True, level_two: bool = True) -> None:
        super().__init__()
        self.text = Hima(word_width, level_one, level_two)
        self.image = Hima(region_width, level_one, level_two)
        self.width = self.image.width + self.text.width
        self.levels = (level_one, level_two)

    def first(self, words: Tensor, word_mask: Tensor, regions: Tensor, region_mask: Tensor) -> First:
        """Level 1."""
        text, image = self.text.first(words, word_mask), self.image.first(regions, region_mask)
        return First(text, word_mask.any(1), image, region_mask.any(1))

    def among(self, first: First) -> Tensor:
        """(b, width), picture before text: the memes given are the batch."""
        read = self.text.among(first.text, first.text_there)
        return torch.cat([self.image.among(first.image, first.image_there), read], -1)

    def crowds(self, first: First) -> tuple[Crowd | None, Crowd | None]:
        """What a support set adds to level 2, of text and of picture."""
        return self.text.crowd(first.text, first.text_there), self.image.crowd(first.image, first.image_there)

    def beside(self, first: First, crowds: tuple[Crowd | None, Crowd | None]) -> Tensor:
        """(b, width), each meme beside the support set alone."""
        read = self.text.beside(first.text, first.text_there, crowds[0])
        return torch.cat([self.image.beside(first.image, first.image_there, crowds[1]), read], -1)


def mean(states: Tensor, mask: Tensor) -> Tensor:
    """The mean (b, w) of states (b, t, w) over a mask; 0 where it is empty."""
    kept = mask.unsqueeze(-1).to(states.dtype)
    return (states * kept).sum(1) / kept.sum(1).clamp(min=1)
