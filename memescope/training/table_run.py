"""Running the rows of a results table that were not measured yet: each is trained, measured and kept by itself.

A row that is there is never run again, so a table grows over many sittings, in several processes if need be.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from memescope.atomic import write_whole
from memescope.cache import cache_folder
from memescope.datasets import read_split
from memescope.errors import UsageError
from memescope.evaluation.compact import pack
from memescope.evaluation.evaluate import evaluate
from memescope.evaluation.predictions import MODEL, Row
from memescope.evaluation.tables import summary
from memescope.locks import lock
from memescope.models import load
from memescope.training.recipe import Recipe, load_recipe
from memescope.training.run import Progress, train
from memescope.training.table import Table, TableRow, pieces
from memescope.training.table_measured import RESULTS, measured, result_path


def missing(table: Table, only: Sequence[str] = (), results: Path = RESULTS) -> Iterator[tuple[TableRow, int]]:
    """Rows and seeds that were not measured: the first seed of every row, then the second, and so on; of a row in folds
    each fold. `only` names rows, or single folds ("two-stage fold 1")."""
    known = {name for row in table.rows for name in (row.name, *(piece.name for piece in pieces(row)))}
    if unknown := set(only) - known:
        raise UsageError(f"no row {', '.join(sorted(unknown))}; there are: {', '.join(row.name for row in table.rows)}")
    rows = [
        piece
        for row in table.rows
        if (row.recipe or row.model) and not row.not_run and not row.of
        for piece in pieces(row)
        if not only or {row.name, piece.name} & set(only)
    ]
    for number in range(max((len(row.seeds) for row in rows), default=0)):
        for row in rows:
            if number < len(row.seeds):
                seed = row.seeds[number]
                if not result_path(table, row.name, seed, results).is_file():
                    yield row, seed


@contextmanager
def claim(table: Table, row: TableRow, seed: int, results: Path = RESULTS) -> Iterator[bool]:
    """Hold a row while the block runs; gives False where another process is at it, or has just finished it.

    Tables of the same `runs` train into one folder: a row that another of them is at is held, too.
    """
    folder = _run_folder(table, row, seed)
    with lock(folder.with_name(f"{folder.name}.lock")) as mine:
        yield mine and not result_path(table, row.name, seed, results).is_file()


def _run_folder(table: Table, row: TableRow, seed: int) -> Path:
    return cache_folder() / "runs" / (table.runs or table.name) / result_path(table, row.name, seed).stem


def run_row(
    table: Table, row: TableRow, seed: int, root: Path, report: Progress, results: Path = RESULTS, keep: bool = False
) -> Path:
    """Train (where it has a recipe) and measure one row and seed, as `missing` gives them; gives the path of its JSON.

    The run folder lies in the user's cache and is removed afterwards unless `keep`; stages stay cached.
    """
    settings: dict[str, Any] | None = None
    only: list[str] | None = None
    learnt: Sequence[str] = ("train",)
    trained = _run_folder(table, row, seed)
    references = _references(table, root) if row.writes else None
    if row.recipe is not None:
        overrides = [*row.settings, f"train.seed={seed}", f"data.root={root}", f"out={trained}"]
        recipe = load_recipe(row.recipe, overrides)
        run = train(recipe, progress=report)
        if row.folds:
            only = _held_out(recipe)
        learnt = _learnt(recipe, table)
        settings = {"recipe": str(row.recipe), "settings": list(row.settings), "val": run.metrics["val"]}
        told = ("seconds", "precision", "stages", "roles", "graphs", "attention", "warnings", "tuned")
        settings |= {name: run.metrics[name] for name in told if name in run.metrics}
    model = load(trained if row.recipe is not None else row.model or "starter")
    found = evaluate(
        model,
        root / table.data,
        split=table.split,
        text=table.text,
        batch=row.batch,
        only=only,
        learnt=learnt,
        references=references,
        written=table.written,
        progress=report,
    )
    content: dict[str, Any] = {"table": table.name, "row": row.name, "seed": seed, "training": settings}
    kept = _kept(table, found.rows, results)
    content |= summary(found.metrics) | {"seed": seed, "predictions": pack(kept, found.metrics["split_hash"])}
    if only is not None:
        place = {meme.id: i for i, meme in enumerate(read_split(root / table.data, table.split))}
        content["held_out"] = [place[one.id] for one in found.rows]
    path = result_path(table, row.name, seed, results)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, _tidy(content))
    if not keep and not table.runs and row.recipe is not None:
        shutil.rmtree(trained)
    return path


def _references(table: Table, root: Path) -> dict[str, str] | None:
    """The teacher's rationales by meme id, as the table names them; None where it names none."""
    if table.rationales is None:
        return None
    from memescope.rationales.audit_input import read_any

    memes = read_split(root / table.data, table.split)
    there = {meme.id for meme in memes}
    found = {its: one.rationale for its, one in read_any(table.rationales, memes, table.tasks[0]).items()}
    if not there & found.keys():
        raise UsageError(
            f"table {table.name}: {table.rationales} has no rationale of the {table.split} split of {table.data}: "
            "name another file, or leave rationales out"
        )
    return found


def _learnt(recipe: Recipe, table: Table) -> Sequence[str]:
    """The splits of the table's own set that a staged recipe learns from."""
    from memescope.training.memelens_data import MemeLensData
    from memescope.training.staged.recipe import StagedRecipe

    if isinstance(recipe, StagedRecipe) and table.data in recipe.data.sets:
        if isinstance(recipe.data, MemeLensData) and table.data in recipe.data.splits:
            return recipe.data.splits[table.data].train
        return recipe.data.train_splits
    return ("train",)


def _held_out(recipe: Recipe) -> list[str]:
    """The memes that the fold of a staged recipe leaves out."""
    from memescope.training.staged.folds import held_out
    from memescope.training.staged.recipe import StagedRecipe

    if not isinstance(recipe, StagedRecipe):
        raise UsageError(f"recipe {recipe.name!r} is not trained in stages: it has no folds")
    return [meme.id for meme in held_out(recipe.data)]


def _tidy(content: dict[str, Any]) -> str:
    """JSON with innermost objects and lists on one line: it can be read, and its changes seen."""
    text = json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False)
    for left, inner, right in ((r"\[", r"[^\[\]{}]*?", r"\]"), (r"\{", r"[^{}]*?", r"\}")):
        pattern = rf"{left}\n\s*({inner})\n\s*{right}"
        text = re.sub(pattern, lambda m: m[0][0] + re.sub(r"\n\s*", " ", m[1]) + m[0][-1], text)
    return text + "\n"


def _kept(table: Table, rows: Sequence[Row], results: Path) -> list[Row]:
    """What of a row's predictions goes into its JSON: the table's tasks; of baselines those that it shows, once for all
    tasks."""
    there = {name for one in measured(table, results) if one.tasks >= set(table.tasks) for name in one.systems}
    systems = {MODEL, *({row.baseline for row in table.rows} - there)}
    return [
        replace(
            row,
            truth={task: label for task, label in row.truth.items() if task in table.tasks},
            answers={name: said for name, said in row.answers.items() if name in systems},
        )
        for row in rows
    ]
