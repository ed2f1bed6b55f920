"""Mr.Harm as published: T5 with the picture fused behind every encoder block (arXiv 2312.05434, section 4).

    H_0 = embed(text)
    H_i = block_i(H_{i-1}) + fuse_i(block_i(H_{i-1}), V)           after every encoder block i
    E   = norm(H_n) + fuse_final(norm(H_n), V)                      the decoder attends to E

The last line is not in the paper's text; it is in the released code, so it is on by default (`final_fusion`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor, nn
from transformers import AutoModelForSeq2SeqLM
from transformers.modeling_outputs import BaseModelOutput

from memescope.models.mrharm.model import FINAL, MrHarm
from memescope.models.prefix import EncodedPrefix
from memescope.objectives.generation import IGNORED


class MrHarmSeq2Seq(MrHarm):
    """T5, Flan-T5."""

    def _new_lm(self, config: Any) -> Any:
        return AutoModelForSeq2SeqLM.from_config(config)

    def _blocks(self) -> Sequence[nn.Module]:
        return list(self.lm.encoder.block)

    def encode(self, batch: Mapping[str, Any]) -> tuple[Tensor, Tensor]:
        """Fused states of the encoder (b, t, d) and their mask (b, t)."""
        inputs, mask = self._embedded(batch)
        visual = self._look(batch.get("visual"))
        states = self.lm.encoder(**inputs, attention_mask=mask.long(), visual=visual).last_hidden_state
        return (self.fusion.add(FINAL, states, visual) if self.fusion is not None else states), mask.long()

    def prefix(self, batch: Mapping[str, Any]) -> EncodedPrefix:
        """Prompts encoded, the decoder begun."""
        return EncodedPrefix(self.lm, *self.encode(batch))

    def _learned(
        self, batch: Mapping[str, Any], labels: Tensor, decoder_input_ids: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        states, mask = self.encode(batch)
        output = self.lm(
            encoder_outputs=BaseModelOutput(last_hidden_state=states),
            attention_mask=mask,
            decoder_input_ids=decoder_input_ids,
            use_cache=False,
        )
        learned = labels != IGNORED
        return output.logits[learned], labels[learned]
