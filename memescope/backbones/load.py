"""`load_text_encoder` and `load_vision_encoder`: a packaged encoder by its name."""

from __future__ import annotations

from functools import cache

from memescope.backbones.protocols import TextEncoder, VisionEncoder
from memescope.errors import UsageError


@cache
def load_text_encoder(name: str = "minilm", threads: int = 1) -> TextEncoder:
    """The text encoder of a packaged name; one for each name and thread count of this process.

    Raises `UsageError` for a name that is not known.
    """
    from memescope.backbones.packaged import TEXT

    if name not in TEXT:
        raise UsageError(f"text encoder {name!r} is not known; packaged: {', '.join(TEXT)}")
    return TEXT[name](threads)


@cache
def load_vision_encoder(name: str = "effnet-lite0", threads: int = 1) -> VisionEncoder:
    """The vision encoder of a packaged name; one for each name and thread count of this process.

    Raises `UsageError` for a name that is not known.
    """
    from memescope.backbones.packaged import VISION

    if name not in VISION:
        raise UsageError(f"vision encoder {name!r} is not known; packaged: {', '.join(VISION)}")
    return VISION[name](threads)
