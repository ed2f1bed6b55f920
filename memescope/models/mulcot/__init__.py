"""Family `mulcot`: an assistant that learns to reason from a teacher's chains, and a student that it teaches in turn
(MulCoT-RD, arXiv 2508.05234)."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from memescope.models.mulcot.model import MulCot


def load_folder(folder: Path) -> MulCot:
    """The student (or assistant) of a run folder. Needs the extra `train`."""
    from memescope.models.mulcot.model import MulCot

    return MulCot.load_folder(folder)
