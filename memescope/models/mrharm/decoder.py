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
