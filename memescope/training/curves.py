"""How a table's rows learnt: loss, accuracy and macro-F1 on the selection split by epoch of each stage; training loss.

Read from the rows' own JSON, so nothing needs to be trained again. Rows written before training losses were kept have
those of the selection split alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from memescope.curation import plots
from memescope.training.table import Table
from memescope.training.table_measured import RESULTS, measured
from memescope.training.table_text import lined

FIGURES = {
    "loss": "loss on val",
    "train_loss": "loss on train",
    "macro_f1": "macro-F1 on val",
    "accuracy": "accuracy on val",
}
"""Figure of a curve -> what it is."""


@dataclass(frozen=True)
class Curve:
    """One stage of one training: `points` by epoch, each with the figures that were measured there; `chosen` is the
    epoch whose weights were kept."""

    row: str
    seed: int
    part: int
    stage: str
    points: tuple[dict[str, float], ...]
    chosen: float | None


def curves(table: Table, results: Path = RESULTS) -> list[Curve]:
    """The curves of every row and seed that is there, stage by stage; rows that learnt nothing have none."""
    found = []
    for one in measured(table, results):
        for part, content in enumerate(one.parts):
            for stage in (content.get("training") or {}).get("stages", []):
                points = _points(stage)
                chosen = next((p["epoch"] for p in points if p["step"] == stage["chosen"]["step"]), None)
                found.append(Curve(one.row, one.seed, part, stage["stage"], points, chosen))
    return found


def _points(stage: dict[str, Any]) -> tuple[dict[str, float], ...]:
    """Evaluations by step: a loss and figures stand in the log apart."""
    by_step: dict[int, dict[str, float]] = {}
    for entry in stage["val"]:
        point = by_step.setdefault(entry["step"], {"step": entry["step"], "epoch": round(entry["epoch"], 2)})
        for figure in ("loss", "accuracy", "macro_f1"):
            if f"eval_{figure}" in entry:
                point[figure] = entry[f"eval_{figure}"]
    for entry in stage.get("train", []):
        if entry["step"] in by_step:
            by_step[entry["step"]]["train_loss"] = entry["loss"]
    return tuple(by_step[step] for step in sorted(by_step))


def curves_markdown(found: list[Curve]) -> str:
    """The curves as a table, a line for each epoch; the chosen one is marked."""
    rows = [
        [
            curve.row if curve.part == 0 else f"{curve.row}, fold {curve.part + 1}",
            curve.seed,
            curve.stage,
            f"{point['epoch']:g}{' (chosen)' if point['epoch'] == curve.chosen else ''}",
            *[point.get(figure) for figure in FIGURES],
        ]
        for curve in found
        for point in curve.points
    ]
    return lined(["row", "seed", "stage", "epoch", *FIGURES.values()], rows)


def draw(found: list[Curve], path: Path, title: str) -> Path | None:
    """A PNG: a panel for each stage and figure, a line for each row (mean over seeds and folds, the single ones thin).

    None where there is no curve. `MissingExtra` without matplotlib.
    """
    panels = [
        (stage, figure)
        for stage in dict.fromkeys(curve.stage for curve in found)
        for figure in FIGURES
        if any(figure in point for curve in found if curve.stage == stage for point in curve.points)
    ]
    if not panels:
        return None
    plots.require()
    from matplotlib.ticker import MaxNLocator

    figure, axes = plots.panels(len(panels), 3.2, 2.6)
    rows = list(dict.fromkeys(curve.row for curve in found))
    for axis, (stage, name) in zip(axes, panels, strict=True):
        for row, (colour, dashes, marker) in zip(rows, plots.cycle(len(rows)), strict=True):
            lines = [
                {point["epoch"]: point[name] for point in curve.points if name in point}
                for curve in found
                if (curve.row, curve.stage) == (row, stage)
            ]
            lines = [line for line in lines if line]
            for line in lines if len(lines) > 1 else []:
                axis.plot(list(line), list(line.values()), dashes, color=colour, linewidth=0.6, alpha=0.5)
            epochs = sorted({epoch for line in lines for epoch in line})
            mean = [float(np.mean([line[epoch] for line in lines if epoch in line])) for epoch in epochs]
            if epochs:
                axis.plot(epochs, mean, dashes, color=colour, linewidth=1.8, marker=marker, markersize=3, label=row)
        axis.set_title(f"{stage}: {FIGURES[name]}", fontsize=9)
        axis.set_xlabel("epoch", fontsize=8)
        axis.xaxis.set_major_locator(MaxNLocator(integer=True))
        axis.tick_params(labelsize=8)
    handles = {label: line for axis in axes for line, label in zip(*axis.get_legend_handles_labels(), strict=True)}
    figure.legend(handles.values(), handles, loc="outside lower center", ncols=4, fontsize=8, frameon=False)
    plots.entitle(figure, title)
    return plots.save(figure, path)
