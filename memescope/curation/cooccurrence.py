"""Which tasks go together: contingency tables of every two tasks that are labelled on the same memes, and Cramér's V.

V is bias-corrected (Bergsma, Journal of the Korean Statistical Society 2013), so that small tables of unrelated tasks
give about 0. A meme counts once, however many rows it has; one on which its rows disagree is left out of that task.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from memescope.curation.answers import labelled
from memescope.curation.grouping import Grouping
from memescope.meme import Meme
from memescope.taxonomy import load_taxonomy

Floats = NDArray[np.float64]
RESAMPLES = 1000
FEWEST = 50
"""With fewer memes labelled for both tasks a table is not drawn up."""


@dataclass(frozen=True)
class Together:
    """Two tasks on the same memes. `where`: the dataset, or "all" for memes whose labels come from several.

    `table[i][j]`: memes with label `first_labels[i]` and `second_labels[j]`. `v`: Cramér's V, 0 unrelated, 1 one tells
    the other, NaN where one task has one label only; `low`, `high`: 95 % percentile bootstrap interval. `defined`: one
    task is the coarse form of the other, so V says nothing about the memes.
    """

    first: str
    second: str
    where: str
    memes: int
    v: float
    low: float
    high: float
    first_labels: list[str]
    second_labels: list[str]
    table: list[list[int]]
    defined: bool


def cramers_v(tables: Floats) -> Floats:
    """Bias-corrected V (...) of contingency tables (..., r, c). Rows and columns that are empty are not counted."""
    n = tables.sum(axis=(-1, -2))
    rows, columns = tables.sum(axis=-1), tables.sum(axis=-2)
    expected = rows[..., :, None] * columns[..., None, :] / np.maximum(n, 1)[..., None, None]
    parts = np.divide((tables - expected) ** 2, expected, out=np.zeros_like(expected), where=expected > 0)
    phi2 = parts.sum(axis=(-1, -2)) / np.maximum(n, 1)
    r, c, less = (rows > 0).sum(axis=-1), (columns > 0).sum(axis=-1), np.maximum(n - 1, 1)
    phi2 = np.maximum(0, phi2 - (r - 1) * (c - 1) / less)
    most = np.minimum(r - (r - 1) ** 2 / less, c - (c - 1) ** 2 / less) - 1
    return np.where((np.minimum(r, c) > 1) & (most > 0), np.sqrt(phi2 / np.where(most > 0, most, 1)), np.nan)


def interval(table: NDArray[np.int64], resamples: int = RESAMPLES, seed: int = 0) -> tuple[float, float, float]:
    """(V, low, high) of one table (r, c) of memes."""
    value = float(cramers_v(table.astype(np.float64)))
    n = int(table.sum())
    if np.isnan(value):
        return value, float("nan"), float("nan")
    drawn = np.random.default_rng(seed).multinomial(n, (table / n).ravel(), size=resamples)
    values = cramers_v(drawn.reshape(resamples, *table.shape).astype(np.float64))
    low, high = np.nanquantile(values, [0.025, 0.975])
    return value, float(low), float(high)


def together(memes: Sequence[Meme], names: Sequence[str], grouping: Grouping) -> list[Together]:
    """Every two tasks with at least `FEWEST` memes labelled for both, by dataset and over all, the closest first.

    A label of a multilabel task is a yes-or-no task of its own, `task=label`.
    """
    cells: dict[tuple[str, str, str], dict[tuple[str, str], int]] = defaultdict(lambda: defaultdict(int))
    places: dict[tuple[str, str], set[str]] = defaultdict(set)
    for rows in grouping.units(len(memes)):
        its = _labels(memes, names, rows)
        for (first, (a, where_a)), (second, (b, where_b)) in combinations(sorted(its.items()), 2):
            here = {*where_a, *where_b} if where_a.isdisjoint(where_b) else where_a & where_b
            places[first, second] |= here
            cells[first, second, "all"][a, b] += 1
            for name in where_a & where_b:
                cells[first, second, name][a, b] += 1
    found = []
    for (first, second, where), counts in cells.items():
        n = sum(counts.values())
        if n < FEWEST or (where == "all" and len(places[first, second]) < 2) or _one_task(first, second):
            continue
        first_labels, second_labels = _ordered(first, {a for a, _ in counts}), _ordered(second, {b for _, b in counts})
        table = np.array([[counts.get((a, b), 0) for b in second_labels] for a in first_labels], np.int64)
        defined = _defined(first, second)
        found.append(
            Together(first, second, where, n, *interval(table), first_labels, second_labels, table.tolist(), defined)
        )
    return sorted(found, key=lambda t: (t.defined, -t.v if t.v == t.v else 2, t.first, t.second, t.where))


def _labels(memes: Sequence[Meme], names: Sequence[str], rows: Sequence[int]) -> dict[str, tuple[str, set[str]]]:
    """Task -> the one label all rows of a meme give and the datasets that give it; aspects are left out."""
    found: dict[str, tuple[str, set[str]]] = {}
    for (task, aspect, _), answers in labelled(memes, rows).items():
        values = set(answers.values())
        if aspect or len(values) > 1:
            continue
        answer, where = values.pop(), {names[row] for row in answers}
        if isinstance(answer, str):
            found[task] = answer, where
        else:
            for label in load_taxonomy()[task].labels:
                found[f"{task}={label}"] = "yes" if label in answer else "no", where
    return found


def _ordered(task: str, there: set[str]) -> list[str]:
    tasks = load_taxonomy().tasks
    order = tasks[task].labels if task in tasks else ("no", "yes")
    return [label for label in order if label in there]


def _one_task(first: str, second: str) -> bool:
    """Two labels of one multilabel task."""
    return "=" in first and first.split("=")[0] == second.split("=")[0]


def _defined(first: str, second: str) -> bool:
    tasks = load_taxonomy().tasks
    return any(a in tasks and tasks[a].coarse_task == b for a, b in ((first, second), (second, first)))
