"""Where a model errs: error by stratum of memes, with intervals, and each stratum against all others.

Strata differ in how often each label occurs, and models err more on some labels than on others; so strata are compared
at one mix of labels (direct standardisation): the error within each label, weighted by that label's share of all rows.

Shape letters: `n` rows, `r` resamples.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from memescope.errors import UsageError
from memescope.evaluation.intervals import RESAMPLES, Figure, interval, resample
from memescope.evaluation.metrics import DECIDING_ROWS
from memescope.evaluation.predictions import MODEL, Row, table
from memescope.taxonomy import Task

Floats = NDArray[np.float64]

FEWEST = 5
"""A stratum with fewer rows of a label is shown but decides nothing; so is one of under `DECIDING_ROWS`."""


@dataclass(frozen=True)
class Errors:
    """How wrong each of some rows was: `wrong` (n,) in 0 to 1, the mean over seeds; `label` (n,) the number of the true
    label among `labels`; `cluster` (n,) numbers of distinct memes."""

    ids: tuple[str, ...]
    wrong: Floats
    label: NDArray[np.int64]
    labels: tuple[str, ...]
    cluster: NDArray[np.int64]


@dataclass(frozen=True)
class Stratum:
    """One stratum: its rows and distinct memes, its error, its error on each label (rows, share; None without rows),
    and `more`: its error less that of all other rows at one mix of labels; None where it is the only one. `decides`:
    whether there are enough rows on both sides for that to say anything."""

    name: str
    n: int
    distinct: int
    error: Figure
    by_label: dict[str, tuple[int, float | None]]
    more: Figure | None
    decides: bool

    @property
    def verdict(self) -> str:
        """`more errors`, `fewer errors`, `no difference shown`, or `too few rows`."""
        if self.more is None:
            return ""
        if not self.decides or np.isnan([self.more.low, self.more.high]).any():
            return "too few rows"
        return "more errors" if self.more.low > 0 else "fewer errors" if self.more.high < 0 else "no difference shown"


def errors_of(seeds: Sequence[Sequence[Row]], task: Task, system: str = MODEL) -> Errors:
    """The errors of one system from the predictions of each seed, all of the same memes; rows without the task's label
    are left out. A multilabel task errs in a row where it errs in any label, and has one label, `all`."""
    first = [row for row in seeds[0] if task.name in row.truth]
    if not first:
        raise UsageError(f"no row is labelled for {task.name!r}")
    wrong: Floats = np.zeros((len(seeds), len(first)))
    for number, rows in enumerate(seeds):
        mine = [row for row in rows if task.name in row.truth]
        if [(row.id, row.truth[task.name]) for row in mine] != [(row.id, row.truth[task.name]) for row in first]:
            raise UsageError("predictions of several seeds must be of the same memes in the same order")
        wrong[number] = ~table(mine, task, system).correct
    scored = table(first, task, system)
    single = task.kind != "multilabel"
    return Errors(
        tuple(row.id for row in first),
        wrong.mean(axis=0),
        scored.truth.astype(np.int64) if single else np.zeros(len(first), np.int64),
        task.labels if single else ("all",),
        np.unique([row.cluster for row in first], return_inverse=True)[1].astype(np.int64),
    )


def by_stratum(errors: Errors, strata: Sequence[str], resamples: int = RESAMPLES, seed: int = 0) -> list[Stratum]:
    """The error of each stratum; `strata` names that of each row. Intervals by bootstrap over distinct memes."""
    if len(strata) != len(errors.wrong):
        raise UsageError(f"strata: expected one for each of {len(errors.wrong)} rows, found {len(strata)}")
    of = np.array(strata)
    names = list(dict.fromkeys(strata))
    drawn: dict[str, list[Floats]] = {name: [] for name in names}
    apart: dict[str, list[Floats]] = {name: [] for name in names}
    blocks = [np.ones((1, len(of))), *resample(errors.cluster, resamples, seed)]
    for weights in blocks:
        mix = np.stack([weights[:, errors.label == k].sum(axis=1) for k in range(len(errors.labels))])
        for name in names:
            inside = of == name
            with np.errstate(invalid="ignore", divide="ignore"):
                drawn[name].append(weights[:, inside] @ errors.wrong[inside] / weights[:, inside].sum(axis=1))
            apart[name].append(_at_mix(errors, inside, weights, mix) - _at_mix(errors, ~inside, weights, mix))
    return [
        Stratum(
            name,
            int((of == name).sum()),
            len(np.unique(errors.cluster[of == name])),
            interval(np.concatenate(drawn[name])),
            {label: _on_label(errors, (of == name) & (errors.label == k)) for k, label in enumerate(errors.labels)},
            interval(np.concatenate(apart[name])) if len(names) > 1 else None,
            _enough(errors, of == name) and _enough(errors, of != name),
        )
        for name in names
    ]


def _at_mix(errors: Errors, rows: NDArray[np.bool_], weights: Floats, mix: Floats) -> Floats:
    """Error (r,) of some rows at the whole set's mix of labels (k, r); NaN where a label is not among them."""
    total = np.zeros(len(weights))
    for k in range(len(errors.labels)):
        its = rows & (errors.label == k)
        if not mix[k].any():
            continue
        with np.errstate(invalid="ignore", divide="ignore"):
            total = total + mix[k] * (weights[:, its] @ errors.wrong[its]) / weights[:, its].sum(axis=1)
    found: Floats = total / mix.sum(axis=0)
    return found


def _enough(errors: Errors, rows: NDArray[np.bool_]) -> bool:
    """Whether some rows are enough, in all and of each label that occurs at all."""
    each = [int((rows & (errors.label == k)).sum()) for k in np.unique(errors.label)]
    return sum(each) >= DECIDING_ROWS and min(each) >= FEWEST


def _on_label(errors: Errors, rows: NDArray[np.bool_]) -> tuple[int, float | None]:
    return int(rows.sum()), float(errors.wrong[rows].mean()) if rows.any() else None
