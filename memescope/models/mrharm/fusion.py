"""How Mr.Harm lets a language model look: single-head cross-attention after its blocks (arXiv 2312.05434, section 4).

For a block's output H (text) and the picture's frozen features V, each fused block gets

    H <- H + out(softmax(q(H) k(V)^T / sqrt(d/2)) v(V)),   q: d -> d/2,  k, v: dv -> d/2,  out: d/2 -> d,

without norm, dropout or a mask on the picture, as in the published code (`t5_model.py`). Keys and values depend on the
picture alone, so they are computed once and given to every call as `visual=`: the blocks of transformers pass on
keyword arguments that they do not know, and a hook behind each block reads them. The language model itself stays as it
is, under its own names.

Shape letters: `b` memes, `t` text tokens, `v` visual tokens, `d` width of the language model, `e` of the picture
features, `h` heads, `a` width of a head (h a = d/2).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from torch import Tensor, nn

from memescope.errors import UsageError

Keys = dict[str, tuple[Tensor, Tensor]]
"""Name of a fused place -> keys and values of the picture, each (b, h, v, a)."""


class CrossAttention(nn.Module):
    """One fusion: text asks, the picture answers. `heads` is 1 in the paper."""

    def __init__(self, width: int, visual_width: int, heads: int = 1) -> None:
        super().__init__()
        inner = width // 2
        if inner % heads:
            raise UsageError(f"fusion_heads={heads}: half of the width {width} cannot be shared by so many heads")
        self.heads = heads
        self.q = nn.Linear(width, inner)
        self.k = nn.Linear(visual_width, inner)
        self.v = nn.Linear(visual_width, inner)
        self.out = nn.Linear(inner, width)

    def look(self, visual: Tensor) -> tuple[Tensor, Tensor]:
        """Keys and values (b, h, v, a) of picture features (b, v, e)."""
        return self._split(self.k(visual)), self._split(self.v(visual))

    def forward(self, hidden: Tensor, keys: Tensor, values: Tensor) -> Tensor:
        """What is added to hidden states (b, t, d)."""
        asked = self._split(self.q(hidden))
        found = self._weights(asked, keys) @ values
        return self.out(found.transpose(1, 2).flatten(2))

    def weights(self, hidden: Tensor, keys: Tensor) -> Tensor:
        """Where each token looks: (b, h, t, v), sums to 1 over v."""
        return self._weights(self._split(self.q(hidden)), keys)

    def _weights(self, asked: Tensor, keys: Tensor) -> Tensor:
        # Written out: with some dozens of visual tokens torch's fused kernel is the slower one on a CPU, backward most.
        return (asked @ keys.transpose(-1, -2) / math.sqrt(asked.shape[-1])).softmax(-1).to(asked.dtype)

    def _split(self, x: Tensor) -> Tensor:
        return x.unflatten(-1, (self.heads, -1)).transpose(1, 2)


class Fusion(nn.Module):
    """The cross-attentions of a model by place: the number of a block, or "final" for the encoder's output."""

    def __init__(self, width: int, visual_width: int, places: Sequence[str], heads: int = 1) -> None:
        super().__init__()
        self.at = nn.ModuleDict({place: CrossAttention(width, visual_width, heads) for place in places})

    def _all(self) -> dict[str, CrossAttention]:
        return dict(self.at.items())  # type: ignore[arg-type]

    def start_silent(self) -> None:
        """Zero the output layers, so that the model starts as its language model alone."""
        for attention in self._all().values():
            nn.init.zeros_(attention.out.weight)
            nn.init.zeros_(attention.out.bias)

    def look(self, visual: Tensor) -> Keys:
        """Keys and values for every place, from picture features (b, v, e)."""
        return {place: attention.look(visual) for place, attention in self._all().items()}

    def add(self, place: str, hidden: Tensor, visual: Keys | None) -> Tensor:
        """Hidden states (b, t, d) with what the place adds; unchanged where nothing is fused."""
        if visual is None or place not in self.at:
            return hidden
        return hidden + self._all()[place](hidden, *visual[place])

    def attach(self, blocks: Sequence[nn.Module]) -> None:
        """Fuse behind each block that has a place; the blocks' callers give `visual=`."""
        for i, block in enumerate(blocks):
            if str(i) in self.at:
                block.register_forward_hook(partial(self._behind, str(i)), with_kwargs=True)

    def _behind(self, place: str, _block: nn.Module, _args: Any, kwargs: Mapping[str, Any], output: Any) -> Any:
        visual = kwargs.get("visual")
        if isinstance(output, tuple):  # T5: hidden states, then position biases
            return (self.add(place, output[0], visual), *output[1:])
        return self.add(place, output, visual)


def fused_places(layers: str, depth: int) -> list[str]:
    """Numbers of the fused blocks of a model of some depth: "every", "last:4" or "only:6" (counted from 0)."""
    kind, _, given = layers.partition(":")
    if kind == "every" and not given:
        return [str(i) for i in range(depth)]
    if given.isdigit() and kind == "last" and 1 <= int(given) <= depth:
        return [str(i) for i in range(depth - int(given), depth)]
    if given.isdigit() and kind == "only" and int(given) < depth:
        return [given]
    raise UsageError(
        f"fusion_layers={layers!r}: expected every, last:N (1 to {depth}) or only:I (0 to {depth - 1}) "
        f"for a model of {depth} blocks"
    )
