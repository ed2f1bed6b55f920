"""memescope rationales errors."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from memescope.errors import UsageError
from memescope.verbs.rationales import options

if TYPE_CHECKING:
    from memescope.evaluation.predictions import Row
    from memescope.evaluation.strata import Errors
    from memescope.rationales.errors import Findings


def errors_command(
    audit: Annotated[Path, typer.Argument(help="audit.jsonl, as memescope rationales audit writes it.")],
    table: Annotated[
        str | None, typer.Option(help="A table in which the student is a row, answered out of fold: mrharm-folds.")
    ] = None,
    row: Annotated[str, typer.Option(help="With --table: the student's row.")] = "two-stage",
    against: Annotated[
        str | None, typer.Option(help="With --table: the row of a student that read no reasons, to compare with.")
    ] = None,
    predictions: Annotated[
        list[Path] | None,
        typer.Option(help="In place of a table: predictions.jsonl of memescope eval; repeat for parts, such as folds."),
    ] = None,
    task: Annotated[str | None, typer.Option(help="Task that was answered. Default: the first.")] = None,
    root: Annotated[Path, typer.Option(help="Folder that holds the prepared sets.")] = Path("../shared/data/ready"),
    results: Annotated[Path, typer.Option(help="Folder of the rows' JSON files.")] = Path("docs/results"),
    out: Annotated[Path | None, typer.Option(help="File to write the findings to, as JSON.")] = None,
    as_json: options.AsJson = False,
) -> None:
    """Do faults of a teacher's rationales predict a student's errors? An audit against predictions out of fold.

    Example:  memescope rationales errors audit/audit.jsonl --table mrharm-folds --against "without distillation"
    """
    from memescope.rationales.errors import find_errors
    from memescope.rationales.store import rows_of

    if (table is None) == (not predictions):
        raise UsageError("which predictions? --table NAME, or --predictions FILE, one of them")
    if predictions and against is not None:
        raise UsageError("--against names a row of a table: give --table, or leave it out")
    audited = {str(line.get("id")): line for _, line in rows_of(audit)}
    if not audited or not all(isinstance(line.get("flags"), list) for line in audited.values()):
        raise UsageError(f"{audit}: expected lines of memescope rationales audit, with id and flags")
    if table is not None:
        student = _of_table(table, row, task, root, results)
        other = _of_table(table, against, task, root, results) if against is not None else None
    else:
        student, other = _of_files(predictions or [], task), None
    found = find_errors(audited, student, other)
    told = _without_nan(found.to_dict())
    if out is not None:
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(json.dumps(told, indent=1, ensure_ascii=False) + "\n", "utf-8")
    print(json.dumps(told) if as_json else _page(found, row if table else "the model", against))


def _of_table(name: str, row: str, task: str | None, root: Path, results: Path) -> Errors:
    from memescope.training.table import load_table
    from memescope.training.table_errors import row_errors

    table = load_table(name)
    if task is not None and task not in table.tasks:
        raise UsageError(f"--task {task}: the table measures {', '.join(table.tasks)}")
    return row_errors(table, row, root, results)[task or table.tasks[0]]


def _of_files(paths: list[Path], task: str | None) -> Errors:
    from dataclasses import replace

    from memescope.evaluation.predictions import read_rows
    from memescope.evaluation.strata import errors_of
    from memescope.taxonomy import load_taxonomy

    rows: list[Row] = []
    for path in paths:
        before = 1 + max((row.cluster for row in rows), default=-1)
        rows += [replace(row, cluster=row.cluster + before) for row in read_rows(path)]
    repeated = [name for name, times in Counter(row.id for row in rows).items() if times > 1]
    if repeated:
        raise UsageError(f"--predictions: meme {repeated[0]!r} stands there more than once")
    there = [name for name in load_taxonomy().tasks if any(name in row.truth for row in rows)]
    if not there or (task is not None and task not in there):
        raise UsageError(f"--predictions: they are of {', '.join(there) or 'no task'}")
    return errors_of([rows], load_taxonomy()[task or there[0]])


def _page(found: Findings, student: str, against: str | None) -> str:
    from memescope.evaluation.tables import cell
    from memescope.training.table_text import lined

    def shown(figure: Any) -> str:
        return "" if figure is None else cell(_without_nan(vars(figure)))

    scores = [[one.score, one.n, shown(one.auroc), *([shown(one.less)] if against else [])] for one in found.scores]
    parts = [
        f"{student}: {found.n} memes with a rationale ({found.distinct} distinct), wrong on {found.wrong:.1%}.",
        "Intervals: 95 %, bootstrap over distinct memes; odds ratios and AUROCs are within the gold label.\n",
        lined(
            ["flag", "memes", "error with it", "error without", "odds ratio of an error"],
            [[one.flag, one.n, one.error, one.otherwise, shown(one.odds_ratio)] for one in found.flags],
        ),
        lined(["score", "memes", "AUROC of an error", *([f"less that of {against}"] if against else [])], scores),
        lined(
            ["flags of what is not there", "memes", "error", "more than all others", "verdict"],
            [[one.name, one.n, shown(one.error), shown(one.more), one.verdict] for one in found.strata],
        ),
    ]
    return "\n".join(parts)


def _without_nan(value: Any) -> Any:
    from memescope.evaluation.score import without_nan

    return without_nan(value)
