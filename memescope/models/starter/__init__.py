"""The starter: the multitask model that ships in the package. numpy and ONNX Runtime alone; `MODEL_CARD.md` tells of it."""

from memescope.models.starter.model import Starter, load_folder

__all__ = ["Starter", "load_folder"]
