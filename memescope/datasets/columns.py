"""A user's columns as rows of a dataset: recognised by their usual names, or named on the command line."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import PurePath
from typing import Any

from memescope.datasets.mapping import known_columns
from memescope.datasets.problems import Problems
from memescope.datasets.source import Row
from memescope.errors import UsageError
from memescope.taxonomy import load_taxonomy

USUAL: dict[str, tuple[str, ...]] = {
    "id": ("id", "memeid", "imageid", "imgid", "tweetid", "postid", "uid", "guid", "index", "idx", "key"),
    "image": (
        "image", "img", "imagepath", "imgpath", "filename", "imagename", "imgname", "picture", "photo", "file", "path",
    ),
    "text": (
        "text", "ocrtext", "ocr", "caption", "sentence", "memetext", "textcorrected", "transcription", "tweet",
        "content",
    ),
    "label": ("labels", "label", "class", "classlabel", "gold", "goldlabel", "category", "annotation", "target", "y"),
    "split": ("split", "subset", "partition", "setname", "fold"),
    "lang": ("lang", "language", "locale"),
    "aspect": ("aspect", "aspectterm"),
    "rationale": ("rationale", "explanation", "reasoning", "reasonings", "reason"),
}  # fmt: skip
"""What columns hold, and by which names (letters and digits alone) each is known, the most telling first."""
NOTHING = frozenset({"", "nan", "null", "<na>", "#n/a"})
"""What tables write where there is nothing."""
PERHAPS_NOTHING = frozenset({"none", "n/a", "na"})
"""The same, but among labels these may be one: `none` is a target of Harm-C."""
ESCAPED = "escaped"
"""The column of our own tables that names the cells in which a formula was made harmless."""
# A spreadsheet runs what follows the start of a cell, or what it takes for one when opened with another separator.
_FORMULA = re.compile(r"""(^|[,;|\t\r\n])([\s"']*)([=+\-@＝＋－＠])""")
_HARMLESS = re.compile(r"""(^|[,;|\t\r\n])([\s"']*)'([=+\-@＝＋－＠])""")
_FLOAT_ID = re.compile(r"^\d+\.0$")
_SPLITS = {
    "train": ("train", "training", "tr"),
    "val": ("val", "dev", "valid", "validation", "development", "eval"),
    "test": ("test", "testing", "te"),
}
_SEPARATORS = re.compile(r"\s*[|;,]\s*")


@dataclass
class Columns:
    """Which column holds what; `labels` are the label columns, `separators` how a list is written in one cell."""

    named: dict[str, str] = field(default_factory=dict)
    labels: tuple[str, ...] = ()
    separators: dict[str, str] = field(default_factory=dict)
    known: tuple[str, ...] = ()

    def row(self, record: Mapping[str, Any], where: str, split: str, problems: Problems) -> Row | None:
        """One record as a row; None, and a problem, where it has no id. `split` is used where it does not say."""
        if isinstance(record.get(ESCAPED), str):
            record = _unescaped(record)
        image = record.get(self.named["image"]) if "image" in self.named else None
        if isinstance(image, Mapping):
            image = image.get("bytes") or image.get("path")
        image = image if isinstance(image, bytes) else plain(image)
        name = as_id(record.get(self.named["id"])) if "id" in self.named else _own_id(image, where)
        if not name:
            problems.add("missing-field", where, f"no id in column {self.named['id']!r}")
            return None
        if "image" in self.named and image is None:
            problems.add("missing-picture", where, f"no picture in column {self.named['image']!r}", name, kept=True)
        text = plain(self._value(record, "text"))
        if "text" in self.named and text is None:
            problems.add("empty-text", where, f"no text in column {self.named['text']!r}", name, kept=True)
        labels = self._labels(record)
        used = {*self.named.values(), *self.labels}
        meta = _meta({key: value for key, value in record.items() if key not in used})
        return Row(
            id=name,
            image=image,
            text=text or "",
            labels=labels,
            lang=(plain(self._value(record, "lang")) or "und").lower(),
            split=split_name(plain(self._value(record, "split")) or split),
            where=where,
            aspect=plain(self._value(record, "aspect") or meta.get("aspect")),
            rationale=plain(self._value(record, "rationale")),
            meta=meta,
        )

    def _value(self, record: Mapping[str, Any], role: str) -> Any:
        return record.get(self.named[role]) if role in self.named else None

    def _labels(self, record: Mapping[str, Any]) -> dict[str, str | list[str] | None]:
        labels: dict[str, str | list[str] | None] = {}
        for name in self.labels:
            value = record.get(name)
            for key, one in value.items() if isinstance(value, Mapping) else [(name, value)]:
                labels[str(key)] = self._label(str(key), one)
        return labels

    def _label(self, name: str, value: Any) -> str | list[str] | None:
        if isinstance(value, list | tuple):
            return [one for one in (plain(item, NOTHING) for item in value) if one is not None]
        text = plain(value, NOTHING)
        if text is None:
            return None
        if text.startswith("[") and text.endswith("]") and (several := _listed(text)) is not None:
            return several
        separator = self.separators.get(name)
        if separator is not None:
            return [part for part in (one.strip() for one in text.split(separator)) if part]
        task = load_taxonomy().tasks.get(name)
        if task is not None and task.kind == "multilabel":
            return [part for part in _SEPARATORS.split(text) if part]
        return text


def recognise_columns(
    names: Sequence[str], chosen: Iterable[tuple[str, str]] = (), mapped: Iterable[str] = ()
) -> Columns:
    """Which of these columns holds what. `chosen` are (role, column) as the user says; `mapped` the mapping's fields.

    Raises `UsageError` for a role that does not exist and a column that is not there.
    """
    named: dict[str, str] = {}
    labels: list[str] = []
    for role, column in chosen:
        if role not in USUAL:
            raise UsageError(f"column {role}={column}: no role {role!r}; there are: {', '.join(USUAL)}")
        if column not in names:
            raise UsageError(f"column {role}={column}: no such column; there are: {', '.join(names)}")
        if role == "label":
            labels.append(column)
        else:
            named[role] = column
    short = {re.sub(r"[\W_]+", "", name.casefold()): name for name in reversed(names)}
    mapped, taken = set(mapped), {*named.values(), *labels}
    labels = labels or [name for name in names if name in mapped and name not in taken]
    if not labels:
        tasks = load_taxonomy().tasks
        usual = [short[one] for one in USUAL["label"] if one in short and short[one] not in taken]
        own = [name for name in names if name in tasks and name not in taken]
        words = {word for some in known_columns().values() for word in some}
        known = [short[word] for word in short if word in words and short[word] not in taken]
        labels = own or usual[:1] or sorted(known, key=list(names).index)
    for role, usual_names in USUAL.items():
        if role != "label" and role not in named:
            free = (short[one] for one in usual_names if one in short)
            if found := next((name for name in free if name not in {*taken, *labels}), None):
                named[role] = found
                taken.add(found)
    return Columns(named, tuple(labels), known=tuple(names))


def plain(value: Any, nothing: frozenset[str] = NOTHING | PERHAPS_NOTHING) -> str | None:
    """A cell as text; None for what tables write where there is nothing. Whole numbers have no decimal point."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return None
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, bytes):
        value = value.decode("utf-8", "replace")
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    return None if text.strip().casefold() in nothing else text


def escape(text: str) -> str:
    """Text in which a spreadsheet finds no formula: an apostrophe stands before each. `unescape` undoes it."""
    return _FORMULA.sub(r"\1\2'\3", text)


def unescape(text: str) -> str:
    """The inverse of `escape`."""
    return _HARMLESS.sub(r"\1\2\3", text)


def _unescaped(record: Mapping[str, Any]) -> dict[str, Any]:
    named = set(str(record[ESCAPED]).split())
    return {
        name: unescape(value) if name in named and isinstance(value, str) else value
        for name, value in record.items()
        if name != ESCAPED
    }


def as_id(value: Any) -> str:
    """An id as text: `5349`, `5349.0` and `"5349"` are one; zeros in front are kept."""
    text = (plain(value) or "").strip()
    return text[:-2] if _FLOAT_ID.match(text) else text


def split_name(name: str) -> str:
    """A split by its usual name: `dev` is `val`, `dev_seen` is `val_seen`. Safe as a folder's name."""
    parts = re.sub(r"[^a-z0-9]+", "_", name.strip().casefold()).strip("_").split("_")
    first = next((split for split, names in _SPLITS.items() if parts[0] in names), parts[0])
    return "_".join([first, *parts[1:]])


def is_split(name: str) -> bool:
    """Whether a file or folder is named for a split."""
    return split_name(name).split("_")[0] in _SPLITS


def _own_id(image: Any, where: str) -> str:
    return PurePath(image.replace("\\", "/")).stem if isinstance(image, str) else where


def _listed(text: str) -> list[str] | None:
    try:
        value = json.loads(text if '"' in text else text.replace("'", '"'))
    except json.JSONDecodeError:
        return None
    return [one for one in (plain(item, NOTHING) for item in value) if one] if isinstance(value, list) else None


def _meta(rest: Mapping[str, Any]) -> dict[str, Any]:
    """Columns without a place of their own, as JSON values; `meta` of our own forms is opened."""
    kept: dict[str, Any] = {}
    for key, value in rest.items():
        if key == "meta" and isinstance(value, str):
            with suppress(json.JSONDecodeError):
                value = json.loads(value)
        if key == "meta" and isinstance(value, Mapping):
            kept |= value
        elif value is not None and value != "" and not isinstance(value, bytes):
            kept[str(key)] = value
    return kept
