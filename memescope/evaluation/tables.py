"""Evaluations as tables: on the terminal, and as small committed JSON files from which READMEs and cards are drawn.

`docs/results/<table>/<dataset>-<text>-<seed>.json` holds one evaluation without its per-row and per-bin parts.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from memescope.atomic import write_whole
from memescope.datasets.clean import RULE
from memescope.evaluation.averages import AVERAGED
from memescope.evaluation.intervals import NOT_COMPARED
from memescope.evaluation.metrics import DECIDING_ROWS
from memescope.evaluation.predictions import MODEL
from memescope.evaluation.score import best_baseline
from memescope.taxonomy import load_taxonomy

if TYPE_CHECKING:
    from rich.console import Console

SHOWN = ("macro_f1", "deciding_f1", "accuracy", "auroc", "log_loss", "ece", "aurc", "coverage", "selective_accuracy")
SHOWN_MULTILABEL = (
    "micro_f1",
    "macro_f1",
    "deciding_f1",
    "samples_f1",
    "subset_accuracy",
    "auroc",
    "log_loss",
    "ece",
    "coverage",
)
_CLEAN = ("rows without a leak by memescope data audit", "rows that share no picture or text with a training row")
_KEPT = ("n", "kind", "by_label", "ece_band", "unknown_labels")


def print_tables(metrics: Mapping[str, Any], console: Console) -> None:
    """All rows as published, the clean rows where they differ, then what a reader has to know about them."""
    console.print(_headline(metrics), highlight=False)
    console.print(_table(metrics, "all rows, as published"))
    clean = metrics["clean"]
    if "tasks" in clean:
        console.print(_table(clean, f"clean: {_CLEAN[metrics.get('clean_rule') != RULE]}"))
    if (means := averages_table(metrics, load_taxonomy().categories)) is not None:
        console.print(means)
    if (wrote := written_table(metrics)) is not None:
        console.print(wrote)
    for line in notes(metrics):
        console.print(line, highlight=False, markup=False)


def notes(metrics: Mapping[str, Any]) -> list[str]:
    """Sentences for what a table cannot show: rows left out, unknown labels, classes that decide nothing."""
    lines = []
    for name, error in list(metrics["errors"].items())[:5]:
        lines.append(f"not read: {name}: {error}")
    if len(metrics["errors"]) > 5:
        lines.append(f"not read: {len(metrics['errors']) - 5} more, all in metrics.json")
    if metrics["clean"]["left_out"]:
        kinds = ", ".join(f"{kind} {count}" for kind, count in metrics["clean"]["left_out"].items())
        lines.append(f"{metrics['n'] - metrics['clean']['n']} rows share something with a training row ({kinds})")
    if stated := (metrics.get("rationale") or {}).get("stated"):
        lines.append(
            f"{stated['task']}: the label that rationales end in is right in {stated['accuracy']:.0%}, the model's "
            f"answer in {stated['agrees']:.0%}, none in {stated['none']:.0%}"
        )
    for name, reason in metrics.get("left_out", {}).items():
        lines.append(f"baseline left out: {name}, {reason}")
    if metrics["unanswered_tasks"]:
        lines.append(f"labelled, but not answered by this model: {', '.join(metrics['unanswered_tasks'])}")
    if "averages" not in metrics:
        lines.append("no means over configurations: these predictions were stored without source and language")
    for task, its in metrics["tasks"].items():
        for label, rows in its.get("unknown_labels", {}).items():
            lines.append(f"{task}: the model does not know the label {label!r}: its {rows} rows are counted as wrong")
        few = [f"{label} ({one['rows']})" for label, one in its["by_label"].items() if 0 < one["rows"] < DECIDING_ROWS]
        if few:
            lines.append(f"{task}: under {DECIDING_ROWS} rows, shown but deciding nothing: {', '.join(few)}")
    return lines


def summary(metrics: Mapping[str, Any]) -> dict[str, Any]:
    """One evaluation as a small JSON value: figures with four decimals, without curves, bins and configurations."""
    clean = {key: value for key, value in metrics["clean"].items() if key not in ("configurations", "averages")}
    whole = {key: value for key, value in metrics.items() if key != "configurations"}
    return _rounded(whole | _slim(metrics) | {"clean": clean | _slim(metrics["clean"])})


def write_summary(metrics: Mapping[str, Any], folder: str | Path) -> Path:
    """Write `<dataset>-<text>-<seed>.json` into a results folder; gives its path."""
    folder = Path(folder)
    path = folder / f"{metrics['data']}-{metrics['text']}-{metrics['seed']}.json"
    text = json.dumps(summary(metrics), indent=1, ensure_ascii=False, allow_nan=False)
    # Innermost objects, such as a figure with its interval, on one line: a table can be read and its changes seen.
    text = re.sub(r"\{\n\s*([^{}]*?)\n\s*\}", lambda found: "{" + re.sub(r"\n\s*", " ", found[1]) + "}", text)
    write_whole(path, text + "\n")
    return path


def read_summaries(folder: str | Path) -> list[dict[str, Any]]:
    """The evaluations of a results folder, by name of file."""
    return [json.loads(path.read_text("utf-8")) for path in sorted(Path(folder).glob("*.json"))]


def markdown(results: Sequence[Mapping[str, Any]], clean: bool = False) -> str:
    """A Markdown table of results: for each dataset, text and task the F1 that decides, beside the best baseline.

    `clean` takes the figures of the clean rows where they differ from the published ones.
    """
    lines = [
        "| dataset | text | task | n | F1 | best baseline | verdict | accuracy | AUROC | ECE (perfect: below) |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for result in results:
        part = result["clean"] if clean and "tasks" in result["clean"] else result
        for task, its in part["tasks"].items():
            verdict = part["verdicts"].get(task)
            figure = verdict["figure"] if verdict else "macro_f1"
            other = (
                f"{cell(part['baselines'][verdict['baseline']][task][figure])} {verdict['baseline']}" if verdict else ""
            )
            accuracy = its["subset_accuracy" if its["kind"] == "multilabel" else "accuracy"]
            cells = [
                result["data"],
                result["text"],
                task,
                str(its["n"]),
                cell(its[figure]),
                other,
                verdict["verdict"] if verdict else "",
                cell(accuracy),
                cell(its["auroc"]),
                f"{number(its['ece']['value'])} ({number(its['ece_band']['high'])})",
            ]
            lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def averages_table(part: Mapping[str, Any], categories: Mapping[str, str]) -> Any:
    """The means as a table, a row for each group with the number of its configurations; None for one configuration.

    `categories` names the taxonomy's categories in full.
    """
    from rich.table import Table

    means = part.get("averages")
    if not means or means["overall"]["configurations"] < 2:
        return None
    others = [name for name in means["overall"]["systems"] if name != MODEL]
    title = "means over configurations (task, source and language), each counting the same"
    shown = Table(title=title, title_justify="left")
    for header in ("", "configurations", "rows", "accuracy", "macro F1", "weighted F1", *(f"{o} M-F1" for o in others)):
        shown.add_column(header, justify="left" if not header else "right")
    groups = [("all", means["overall"])]
    if 0 < means["without_affect"]["configurations"] < means["overall"]["configurations"]:
        groups.append(("all but affect", means["without_affect"]))
    for kind in ("category", "language", "source"):
        if len(means[kind]) > 1:
            names = categories if kind == "category" else {}
            groups += [(f"{kind}: {names.get(name, name)}", its) for name, its in means[kind].items()]
    for name, its in groups:
        mine = its["systems"][MODEL]
        shown.add_row(
            name,
            str(its["configurations"]),
            str(its["n"]),
            *[cell(mine[figure]) for figure in AVERAGED],
            *[number(its["systems"][o]["macro_f1"]["value"]) if o in its["systems"] else "-" for o in others],
        )
    return shown


def written_table(metrics: Mapping[str, Any]) -> Any:
    """Figures of the model's rationales against the teacher's; None where they were not measured."""
    from rich.table import Table

    its = metrics.get("rationale")
    if not its:
        return None
    shown = Table(title=f"rationales against the teacher's (n = {its['n']})", title_justify="left")
    for header in its["figures"]:
        shown.add_column(header, justify="right")
    shown.add_row(*[cell(figure) for figure in its["figures"].values()])
    return shown


def cell(figure: Mapping[str, float | None]) -> str:
    """`.800 [.760, .840]`; a dash where the figure is not defined."""
    if figure["value"] is None:
        return "-"
    if figure["low"] is None:
        return number(figure["value"])
    return f"{number(figure['value'])} [{number(figure['low'])}, {number(figure['high'])}]"


def number(value: float | None) -> str:
    """Three decimals without a leading zero, as results tables write them; a dash for None."""
    if value is None:
        return "-"
    text = f"{value:.3f}"
    return text.replace("0.", ".", 1) if text.startswith(("0.", "-0.")) else text


def _headline(metrics: Mapping[str, Any]) -> str:
    text = "its own text" if metrics["text"] == "given" else "our OCR's text"
    return (
        f"{metrics['model']} {metrics['model_version']} on {metrics['data']} {metrics['split']} "
        f"(hash {metrics['split_hash']}), {text}: {metrics['n']} of {metrics['rows']} rows, "
        f"{metrics['clusters']} distinct memes, {metrics['resamples']} resamples, seed {metrics['seed']}"
    )


def _table(part: Mapping[str, Any], title: str) -> Any:
    """A row for each task and figure: the model, each baseline, and the comparison with the best of them."""
    from rich.table import Table

    names = list(part["baselines"])
    table = Table(title=f"{title} (n = {part['n']})", title_justify="left")
    for header in ("task (n)", "figure", "model", *names, "model less the best baseline"):
        table.add_column(header, justify="right" if header in ("model", *names) else "left")
    for task, its in part["tasks"].items():
        there = {name: part["baselines"][name][task] for name in names if task in part["baselines"][name]}
        figures = SHOWN_MULTILABEL if its["kind"] == "multilabel" else SHOWN
        shown = [figure for figure in figures if _tells(its, figure)]
        for i, figure in enumerate(shown):
            table.add_row(
                f"{task} ({its['n']})" if i == 0 else "",
                figure,
                cell(its[figure]),
                *[number(there[name][figure]["value"]) if name in there else "-" for name in names],
                _judged(figure, its, there, part["paired"].get(task, {})),
                end_section=figure == shown[-1],
            )
    return table


def _tells(its: Mapping[str, Any], figure: str) -> bool:
    """Whether a figure says anything that the rows above it do not."""
    if figure == "deciding_f1":
        return bool(its[figure] != its["micro_f1" if its["kind"] == "multilabel" else "macro_f1"])
    return figure not in ("coverage", "selective_accuracy") or its["coverage"]["value"] < 1


def _judged(figure: str, its: Mapping[str, Any], baselines: Mapping[str, Any], paired: Mapping[str, Any]) -> str:
    """`better .031 [.004, .058] probe`; for ECE where it lies against the band of perfect calibration."""
    if figure == "ece":
        band = its["ece_band"]
        return f"{'inside' if band['inside'] else 'above'} the perfect band, to {number(band['high'])}"
    best = best_baseline(baselines, figure) if figure not in NOT_COMPARED else None
    return f"{paired[best][figure]['verdict']} {cell(paired[best][figure])} {best}" if best else ""


def _slim(part: Mapping[str, Any]) -> dict[str, Any]:
    if "tasks" not in part:
        return {}
    return {
        "tasks": {
            task: {key: value for key, value in its.items() if key in _KEPT or _is_figure(value)}
            for task, its in part["tasks"].items()
        },
        "paired": {},
    }


def _is_figure(value: Any) -> bool:
    return isinstance(value, dict) and set(value) == {"value", "low", "high"}


def _rounded(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _rounded(one) for key, one in value.items()}
    return round(value, 4) if isinstance(value, float) else value
