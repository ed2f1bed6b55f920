"""Pretrained encoders by name, behind one protocol: packaged ones (ONNX Runtime, no PyTorch) and hub ids."""

from memescope.backbones.load import load_text_encoder, load_vision_encoder
from memescope.backbones.protocols import TextEncoder, VisionEncoder

__all__ = ["TextEncoder", "VisionEncoder", "load_text_encoder", "load_vision_encoder"]
