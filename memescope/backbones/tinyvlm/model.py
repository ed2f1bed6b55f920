"""TinyVLM: a vision-language model for machines without a GPU, built as LLaVA is (Liu et al. 2023, arXiv 2304.08485).

    V = pool(encoder(picture))         frozen, given: (n, v, e), kept in a cache
    H = [embed(words); P(V)]           P: linear, GELU, linear, as in LLaVA-1.5 (arXiv 2310.03744), behind a norm
    logits = head(language model(H))

The norm is ours: the packaged encoder's features lie between 0 and 6, a CLIP's, which LLaVA projects, around 0.

Shape letters: `b` rows, `t` tokens, `n` pictures of all rows in order, `v` places of a picture, `e` their width, `d`
width of the language model, `w` words of the vocabulary.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from transformers import AutoModel, GenerationMixin, PreTrainedModel
from transformers.modeling_outputs import BaseModelOutputWithPast, CausalLMOutputWithPast

from memescope.backbones.tinyvlm.config import TinyVlmConfig
from memescope.errors import UsageError


class Projector(nn.Module):
    """Features (n, v, e) to the language model's width (n, v, d)."""

    def __init__(self, config: TinyVlmConfig, width: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(config.visual_width)
        self.rise = nn.Linear(config.visual_width, config.projector_width)
        self.fall = nn.Linear(config.projector_width, width)

    def forward(self, visual: Tensor) -> Tensor:
        found: Tensor = self.fall(nn.functional.gelu(self.rise(self.norm(visual))))
        return found


class _Pretrained(PreTrainedModel):
    config: TinyVlmConfig
    config_class = TinyVlmConfig
    base_model_prefix = "model"
    supports_gradient_checkpointing = True
    input_modalities = ["image", "text"]  # noqa: RUF012 - as transformers declares it
    _no_split_modules = ["LlamaDecoderLayer"]  # noqa: RUF012 - as transformers declares it
    _supports_sdpa = True
    _supports_flash_attn = True
    _supports_attention_backend = True


class TinyVlmModel(_Pretrained):
    """Projector and language model, without the head."""

    def __init__(self, config: TinyVlmConfig) -> None:
        super().__init__(config)
        self.projector = Projector(config, config.text_config.hidden_size)  # type: ignore[union-attr]
        self.language_model = AutoModel.from_config(config.text_config)
        self.post_init()

    def get_input_embeddings(self) -> nn.Module:
        """The embeddings of the words."""
        found: nn.Module = self.language_model.get_input_embeddings()
        return found

    def set_input_embeddings(self, value: nn.Module) -> None:
        """Other embeddings."""
        self.language_model.set_input_embeddings(value)

    def embed(self, input_ids: Tensor, visual: Tensor | None = None) -> Tensor:
        """(b, t, d): words, and the projected places of `visual` (n, v, e) in the order of the image tokens.

        `UsageError` where there are not as many image tokens as places.
        """
        seen = input_ids == self.config.image_token_id
        places = 0 if visual is None else visual.shape[0] * visual.shape[1]
        if int(seen.sum()) != places:
            raise UsageError(f"{int(seen.sum())} image tokens in the rows, but {places} places in the pictures given")
        # the image token has no embedding: any word's stands there until it is replaced
        words: Tensor = self.get_input_embeddings()(input_ids.masked_fill(seen, 0))
        if visual is None:
            return words
        projected = self.projector(visual.to(self.projector.rise.weight.dtype))
        return words.masked_scatter(seen[..., None], projected.to(words.dtype))

    def forward(
        self,
        input_ids: Tensor | None = None,
        visual: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
        **kwargs: Any,
    ) -> BaseModelOutputWithPast:
        if inputs_embeds is None:
            if input_ids is None:
                raise UsageError("neither input_ids nor inputs_embeds")
            inputs_embeds = self.embed(input_ids, visual)
        found: BaseModelOutputWithPast = self.language_model(inputs_embeds=inputs_embeds, **kwargs)
        return found


class TinyVlmForConditionalGeneration(_Pretrained, GenerationMixin):
    """The whole model. `visual` float (n, v, e) are frozen features; `TinyVlmProcessor` makes them of pictures."""

    _tied_weights_keys = {"lm_head.weight": "model.language_model.embed_tokens.weight"}  # noqa: RUF012

    def __init__(self, config: TinyVlmConfig) -> None:
        super().__init__(config)
        self.model = TinyVlmModel(config)
        text: Any = config.text_config
        self.lm_head = nn.Linear(text.hidden_size, text.vocab_size, bias=False)
        self.post_init()

    def get_input_embeddings(self) -> nn.Module:
        """The embeddings of the words."""
        return self.model.get_input_embeddings()

    def set_input_embeddings(self, value: nn.Module) -> None:
        """Other embeddings."""
        self.model.set_input_embeddings(value)

    def get_output_embeddings(self) -> nn.Module:
        """The head."""
        return self.lm_head

    def forward(
        self,
        input_ids: Tensor | None = None,
        visual: Tensor | None = None,
        attention_mask: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
        labels: Tensor | None = None,
        logits_to_keep: int | Tensor = 0,
        **kwargs: Any,
    ) -> CausalLMOutputWithPast:
        """`logits` (b, t, w), and `loss` (next token, -100 left out) where `labels` (b, t) are given."""
        loss_kwargs = {name: kwargs.pop(name) for name in ("num_items_in_batch",) if name in kwargs}
        kwargs.pop("return_dict", None)
        found = self.model(
            input_ids=input_ids, visual=visual, inputs_embeds=inputs_embeds, attention_mask=attention_mask, **kwargs
        )
        states = found.last_hidden_state
        kept = slice(-logits_to_keep, None) if isinstance(logits_to_keep, int) else logits_to_keep
        logits = self.lm_head(states[:, kept])
        loss = None
        if labels is not None:
            loss = self.loss_function(logits=logits, labels=labels, vocab_size=logits.shape[-1], **loss_kwargs)
        return CausalLMOutputWithPast(loss=loss, logits=logits, past_key_values=found.past_key_values)

    def prepare_inputs_for_generation(self, *args: Any, visual: Tensor | None = None, **kwargs: Any) -> Any:
        """The picture is read with the prompt only: afterwards its keys and values are in the cache."""
        found = super().prepare_inputs_for_generation(*args, **kwargs)  # type: ignore[misc]
        if kwargs.get("is_first_iteration") or not kwargs.get("use_cache", True):
            found["visual"] = visual
        return found


def compose(config: TinyVlmConfig, language: Any) -> TinyVlmForConditionalGeneration:
    """A TinyVLM around a pretrained decoder-only model (`AutoModelForCausalLM`), its projector new (PyTorch's seed)."""
    model = TinyVlmForConditionalGeneration(config)
    model.model.language_model.load_state_dict(language.base_model.state_dict())
    with torch.no_grad():
        model.lm_head.weight.copy_(language.get_output_embeddings().weight)
    model.tie_weights()
    return model.eval()
