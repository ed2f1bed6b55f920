"""Figures by configuration (a task of one source in one language) and their means, as MemeLens reports them.

MemeLens (arXiv 2601.12539, section 5) measures each configuration on its own and averages over configurations, each
counting the same whatever its size: over all, by category of task, and by language. Here also by source. A graded task
(how harmful) answers its coarse form too (harmful or not); on the same source and language only the graded one enters
the means, as the two are one question. Intervals draw whole memes over all configurations at once, so that a meme in
five languages moves five configurations together. Glossary of shapes: `n` rows, `r` resamples.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from memescope.evaluation.intervals import RESAMPLES, interval, resample
from memescope.evaluation.metrics import Scored, label_figures
from memescope.evaluation.predictions import MODEL, Row, rows_of, table
from memescope.taxonomy import Task

Floats = NDArray[np.float64]
AFFECT = "affect"
"""The category that MemeLens measures but leaves out of its means: sentiment and emotion."""
FIGURES = ("accuracy", "macro_f1", "weighted_f1")
FIGURES_MULTILABEL = ("subset_accuracy", "hamming", "micro_f1", "macro_f1", "weighted_f1", "samples_f1")
AVERAGED = {"accuracy": ("accuracy", "subset_accuracy"), "macro_f1": ("macro_f1",), "weighted_f1": ("weighted_f1",)}
"""What is averaged, and from which figure of a configuration: subset accuracy stands for accuracy of several labels."""


@dataclass
class _Configuration:
    """One task on the rows of one source in one language, what each system said, and each figure's values (1 + r,)."""

    task: Task
    source: str
    lang: str
    rows: list[int]
    systems: dict[str, Scored]
    averaged: bool
    values: dict[str, dict[str, Floats]]

    def figure(self, system: str, name: str) -> Floats:
        """The values of an averaged figure, under whichever name this task has it."""
        its = self.values[system]
        return next(its[one] for one in AVERAGED[name] if one in its)


def averages(
    rows: Sequence[Row], tasks: Sequence[Task], *, seed: int = 0, resamples: int = RESAMPLES
) -> dict[str, Any] | None:
    """`configurations` and `averages`, JSON values with NaN for what is not defined; None for rows without source.

    A configuration: `{task, source, lang, category, kind, n, averaged, systems: {SYSTEM: {FIGURE: {value, low,
    high}}}}`. `averages` has `overall`, `without_affect`, and by name `category`, `language` and `source`; each entry
    is `{configurations, n, systems: {SYSTEM: {configurations, FIGURE: {value, low, high}}}}`, a system's mean being
    over the configurations it answers. In a resample that leaves a configuration without a defined figure the mean is
    over the others.
    """
    if not rows or any(row.source is None or row.lang is None for row in rows):
        return None
    found = _configurations(rows, tasks)
    numbers = np.unique([row.cluster for row in rows], return_inverse=True)[1].astype(np.int64)
    _draw(found, numbers, seed, resamples)
    counted = [one for one in found if one.averaged]
    return {
        "configurations": [_described(one) for one in found],
        "averages": {
            "overall": _mean(counted),
            "without_affect": _mean([one for one in counted if one.task.category != AFFECT]),
            "category": _by(counted, lambda one: one.task.category),
            "language": _by(counted, lambda one: one.lang),
            "source": _by(counted, lambda one: one.source),
        },
    }


def _configurations(rows: Sequence[Row], tasks: Sequence[Task]) -> list[_Configuration]:
    """In the order of tasks, then as sources and languages appear. A system is in one if it answers all of its rows."""
    found: list[_Configuration] = []
    for task in tasks:
        groups: dict[tuple[str, str], list[int]] = {}
        for i in rows_of(rows, task.name, MODEL):
            groups.setdefault((str(rows[i].source), str(rows[i].lang)), []).append(i)
        for (source, lang), its in groups.items():
            mine = [rows[i] for i in its]
            names = [name for name in mine[0].answers if all(task.name in row.answers.get(name, {}) for row in mine)]
            systems = {name: table(mine, task, name) for name in names}
            found.append(_Configuration(task, source, lang, its, systems, True, {}))
    graded = {(one.task.coarse_task, one.source, one.lang) for one in found}
    for one in found:
        one.averaged = (one.task.name, one.source, one.lang) not in graded
    return found


def _draw(found: Sequence[_Configuration], cluster: NDArray[np.int64], seed: int, resamples: int) -> None:
    """Fill in each configuration's figures: the figure itself first, then one for each resample."""
    parts: list[dict[str, dict[str, list[Floats]]]] = []
    for one in found:
        wanted = FIGURES_MULTILABEL if one.task.kind == "multilabel" else FIGURES
        first = {name: label_figures(said) for name, said in one.systems.items()}
        parts.append({name: {figure: [its[figure]] for figure in wanted} for name, its in first.items()})
    for weights in resample(cluster, resamples, seed):
        for one, part in zip(found, parts, strict=True):
            mine = weights[:, one.rows]
            for name, said in one.systems.items():
                its = label_figures(said, mine)
                for figure, values in part[name].items():
                    values.append(its[figure])
    for one, part in zip(found, parts, strict=True):
        one.values = {name: {f: np.concatenate(v) for f, v in its.items()} for name, its in part.items()}


def _described(one: _Configuration) -> dict[str, Any]:
    return {
        "task": one.task.name,
        "source": one.source,
        "lang": one.lang,
        "category": one.task.category,
        "kind": one.task.kind,
        "n": len(one.rows),
        "averaged": one.averaged,
        "systems": {
            name: {figure: dict(vars(interval(values))) for figure, values in its.items()}
            for name, its in one.values.items()
        },
    }


def _mean(some: Sequence[_Configuration]) -> dict[str, Any]:
    """The mean of each figure over some configurations, for each system over those it answers."""
    systems: dict[str, Any] = {}
    for name in dict.fromkeys(name for one in some for name in one.systems):
        its = [one for one in some if name in one.systems]
        means = {figure: _nanmean(np.stack([one.figure(name, figure) for one in its])) for figure in AVERAGED}
        systems[name] = {"configurations": len(its)}
        systems[name] |= {figure: dict(vars(interval(values))) for figure, values in means.items()}
    return {"configurations": len(some), "n": sum(len(one.rows) for one in some), "systems": systems}


def _by(some: Sequence[_Configuration], key: Callable[[_Configuration], str]) -> dict[str, Any]:
    groups: dict[str, list[_Configuration]] = {}
    for one in some:
        groups.setdefault(key(one), []).append(one)
    return {name: _mean(its) for name, its in groups.items()}


def _nanmean(values: Floats) -> Floats:
    """The mean over configurations (c, 1 + r) of those defined in each resample; NaN where none is."""
    there = ~np.isnan(values)
    with np.errstate(invalid="ignore"):
        return np.where(there, values, 0).sum(axis=0) / there.sum(axis=0)
