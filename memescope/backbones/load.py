"""`load_text_encoder` and `load_vision_encoder`: a packaged encoder by its name, any other by hub id or folder."""

from __future__ import annotations

from functools import cache

from memescope.backbones.protocols import TextEncoder, VisionEncoder


def load_text_encoder(name: str = "minilm", threads: int = 1, device: str = "cpu") -> TextEncoder:
    """The encoder of a packaged name, a hub id (`sentence-transformers/all-mpnet-base-v2`) or a folder.

    One for each combination of arguments and process. `threads` counts for packaged encoders and `device` for the
    others, whose threads are PyTorch's. Raises `MissingExtra` where the extra `train` is needed and absent, and
    `MemescopeError` for a model that cannot be read.
    """
    return _text(name, threads, device)


def load_vision_encoder(name: str = "effnet-lite0", threads: int = 1, device: str = "cpu") -> VisionEncoder:
    """The encoder of a packaged name, a hub id (`openai/clip-vit-base-patch32`) or a folder.

    Arguments and errors are those of `load_text_encoder`.
    """
    return _vision(name, threads, device)


# the cache keys on the arguments as given, so it sits behind functions that fill in the defaults
@cache
def _text(name: str, threads: int, device: str) -> TextEncoder:
    from memescope.backbones.packaged import TEXT

    if name in TEXT:
        return TEXT[name](threads)
    from memescope.backbones.hub import HubText

    return HubText(name, device)


@cache
def _vision(name: str, threads: int, device: str) -> VisionEncoder:
    from memescope.backbones.packaged import VISION

    if name in VISION:
        return VISION[name](threads)
    from memescope.backbones.hub import HubVision

    return HubVision(name, device)
