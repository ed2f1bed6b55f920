"""What the model cards of all families trained in stages have in common: tables of stages and figures, lists."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from memescope.training.staged.recipe import Stage


def stages_table(stages: Iterable[tuple[str, Stage, Mapping[str, Any]]]) -> str:
    """A row for each stage: its name, its settings, and what came of it (`metrics["stages"]`)."""
    lines = [
        "| stage | learns | rows | epochs | learning rate | batch | chosen by |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, stage, found in stages:
        chosen = f"{stage.select} {found['chosen']['value']:.4g} at step {found['chosen']['step']}"
        lines.append(
            f"| {name} | {stage.objective} | {found['rows']} | {stage.epochs:g} | {stage.learning_rate:g} | "
            f"{stage.batch_size * stage.accumulate} | {chosen} |"
        )
    return "\n".join(lines)


def figures_table(
    figures: Mapping[str, Mapping[str, Any]],
    abstain: Mapping[str, float | None] | None,
    more: Mapping[str, Mapping[str, str]] | None = None,
) -> str:
    """A row for each task of `metrics["val"]`, with the confidence below which the model abstains; `more` columns by
    heading, then task. Then the tasks that were not measured: those are never believed."""
    columns, least = more or {}, abstain or {}
    heads = ["task", "n", "accuracy", "macro-F1", "ECE", "calibration", "abstains", *columns]
    lines = [f"| {' | '.join(heads)} |", "|---" * len(heads) + "|"]
    for task, its in figures.items():
        at = least.get(task)
        cells = [task, str(its["n"]), *(f"{its[name]:.3f}" for name in ("accuracy", "macro_f1", "ece"))]
        cells += [its["calibration"], "always" if at is None else f"below {at:.2f}"]
        lines.append(f"| {' | '.join([*cells, *(told[task] for told in columns.values())])} |")
    for task in (task for task, at in least.items() if at is None and task not in figures):
        cells = [task, "0", "-", "-", "-", "-", "always", *(told.get(task, "-") for told in columns.values())]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def listed(lines: Iterable[str]) -> str:
    """A Markdown list."""
    return "\n".join(f"- {line}" for line in lines)


def warned(metrics: Mapping[str, Any]) -> str:
    """A run's warnings as sentences; empty where there are none."""
    return "".join(f" {line[0].upper()}{line[1:]}." for line in metrics.get("warnings", []))
