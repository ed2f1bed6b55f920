"""A results table: its definition (`recipes/tables/NAME.yaml`), the rows that were measured, and the running of others.

`docs/results/NAME/ROW-SEED.json` holds one row and seed: figures, and predictions from which rows are compared paired.
A row that is there is never run again, so a table grows over many sittings and can be drawn at any time.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, ValidationError

from memescope.cache import cache_folder
from memescope.datasets import read_split
from memescope.errors import UsageError
from memescope.evaluation.compact import pack, unpack
from memescope.evaluation.evaluate import evaluate
from memescope.evaluation.predictions import MODEL, Row
from memescope.evaluation.results import write_whole
from memescope.evaluation.tables import summary
from memescope.locks import lock
from memescope.models import load
from memescope.training.recipe import Part, Recipe, load_recipe
from memescope.training.run import Progress, Run, train

RESULTS = Path("docs/results")


class TableRow(Part):
    """One row: a `recipe` with `settings` (KEY=VALUE), a packaged `model`, or a `baseline` of the evaluation.

    `of` names the table in which the row (by the same name and seeds) is run; here it is only shown. `folds` trains the
    recipe so many times, each time without one part of the training memes, which it then answers: together they are
    one row, out of fold. `writes: false` is for a model that was not taught to write: its rationales are not measured.
    `not_run` says why a row is not run, and what it would cost.
    `batch` memes are given to the model at once, which matters where answers depend on each other.
    """

    name: str
    recipe: Path | None = None
    settings: tuple[str, ...] = ()
    model: str | None = None
    baseline: str | None = None
    seeds: tuple[int, ...] = Field(default=(0,), min_length=1)
    of: str | None = None
    folds: int = Field(default=0, ge=0)
    writes: bool = True
    note: str = ""
    not_run: str = ""
    batch: int = Field(default=32, ge=1)


class PaperRow(Part):
    """Figures somebody published: where they stand, and whether they can be compared with ours, and why."""

    name: str
    figures: dict[str, float]
    source: str
    comparable: str


class Table(Part):
    """What a table measures. `against` is the row that the others are compared with, paired.

    With `rationales` (a teacher's, of the measured split) models that write are measured on what they write for
    `written` of the memes, spread evenly (0: all). Tables with the same `runs` measure the same runs on several sets: a
    row of one name is trained once, and its run folder kept in the user's cache.
    """

    name: str
    title: str
    data: str
    split: str = "test"
    text: Literal["given", "ocr"] = "given"
    tasks: tuple[str, ...] = Field(min_length=1)
    figures: tuple[str, ...] = ("macro_f1", "accuracy")
    against: str | None = None
    rationales: Path | None = None
    written: int = Field(default=0, ge=0)
    runs: str = ""
    rows: tuple[TableRow, ...] = Field(min_length=1)
    paper: tuple[PaperRow, ...] = ()


@dataclass(frozen=True)
class Measured:
    """One row and seed that was measured: its small JSON; of a row in folds one for each fold."""

    row: str
    seed: int
    parts: tuple[dict[str, Any], ...]

    @property
    def systems(self) -> set[str]:
        """Whose predictions it holds: the model's, and baselines that were fitted beside it."""
        return {name for part in self.parts for its in part["predictions"]["tasks"].values() for name in its["systems"]}

    @property
    def content(self) -> dict[str, Any]:
        """The JSON; of a row in folds the first, which says of data and intervals what holds for all."""
        return self.parts[0]

    def rows(self) -> list[Row]:
        """The predictions; those of folds together, in the split's order, each fold's clusters for themselves."""
        if len(self.parts) == 1:
            return unpack(self.content["predictions"])
        found: list[tuple[int, Row]] = []
        for part in self.parts:
            before = 1 + max((row.cluster for _, row in found), default=-1)
            for place, row in zip(part["held_out"], unpack(part["predictions"]), strict=True):
                found.append((place, replace(row, id=str(place), cluster=row.cluster + before)))
        return [row for _, row in sorted(found, key=lambda pair: pair[0])]


def load_table(name: str, folder: Path = Path("recipes/tables")) -> Table:
    """The definition of a table by its name, or by the path of its file. `UsageError` names the tables there are."""
    import yaml

    path = Path(name) if name.endswith(".yaml") else folder / f"{name}.yaml"
    if not path.is_file():
        there = ", ".join(sorted(p.stem for p in folder.glob("*.yaml"))) or "none"
        raise UsageError(f"{path}: no such table; there are: {there}")
    try:
        table = Table.model_validate(yaml.safe_load(path.read_text("utf-8")))
    except (ValidationError, yaml.YAMLError) as error:
        raise UsageError(f"{path}: {error}") from None
    names = [row.name for row in table.rows]
    if len(set(names)) < len(names):
        raise UsageError(f"{path}: two rows of one name")
    if table.against is not None and table.against not in names:
        raise UsageError(f"{path}: against: {table.against!r} is none of the rows {', '.join(names)}")
    if wrong := [row.name for row in table.rows if row.folds and (not row.recipe or table.split != "train")]:
        raise UsageError(f"{path}: row {wrong[0]!r}: folds are of a recipe's training memes: it needs split: train")
    return table


def result_path(table: Table, row: str, seed: int, results: Path = RESULTS) -> Path:
    """Where one row and seed is kept: in the table that runs it."""
    shown = {name: one.of for one in table.rows for name in (one.name, *(piece.name for piece in pieces(one)))}
    return (
        results / (shown.get(row) or table.name) / f"{re.sub(r'[^a-z0-9]+', '-', row.lower()).strip('-')}-{seed}.json"
    )


def pieces(row: TableRow) -> tuple[TableRow, ...]:
    """What a row is run in: itself, or a row for each fold, named after it."""
    if not row.folds:
        return (row,)
    return tuple(
        row.model_copy(
            update={
                "name": f"{row.name} fold {fold + 1}",
                "settings": (*row.settings, f"data.folds={row.folds}", f"data.fold={fold}"),
            }
        )
        for fold in range(row.folds)
    )


def measured(table: Table, results: Path = RESULTS) -> list[Measured]:
    """The rows and seeds that are there whole, in the table's order."""
    found = []
    for row in table.rows:
        for seed in row.seeds:
            paths = [result_path(table, piece.name, seed, results) for piece in pieces(row)]
            if all(path.is_file() for path in paths):
                found.append(Measured(row.name, seed, tuple(json.loads(path.read_text("utf-8")) for path in paths)))
    return found


def predictions(table: Table, results: Path = RESULTS) -> dict[str, list[list[Row]]]:
    """Row -> the predictions of each seed that is there. A baseline's are those made beside the first row measured."""
    there = measured(table, results)
    found: dict[str, list[list[Row]]] = {}
    for row in table.rows:
        if row.baseline is None:
            mine = [one.rows() for one in there if one.row == row.name]
        else:
            beside = [one for one in there if row.baseline in one.systems] or there
            mine = [_as_model(one.rows(), row.baseline) for one in beside[:1]]
        if mine:
            found[row.name] = mine
    return found


def _kept(table: Table, rows: Sequence[Row], results: Path) -> list[Row]:
    """What of a row's predictions goes into its JSON: the table's tasks; of baselines those that it shows, once."""
    there = {name for one in measured(table, results) for name in one.systems}
    systems = {MODEL, *({row.baseline for row in table.rows} - there)}
    return [
        replace(
            row,
            truth={task: label for task, label in row.truth.items() if task in table.tasks},
            answers={name: said for name, said in row.answers.items() if name in systems},
        )
        for row in rows
    ]


def _as_model(rows: list[Row], baseline: str) -> list[Row]:
    for row in rows:
        if baseline not in row.answers:
            raise UsageError(f"there is no baseline {baseline!r}; there are: {', '.join(sorted(row.answers))}")
        row.answers = {MODEL: row.answers[baseline]}
    return rows


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
    """Hold a row while the block runs; gives False where another process is at it, or has just finished it."""
    path = result_path(table, row.name, seed, results)
    with lock(cache_folder() / "runs" / table.name / f"{path.stem}.lock") as mine:
        yield mine and not path.is_file()


def run_row(
    table: Table, row: TableRow, seed: int, root: Path, report: Progress, results: Path = RESULTS, keep: bool = False
) -> Path:
    """Train (where it has a recipe) and measure one row and seed, as `missing` gives them; gives the path of its JSON.

    The run folder lies in the user's cache and is removed afterwards unless `keep`; stages stay cached.
    """
    settings: dict[str, Any] | None = None
    only: list[str] | None = None
    learnt: Sequence[str] = ("train",)
    trained = cache_folder() / "runs" / (table.runs or table.name) / result_path(table, row.name, seed).stem
    if row.recipe is not None:
        overrides = [*row.settings, f"train.seed={seed}", f"data.root={root}", f"out={trained}"]
        recipe = load_recipe(row.recipe, overrides)
        run = (_finished(recipe) if table.runs else None) or train(recipe, progress=report)
        if row.folds:
            only = _held_out(recipe)
        learnt = _learnt(recipe, table)
        settings = {"recipe": str(row.recipe), "settings": list(row.settings), "val": run.metrics["val"]}
        settings |= {"seconds": run.metrics["seconds"], "stages": run.metrics["stages"]}
    model = load(trained if row.recipe is not None else row.model or "starter")
    found = evaluate(
        model,
        root / table.data,
        split=table.split,
        text=table.text,
        only=only,
        learnt=learnt,
        references=_references(table, root) if row.writes else None,
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


def _finished(recipe: Recipe) -> Run | None:
    """The run that another table of the same `runs` left, where it is of this very recipe."""
    import yaml

    stored, metrics = recipe.out / "recipe.yaml", recipe.out / "metrics.json"
    if not stored.is_file() or not metrics.is_file():
        return None
    if yaml.safe_load(stored.read_text("utf-8")) != json.loads(recipe.model_dump_json()):
        return None
    return Run(recipe.out, recipe, json.loads(metrics.read_text("utf-8")))


def _references(table: Table, root: Path) -> dict[str, str] | None:
    """The teacher's rationales by meme id, as the table names them; None where it names none."""
    if table.rationales is None:
        return None
    from memescope.rationales.audit_input import read_any

    memes = read_split(root / table.data, table.split)
    return {its: one.rationale for its, one in read_any(table.rationales, memes, table.tasks[0]).items()}


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
