"""Rationales that a model writes, measured against those of a teacher beside the model's answers.

    "rationale": {"n", "encoder", "synonyms", "figures": {FIGURE: {"value", "low", "high"}}, "values": {FIGURE: [n]},
                  "rows": [places in predictions.jsonl]}

Texts go into `predictions.jsonl` (`written`, `reference`), from which the figures can be computed again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

import numpy as np

from memescope.curation.identity import Progress
from memescope.errors import UsageError
from memescope.evaluation.generated import means, synonyms_known, text_figures
from memescope.evaluation.intervals import RESAMPLES
from memescope.evaluation.predictions import Row
from memescope.meme import Meme

BATCH = 32
_DECIMALS = 4


@runtime_checkable
class Writer(Protocol):
    """A model that gives reasons in words."""

    def generate(self, memes: Sequence[Meme]) -> list[str]:
        """The rationale of each meme."""
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
    if most and most < len(there):
        there = [there[i] for i in np.linspace(0, len(there) - 1, most).round().astype(int)]
    for start in range(0, len(there), BATCH):
        some = there[start : start + BATCH]
        shown = [Meme(m.image, m.text, m.id, m.lang, aspect=m.aspect) for m in (memes[i] for i in some)]
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
    return {
        "n": len(places),
        "encoder": encoder.version,
        "synonyms": synonyms_known(),
        "figures": {name: vars(one) for name, one in means(values, cluster, resamples, seed).items()},
        "rows": places,
        "values": {name: [round(float(v), _DECIMALS) for v in its] for name, its in values.items()},
    }
