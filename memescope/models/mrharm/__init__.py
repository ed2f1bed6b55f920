"""Family `mrharm`: a language model that looks, taught to reason, then to judge (arXiv 2312.05434). Extra `train`."""

from memescope.models.mrharm.config import MrHarmConfig
from memescope.models.mrharm.deviations import deviations
from memescope.models.mrharm.load import create, load_folder
from memescope.models.mrharm.processor import MrHarmProcessor

__all__ = ["MrHarmConfig", "MrHarmProcessor", "create", "deviations", "load_folder"]
