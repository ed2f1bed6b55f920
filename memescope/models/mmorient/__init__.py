"""Family `mmorient`: attention within each modality, relation graphs across them (arXiv 2508.16300). Extra `train`."""

from memescope.models.mmorient.config import MmOrientConfig
from memescope.models.mmorient.deviations import deviations
from memescope.models.mmorient.load import create, load_folder
from memescope.models.mmorient.making import Making, MakingSettings

__all__ = ["Making", "MakingSettings", "MmOrientConfig", "create", "deviations", "load_folder"]
