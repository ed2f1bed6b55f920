"""The definition of a results table (`recipes/tables/NAME.yaml`): what is measured, on which rows, against which."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, ValidationError

from memescope.errors import UsageError
from memescope.training.recipe import Part


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
    """Figures somebody published: where they stand, and whether they can be compared with ours, and why.

    `task`: the figures are of this one alone.
    """

    name: str
    figures: dict[str, float]
    source: str
    comparable: str
    task: str | None = None


class Table(Part):
    """What a table measures. `against` is the row that the others are compared with, paired.

    With `rationales` (a teacher's, of the measured split) models that write are measured on what they write for
    `written` of the memes, spread evenly (0: all). Tables with the same `runs` measure the same runs on several sets: a
    row of one name is trained once, and its run folder kept in the user's cache.

    `like` names a table whose definition this one shares but for what it says itself: rows of its own come last, those
    of `without` are left out, published figures are never shared.
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
    like: str | None = None
    without: tuple[str, ...] = ()
    rows: tuple[TableRow, ...] = Field(min_length=1)
    paper: tuple[PaperRow, ...] = ()


def load_table(name: str, folder: Path = Path("recipes/tables")) -> Table:
    """The definition of a table by its name, or by the path of its file. `UsageError` names the tables there are."""
    path = Path(name) if name.endswith(".yaml") else folder / f"{name}.yaml"
    found = _read(path)
    if isinstance(found, dict) and isinstance(found.get("like"), str):
        base = path.parent / f"{found['like']}.yaml"
        found = _shared(path, found, _checked(base, _read(base)))
    table = _checked(path, found)
    names = [row.name for row in table.rows]
    if len(set(names)) < len(names):
        raise UsageError(f"{path}: two rows of one name")
    kept: dict[tuple[str | None, str], str] = {}
    for row in table.rows:
        for piece in pieces(row):
            other = kept.setdefault((row.of, file_stem(piece.name)), piece.name)
            if other != piece.name:
                raise UsageError(f"{path}: rows {other!r} and {piece.name!r} would share one result file")
    if table.against is not None and table.against not in names:
        raise UsageError(f"{path}: against: {table.against!r} is none of the rows {', '.join(names)}")
    if wrong := [row.name for row in table.rows if row.folds and (not row.recipe or table.split != "train")]:
        raise UsageError(f"{path}: row {wrong[0]!r}: folds are of a recipe's training memes: it needs split: train")
    return table


def _read(path: Path) -> Any:
    import yaml

    if not path.is_file():
        there = ", ".join(sorted(p.stem for p in path.parent.glob("*.yaml"))) or "none"
        raise UsageError(f"{path}: no such table; there are: {there}")
    try:
        return yaml.safe_load(path.read_text("utf-8"))
    except yaml.YAMLError as error:
        raise UsageError(f"{path}: {error}") from None


def _checked(path: Path, found: Any) -> Table:
    try:
        return Table.model_validate(found)
    except ValidationError as error:
        raise UsageError(f"{path}: {error}") from None


def _shared(path: Path, own: dict[str, Any], base: Table) -> dict[str, Any]:
    """A definition with what it shares with another one."""
    without = own.get("without") or []
    names = [row.name for row in base.rows]
    if strange := [name for name in without if name not in names]:
        raise UsageError(f"{path}: without: {own['like']} has no row {strange[0]!r}, only {', '.join(names)}")
    rows = [*(row for row in base.rows if row.name not in without), *(own.get("rows") or ())]
    return {name: getattr(base, name) for name in base.model_fields_set - {"paper"}} | own | {"rows": rows}


def file_stem(row: str) -> str:
    """A row's name as that of its result file, before the seed."""
    return re.sub(r"[^a-z0-9]+", "-", row.lower()).strip("-")


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
