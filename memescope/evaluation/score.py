"""From predictions to `metrics.json`: figures with intervals, calibration, comparison with every baseline."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from memescope.curation.identity import Progress
from memescope.evaluation.abstention import risk_coverage, threshold_table
from memescope.evaluation.averages import averages
from memescope.evaluation.intervals import NOT_COMPARED, RESAMPLES, Comparison, compare, distributions, interval
from memescope.evaluation.metrics import LOWER_IS_BETTER, Scored, by_label, deciding
from memescope.evaluation.predictions import MODEL, Row, rows_of, table, unknown_labels
from memescope.evaluation.reliability import brier_parts, events, perfect_band, reliability_curve
from memescope.taxonomy import Task

DECIDES = "deciding_f1"
"""The figure a task's verdict rests on."""
_CURVE_POINTS = 40


def score(
    rows: Sequence[Row],
    tasks: Sequence[Task],
    *,
    seed: int = 0,
    resamples: int = RESAMPLES,
    progress: Progress = lambda stage, done, total: None,
) -> dict[str, Any]:
    """`n, clusters, tasks, baselines, paired, verdicts` of all rows (as published) and, under `clean`, of those that
    share nothing with a training row, with `left_out`: how many share what. JSON values; None is a figure not defined.
    Rows that say their source and language also give `configurations` and `averages` (see `averages`).

    Where every row is clean, `clean` says so (`"same": true`) and repeats nothing.
    """
    jobs = 2 * len(tasks)
    published = _subset(rows, tasks, seed, resamples, lambda done: progress("intervals", done, jobs))
    kept = [row for row in rows if not row.seen]
    kinds = sorted({kind for row in rows for kind in row.seen})
    clean: dict[str, Any] = {
        "n": len(kept),
        "left_out": {kind: sum(kind in row.seen for row in rows) for kind in kinds},
        "same": len(kept) == len(rows),
    }
    if kept and not clean["same"]:
        clean |= _subset(kept, tasks, seed, resamples, lambda done: progress("intervals", len(tasks) + done, jobs))
    return published | {"clean": clean}


def _subset(rows: Sequence[Row], tasks: Sequence[Task], seed: int, resamples: int, progress: Any) -> dict[str, Any]:
    result: dict[str, Any] = {"n": len(rows), "clusters": len({row.cluster for row in rows})}
    result |= {"tasks": {}, "baselines": {}, "paired": {}, "verdicts": {}}
    for done, task in enumerate(tasks):
        mine = [rows[i] for i in rows_of(rows, task.name, MODEL)]
        if not mine:
            continue
        systems = {name: table(mine, task, name) for name in mine[0].answers if task.name in mine[0].answers[name]}
        cluster = np.unique([row.cluster for row in mine], return_inverse=True)[1].astype(np.int64)
        found = distributions(systems, cluster, resamples, seed)
        intervals = {
            name: {figure: _plain(interval(values)) for figure, values in figures.items()}
            for name, figures in found.items()
        }
        unknown = unknown_labels(mine, task)
        result["tasks"][task.name] = intervals[MODEL] | _details(systems[MODEL], seed, unknown)
        comparisons: dict[str, dict[str, Comparison]] = {}
        for name in systems:
            if name != MODEL:
                result["baselines"].setdefault(name, {})[task.name] = intervals[name] | {"n": len(mine)}
                comparisons[name] = {
                    figure: _settled(compare(values, found[name][figure], figure), figure, systems[MODEL])
                    for figure, values in found[MODEL].items()
                    if figure not in NOT_COMPARED
                }
        result["paired"][task.name] = {
            name: {figure: _plain(one) for figure, one in its.items()} for name, its in comparisons.items()
        }
        if comparisons:
            result["verdicts"][task.name] = _verdict(intervals, comparisons)
        progress(done + 1)
    return result | without_nan(averages(rows, tasks, seed=seed, resamples=resamples) or {})


def best_baseline(baselines: Mapping[str, Mapping[str, Any]], figure: str) -> str | None:
    """The baseline with the best value of a figure, from `{name: {figure: {"value", ...}}}`; None if none has one."""
    values = {name: its[figure]["value"] for name, its in baselines.items() if its[figure]["value"] is not None}
    return (min if figure in LOWER_IS_BETTER else max)(values, key=values.__getitem__) if values else None


def _settled(comparison: Comparison, figure: str, rows: Scored) -> Comparison:
    """The comparison, `undecided` where it would rest on classes with too few rows.

    That is every figure of a task without enough classes to decide, and the figures that average over classes where one
    that occurs is rare.
    """
    held = rows.truth_matrix.sum(axis=0)
    enough = deciding(rows)
    too_few = enough.sum() < (1 if rows.multilabel else 2)
    averaged = figure in ("macro_f1", "auroc") and bool(((held > 0) & ~enough).any())
    return replace(comparison, verdict="undecided") if too_few or averaged else comparison


def _verdict(intervals: Mapping[str, Any], comparisons: Mapping[str, Mapping[str, Comparison]]) -> dict[str, Any]:
    """The comparison with the best baseline by the deciding figure; `undecided`, with macro F1, where none has one."""
    baselines = {name: its for name, its in intervals.items() if name != MODEL}
    best = best_baseline(baselines, DECIDES)
    if best is None:
        best = best_baseline(baselines, "macro_f1") or next(iter(baselines))
        return _plain(comparisons[best]["macro_f1"]) | {
            "baseline": best,
            "figure": "macro_f1",
            "verdict": "undecided",
            "because": "too few test rows a class",
        }
    return _plain(comparisons[best][DECIDES]) | {"baseline": best, "figure": DECIDES}


def _details(rows: Scored, seed: int, unknown: dict[str, int]) -> dict[str, Any]:
    """What goes beside a task's figures: classes, calibration against its band, risk and coverage."""
    probability, happened = events(rows.kind, rows.probabilities, rows.truth_matrix)
    band = perfect_band(probability, happened, seed=seed)
    details: dict[str, Any] = {
        "n": len(rows),
        "kind": rows.kind,
        "by_label": by_label(rows),
        "ece_band": {"mean": band.mean, "high": band.high, "inside": band.inside},
        "brier_parts": brier_parts(probability, happened),
        "reliability": reliability_curve(probability, happened),
    }
    if not rows.multilabel:
        details["thresholds"] = threshold_table(rows.confidence, rows.correct)
        coverage, risk = risk_coverage(rows.confidence, rows.correct)
        details["risk_coverage"] = _thinned(coverage, risk)
    if unknown:
        details["unknown_labels"] = unknown
    return without_nan(details)


def _thinned(coverage: NDArray[np.float64], risk: NDArray[np.float64]) -> list[list[float]]:
    """At most `_CURVE_POINTS` points of the curve, the last included."""
    picked = np.unique(np.linspace(0, len(coverage) - 1, _CURVE_POINTS).round().astype(int))
    return [[round(float(coverage[i]), 4), round(float(risk[i]), 4)] for i in picked]


def _plain(found: Any) -> dict[str, Any]:
    return without_nan(dict(vars(found)))


def without_nan(value: Any) -> Any:
    """JSON has no NaN: None stands for a figure that is not defined. Goes through dicts and lists."""
    if isinstance(value, dict):
        return {key: without_nan(one) for key, one in value.items()}
    if isinstance(value, list):
        return [without_nan(one) for one in value]
    return None if isinstance(value, float) and math.isnan(value) else value
