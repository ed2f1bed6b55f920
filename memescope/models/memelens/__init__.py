"""Family `memelens`: one vision-language model, instructed, for every task of the taxonomy (arXiv 2601.12539).

The wording (`wording`, `prompting`) needs no torch: `memescope.remote` asks servers with it.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from memescope.models.memelens.head import HeadModel
    from memescope.models.memelens.model import Explanation, MemeLens

__all__ = ["Explanation", "HeadModel", "MemeLens", "load_folder"]


def load_folder(folder: Path) -> Any:
    """The model of a run folder: one that names labels in words, or the baseline with heads."""
    import json

    settings = json.loads((folder / "config.json").read_text("utf-8")).get("settings") or {}
    return __getattr__("HeadModel" if settings.get("head") else "MemeLens").load_folder(folder)


def __getattr__(name: str) -> Any:
    if name == "HeadModel":
        from memescope.models.memelens.head import HeadModel

        return HeadModel
    if name in ("Explanation", "MemeLens"):
        from memescope.models.memelens import model

        return getattr(model, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
