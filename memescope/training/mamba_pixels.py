"""Pictures as a model looks at them, prepared once: kept in the cache by the picture's bytes and the settings."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np

from memescope.cache import Cache, content_key
from memescope.models.mamba.processor import See
from memescope.perception.inpaint import INPAINT_VERSION
from memescope.training.mamba import PIXELS_VERSION


class Kept:
    """The same `see`, remembering: uint8 pictures, or features as float16.

    On disk always; in memory too with `hold`. Features of 49 places and 1,280 numbers are 125 kB a picture.
    """

    def __init__(self, see: See, image: dict[str, Any], hold: bool = True) -> None:
        self._see, self._hold = see, hold
        self._settings = [PIXELS_VERSION, image["size"], image["inpaint"] and INPAINT_VERSION, list(image["versions"])]
        self._cache = Cache("looked-at")
        self._held: dict[str, np.ndarray] = {}
        self._keys: dict[Path, str] = {}
        frozen = image["kind"] == "frozen"
        self._type: type = np.float16 if frozen else np.uint8
        self._shape = (image["count"], image["width"]) if frozen else (image["size"], image["size"], 3)

    def __call__(self, picture: Any) -> np.ndarray:
        """uint8 (s, s, 3) or float32 (v, e)."""
        key = self._key(picture)
        if key is None:
            return self._see(picture)
        found: np.ndarray
        if key not in self._held:
            stored = self._cache.get([key]).get(key)
            if stored is None:
                found = self._see(picture).astype(self._type)
                self._cache.put({key: found.tobytes()})
            else:
                found = np.frombuffer(stored, self._type).reshape(self._shape)
            if self._hold:
                self._held[key] = found
        else:
            found = self._held[key]
        return found if self._type is np.uint8 else found.astype(np.float32)

    @property
    def held(self) -> int:
        """Pictures in memory."""
        return len(self._held)

    def _key(self, picture: Any) -> str | None:
        if isinstance(picture, Path) and picture in self._keys:
            return self._keys[picture]
        if not isinstance(picture, bytes | str | Path):
            return None
        raw = picture if isinstance(picture, bytes) else Path(picture).read_bytes()
        key = content_key(self._settings, hashlib.sha256(raw).hexdigest())
        if isinstance(picture, Path):
            self._keys[picture] = key
        return key
