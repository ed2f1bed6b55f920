"""TinyVLM: picture grid, projector, SmolLM2-135M, as a transformers model. Importing this registers its classes."""

from transformers import AutoConfig, AutoImageProcessor, AutoModelForImageTextToText, AutoProcessor

from memescope.backbones.tinyvlm.config import IMAGE_TOKEN, TinyVlmConfig
from memescope.backbones.tinyvlm.model import TinyVlmForConditionalGeneration, TinyVlmModel, compose
from memescope.backbones.tinyvlm.processor import CHAT_TEMPLATE, TinyVlmImageProcessor, TinyVlmProcessor

AutoConfig.register(TinyVlmConfig.model_type, TinyVlmConfig, exist_ok=True)
AutoModelForImageTextToText.register(TinyVlmConfig, TinyVlmForConditionalGeneration, exist_ok=True)
AutoImageProcessor.register(TinyVlmConfig, TinyVlmImageProcessor, exist_ok=True)
AutoProcessor.register(TinyVlmConfig, TinyVlmProcessor, exist_ok=True)

__all__ = [
    "CHAT_TEMPLATE",
    "IMAGE_TOKEN",
    "TinyVlmConfig",
    "TinyVlmForConditionalGeneration",
    "TinyVlmImageProcessor",
    "TinyVlmModel",
    "TinyVlmProcessor",
    "compose",
]
