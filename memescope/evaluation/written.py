"""Rationales that a model writes, measured against those of a teacher beside the model's answers.

    "rationale": {"n", "encoder", "synonyms", "figures": {FIGURE: {"value", "low", "high"}}, "values": {FIGURE: [n]},
                  "rows": [places in predictions.jsonl],
                  "stated": {"task", "accuracy", "macro_f1", "agrees", "none"}}

`stated` is there for models whose reasons end in a label (MulCoT-RD, arXiv 2508.05234, measures that one): how often it
is right, how often it is the label that the model answers, how often there is none (which counts as wrong). Texts go
into `predictions.jsonl` (`written`, `reference`, `stated`), from which the figures can be computed again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

import numpy as np

from memescope.curation.identity import Progress
from memescope.datasets import spread
from memescope.errors import UsageError
from memescope.evaluation.generated import means, synonyms_known, text_figures
from memescope.evaluation.intervals import RESAMPLES
from memescope.evaluation.predictions import MODEL, Row
from memescope.meme import Meme

BATCH = 32
_DECIMALS = 4


@runtime_checkable
class Writer(Protocol):
    """A model that gives reasons in words."""

    def generate(self, memes: Sequence[Meme]) -> list[str]:
        """The rationale of each meme."""
        ...


@runtime_checkable
class Concluding(Protocol):
    """A model whose reasons end in a label of their own."""

    def about(self, meme: Meme) -> str:
        """The task that its reasons are on."""
        ...

    def conclude(self, memes: Sequence[Meme]) -> list[tuple[str, str | None]]:
        """The reasons about each meme and the label that they end in; None where they end in none."""
        ...


def write_for(
    model: Any, memes: Sequence[Meme], rows: Sequence[Row], references: Mapping[str, str], most: int, progress: Progress
) -> None:
    """Have the model write for the rows that have a reference, `most` of them (0: all), spread evenly.

    `memes` are the rows' own, as the model is shown them. Raises `UsageError` for a model that does not write, and
    where no row has a reference.
    """
    if not isinstance(model, Writer):
        raise UsageError(f"{model.name} writes no rationales: leave the references out")
    there = [i for i, row in enumerate(rows) if references.get(row.id)]
    if not there:
        raise UsageError(f"none of the {len(rows)} rows has a rationale among the {len(references)} references")
    there = spread(there, most)
    for start in range(0, len(there), BATCH):
        some = there[start : start + BATCH]
        shown = [Meme(m.image, m.text, m.id, m.lang, aspect=m.aspect) for m in (memes[i] for i in some)]
        if isinstance(model, Concluding):
            for i, meme, (text, label) in zip(some, shown, model.conclude(shown), strict=True):
                rows[i].written, rows[i].reference = text, references[rows[i].id]
                rows[i].stated = {model.about(meme): label}
        else:
            for i, text in zip(some, model.generate(shown), strict=True):
                rows[i].written, rows[i].reference = text, references[rows[i].id]
        progress("rationales", start + len(some), len(there))


def score_written(rows: Sequence[Row], seed: int = 0, resamples: int = RESAMPLES) -> dict[str, Any] | None:
    """The figures of all rows that have both texts; None where none has. Intervals: bootstrap over distinct memes."""
    from memescope.backbones import load_text_encoder

    places = [i for i, row in enumerate(rows) if row.written is not None and row.reference is not None]
    if not places:
        return None
    encoder = load_text_encoder()
    values = text_figures([rows[i].written or "" for i in places], [rows[i].reference or "" for i in places], encoder)
    cluster = np.unique([rows[i].cluster for i in places], return_inverse=True)[1].astype(np.int64)
    found: dict[str, Any] = {
        "n": len(places),
        "encoder": encoder.version,
        "synonyms": synonyms_known(),
        "figures": {name: vars(one) for name, one in means(values, cluster, resamples, seed).items()},
        "rows": places,
        "values": {name: [round(float(v), _DECIMALS) for v in its] for name, its in values.items()},
    }
    if (stated := score_stated([rows[i] for i in places])) is not None:
        found["stated"] = stated
    return found


def score_stated(rows: Sequence[Row]) -> dict[str, Any] | None:
    """The labels that written reasons end in, of the task that most of them are on; None where none states any."""
    tasks = [task for row in rows for task in row.stated or {} if task in row.truth]
    if not tasks:
        return None
    task = max(dict.fromkeys(tasks), key=tasks.count)
    mine = [row for row in rows if task in (row.stated or {}) and task in row.truth]
    said = [(row.stated or {})[task] for row in mine]
    truth = [row.truth[task] for row in mine]
    answered = [row.answers[MODEL][task].label for row in mine]
    scores = []
    for label in dict.fromkeys(str(one) for one in truth):
        hits = sum(a == b == label for a, b in zip(said, truth, strict=True))
        scores.append(2 * hits / (said.count(label) + truth.count(label)))
    return {
        "task": task,
        "accuracy": _share([a == b for a, b in zip(said, truth, strict=True)]),
        "macro_f1": round(sum(scores) / len(scores), _DECIMALS),
        "agrees": _share([a == b for a, b in zip(said, answered, strict=True)]),
        "none": _share([one is None for one in said]),
    }


def _share(values: Sequence[bool]) -> float:
    return round(sum(values) / len(values), _DECIMALS)
