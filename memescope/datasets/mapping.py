"""The label map of a user's own data: a short YAML file, drafted here for the user to check, then read back.

A draft proposes a task for each label column and a canonical label for each native one, by name, by the maps that ship
with the package, and by the usual words for yes and no; `?` stands where that leaves doubt.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from difflib import SequenceMatcher
from functools import cache
from pathlib import Path

from memescope.datasets.source import Row
from memescope.errors import UsageError
from memescope.taxonomy import LabelMap, Task, load_label_map, load_taxonomy
from memescope.taxonomy.labels import mapped_datasets, parse_label_map

UNSURE = "?"
MOST_LABELS = 60
"""A column with more values than this holds no labels."""
_NO, _YES = (
    frozenset({"0", "no", "false", "n", "negative", "neg"}),
    frozenset({"1", "yes", "true", "y", "positive", "pos"}),
)
_LIKE = 0.84
"""Least similarity of two names that are taken for the same word (`offensive`, `ofensive`)."""


@dataclass(frozen=True)
class OwnLabels:
    """A label map, the separators of lists within a cell, and the native labels that leave a row unlabelled."""

    labels: LabelMap
    separators: dict[str, str] = field(default_factory=dict)
    unlabelled: dict[str, frozenset[str]] = field(default_factory=dict)


def read_mapping(path: Path) -> OwnLabels:
    """The user's map; `UsageError` names each `?` left in it, and whatever else is not as it must be."""
    import yaml

    try:
        content = yaml.safe_load(path.read_text("utf-8-sig"))
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise UsageError(f"{path}: not readable as YAML: {error}") from None
    fields = content.get("fields") if isinstance(content, dict) else None
    if not isinstance(fields, dict):
        raise UsageError(f"{path}: expected `fields:` with an entry for each label column; --draft-mapping writes one")
    unsure = []
    for name, entry in fields.items():
        if not isinstance(entry, dict) or not isinstance(entry.get("labels"), dict) or "task" not in entry:
            raise UsageError(f"{path}: fields.{name}: expected `task:` and `labels:`")
        unsure += [f"fields.{name}.task"] if entry["task"] == UNSURE else []
        unsure += [f"fields.{name}.labels.{native}" for native, label in entry["labels"].items() if label == UNSURE]
    if unsure:
        raise UsageError(f"{path}: still to be filled in where it says '?': {', '.join(unsure)}")
    nothing = {
        str(name): frozenset(str(native) for native, label in entry["labels"].items() if label is None)
        for name, entry in fields.items()
    }
    whole = {
        str(name): entry | {"labels": {k: v for k, v in entry["labels"].items() if v is not None}}
        for name, entry in fields.items()
    }
    try:
        labels = parse_label_map({"dataset": path.stem, **content, "fields": whole})
    except (UsageError, TypeError, AttributeError) as error:
        raise UsageError(f"{path}: {error}") from None
    separators = {str(name): str(entry["separator"]) for name, entry in fields.items() if entry.get("separator")}
    return OwnLabels(labels, separators, nothing)


def own_mapping(name: str, columns: Iterable[str]) -> OwnLabels | None:
    """The map of data that needs none of its own: shipped under its name, or its columns are canonical tasks."""
    columns = list(columns)
    if name in mapped_datasets():
        shipped = load_label_map(name)
        if all(column in shipped.fields or column in shipped.ignored for column in columns):
            return OwnLabels(shipped)
    taxonomy = load_taxonomy()
    if all(column in taxonomy.tasks for column in columns):
        # All tasks: a column that holds several may name others in later rows.
        fields = {name: (name, {label: label for label in task.labels}) for name, task in taxonomy.tasks.items()}
        return OwnLabels(LabelMap(name, fields, frozenset(), taxonomy))
    return None


def draft_mapping(name: str, rows: Iterable[Row]) -> str:
    """The draft for these rows, as YAML with a comment beside each line; `UsageError` where no row has a label."""
    counted: dict[str, Counter[str]] = {}
    several: set[str] = set()
    for row in rows:
        for column, value in row.labels.items():
            if value is not None:
                counted.setdefault(column, Counter()).update([value] if isinstance(value, str) else value)
                several |= {column} if isinstance(value, list) else set()
    if not counted:
        raise UsageError(f"{name}: no row has a label; name the column that has them: --column label=NAME")
    lines = [
        '# Drafted from the data: check each line, replace every "?", then prepare with --mapping THIS-FILE.',
        "# `null` instead of a label leaves rows with that native label unlabelled for the task.",
        f"dataset: {json.dumps(name, ensure_ascii=False)}",
        "fields:",
    ]
    ignored = [column for column, labels in counted.items() if len(labels) > MOST_LABELS]
    for column, labels in counted.items():
        if column not in ignored:
            lines += _drafted(name, column, labels, column in several)
    if len(ignored) == len(counted):
        lines[-1] = "fields: {}"
    if ignored:
        lines.append(f"ignored: {json.dumps(ignored, ensure_ascii=False)}  # over {MOST_LABELS} different values")
    return "\n".join(lines) + "\n"


def _drafted(name: str, column: str, labels: Counter[str], several: bool) -> list[str]:
    tasks = load_taxonomy().tasks
    scored = {task.name: _fit(name, column, labels, task) for task in tasks.values() if not several or _many(task)}
    ranked = sorted(scored, key=lambda one: -scored[one])
    sure = bool(ranked) and scored[ranked[0]] >= 1 and (len(ranked) < 2 or scored[ranked[0]] > scored[ranked[1]])
    task = tasks[ranked[0]] if sure else None
    others = ", ".join(one for one in ranked[:4] if scored[one] > 0 and (task is None or one != task.name))
    quoted = json.dumps(column, ensure_ascii=False)
    told = f"  # or: {others}" if others else "" if task else "  # tasks: memescope/taxonomy/tasks.yaml"
    lines = [f"  {quoted}:", f"    task: {task.name if task else json.dumps(UNSURE)}{told}", "    labels:"]
    for native, number in labels.most_common():
        found = _canonical(native, task, labels) if task else None
        known = f"  # {number} rows"
        if task and found is None:
            known += f"; one of: {', '.join(task.labels)}"
        lines.append(f"      {json.dumps(native, ensure_ascii=False)}: {found or json.dumps(UNSURE)}{known}")
    return lines


def _many(task: Task) -> bool:
    return task.kind == "multilabel"


def _fit(name: str, column: str, labels: Mapping[str, int], task: Task) -> float:
    """How well a task explains a column: its share of known labels, and 1 where the column has the task's name.

    Yes and no fit every binary task: they count only where the column's name, or the dataset's, is the task's.
    """
    called = _same(column, task.name) or _word(column) in known_columns().get(task.name, ())
    if not called and (_word(column) in ("label", "labels", "class", "y", "gold")):
        called = any(_same(part, task.name) for part in re.split(r"[\W_]+", name) if len(part) > 3)
    plain = [native for native in labels if native.casefold() not in _NO | _YES]
    told = sum(_canonical(native, task, labels) is not None for native in plain) / max(len(plain), 1)
    if not plain:
        return 1.0 if called and task.kind == "binary" else 0.0
    return told + (1 if called and told > 0 else 0)


def _canonical(native: str, task: Task, labels: Mapping[str, int]) -> str | None:
    """The canonical label a native one means in this task, None where that is not plain."""
    word = _word(native)
    by_word = {_word(label): label for label in task.labels}
    if word in by_word:
        return by_word[word]
    if known := _synonyms(task.name).get(word):
        return known
    if task.kind == "binary" and set(map(str.casefold, labels)) <= _NO | _YES:
        return task.labels[int(native.casefold() in _YES)]
    best = max(task.labels, key=lambda label: SequenceMatcher(None, word, _word(label)).ratio())
    negated = _negated(native) == _negated(best)
    return best if negated and SequenceMatcher(None, word, _word(best)).ratio() >= _LIKE else None


def _negated(label: str) -> bool:
    return bool(re.match(r"(not?|non|un)[\W_]", label.casefold())) or label.casefold() in ("none", "no")


def _same(first: str, second: str) -> bool:
    return SequenceMatcher(None, _word(first), _word(second)).ratio() >= _LIKE


def _word(text: str) -> str:
    """Letters and digits alone; `non-`, `no ` and `not_` are one."""
    return re.sub(r"[\W_]+", "", re.sub(r"^(non|no|not)[\W_]+", "not ", text.casefold()))


@cache
def _synonyms(task: str) -> dict[str, str]:
    """Native labels of the shipped maps by word, where they all mean the same canonical one."""
    found: dict[str, set[str]] = {}
    for dataset in mapped_datasets():
        for name, labels in load_label_map(dataset).fields.values():
            if name == task:
                for native, canonical in labels.items():
                    found.setdefault(_word(native), set()).add(canonical)
    return {word: next(iter(labels)) for word, labels in found.items() if len(labels) == 1 and not word.isdigit()}


@cache
def known_columns() -> dict[str, set[str]]:
    """What the columns of shipped datasets are called, by task."""
    found: dict[str, set[str]] = {}
    for dataset in mapped_datasets():
        for column, (task, _) in load_label_map(dataset).fields.items():
            if _word(column) not in ("label", "labels", "class"):
                found.setdefault(task, set()).add(_word(column))
    return found
