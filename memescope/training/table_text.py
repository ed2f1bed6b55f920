"""A results table as Markdown: figures with intervals and seeds, paired differences, papers' rows, rows not run."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from memescope.evaluation.rows import Cell, as_json, cells
from memescope.evaluation.tables import cell, number
from memescope.taxonomy import load_taxonomy
from memescope.training.table import Table, pieces
from memescope.training.table_measured import RESULTS, Measured, digest, measured, predictions, result_path
from memescope.training.table_written import written_markdown, written_of


def figures_of(table: Table, results: Path = RESULTS) -> dict[str, Any]:
    """The whole table as JSON values: by task, published and clean."""
    systems = predictions(table, results)
    found: dict[str, Any] = {"table": table.name, "title": table.title, "against": table.against, "tasks": {}}
    for name in table.tasks if systems else ():
        found["tasks"][name] = {}
        for kind in _kinds(measured(table, results)):
            n, its = cells(systems, load_taxonomy()[name], table.figures, table.against, clean=kind == "clean")
            found["tasks"][name][kind] = {"n": n, "rows": as_json(its)}
    if wrote := written_of(table, measured(table, results)):
        found["rationales"] = wrote
    return found


def markdown(table: Table, results: Path = RESULTS) -> str:
    """The table, one part for each task, as published and clean."""
    systems = predictions(table, results)
    there = measured(table, results)
    lines = [f"# {table.title}", ""]
    if not systems:
        lines += [f"No row has been run: `memescope table {table.name} --run`", ""]
        return "\n".join([*lines, *_rows(table, {}, None, results)])
    first = there[0].content
    text = "its own text" if table.text == "given" else "our OCR's text"
    said = (
        f"{table.data}, {table.split} split (hash {first['split_hash']}), {text}. Intervals: 95 %, bootstrap over "
        f"distinct memes, {first['resamples']} resamples. Figures of several seeds are their mean, with the single "
        "seeds in brackets."
    )
    if table.against:
        said += f" Differences: row less {table.against}, paired."
    said += f" Rows: digest {digest(table, results)}."
    lines += [said, ""]
    for name in table.tasks:
        task = load_taxonomy()[name]
        for kind in _kinds(there):
            n, its = cells(systems, task, table.figures, table.against, clean=kind == "clean")
            lines += [f"## {name}, {'as published' if kind == 'published' else 'clean rows'} (n = {n})", ""]
            lines += _rows(table, its, first if kind == "clean" else None, results, name)
    return "\n".join([*lines, *written_markdown(table, there)])


def _kinds(there: Sequence[Measured]) -> tuple[str, ...]:
    """As published and clean; what was measured out of fold has no training rows to be clean of."""
    return ("published", "clean") if there[0].content.get("clean_rule") else ("published",)


def _rows(
    table: Table,
    its: Mapping[str, Mapping[str, Cell]],
    clean_of: Mapping[str, Any] | None,
    results: Path,
    task: str | None = None,
) -> list[str]:
    less = [f"less {table.against}"] if table.against else []
    heads = ["row", *[head for figure in table.figures for head in (figure, *less)], "note"]
    lines = ["| " + " | ".join(heads) + " |", "|" + "---|" * len(heads)]
    for row in table.rows:
        if row.name not in its:
            run = sum(result_path(table, piece.name, row.seeds[0], results).is_file() for piece in pieces(row))
            part = "does not answer this task" if run == len(pieces(row)) else f"{run} of {row.folds} folds run"
            why = row.not_run or (part if run else "not run yet")
            lines.append("| " + " | ".join([row.name, *["-"] * (len(heads) - 2), why]) + " |")
            continue
        shown = [row.name]
        for figure in table.figures:
            one = its[row.name][figure]
            seeds = f" ({', '.join(number(value) for value in one.seeds)})" if len(one.seeds) > 1 else ""
            shown.append(cell(vars(one.figure)) + seeds)
            if less:
                shown.append("" if one.less is None else f"{cell(vars(one.less))} {one.less.verdict}")
        if len(row.seeds) > len(its[row.name][table.figures[0]].seeds):
            seeds_run = len(its[row.name][table.figures[0]].seeds)
            shown.append(f"{row.note} ({seeds_run} of {len(row.seeds)} seeds)".strip())
        else:
            shown.append(row.note)
        lines.append("| " + " | ".join(shown) + " |")
    if clean_of is None:
        for paper in table.paper:
            if task is not None and paper.task not in (None, task):
                continue
            shown = [f"{paper.name} (paper)"]
            for figure in table.figures:
                shown += [number(paper.figures.get(figure)), *("" for _ in less)]
            lines.append("| " + " | ".join([*shown, f"{paper.source}: {paper.comparable}"]) + " |")
    else:
        lines += ["", f"Clean by the rule {clean_of.get('clean_rule')!r}: see docs/evaluation.md."]
    return [*lines, ""]


def lined(header: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """A Markdown table of words of our own and figures with three decimals; no figure is a dash."""
    cells = [
        [number(value) if value is None or isinstance(value, float) else str(value) for value in row] for row in rows
    ]
    lines = [header, ["---"] * len(header), *cells]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"
