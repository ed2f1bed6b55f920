"""What was predicted of every row, kept beside the metrics so that it can be scored or drawn again.

`predictions.jsonl`: one row a line, `{"id", "cluster", "seen", "truth": {TASK: label},
"answers": {SYSTEM: {TASK: {"label", "probabilities", "abstain"}}}, "source", "lang", "written", "reference",
"stated"}`. The evaluated model is the system `model`; the others are baselines. Rows of one `cluster` number are one
meme; `seen` names what a row shares with training rows; `source` and `lang` are the dataset's own, None in files
written before they were kept; `written` is the model's rationale, `reference` the teacher's and `stated` the label that
the model's ends in, by task, where they were measured.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from memescope.errors import UsageError
from memescope.evaluation.metrics import Scored, label_indices
from memescope.meme import Label
from memescope.taxonomy import Task

MODEL = "model"
_DIGITS = 7  # float32 has no more: rounding first makes a file give the figures of the run that wrote it


@dataclass(frozen=True)
class Said:
    """One system's answer to one task for one row."""

    label: Label
    probabilities: dict[str, float]
    abstain: bool = False

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


@dataclass
class Row:
    """One row of the test split: its true labels and what every system said."""

    id: str
    cluster: int
    seen: tuple[str, ...]
    truth: dict[str, Label]
    answers: dict[str, dict[str, Said]] = field(default_factory=dict)
    source: str | None = None
    lang: str | None = None
    written: str | None = None
    reference: str | None = None
    stated: dict[str, str | None] | None = None


def rounded(probabilities: Mapping[str, float]) -> dict[str, float]:
    """Probabilities with seven significant digits."""
    return {label: float(f"{p:.{_DIGITS}g}") for label, p in probabilities.items()}


def rows_of(rows: Sequence[Row], task: str, system: str) -> list[int]:
    """The rows whose truth for the task is known and of which the system said something."""
    return [i for i, row in enumerate(rows) if task in row.truth and task in row.answers.get(system, {})]


def table(rows: Sequence[Row], task: Task, system: str) -> Scored:
    """What one system said of one task, of rows that all have both.

    A label that the system does not know has probability 0: such a row is answered wrong.
    """
    said = [row.answers[system][task.name] for row in rows]
    probabilities = np.array([[one.probabilities.get(label, 0.0) for label in task.labels] for one in said], np.float64)
    return Scored(
        kind=task.kind,
        labels=task.labels,
        truth=_indices(task, [row.truth[task.name] for row in rows]),
        predicted=_indices(task, [one.label for one in said]),
        probabilities=probabilities.reshape(len(rows), len(task.labels)),
        abstained=np.array([one.abstain for one in said], bool),
    )


def unknown_labels(rows: Sequence[Row], task: Task, system: str = MODEL) -> dict[str, int]:
    """True labels that the system never gives a probability, and in how many rows they hold: all counted as wrong."""
    found: dict[str, int] = {}
    for row in rows:
        truth = row.truth[task.name]
        known = row.answers[system][task.name].probabilities
        for label in [truth] if isinstance(truth, str) else truth:
            if label not in known:
                found[label] = found.get(label, 0) + 1
    return found


def to_lines(rows: Sequence[Row]) -> str:
    """The content of `predictions.jsonl`."""
    return "".join(json.dumps(asdict(row), ensure_ascii=False) + "\n" for row in rows)


def read_rows(path: Path) -> list[Row]:
    """Rows from `predictions.jsonl`; `UsageError` names a line that is not one."""
    if not path.is_file():
        raise UsageError(f"{path}: not found; `memescope eval` writes it beside metrics.json")
    rows = []
    for number, line in enumerate(path.read_text("utf-8").splitlines(), 1):
        try:
            record = json.loads(line)
            answers = {
                system: {task: Said(**said) for task, said in by_task.items()}
                for system, by_task in record["answers"].items()
            }
            rows.append(
                Row(
                    id=record["id"],
                    cluster=record["cluster"],
                    seen=tuple(record["seen"]),
                    truth=record["truth"],
                    answers=answers,
                    source=record.get("source"),
                    lang=record.get("lang"),
                    written=record.get("written"),
                    reference=record.get("reference"),
                    stated=record.get("stated"),
                )
            )
        except (json.JSONDecodeError, KeyError, TypeError) as error:
            raise UsageError(
                f"{path}:{number}: expected a row of predictions as `memescope eval` writes it: {error}"
            ) from None
    return rows


def _indices(task: Task, labels: Sequence[Label]) -> NDArray[np.generic]:
    return label_indices(task.kind, task.labels, labels)
