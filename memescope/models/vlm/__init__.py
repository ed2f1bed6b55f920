"""Vision-language models as a family sees them: what is said (`rows`), how it is answered (`model`). Extra `train`."""

from memescope.models.vlm.config import VlmConfig
from memescope.models.vlm.model import VlmModel
from memescope.models.vlm.rows import Ask, Instruction, Row, Turn
from memescope.models.vlm.saving import export

__all__ = ["Ask", "Instruction", "Row", "Turn", "VlmConfig", "VlmModel", "export"]
