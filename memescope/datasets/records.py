"""Records of a user's files: JSON lines, JSON, delimited tables, Parquet, hub datasets on disk, folders by class."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any

from memescope.datasets.arrow import needs_pyarrow, read_rows, stored_splits
from memescope.datasets.columns import is_split, recognise_columns, split_name
from memescope.datasets.native import json_array, json_lines, lines, table
from memescope.datasets.prepared import in_order
from memescope.datasets.problems import Problems
from memescope.errors import UsageError
from memescope.perception.sniff import SUFFIXES

Record = tuple[str, dict[str, Any]]
"""(`file:line`, the record)."""
DATA = (".jsonl", ".ndjson", ".json", ".csv", ".tsv", ".tab", ".parquet")
"""Files that hold records; a `.txt` is read when it is named itself."""
OURS = frozenset({"truth", "problems", "results", "predictions", "log"})
"""Files that memescope writes beside records."""
PICTURES = frozenset(f".{suffix.lstrip('.')}" for suffixes in SUFFIXES.values() for suffix in suffixes)
_DELIMITERS = (",", "\t", ";", "|")
_BATCH = 500


def parts_of(path: Path) -> list[tuple[Path, str]]:
    """The files (or folders of pictures) of a user's data, each with the split its name says, or an empty one.

    Raises `UsageError` where a folder has several files and nothing says which to read.
    """
    if path.is_file():
        return [(path, path.stem if is_split(path.stem) else "")]
    if stored := stored_splits(path):
        return [(place, split) for split, place in stored.items()]
    files = [file for file in sorted(path.iterdir()) if file.suffix.lower() in DATA and file.stem not in OURS]
    if not files and (path / "data").is_dir():
        files = [file for file in sorted((path / "data").iterdir()) if file.suffix.lower() in DATA]
    named = [(file, _stem(file)) for file in files if is_split(_stem(file))]
    if named:
        order = in_order([split_name(split) for _, split in named])
        return sorted(named, key=lambda part: order.index(split_name(part[1])))
    if len(files) > 1:
        raise UsageError(f"{path}: name the file to read, there are {', '.join(file.name for file in files)}")
    if files:
        return [(files[0], "")]
    inner = [(folder, folder.name) for folder in sorted(path.iterdir()) if folder.is_dir() and is_split(folder.name)]
    tables = [
        (file, split) for folder, split in inner for file in sorted(folder.glob("metadata.*")) if file.suffix in DATA
    ]
    if tables or inner:
        return tables or inner
    if any(child.is_dir() and _has_pictures(child) for child in path.iterdir()):
        return [(path, "")]
    raise UsageError(
        f"{path}: nothing to read there; expected a known dataset, {', '.join(DATA)}, a hub dataset on disk, or "
        "pictures in folders by class"
    )


def _stem(file: Path) -> str:
    """Without the number of a shard: `train-00000-of-00002`."""
    return file.stem.split("-0")[0]


def _has_pictures(folder: Path) -> bool:
    return any(file.suffix.lower() in PICTURES for file in islice(folder.iterdir(), 1000))


def records(path: Path, problems: Problems) -> Iterator[Record]:
    """The records of one file or folder of `parts_of`."""
    if path.is_dir():
        return _hub(path) if (path / "state.json").is_file() else _by_class(path)
    suffix = path.suffix.lower()
    if suffix == ".parquet":
        return parquet(path, problems)
    if suffix in (".csv", ".tsv", ".tab", ".txt"):
        first = _first_line(path)
        if suffix != ".txt" or not first.lstrip().startswith(("{", "[")):
            return table(path, problems, delimiter(first, suffix))
    else:
        first = _first_line(path)
    if first.lstrip().startswith("["):
        return json_array(path, problems)
    if suffix == ".json" and not _is_object(first):
        return _json_object(path, problems)
    return json_lines(path, problems)


def _first_line(path: Path) -> str:
    return next((line for _, line in lines(path, Problems()) if line.strip()), "")


def _is_object(line: str) -> bool:
    try:
        return isinstance(json.loads(line, strict=False), dict)
    except (json.JSONDecodeError, RecursionError):
        return False


def delimiter(header: str, suffix: str = ".csv") -> str:
    """What separates the columns of a table: of the usual ones that which gives the most known column names."""
    usual = "\t" if suffix in (".tsv", ".tab") else ","
    best, most = usual, (0, 0)
    for one in _DELIMITERS:
        names = [name.strip() for name in next(csv.reader([header], delimiter=one), [])]
        columns = recognise_columns(names)
        score = (len(columns.named) + len(columns.labels), len(names))
        if score > most or (score == most and one == usual):
            best, most = one, score
    return best


def _json_object(path: Path, problems: Problems) -> Iterator[Record]:
    """`{"train": [...]}`, `{"data": [...]}` or `{id: {...}}`; `where` counts from 1 as there are no lines to name."""
    try:
        content = json.loads("\n".join(line for _, line in lines(path, problems)), strict=False)
    except (json.JSONDecodeError, RecursionError) as error:
        problems.add("broken-line", f"{path.name}:{getattr(error, 'lineno', 1)}", f"not JSON: {error}")
        return
    if not isinstance(content, dict):
        return
    number = 0
    for key, value in content.items():
        entries = value if isinstance(value, list) else [value]
        extra = {"split": key} if isinstance(value, list) and is_split(key) else {}
        for entry in entries:
            number += 1
            if isinstance(entry, dict):
                yield f"{path.name}:{number}", (extra if isinstance(value, list) else {"id": key}) | entry
            else:
                problems.add("broken-line", f"{path.name}:{number}", f"expected an object under {key!r}")


def parquet(path: Path, problems: Problems) -> Iterator[Record]:
    """The rows of a Parquet file; classes that the hub numbers get their names."""
    arrow = needs_pyarrow(f"reading {path}")
    import pyarrow.parquet

    try:
        file = pyarrow.parquet.ParquetFile(path)
        names = _class_names(file.schema_arrow.metadata or {})
        number = 0
        for batch in file.iter_batches(_BATCH):
            for row in batch.to_pylist():
                number += 1
                yield f"{path.name}:{number}", _named(row, names)
    except (OSError, arrow.ArrowException) as error:
        problems.add("broken-line", path.name, f"not readable as Parquet: {error}")


def _hub(place: Path) -> Iterator[Record]:
    info = json.loads((place / "dataset_info.json").read_text("utf-8"))
    names = _names_of(info.get("features") or {})
    for number, row in enumerate(read_rows(place), 1):
        yield f"{place.name}:{number}", _named(row, names)


def _class_names(metadata: Mapping[bytes, bytes]) -> dict[str, list[str]]:
    """The hub keeps the names of numbered classes beside the table."""
    try:
        return _names_of(json.loads(metadata.get(b"huggingface", b"{}"))["info"]["features"])
    except (KeyError, TypeError, ValueError):
        return {}


def _names_of(features: Mapping[str, Any]) -> dict[str, list[str]]:
    return {
        name: feature["names"]
        for name, feature in features.items()
        if isinstance(feature, dict) and feature.get("_type") == "ClassLabel" and feature.get("names")
    }


def _named(row: dict[str, Any], names: Mapping[str, list[str]]) -> dict[str, Any]:
    for column, classes in names.items():
        value = row.get(column)
        if isinstance(value, int):
            row[column] = classes[value] if 0 <= value < len(classes) else None
    return row


def _by_class(folder: Path) -> Iterator[Record]:
    """A picture a row, its folder the label; a text beside it in `NAME.txt` is read."""
    for place in sorted(child for child in folder.iterdir() if child.is_dir()):
        for file in sorted(place.rglob("*")):
            if file.suffix.lower() in PICTURES:
                written = file.with_suffix(".txt")
                text = written.read_text("utf-8", "replace").strip() if written.is_file() else None
                where = file.relative_to(folder).as_posix()
                record = {"id": f"{place.name}/{file.stem}", "image": str(file.absolute()), "label": place.name}
                yield where, record | ({"text": text} if text is not None else {})


def first_names(path: Path) -> list[str]:
    """The columns of a part, from its first rows."""
    names: dict[str, None] = {}
    for _, record in islice(records(path, Problems()), 50):
        names |= dict.fromkeys(record)
    return list(names)
