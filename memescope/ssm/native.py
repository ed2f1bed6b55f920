"""The compiled kernel (in the making): plain torch until then."""

from __future__ import annotations

from torch import Tensor

from memescope.ssm import parallel
from memescope.ssm.inputs import Scan


def missing() -> str | None:
    return "not in this version"


def scan(given: Scan) -> tuple[Tensor, Tensor]:
    return parallel.scan(given)
