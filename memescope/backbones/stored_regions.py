"""Region features that somebody else computed: bottom-up attention's TSV, or npz and npy files, one for each picture.

Formats: the TSV of peteranderson80/bottom-up-attention (`image_id, image_w, image_h, num_boxes, boxes, features`, both
arrays as base64 of float32); npz files with `features` or `x`, `boxes` or `bbox`, and sizes; MMF's `ID.npy` with
`ID_info.npy` beside it (Pythia's Mask R-CNN X-152, 100 x 2048, which MM-ORIENT uses); and the shards that `memescope
data perceive --out` writes. Files are found by the meme's id or its picture's name. The info file is a pickle: only
plain values and numpy arrays are let out of it.
"""

from __future__ import annotations

import base64
import binascii
import csv
import pickle
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError

from memescope.backbones.regions import Regions
from memescope.backbones.shards import from_shard, shard_index
from memescope.datasets.transforms import Lookup
from memescope.errors import MemescopeError, UsageError
from memescope.meme import Meme

TSV_FIELDS = ("image_id", "image_w", "image_h", "num_boxes", "boxes", "features")
_SEVERAL = (".tsv", ".safetensors")
_LONGEST_FIELD = 1 << 30
_FEATURES, _BOXES = ("features", "x"), ("boxes", "bbox")
_WIDTH, _HEIGHT, _COUNT = ("image_w", "image_width"), ("image_h", "image_height"), ("num_boxes", "num_bbox")


class StoredRegions(Lookup):
    """Regions from a folder of npz or npy files, or from a TSV file or shard (or a folder of them).

    Files are read when they are asked for. `len` is how many pictures there are. Raises `UsageError` where the path
    holds none of these.
    """

    name = "regions"

    def __init__(self, path: str | Path) -> None:
        super().__init__()
        path = Path(path)
        tables, shards = ([path] if path.suffix == kind else sorted(path.glob(f"*{kind}")) for kind in _SEVERAL)
        self._files: dict[str, Path] = {}
        self._places: dict[str, tuple[Path, int]] = {}
        if path.is_dir():
            files = [file for kind in ("*.npz", "*.npy") for file in path.rglob(kind)]
            self._files = {file.stem: file for file in sorted(files) if not file.stem.endswith("_info")}
        for table in filter(Path.is_file, tables):
            self._places |= _index(table)
        try:
            self._shards = shard_index([shard for shard in shards if shard.is_file()])
        except (OSError, ValueError, SafetensorError) as error:
            raise UsageError(f"regions in {path}: {error}") from None
        if not len(self):
            raise UsageError(
                f"{path}: expected a .tsv or .safetensors file, or a folder with .npz, .npy, .tsv or .safetensors "
                "files of regions"
            )

    def __len__(self) -> int:
        return len(self._files) + len(self._places) + len(self._shards)

    def names(self) -> list[str]:
        """What the pictures are called: meme ids, or names of their files."""
        return [*self._files, *self._places, *self._shards]

    def of(self, meme: Meme) -> Regions | None:
        """The meme's regions; None where there are none. `MemescopeError`, naming the file, for broken ones."""
        for name in _names(meme):
            if name in self._files:
                file = self._files[name]
                return _guarded(f"{file}", lambda file=file: _from_file(file))
            if name in self._places:
                table, place = self._places[name]
                return _guarded(f"{table}: {name}", lambda table=table, place=place: _from_row(_row(table, place)))
            if name in self._shards:
                return from_shard(*self._shards[name])
        return None


def _names(meme: Meme) -> list[str]:
    named = [f"{meme.split}/{meme.id}", meme.id] if meme.split else [meme.id]
    if isinstance(meme.image, str | Path):
        named += [Path(meme.image).stem, Path(meme.image).name]
    return named


def _guarded(where: str, read: Any) -> Regions:
    try:
        return read()
    except (OSError, ValueError, KeyError, TypeError, EOFError, binascii.Error, pickle.UnpicklingError) as error:
        reason = f"no {error}" if isinstance(error, KeyError) else str(error) or type(error).__name__
        raise MemescopeError(f"{where}: not region features that can be read: {reason}") from None


def _index(table: Path) -> dict[str, tuple[Path, int]]:
    """Where each picture's line begins, so that a table larger than memory can be read."""
    places = {}
    with table.open("rb") as file:
        place = 0
        for line in file:
            name = line.split(b"\t", 1)[0].decode("utf-8", "replace").strip()
            if name and name != "image_id":
                places[name] = (table, place)
            place += len(line)
    return places


def _row(table: Path, place: int) -> dict[str, str]:
    with table.open("rb") as file:
        file.seek(place)
        line = file.readline().decode("ascii").rstrip("\r\n")
    csv.field_size_limit(_LONGEST_FIELD)
    [values] = csv.reader([line], delimiter="\t")
    if len(values) != len(TSV_FIELDS):
        raise ValueError(f"{len(values)} fields in a line, expected {', '.join(TSV_FIELDS)}")
    return dict(zip(TSV_FIELDS, values, strict=True))


def _from_row(row: Mapping[str, str]) -> Regions:
    count = int(row["num_boxes"])
    boxes = np.frombuffer(base64.b64decode(row["boxes"]), np.float32).reshape(count, 4)
    features = np.frombuffer(base64.b64decode(row["features"]), np.float32).reshape(count, -1)
    return _regions(features, boxes, None, float(row["image_w"]), float(row["image_h"]))


def _from_file(file: Path) -> Regions:
    if file.suffix == ".npz":
        if not zipfile.is_zipfile(file):
            raise ValueError("not an npz file, or damaged")
        with np.load(file, allow_pickle=False) as arrays:
            values: dict[str, Any] = {name: arrays[name] for name in arrays.files}
        features = _first(values, _FEATURES)
    else:
        features = np.load(file, allow_pickle=False)
        info = file.with_name(f"{file.stem}_info.npy")
        if not info.is_file():
            raise ValueError(f"no {info.name} beside it, which holds the boxes")
        values = _info(info)
    count = _scalar(values, _COUNT)
    n = len(features) if count is None else int(count)
    scores = values.get("cls_prob")
    scores = np.asarray(scores, np.float32) if scores is not None else None
    if scores is not None and scores.ndim == 2:  # classes: the first is the background
        scores = scores[:, 1:].max(axis=1)
    boxes = np.asarray(_first(values, _BOXES), np.float32)
    width, height = _scalar(values, _WIDTH), _scalar(values, _HEIGHT)
    return _regions(features[:n], boxes[:n], None if scores is None else scores[:n], width, height)


def _first(values: Mapping[str, Any], names: tuple[str, ...]) -> Any:
    found = next((name for name in names if name in values), None)
    if found is None:
        raise ValueError(f"none of {', '.join(names)} among {', '.join(values) or 'nothing'}")
    return values[found]


def _scalar(values: Mapping[str, Any], names: tuple[str, ...]) -> float | None:
    found = next((values[name] for name in names if name in values), None)
    return None if found is None else float(np.asarray(found).reshape(()))


def _regions(
    features: np.ndarray, boxes: np.ndarray, scores: np.ndarray | None, width: float | None, height: float | None
) -> Regions:
    """Regions with boxes as fractions; boxes in pixels need the picture's size."""
    if features.ndim != 2 or boxes.shape != (len(features), 4):
        raise ValueError(f"features {features.shape} and boxes {boxes.shape}, expected (n, d) and (n, 4)")
    if not (np.isfinite(features).all() and np.isfinite(boxes).all()):
        raise ValueError("values that are not finite")
    if width and height:
        boxes = boxes / np.array([width, height, width, height], np.float32)
    elif boxes.size and boxes.max() > 1:
        raise ValueError(f"boxes in pixels without the picture's size ({', '.join(_WIDTH)} and {', '.join(_HEIGHT)})")
    certain = np.ones(len(features), np.float32) if scores is None else scores
    return Regions(features.astype(np.float32), boxes.clip(0, 1).astype(np.float32), certain.astype(np.float32))


class _Plain(pickle.Unpickler):
    """Lets plain values and numpy arrays out of a pickle, and nothing that could run code."""

    _ALLOWED = frozenset(
        {("numpy", "ndarray"), ("numpy", "dtype"), ("_codecs", "encode")}
        | {(f"numpy.{core}.multiarray", what) for core in ("core", "_core") for what in ("_reconstruct", "scalar")}
    )

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in self._ALLOWED:
            raise pickle.UnpicklingError(f"a pickle with {module}.{name} in it, which is not let out")
        return super().find_class(module, name)


def _info(file: Path) -> dict[str, Any]:
    """The dictionary in an npy file of one object, as MMF's feature extraction writes it."""
    with file.open("rb") as opened:
        version = np.lib.format.read_magic(opened)
        read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, _, dtype = read(opened)
        if not dtype.hasobject or shape != ():
            raise ValueError(f"{file.name}: expected one object, found an array {shape} of {dtype}")
        found = _Plain(opened).load()
    found = found.item() if isinstance(found, np.ndarray) else found
    if not isinstance(found, dict):
        raise ValueError(f"{file.name}: expected a dictionary, found {type(found).__name__}")
    return found
