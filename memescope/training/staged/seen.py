"""Frozen picture features, each picture encoded once: kept in the cache by the picture's bytes and the encoder."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from memescope.backbones.memo import Memo
from memescope.cache import Cache, content_key

BATCH = 32
HELD = 512 << 20
"""So many bytes of features stay in memory; the others are read again from the cache."""


class Store:
    """Arrays of one type and shape by key: all of them in the cache, the last `limit` bytes in memory too."""

    def __init__(self, kind: str, dtype: type, shape: tuple[int, ...], limit: int = HELD) -> None:
        self.dtype, self._shape = dtype, shape
        self._cache, self._held = Cache(kind), Memo(limit)

    def get(self, keys: Iterable[str]) -> dict[str, np.ndarray]:
        """The arrays there are, read-only."""
        wanted = dict.fromkeys(keys)
        found = {key: array for key in wanted if (array := self._held.get(key)) is not None}
        if missing := [key for key in wanted if key not in found]:
            for key, value in self._cache.get(missing).items():
                found[key] = np.frombuffer(value, self.dtype).reshape(self._shape)
                self._held.put(key, found[key])
        return found

    def put(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Keep these arrays."""
        self._cache.put({key: array.tobytes() for key, array in arrays.items()})
        for key, array in arrays.items():
            self._held.put(key, array)


class PictureKeys:
    """Keys of pictures by their bytes and by `settings`, which are what else is made of them depends on."""

    def __init__(self, *settings: object) -> None:
        self._settings = settings
        self._keys: dict[Path, str] = {}

    def __call__(self, picture: bytes | str | Path) -> str:
        """A file is read once."""
        if isinstance(picture, bytes):
            return content_key(*self._settings, hashlib.sha256(picture).hexdigest())
        path = Path(picture)
        if path not in self._keys:
            self._keys[path] = self(path.read_bytes())
        return self._keys[path]


class Encoder(Protocol):
    """A frozen encoder of pictures: float32 (b, v, e), zeros for None."""

    name: str
    version: str
    width: int
    count: int

    def __call__(self, pictures: Sequence[Any]) -> Tensor: ...


class Seen:
    """The same encoder, remembering. Features are kept as float16; `settings` are what else they depend on."""

    def __init__(self, encoder: Encoder, settings: object = None, limit: int = HELD) -> None:
        self._encoder = encoder
        self.name, self.version = encoder.name, encoder.version
        self.width, self.count = encoder.width, encoder.count
        self._key = PictureKeys(encoder.version, settings)
        self._store = Store("visual", np.float16, (encoder.count, encoder.width), limit)

    def __call__(self, pictures: Sequence[Any]) -> Tensor:
        """float32 (b, v, e)."""
        keys = [None if picture is None else self._key(picture) for picture in pictures]
        found = self._store.get(key for key in keys if key is not None)
        fresh = {key: picture for key, picture in zip(keys, pictures, strict=True) if key and key not in found}
        for start in range(0, len(fresh), BATCH):
            some = dict(list(fresh.items())[start : start + BATCH])
            made = self._encoder(list(some.values())).to(torch.float16).numpy()
            new = dict(zip(some, made, strict=True))
            self._store.put(new)
            found |= new
        nothing = np.zeros((self.count, self.width), np.float16)
        rows = [found[key] if key else nothing for key in keys]
        return torch.from_numpy(np.stack(rows)).float()
