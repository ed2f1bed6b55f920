"""Family `mamba`: selective state space models of text and picture (Liu et al., Georgia Tech report). Extra `train`."""

from memescope.models.mamba.config import MambaMemesConfig
from memescope.models.mamba.load import create, load_folder
from memescope.models.mamba.processor import MambaProcessor

__all__ = ["MambaMemesConfig", "MambaProcessor", "create", "load_folder"]
