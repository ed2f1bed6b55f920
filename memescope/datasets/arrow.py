"""A hub dataset on disk: the layout of `datasets.DatasetDict.save_to_disk`, written and read with pyarrow alone.

`dataset_dict.json` names the splits; each is a folder with one Arrow stream, `state.json` and `dataset_info.json`. The
same rows give the same bytes everywhere: batches have a fixed number of rows and nothing of the machine is written.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from memescope.errors import MissingExtra, UsageError

if TYPE_CHECKING:
    import pyarrow as pa

BATCH = 500
"""Rows in one record batch."""
_FILE = "data-00000-of-00001.arrow"
_STRING = {"dtype": "string", "_type": "Value"}
TEXT_COLUMNS = ("id", "text", "lang", "aspect", "rationale", "source", "split", "image_sha256", "native_labels", "meta")


def needs_pyarrow(what: str) -> Any:
    """The module pyarrow; `MissingExtra` where it is not installed."""
    try:
        import pyarrow
        import pyarrow.ipc
    except ImportError:
        raise MissingExtra(what, "data") from None
    return pyarrow


def features(tasks: Mapping[str, bool], embed: bool) -> dict[str, Any]:
    """The hub's description of a prepared set's columns. `tasks` says of each whether it is multilabel.

    With `embed` the picture is a hub `Image` (bytes), otherwise a path.
    """
    several = {"feature": _STRING, "length": -1, "_type": "Sequence"}
    described: dict[str, Any] = {"id": _STRING, "image": {"_type": "Image"} if embed else _STRING}
    described |= dict.fromkeys(("text", "lang"), _STRING)
    if tasks:
        described["labels"] = {task: several if multilabel else _STRING for task, multilabel in tasks.items()}
    return described | {name: _STRING for name in TEXT_COLUMNS if name not in described}


def schema(described: Mapping[str, Any]) -> pa.Schema:
    """The Arrow schema of these columns, with the hub's description in its metadata."""
    arrow = needs_pyarrow("a prepared set")

    def kind(feature: Mapping[str, Any]) -> Any:
        if feature.get("_type") == "Image":
            return arrow.struct([arrow.field("bytes", arrow.binary()), arrow.field("path", arrow.string())])
        if feature.get("_type") == "Sequence":
            return arrow.list_(arrow.string())
        if "_type" in feature:
            return arrow.string()
        return arrow.struct([arrow.field(name, kind(inner)) for name, inner in feature.items()])

    fields = [arrow.field(name, kind(feature)) for name, feature in described.items()]
    return arrow.schema(fields, metadata={"huggingface": json.dumps({"info": {"features": described}})})


def write_split(folder: Path, split: str, rows: Iterable[Mapping[str, Any]], described: Mapping[str, Any]) -> str:
    """Write one split and return the SHA-256 of its Arrow file, in hex."""
    pa = needs_pyarrow("a prepared set")
    place = folder / split
    place.mkdir(parents=True, exist_ok=True)
    layout = schema(described)
    waiting = iter(rows)
    with pa.OSFile(str(place / _FILE), "wb") as sink, pa.ipc.new_stream(sink, layout) as writer:
        while some := list(islice(waiting, BATCH)):
            writer.write_batch(pa.RecordBatch.from_pylist(some, schema=layout))
    with (place / _FILE).open("rb") as file:
        content = hashlib.file_digest(file, "sha256").hexdigest()
    info = {"citation": "", "description": "", "features": described, "homepage": "", "license": ""}
    state: dict[str, Any] = {
        "_data_files": [{"filename": _FILE}],
        "_fingerprint": content[:16],
        "_format_columns": None,
        "_format_kwargs": {},
        "_format_type": None,
        "_output_all_columns": False,
        "_split": split,
    }
    (place / "dataset_info.json").write_text(json.dumps(info, indent=2), "utf-8")
    (place / "state.json").write_text(json.dumps(state, indent=2), "utf-8")
    return content


def write_splits(folder: Path, splits: Sequence[str]) -> None:
    """Write `dataset_dict.json`, which makes the folder a hub dataset."""
    (folder / "dataset_dict.json").write_text(json.dumps({"splits": list(splits)}), "utf-8")


def stored_splits(folder: Path) -> dict[str, Path]:
    """The splits of a hub dataset on disk and where each lies; empty for a folder that is none.

    A single `Dataset` counts as its own split, or as `train` where it does not say.
    """
    if (folder / "dataset_dict.json").is_file():
        names = _json(folder / "dataset_dict.json").get("splits", [])
        return {name: folder / name for name in names if isinstance(name, str) and (folder / name).is_dir()}
    if (folder / "state.json").is_file() and (folder / "dataset_info.json").is_file():
        return {_json(folder / "state.json").get("_split") or "train": folder}
    return {}


def read_rows(place: Path) -> Iterator[dict[str, Any]]:
    """The rows of one stored split, in order; `UsageError` for a folder or file that cannot be read."""
    pa = needs_pyarrow(f"reading {place}")
    for entry in _json(place / "state.json").get("_data_files", []):
        path = place / entry["filename"]
        try:
            with pa.memory_map(str(path)) as source:
                for batch in pa.ipc.open_stream(source):
                    yield from batch.to_pylist()
        except (OSError, pa.ArrowInvalid) as error:
            raise UsageError(f"{path}: not a readable Arrow file: {error}") from None


def _json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise UsageError(f"{path}: not readable as JSON: {error}") from None
    if not isinstance(content, dict):
        raise UsageError(f"{path}: expected a JSON object, found {type(content).__name__}")
    return content
