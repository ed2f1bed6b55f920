"""Mr.Harm around a decoder-only language model, for machines without a GPU: the same fusion behind each of its blocks.

    H_0 = embed(prompt, lead, answer)
    H_i = block_i(H_{i-1}) + fuse_i(block_i(H_{i-1}), V)

Text and answer go through the same blocks, so what is written looks at the picture too, which T5's decoder does only
through the encoder's states. There is no encoder output, hence no final fusion.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from transformers import AutoModelForCausalLM

from memescope.models.mrharm.model import MrHarm
from memescope.models.prefix import CausalPrefix
from memescope.objectives.generation import IGNORED

WORTH = 0.85
"""A batch is read in two parts where they have at most this share of its places."""


class MrHarmDecoder(MrHarm):
    """SmolLM2 and other models whose blocks pass on keyword arguments (Llama, Qwen2, Qwen3, Mistral)."""

    def _new_lm(self, config: Any) -> Any:
        return AutoModelForCausalLM.from_config(config)

    def _blocks(self) -> Sequence[nn.Module]:
        return list(self.lm.base_model.layers)

    def prefix(self, batch: Mapping[str, Any]) -> CausalPrefix:
        """Prompts read, padded on either side."""
        inputs, mask = self._embedded(batch)
        visual = self._look(batch.get("visual"))
        return CausalPrefix(self.lm, inputs, mask, {} if visual is None else {"visual": visual})

    def _learned(
        self, batch: Mapping[str, Any], labels: Tensor, decoder_input_ids: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        found = [self._learned_part(part, part["labels"]) for part in by_length({**batch, "labels": labels})]
        return torch.cat([logits for logits, _ in found]), torch.cat([wanted for _, wanted in found])

    def _learned_part(self, batch: Mapping[str, Any], labels: Tensor) -> tuple[Tensor, Tensor]:
        inputs, mask = self._embedded(batch)
        labels = torch.cat([labels.new_full((len(labels), mask.shape[1] - labels.shape[1]), IGNORED), labels], 1)
        positions = (mask.cumsum(1) - 1).clamp(min=0)
        # with the padding on the right nothing that counts can see it: no mask is the faster kernel
        seen = None if bool(mask[:, 0].all()) else mask
        states = self.lm.base_model(
            **inputs,
            attention_mask=seen,
            position_ids=positions,
            use_cache=False,
            visual=self._look(batch.get("visual")),
        ).last_hidden_state
        # only learned places meet the vocabulary: of a batch's tokens most are prompt
        learned = labels[:, 1:] != IGNORED
        return self.lm.get_output_embeddings()(states[:, :-1][learned]), labels[:, 1:][learned]


def by_length(batch: Mapping[str, Any]) -> list[dict[str, Any]]:
    """A batch of rows (b, t) padded on the right as two, the short rows cut to their length, where that saves enough.

    Rows of one meme differ much in length: its label is one word, its reasons are sixty. Cut where the two parts have
    the fewest places; one part where they have more than `WORTH` of the whole.
    """
    mask = batch["attention_mask"]
    lengths, order = mask.sum(1).sort(stable=True)
    rows, longest = mask.shape
    short = torch.arange(1, rows + 1, device=mask.device)
    places = lengths * short + longest * (rows - short)
    cut = int(places.argmin()) + 1
    if cut == rows or int(places[cut - 1]) > WORTH * rows * longest or not bool(mask[:, 0].all()):
        return [dict(batch)]
    parts = []
    for some, width in ((order[:cut], int(lengths[cut - 1])), (order[cut:], longest)):
        cutting = ("input_ids", "attention_mask", "labels")
        parts.append(
            {
                name: value[some][:, :width] if name in cutting else value[some]
                for name, value in batch.items()
                if value is not None
            }
        )
    return parts
