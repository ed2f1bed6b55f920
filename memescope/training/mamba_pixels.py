"""Pictures as a model looks at them, prepared once: kept in the cache by the picture's bytes and the settings."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from memescope.models.mamba.processor import See
from memescope.perception.inpaint import INPAINT_VERSION
from memescope.training.staged.seen import HELD, PictureKeys, Store

PIXELS_VERSION = 1
"""Raise it when the same picture would be prepared otherwise."""


class Kept:
    """The same `see`, remembering: uint8 pictures, or features as float16; the last `limit` bytes in memory too.

    Features of 49 places and 1,280 numbers are 125 kB a picture.
    """

    def __init__(self, see: See, image: dict[str, Any], limit: int = HELD) -> None:
        self._see = see
        frozen = image["kind"] == "frozen"
        shape = (image["count"], image["width"]) if frozen else (image["size"], image["size"], 3)
        self._store = Store("looked-at", np.float16 if frozen else np.uint8, shape, limit)
        inpainted = image["inpaint"] and INPAINT_VERSION
        self._key = PictureKeys([PIXELS_VERSION, image["size"], inpainted, list(image["versions"])])

    def __call__(self, picture: Any) -> np.ndarray:
        """uint8 (s, s, 3) or float32 (v, e)."""
        if not isinstance(picture, bytes | str | Path):
            return self._see(picture)
        key = self._key(picture)
        found = self._store.get([key]).get(key)
        if found is None:
            found = self._see(picture).astype(self._store.dtype)
            self._store.put({key: found})
        return found if found.dtype == np.uint8 else found.astype(np.float32)
