"""Frozen picture features, each picture encoded once: kept in the cache by the picture's bytes and the encoder."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from memescope.cache import Cache, content_key

BATCH = 32


class Encoder(Protocol):
    """A frozen encoder of pictures: float32 (b, v, e), zeros for None."""

    name: str
    version: str
    width: int
    count: int

    def __call__(self, pictures: Sequence[Any]) -> Tensor: ...


class Seen:
    """The same encoder, remembering. Features are kept as float16; `settings` are what else they depend on."""

    def __init__(self, encoder: Encoder, settings: object = None) -> None:
        self._encoder, self._settings = encoder, settings
        self.name, self.version = encoder.name, encoder.version
        self.width, self.count = encoder.width, encoder.count
        self._cache = Cache("visual")
        self._held: dict[str, np.ndarray] = {}
        self._keys: dict[Path, str] = {}

    def __call__(self, pictures: Sequence[Any]) -> Tensor:
        """float32 (b, v, e)."""
        keys = [self._key(picture) for picture in pictures]
        missing = {key for key in keys if key is not None and key not in self._held}
        for key, value in self._cache.get(sorted(missing)).items():
            self._held[key] = np.frombuffer(value, np.float16).reshape(self.count, self.width)
        fresh = {key: picture for key, picture in zip(keys, pictures, strict=True) if key and key not in self._held}
        for start in range(0, len(fresh), BATCH):
            some = dict(list(fresh.items())[start : start + BATCH])
            found = self._encoder(list(some.values())).to(torch.float16).numpy()
            self._held |= dict(zip(some, found, strict=True))
            self._cache.put({key: row.tobytes() for key, row in zip(some, found, strict=True)})
        nothing = np.zeros((self.count, self.width), np.float16)
        rows = [self._held[key] if key else nothing for key in keys]
        return torch.from_numpy(np.stack(rows)).float()

    def _key(self, picture: Any) -> str | None:
        if picture is None:
            return None
        if isinstance(picture, Path) and picture in self._keys:
            return self._keys[picture]
        raw = picture if isinstance(picture, bytes) else Path(picture).read_bytes()
        key = content_key(self.version, self._settings, hashlib.sha256(raw).hexdigest())
        if isinstance(picture, Path):
            self._keys[picture] = key
        return key
