"""A results table: rows with one or several seeds, as published and clean, each compared paired with one of them.

A figure of a row is the mean over its seeds; its interval is of that mean, by the cluster bootstrap over memes (all
seeds see the same resamples), with the spread over seeds stated beside it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from memescope.errors import UsageError
from memescope.evaluation.intervals import RESAMPLES, Comparison, Figure, compare, distributions, interval
from memescope.evaluation.predictions import MODEL, Row, rows_of, table
from memescope.taxonomy import Task

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Cell:
    """One figure of one row: the mean over `seeds` values, its interval, and the difference to the reference row."""

    figure: Figure
    seeds: tuple[float, ...]
    less: Comparison | None


def cells(
    systems: Mapping[str, Sequence[Sequence[Row]]],
    task: Task,
    figures: Sequence[str],
    against: str | None,
    *,
    clean: bool = False,
    resamples: int = RESAMPLES,
) -> tuple[int, dict[str, dict[str, Cell]]]:
    """(n, row -> figure -> cell). `systems` has for each row the predictions of each seed, all of the same memes; rows
    that do not answer the task are left out.

    Raises `UsageError` for a row whose memes are not those of the others.
    """
    systems = {name: seeds for name, seeds in systems.items() if all(rows_of(one, task.name, MODEL) for one in seeds)}
    if not systems:
        return 0, {}
    everything: dict[str, Sequence[Row]] = {
        f"{name}\n{number}": rows for name, seeds in systems.items() for number, rows in enumerate(seeds)
    }
    first = next(iter(everything.values()))
    picked = [i for i in rows_of(first, task.name, MODEL) if not (clean and first[i].seen)]
    for key, rows in everything.items():
        if [row.truth.get(task.name) for row in rows] != [row.truth.get(task.name) for row in first]:
            raise UsageError(f"row {key.splitlines()[0]!r} was measured on other memes than the rest of the table")
    scored = {key: table([rows[i] for i in picked], task, MODEL) for key, rows in everything.items()}
    cluster = np.unique([first[i].cluster for i in picked], return_inverse=True)[1].astype(np.int64)
    drawn = distributions(scored, cluster, resamples, seed=0)
    means: dict[str, dict[str, Floats]] = {
        name: {
            figure: np.mean([drawn[f"{name}\n{number}"][figure] for number in range(len(seeds))], axis=0)
            for figure in figures
        }
        for name, seeds in systems.items()
    }
    found: dict[str, dict[str, Cell]] = {}
    for name, seeds in systems.items():
        found[name] = {}
        for figure in figures:
            values = tuple(float(drawn[f"{name}\n{number}"][figure][0]) for number in range(len(seeds)))
            other = means.get(against) if against is not None and against != name else None
            less = None if other is None else compare(means[name][figure], other[figure], figure)
            found[name][figure] = Cell(interval(means[name][figure]), values, less)
    return len(picked), found


def as_json(found: Mapping[str, Mapping[str, Cell]]) -> dict[str, Any]:
    """Plain values of `cells`."""
    return {
        name: {
            figure: {
                **vars(cell.figure),
                "seeds": list(cell.seeds),
                "less": None if cell.less is None else cell.less.to_dict(),
            }
            for figure, cell in its.items()
        }
        for name, its in found.items()
    }
