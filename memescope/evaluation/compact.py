"""Predictions small enough to be committed: label numbers and probabilities with four decimals, by task and system.

    {"split_hash", "cluster": [n], "seen": [n], "tasks": {TASK: {"rows": [..], "truth": [..],
     "systems": {SYSTEM: {"label": [..], "p": [..], "abstain": [..]}}}}}

`rows` are the rows of the split that the task labels. `p` is the positive label's probability of a binary task, else a
list over the task's labels. From it any figure, and any paired comparison, can be computed again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from memescope.evaluation.predictions import Row, Said
from memescope.meme import Label
from memescope.taxonomy import Task, load_taxonomy

_DECIMALS = 4


def pack(rows: Sequence[Row], split_hash: str) -> dict[str, Any]:
    """The rows of one evaluation, as JSON."""
    taxonomy = load_taxonomy()
    names = [name for name in taxonomy.tasks if any(name in row.truth for row in rows)]
    return {
        "split_hash": split_hash,
        "cluster": [row.cluster for row in rows],
        "seen": [int(bool(row.seen)) for row in rows],
        "tasks": {name: _pack(rows, taxonomy[name]) for name in names},
    }


def _pack(rows: Sequence[Row], task: Task) -> dict[str, Any]:
    mine = [i for i, row in enumerate(rows) if task.name in row.truth]
    systems: dict[str, Any] = {}
    for name in rows[mine[0]].answers:
        said = [rows[i].answers[name].get(task.name) for i in mine]
        if any(one is None for one in said):
            continue
        answers = [one for one in said if one is not None]
        systems[name] = {
            "label": [_number(task, one.label) for one in answers],
            "p": [_probabilities(task, one) for one in answers],
            "abstain": [int(one.abstain) for one in answers],
        }
    return {"rows": mine, "truth": [_number(task, rows[i].truth[task.name]) for i in mine], "systems": systems}


def unpack(packed: Mapping[str, Any]) -> list[Row]:
    """Rows again, named by their number; probabilities have four decimals."""
    count = len(packed["cluster"])
    rows = [Row(str(i), packed["cluster"][i], ("train",) if packed["seen"][i] else (), {}) for i in range(count)]
    for name, its in packed["tasks"].items():
        task = load_taxonomy()[name]
        for place, i in enumerate(its["rows"]):
            rows[i].truth[name] = _label(task, its["truth"][place])
            for system, said in its["systems"].items():
                p = said["p"][place]
                values = [1 - p, p] if task.kind == "binary" else p
                rows[i].answers.setdefault(system, {})[name] = Said(
                    _label(task, said["label"][place]),
                    dict(zip(task.labels, values, strict=True)),
                    bool(said["abstain"][place]),
                )
    return rows


def _number(task: Task, label: Label) -> int | list[int]:
    return task.labels.index(label) if isinstance(label, str) else [task.labels.index(one) for one in label]


def _label(task: Task, number: int | list[int]) -> Label:
    return task.labels[number] if isinstance(number, int) else [task.labels[one] for one in number]


def _probabilities(task: Task, said: Said) -> float | list[float]:
    values = [round(said.probabilities.get(label, 0.0), _DECIMALS) for label in task.labels]
    return values[1] if task.kind == "binary" else values
