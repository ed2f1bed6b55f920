"""Selective state space scan (Mamba: Gu and Dao 2023, section 3), forward and backward, made fast on CPUs.

`selective_scan` runs over whole sequences, `selective_step` over one step (for streaming), `causal_conv` is the short
convolution in front of the scan in a Mamba block. `backend` says what a scan runs on and `use` chooses it; the
environment variable MEMESCOPE_SSM does so for a whole process.
"""

from memescope.ssm.choice import BACKENDS, backend, use
from memescope.ssm.conv import causal_conv
from memescope.ssm.scan import selective_scan, selective_step

__all__ = ["BACKENDS", "backend", "causal_conv", "selective_scan", "selective_step", "use"]
