"""The text side: TextMamba, BiDTextMamba and an attention peer, from embeddings to one vector (source, section 2.1).

    ids -> embeddings -> (joined to the picture) -> read in each direction -> pooled -> (b, width)

Directions: `forward` is TextMamba. `both` is BiDTextMamba: two backbones, the second on the row turned round within its
own length, so that padding stays at the end; 751 M parameters of the source are two copies. `shared` runs one backbone
both ways; `block` turns round inside each block (`mixer`). Each direction is pooled by itself and the two vectors are
put side by side; how the source merges them is not stated.

Pooling: the masked mean (source), the last state, or the state of a learnt token put at the END of the row, where a
causal model has seen everything (state-spaces/mamba issue 163).

Shape letters: `b` rows, `t` tokens, `d` width of the backbone, `e` width of a picture's vector, `v` visual tokens.
"""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import Tensor, nn
from transformers import AutoConfig, AutoModel

from memescope.errors import UsageError
from memescope.models.mamba.mixer import read_both_ways, reverse, run_mamba


class TextTower(nn.Module):
    """One or two backbones and the pooling; `backbone` is transformers' `MambaModel`, `BertModel` or `LlamaModel`."""

    def __init__(self, about: dict[str, Any], backbone: Any = None, joined: int = 0, prefix: int = 0) -> None:
        """`about`: `config.TEXT`. `joined`: width of the picture's vector joined to every token. `prefix`: width of
        visual tokens put before the text. Without a `backbone` its weights are random, to be loaded over."""
        super().__init__()
        self.about = about
        self.backbone = blank(about) if backbone is None else backbone
        self.width = self.backbone.config.hidden_size
        if about["direction"] == "both":
            self.backward_backbone = copy.deepcopy(self.backbone)
        elif about["direction"] == "block":
            read_both_ways(self.backbone)
        if about["pool"] == "cls":
            self.cls = nn.Parameter(torch.zeros(self.width))
        if joined:
            self.join = nn.Linear(self.width + joined, self.width)
        if prefix:
            # Cobra (arXiv 2403.14520): an MLP between the visual tokens and the language model
            self.project = nn.Sequential(nn.Linear(prefix, self.width), nn.GELU(), nn.Linear(self.width, self.width))

    def start(self) -> None:
        """New layers begin so that the text is read as the pretrained backbone reads it; the picture joins slowly."""
        with torch.no_grad():
            if "join" in self._modules:
                self.join.weight[:, : self.width] = torch.eye(self.width)
                self.join.weight[:, self.width :] *= 0.1
                self.join.bias.zero_()
            if self.about["pool"] == "cls":
                rows = self.backbone.get_input_embeddings().weight
                self.cls.copy_(rows.mean(0) + rows.std() * torch.randn(self.width))

    @property
    def pooled_width(self) -> int:
        """Width of what `forward` gives."""
        two = self.about["direction"] in ("both", "shared") and self.about["merge"] == "concat"
        return self.width * (2 if two else 1)

    def embed(self, ids: Tensor, picture: Tensor | None = None) -> Tensor:
        """Token embeddings, joined to the picture's vector (b, e) where the tower has that.

        (b, t, d); of two backbones each embeds by itself, and theirs are side by side, (b, t, 2 d).
        """
        found = [self._joined(backbone.get_input_embeddings()(ids), picture) for backbone in self.backbones]
        return torch.cat(found, -1) if len(found) > 1 else found[0]

    def _joined(self, words: Tensor, picture: Tensor | None) -> Tensor:
        if picture is None or "join" not in self._modules:
            return words
        joined: Tensor = self.join(torch.cat([words, picture[:, None].expand(-1, words.shape[1], -1)], -1))
        return joined

    @property
    def backbones(self) -> list[Any]:
        """One, or two for BiDTextMamba."""
        return [self.backbone, self.backward_backbone] if self.about["direction"] == "both" else [self.backbone]

    def forward(self, embeds: Tensor, mask: Tensor, visual: Tensor | None = None) -> Tensor:
        """(b, pooled width) from what `embed` gave, its mask (b, t) bool and visual tokens (b, v, e)."""
        parts = list(embeds.chunk(len(self.backbones), -1))
        if visual is not None:
            seen = self.project(visual.to(embeds.dtype))
            parts = [torch.cat([seen, part], 1) for part in parts]
            mask = torch.cat([mask.new_ones(seen.shape[:2]), mask], 1)
        found = [self.pool(*self._read(self.backbone, parts[0], mask, False))]
        if self.about["direction"] in ("both", "shared"):
            found.append(self.pool(*self._read(self.backbones[-1], parts[-1], mask, True)))
        if len(found) == 1:
            return found[0]
        return torch.cat(found, -1) if self.about["merge"] == "concat" else torch.stack(found).mean(0)

    def _read(self, backbone: Any, embeds: Tensor, mask: Tensor, backward: bool) -> tuple[Tensor, Tensor]:
        lengths = mask.sum(1)
        if backward:
            embeds = reverse(embeds, lengths)
        if self.about["pool"] == "cls":
            longer = torch.cat([embeds, embeds.new_zeros(embeds.shape[0], 1, embeds.shape[2])], 1)
            at = lengths.reshape(-1, 1, 1).expand(-1, 1, longer.shape[2])
            embeds = longer.scatter(1, at, self.cls.to(longer.dtype).expand(longer.shape[0], 1, -1))
            mask = torch.arange(embeds.shape[1], device=mask.device) <= lengths[:, None]
        return self._states(backbone, embeds, mask, "back" if backward else "text"), mask

    def _states(self, backbone: Any, embeds: Tensor, mask: Tensor, place: str) -> Tensor:
        return read(backbone, embeds, mask, self.about["delta_dropout"], f"{place}.")

    def pool(self, states: Tensor, mask: Tensor) -> Tensor:
        """(b, d): the masked mean, or the state of the last true place."""
        if self.about["pool"] == "mean":
            kept = mask.unsqueeze(-1).to(states.dtype)
            return (states * kept).sum(1) / kept.sum(1).clamp(min=1)
        last = (mask.sum(1) - 1).clamp(min=0)
        return states[torch.arange(len(states), device=states.device), last]


def read(backbone: Any, embeds: Tensor, mask: Tensor, delta_dropout: float = 0.0, place: str = "") -> Tensor:
    """Final states (b, t, d) of any text backbone for embeddings (b, t, d) and a mask (b, t) bool, padded right."""
    if backbone.config.model_type == "mamba":
        return run_mamba(backbone, embeds, mask, delta_dropout, place)
    states: Tensor = backbone(inputs_embeds=embeds, attention_mask=mask.long()).last_hidden_state
    return states


def blank(about: dict[str, Any]) -> Any:
    """A backbone of a configuration, its weights random."""
    values = dict(about["config"])
    config = AutoConfig.for_model(values.pop("model_type"), **values)
    options = {"add_pooling_layer": False} if config.model_type == "bert" else {}
    return AutoModel.from_config(config, **options)


def text_config(kind: str, width: int, layers: int, states: int, vocabulary: int, places: int = 512) -> dict[str, Any]:
    """The configuration of a small backbone. `bert` and `llama` have `layers` attention blocks: `bert` sees both ways,
    `llama` what came before, as Mamba does ("Transformer++" in Gu and Dao 2023).

    A Mamba block has about half the parameters of an attention block of its width (6 d^2 to 12 d^2), so the peer of a
    Mamba with 2 n layers has n.
    """
    if kind == "mamba":
        return {
            "model_type": "mamba", "vocab_size": vocabulary, "hidden_size": width, "num_hidden_layers": layers,
            "state_size": states, "initializer_range": 0.02, "rescale_prenorm_residual": True,
        }  # fmt: skip
    if width % 64:
        raise UsageError(f"text.width {width}: attention heads are 64 wide; expected a multiple of 64")
    if kind == "llama":
        return {
            "model_type": "llama", "vocab_size": vocabulary, "hidden_size": width, "num_hidden_layers": layers,
            "num_attention_heads": width // 64, "intermediate_size": 16 * round(width / 6), "use_cache": False,
            "tie_word_embeddings": True,
        }  # fmt: skip
    return {
        "model_type": "bert", "vocab_size": vocabulary, "hidden_size": width, "num_hidden_layers": layers,
        "num_attention_heads": width // 64, "intermediate_size": 4 * width, "max_position_embeddings": places,
    }  # fmt: skip
