"""Region features of many memes in a few safetensors files, so that they can be computed here and used elsewhere.

A shard holds the regions of some memes one after another: `features` (n, d) float16 (float32 where they would not fit),
`boxes` (n, 4) and `scores` (n,) float32, `offsets` (memes + 1,) int64; its metadata names the memes in `ids`, a JSON
list of `split/id` (or `id`).
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from memescope.backbones.regions import Regions, compact
from memescope.errors import UsageError

MEMES = 512
"""Memes in one shard: 64 MB of a 7 x 7 grid of width 1280."""


class ShardWriter:
    """Writes `FOLDER/NAME-00000.safetensors` and so on, holding one shard in memory at a time. `close` writes the last.

    Raises `UsageError` for regions of another width than the first.
    """

    def __init__(self, folder: Path, name: str) -> None:
        self._folder, self._name = folder, name
        self._ids: list[str] = []
        self._regions: list[Regions] = []
        self._width: int | None = None
        self.files: list[Path] = []

    def add(self, name: str, regions: Regions) -> None:
        """One meme's regions."""
        width = regions.features.shape[1]
        if self._width is None:
            self._width = width
        if width != self._width:
            raise UsageError(f"{name}: features of width {width}, those before {self._width}: from several encoders?")
        self._ids.append(name)
        self._regions.append(regions)
        if len(self._ids) == MEMES:
            self.close()

    def close(self) -> None:
        """Write what is left."""
        if not self._ids:
            return
        from safetensors.numpy import save

        path = self._folder / f"{self._name}-{len(self.files):05d}.safetensors"
        tensors = {
            "features": compact(np.concatenate([regions.features for regions in self._regions])),
            "boxes": np.concatenate([regions.boxes for regions in self._regions]),
            "scores": np.concatenate([regions.scores for regions in self._regions]),
            "offsets": np.cumsum([0, *map(len, self._regions)], dtype=np.int64),
        }
        path.write_bytes(save(tensors, metadata={"ids": json.dumps(self._ids)}))
        self.files.append(path)
        self._ids, self._regions = [], []


def shard_index(files: Sequence[Path]) -> dict[str, tuple[Path, int, int]]:
    """Where each meme's regions are: file, first row, row after the last. Raises `ValueError` for another's file."""
    from safetensors import safe_open

    places: dict[str, tuple[Path, int, int]] = {}
    for file in files:
        with safe_open(file, "np") as shard:
            metadata = shard.metadata() or {}
            if "ids" not in metadata or not {"features", "boxes", "scores", "offsets"} <= set(shard.keys()):
                raise ValueError(f"{file}: expected ids, features, boxes, scores and offsets as memescope writes them")
            offsets = shard.get_tensor("offsets").tolist()
        for name, first, last in zip(json.loads(metadata["ids"]), offsets, offsets[1:], strict=False):
            places[name] = (file, first, last)
    return places


def from_shard(file: Path, first: int, last: int) -> Regions:
    """These rows of a shard; the rest is not read."""
    from safetensors import safe_open

    with safe_open(file, "np") as shard:
        features, boxes, scores = (shard.get_slice(name)[first:last] for name in ("features", "boxes", "scores"))
    return Regions(features.astype(np.float32), boxes, scores)
