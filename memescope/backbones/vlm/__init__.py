"""Vision-language models by hub id or folder, and TinyVLM: one way to speak to all of them. Needs the extra `train`."""

from memescope.backbones.vlm.base import Decoder, Sight, Vlm
from memescope.backbones.vlm.load import load_vlm

__all__ = ["Decoder", "Sight", "Vlm", "load_vlm"]
