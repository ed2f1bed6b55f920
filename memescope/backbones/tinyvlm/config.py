"""What a TinyVLM is made of: a packaged picture encoder by name, a projector, a small language model."""

from __future__ import annotations

from typing import Any

from transformers import AutoConfig, PreTrainedConfig

from memescope.errors import UsageError

IMAGE_TOKEN = "<image>"


class TinyVlmConfig(PreTrainedConfig):
    """In hub layout (`config.json`).

    text_config        the decoder-only language model's own configuration
    vision             the frozen picture encoder by name; vision_version names its content
    visual_width       width of its features
    visual_side        the picture becomes so many places along each side: 4 is 16 tokens, 7 the encoder's own grid
    projector_width    width of the projector's hidden layer
    image_token_id     the token that stands for a place; it has no embedding of its own
    """

    model_type = "memescope-tinyvlm"
    sub_configs = {"text_config": AutoConfig}  # noqa: RUF012 - as transformers declares it

    text_config: dict | PreTrainedConfig | None = None
    vision: str = "effnet-lite0"
    vision_version: str = ""
    visual_width: int = 1280
    visual_side: int = 4
    projector_width: int = 1152
    image_token_id: int = -1
    initializer_range: float = 0.02
    tie_word_embeddings: bool = True

    def __post_init__(self, **kwargs: Any) -> None:
        if isinstance(self.text_config, dict):
            self.text_config = AutoConfig.for_model(**({"model_type": "llama"} | self.text_config))
        elif self.text_config is None:
            self.text_config = AutoConfig.for_model("llama")
        if not 1 <= self.visual_side <= 7:
            raise UsageError(f"visual_side {self.visual_side}: expected 1 to 7 places along each side of the picture")
        self.tie_word_embeddings = bool(self.text_config.tie_word_embeddings)
        super().__post_init__(**kwargs)
