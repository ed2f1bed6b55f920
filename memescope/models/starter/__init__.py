"""The starter: the multitask model that ships in the package, on numpy and ONNX Runtime alone."""

from memescope.models.starter.model import Starter, load_folder

__all__ = ["Starter", "load_folder"]
