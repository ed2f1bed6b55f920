"""`train`: a recipe in, a run folder out (recipe, model, log, metrics, model card), which `memescope.load` reads."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from memescope.atomic import write_whole
from memescope.datasets import read_split, spread
from memescope.errors import UsageError
from memescope.meme import Meme
from memescope.training.processes import begin, processes
from memescope.training.recipe import Data, Recipe, load_recipe

Progress = Callable[[str, int, int], None]
"""Called with (stage, done, total)."""
TRAINERS = {
    "mamba": "memescope.training.mamba:train_mamba",
    "mamba-pretrain": "memescope.training.mamba_pretrain:train_pretrain",
    "starter": "memescope.training.starter.run:train_starter",
    "memelens": "memescope.training.memelens:train_memelens",
    "mrharm": "memescope.training.mrharm:train_mrharm",
    "mmorient": "memescope.training.mmorient:train_mmorient",
    "mulcot": "memescope.training.mulcot:train_mulcot",
}
"""Family -> the function that trains it, `(recipe, progress) -> metrics`, imported when it is asked for."""

ALONE = {"starter", "mmorient", "mamba-pretrain"}
"""Families that several processes cannot share: in mmorient a batch is a graph, and a share of it another one."""

RECIPE = "recipe.yaml"
"""In the run folder: the recipe with every override."""


@dataclass(frozen=True)
class Run:
    """A finished run: where it is, its recipe, and the content of its `metrics.json`."""

    folder: Path
    recipe: Recipe
    metrics: dict[str, Any]


def train(
    recipe: str | Path | dict[str, Any] | Recipe, *overrides: str, progress: Progress | None = None, **named: Any
) -> Run:
    """Train the model a recipe describes and write its run folder (`out`).

    `overrides` are strings as on the command line (`"data.limit=200"`); `named` sets top-level parts, for example
    `out="runs/mine", data={"root": "/data/ready"}`. Raises `UsageError` for a wrong recipe or missing data. Under
    `accelerate launch` the processes share each batch (`memescope.training.processes`).
    """
    settings = recipe if isinstance(recipe, Recipe) else load_recipe(recipe, overrides, **named)
    family = json.loads(settings.model_dump_json())["model"]["family"]
    if processes() > 1 and family in ALONE:
        raise UsageError(f"{family} is trained by one process, and here are {processes()}")
    begin()
    module, name = TRAINERS[family].split(":")
    trainer: Callable[[Recipe, Progress], dict[str, Any]] = getattr(import_module(module), name)
    return Run(settings.out, settings, trainer(settings, progress or _say_nothing))


def read_memes(data: Data, splits: Sequence[str]) -> list[Meme]:
    """The memes of these splits of every set, `limit` of each split, spread evenly."""
    memes: list[Meme] = []
    for name in data.sets:
        folder = data.root / name
        if not folder.is_dir():
            raise UsageError(
                f"{folder}: no such prepared set; say where they are with data.root=FOLDER "
                f"(it needs {', '.join(data.sets)})"
            )
        for split in splits:
            memes.extend(spread(read_split(folder, split, clean=data.clean), data.limit))
    return memes


def write_recipe(recipe: Recipe) -> None:
    """`recipe.yaml` with every override: training it again gives the same model."""
    import yaml

    write_whole(recipe.out / RECIPE, yaml.safe_dump(_resolved(recipe), sort_keys=False, allow_unicode=True))


def is_written(recipe: Recipe) -> bool:
    """Whether the run folder is of this very recipe."""
    import yaml

    path = recipe.out / RECIPE
    return path.is_file() and bool(yaml.safe_load(path.read_text("utf-8")) == _resolved(recipe))


def _resolved(recipe: Recipe) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(recipe.model_dump_json())
    return found


def _say_nothing(stage: str, done: int, total: int) -> None:
    """Progress is asked for by those who show it."""
