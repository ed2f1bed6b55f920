"""What MM-ORIENT reads of memes, in memory: token states, regions, pooled vectors, further columns.

The graphs (CMRL) read the pooled vectors (CLIP in the paper), the attention (HIMA) the token states and regions (BERT
and Mask R-CNN), the classifier also the columns (toxicity, emotions, sentiment).

Shape letters: `n` memes, `t` tokens of the longest text, `w` their width, `r` regions, `v` their width, `p` and `q`
widths of the pooled text and picture, `x` further columns.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from memescope.errors import MemescopeError


@dataclass(frozen=True)
class Features:
    """`words` (n, t, w) with `word_mask` (n, t), `regions` (n, r, v) with `region_mask` (n, r), `text` (n, p), `image`
    (n, q), `extra` (n, x). A meme without text, or without picture, has an empty mask and zeros there."""

    words: Tensor
    word_mask: Tensor
    regions: Tensor
    region_mask: Tensor
    text: Tensor
    image: Tensor
    extra: Tensor

    def __post_init__(self) -> None:
        n = len(self.words)
        shapes = {name: tuple(value.shape) for name, value in self.tensors().items()}
        wanted = {"word_mask": shapes["words"][:2], "region_mask": shapes["regions"][:2]}
        if any(shape[0] != n for shape in shapes.values()) or any(shapes[k] != s for k, s in wanted.items()):
            raise MemescopeError(f"features of {n} memes do not fit together: {shapes}")

    def __len__(self) -> int:
        return len(self.words)

    def tensors(self) -> dict[str, Tensor]:
        """The parts by name, as a model's forward takes them."""
        return {name: getattr(self, name) for name in self.__dataclass_fields__}

    def take(self, rows: Sequence[int] | Tensor) -> Features:
        """Some memes, in the order asked for; padding that none of them needs is cut off."""
        index = torch.as_tensor(rows, dtype=torch.int64)
        parts = {name: value[index] for name, value in self.tensors().items()}
        for states, mask in (("words", "word_mask"), ("regions", "region_mask")):
            longest = int(parts[mask].sum(1).max()) if len(index) else 0
            parts[states], parts[mask] = parts[states][:, :longest], parts[mask][:, :longest]
        return Features(**parts)

    def to(self, dtype: torch.dtype) -> Features:
        """The same with numbers of another precision."""
        parts = self.tensors()
        return Features(
            **{name: value if value.dtype == torch.bool else value.to(dtype) for name, value in parts.items()}
        )


def join(parts: Sequence[Features]) -> Features:
    """Features of several lots of memes, one after the other, padded to the longest."""
    found = {}
    for name in parts[0].tensors():
        values = [getattr(part, name) for part in parts]
        if name in ("words", "word_mask", "regions", "region_mask"):
            longest = max(value.shape[1] for value in values)
            values = [_longer(value, longest) for value in values]
        found[name] = torch.cat(values)
    return Features(**found)


def _longer(value: Tensor, length: int) -> Tensor:
    more = length - value.shape[1]
    return torch.cat([value, value.new_zeros(value.shape[0], more, *value.shape[2:])], 1) if more else value
