"""What TinyVLM reads: words through a chat template, pictures as frozen features of a packaged encoder.

Shape letters: `n` pictures, `v` places, `e` their width.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from transformers import BatchFeature
from transformers.image_processing_utils import BaseImageProcessor
from transformers.processing_utils import ProcessorMixin

from memescope.backbones import load_vision_encoder
from memescope.backbones.tinyvlm.config import IMAGE_TOKEN
from memescope.perception.pictures import open_picture

CHAT_TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n"
    "{% if message['content'] is string %}{{ message['content'] }}{% else %}"
    "{% for part in message['content'] %}"
    "{% if part['type'] == 'image' or part['type'] == 'image_url' %}<image>{% elif 'text' in part %}{{ part['text'] }}"
    "{% endif %}{% endfor %}{% endif %}<|im_end|>\n"
    "{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
"""SmolLM2's own marks of turns, a picture where the message has it, and no system message that nobody gave."""


class TinyVlmImageProcessor(BaseImageProcessor):
    """Pictures to `visual` float32 (n, v, e): the encoder's grid, averaged to `visual_side` places along each side."""

    model_input_names = ["visual"]  # noqa: RUF012 - as transformers declares it

    def __init__(self, vision: str = "effnet-lite0", visual_side: int = 4, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.vision, self.visual_side = vision, visual_side

    def preprocess(self, images: Any, *args: Any, **kwargs: Any) -> BatchFeature:
        """Files, bytes or PIL pictures, one or many; `PictureError` for what cannot be read."""
        return BatchFeature({"visual": self.features(list(_flat(images)))})

    def features(self, pictures: Sequence[Any]) -> Tensor:
        """float32 (n, v, e)."""
        encoder = load_vision_encoder(self.vision)
        grid = torch.from_numpy(encoder.patches([open_picture(picture) for picture in pictures]))
        if grid.shape[1] == self.visual_side:
            return grid.flatten(1, 2)
        # the windows overlap where the grid is not a multiple: every place counts
        pooled = torch.nn.functional.adaptive_avg_pool2d(grid.permute(0, 3, 1, 2), self.visual_side)
        return pooled.flatten(2).transpose(1, 2).contiguous()


class TinyVlmProcessor(ProcessorMixin):
    """Tokenizer and picture encoder as one, for `transformers`' own pipelines and servers."""

    def __init__(self, image_processor: Any = None, tokenizer: Any = None, chat_template: str | None = None) -> None:
        self.image_token = IMAGE_TOKEN
        self.image_token_id = tokenizer.convert_tokens_to_ids(IMAGE_TOKEN)
        super().__init__(image_processor, tokenizer, chat_template=chat_template or tokenizer.chat_template)

    def replace_image_token(self, image_inputs: dict[str, Any], image_idx: int, **kwargs: Any) -> str:
        """As many image tokens as the picture has places."""
        return IMAGE_TOKEN * int(image_inputs["visual"][image_idx].shape[0])


def _flat(images: Any) -> Any:
    if isinstance(images, list | tuple):
        for one in images:
            yield from _flat(one)
    else:
        yield images
