"""Frozen picture features of vision-language models, each picture encoded once: kept by its bytes and by the model.

As `training.staged.seen` for features whose number differs from picture to picture. Features are kept as float16.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from memescope.backbones.memo import Memo
from memescope.backbones.vlm import Sight, Vlm
from memescope.cache import Cache, content_key
from memescope.datasets.transforms import picture_digest
from memescope.meme import Meme
from memescope.perception.pictures import open_picture
from memescope.training.staged.seen import HELD

BATCH = 32


class KeptSights:
    """In the place of `VlmModel.look`. With `keep` off pictures are encoded anew each time."""

    def __init__(self, vlm: Vlm, keep: bool = True) -> None:
        self._vlm, self._keep = vlm, keep
        self._cache = Cache("sights")
        self._held = Memo(HELD)
        self._keys: dict[Path, str] = {}
        self._grids: dict[str, tuple[int, int]] = {}
        # what stands before the projector does not depend on what is learnt
        self._model = content_key(vlm.seen_by, vlm.settings)

    def __call__(self, pictures: Sequence[Any]) -> list[Sight]:
        """The sights of some pictures, in order."""
        if not self._keep:
            return self._vlm.see([open_picture(picture) for picture in pictures])
        keys = [self._key(picture) for picture in pictures]
        found = {key: row for key in keys if (row := self._held.get(key)) is not None}
        missing = sorted({key for key in keys if key not in found})
        for key, value in self._cache.get(missing).items():
            found[key] = np.frombuffer(value, np.uint8)
            self._held.put(key, found[key])
        fresh = {key: picture for key, picture in zip(keys, pictures, strict=True) if key not in found}
        for start in range(0, len(fresh), BATCH):
            some = dict(list(fresh.items())[start : start + BATCH])
            made = self._vlm.see([open_picture(picture) for picture in some.values()])
            for key, sight in zip(some, made, strict=True):
                found[key] = packed(sight)
                self._held.put(key, found[key])
            self._cache.put({key: found[key].tobytes() for key in some})
        return [unpacked(found[key]) for key in keys]

    def grid(self, picture: Any) -> tuple[int, int]:
        """The grid of a picture's sight, found once."""
        if self._vlm.fixed_grid is not None:
            return self._vlm.fixed_grid
        key = self._key(picture)
        if key not in self._grids:
            self._grids[key] = self._vlm.grid(open_picture(picture))
        return self._grids[key]

    def _key(self, picture: Any) -> str:
        known = self._keys.get(picture) if isinstance(picture, Path) else None
        if known is None:
            known = content_key(self._model, picture_digest(Meme(picture)))
            if isinstance(picture, Path):
                self._keys[picture] = known
        return known


def packed(sight: Sight) -> np.ndarray:
    """Grid and shape (4 int32), then the features (float16), as bytes."""
    head = np.array([*sight.grid, *sight.features.shape], np.int32).tobytes()
    return np.frombuffer(head + sight.features.to(torch.float16).numpy().tobytes(), np.uint8)


def unpacked(row: np.ndarray) -> Sight:
    """What `packed` made, features float32 (n, e)."""
    rows, columns, n, e = np.frombuffer(row[:16].tobytes(), np.int32).tolist()
    features = np.frombuffer(row[16:].tobytes(), np.float16).reshape(n, e)
    return Sight(torch.from_numpy(features.astype(np.float32)), (rows, columns))
