"""Recipes and tables of MemeLens: each loads, each row can be measured and shown, and stages are shared."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("torch")

from memescope.evaluation.metrics import figures, scored
from memescope.models import load
from memescope.taxonomy import load_taxonomy
from memescope.training.memelens import MemeLensRecipe
from memescope.training.recipe import load_recipe
from memescope.training.staged.keys import stage_keys
from memescope.training.table import Table, TableRow, load_table

ROOT = Path(__file__).resolve().parent.parent
TABLES = sorted((ROOT / "recipes" / "tables").glob("memelens-*.yaml"))


def recipe_of(row: TableRow) -> MemeLensRecipe:
    assert row.recipe is not None
    found = load_recipe(ROOT / row.recipe, row.settings)
    assert isinstance(found, MemeLensRecipe)
    return found


def row_of(table: Table, name: str) -> MemeLensRecipe:
    return recipe_of(next(row for row in table.rows if row.name == name))


@pytest.mark.parametrize("path", TABLES, ids=lambda path: path.stem)
def test_every_row_answers_something_that_the_table_can_show(path: Path) -> None:
    table, taxonomy = load_table(str(path)), load_taxonomy()
    for name in table.tasks:
        task = taxonomy[name]
        label = [task.labels[0]] if task.kind == "multilabel" else task.labels[0]
        known = figures(scored(task.kind, task.labels, [label], [label], [[1.0] + [0.0] * (len(task.labels) - 1)]))
        assert set(table.figures) <= set(known), name
    for row in (row for row in table.rows if not row.not_run):
        if row.recipe is not None:
            its = recipe_of(row)
            assert {*its.data.tasks, *its.model.derive} & set(table.tasks), row.name
        elif row.model is not None:
            assert set(load(row.model).tasks) & set(table.tasks), row.name


@pytest.mark.parametrize(
    ("table", "whole", "parts"),
    [
        ("memelens-harmc", "unified", ["unified labels only"]),
        ("memelens-explanations", "labels, then explanations", ["labels only", "labels, then labels"]),
    ],
)
def test_rows_that_begin_alike_share_their_first_stage(table: str, whole: str, parts: list[str]) -> None:
    known = load_table(table, ROOT / "recipes" / "tables")
    first = row_of(known, whole)
    for name in parts:
        other = row_of(known, name)
        assert (other.data, other.model, other.train) == (first.data, first.model, first.train)
        assert other.stages[0] == first.stages[0]


def test_less_of_a_set_is_learnt_for_as_many_steps() -> None:
    table = load_table("memelens-fractions", ROOT / "recipes" / "tables")
    rows = [row_of(table, name) for name in ("labels only", "labels only, 50 %", "labels only, 10 %")]
    assert [(row.data.fraction, row.stages[0].epochs) for row in rows] == [(1.0, 1), (0.5, 2), (0.1, 10)]
    first = rows[0]
    for row in rows[1:]:
        assert row.data.model_copy(update={"fraction": 1.0}) == first.data
        assert row.stages[0].model_copy(update={"epochs": 1.0}) == first.stages[0]
        assert (len(row.stages), row.model) == (1, first.model)
    whole = row_of(load_table("memelens-explanations", ROOT / "recipes" / "tables"), "labels only")
    assert (whole.data, whole.model, whole.stages) == (first.data, first.model, first.stages)


def test_both_orders_share_the_stage_of_labels() -> None:
    keys = [
        stage_keys(load_recipe(ROOT / "recipes/memelens/harmc-two-stage.yaml", said), "1", [], [])  # type: ignore[arg-type]
        for said in ([], ["model.order=explain-first"], ["model.max_rationale=99"], ["model.setting=english"])
    ]
    first, second = zip(*keys, strict=True)
    assert first[0] == first[1] == first[2] != first[3]
    assert len(set(second)) == 4


def test_the_configuration_for_eight_gpus_is_one_of_accelerate() -> None:
    from accelerate.commands.config.config_args import load_config_from_file

    found = load_config_from_file(str(ROOT / "recipes" / "accelerate" / "eight-gpus.yaml"))
    assert (found.distributed_type, found.num_processes) == ("MULTI_GPU", 8)
    assert not found.fsdp_config  # weights are shared out by train.shard
