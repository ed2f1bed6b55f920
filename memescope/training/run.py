"""`train`: a recipe in, a run folder out: resolved recipe, model, log, metrics, model card.

| file | what |
|---|---|
| recipe.yaml | the recipe with every override: training it again gives the same model |
| model.safetensors, config.json | the model; `memescope.load(folder)` reads it |
| metrics.json | out-of-fold figures on the training memes; test figures come from `memescope eval` |
| log.jsonl | one line for each task: strengths tried, their losses, what was chosen |
| MODEL_CARD.md | data, figures, intended use |
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from memescope.datasets import read_split, split_hash
from memescope.errors import UsageError
from memescope.meme import Meme
from memescope.training.cache import encode_memes, with_ocr_text
from memescope.training.card import describe, write_card
from memescope.training.fit import Fit, Progress, fit
from memescope.training.groups import fold_of, near_groups
from memescope.training.recipe import Recipe, load_recipe


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
    `out="runs/mine", data={"root": "/data/ready"}`. Raises `UsageError` for a wrong recipe or missing data.
    """
    settings = recipe if isinstance(recipe, Recipe) else load_recipe(recipe, overrides, **named)
    report = progress or _say_nothing
    start = time.perf_counter()
    memes = read_memes(settings)
    report("group", 0, 1)
    groups = near_groups(memes)
    folds = fold_of(groups, settings.data.folds, settings.train.seed)
    rows = np.arange(len(memes))
    shown = memes
    if settings.data.ocr_sets:
        read = np.array([i for i, meme in enumerate(memes) if meme.source in settings.data.ocr_sets], dtype=np.int64)
        shown = memes + with_ocr_text([memes[i] for i in read], report)
        rows = np.concatenate([rows, read])
    features = encode_memes(shown, settings.model.ngram_bits, report)
    found = fit(shown, features, folds[rows], groups[rows], settings, report)
    found.config |= {"family": "starter", "name": settings.name, "card": describe(found, memes)}
    metrics = {
        "recipe": settings.name,
        "seed": settings.train.seed,
        "rows": len(memes),
        "split_hash": split_hash(memes),
        "seconds": round(time.perf_counter() - start, 1),
        "out_of_fold": found.figures,
    }
    write_run(settings, found, metrics, memes)
    return Run(settings.out, settings, metrics)


def read_memes(recipe: Recipe) -> list[Meme]:
    """The training memes of every set, `limit` of each split, spread evenly."""
    memes: list[Meme] = []
    for name in recipe.data.sets:
        folder = recipe.data.root / name
        if not folder.is_dir():
            raise UsageError(
                f"{folder}: no such prepared set; say where they are with data.root=FOLDER "
                f"(it needs {', '.join(recipe.data.sets)})"
            )
        for split in recipe.data.train_splits:
            rows = read_split(folder, split)
            if recipe.data.limit and recipe.data.limit < len(rows):
                rows = [rows[i] for i in np.linspace(0, len(rows) - 1, recipe.data.limit).round().astype(int)]
            memes.extend(rows)
    return memes


def write_run(recipe: Recipe, found: Fit, metrics: dict[str, Any], memes: Sequence[Meme]) -> None:
    """Every file of the run folder, each put in place whole."""
    import yaml
    from safetensors.numpy import save

    recipe.out.mkdir(parents=True, exist_ok=True)
    tensors = {name: np.ascontiguousarray(value) for name, value in sorted(found.tensors.items())}
    resolved = json.loads(recipe.model_dump_json())
    log = "".join(json.dumps({"task": task, **entry}) + "\n" for task, entry in found.trials.items())
    _put(recipe.out / "recipe.yaml", yaml.safe_dump(resolved, sort_keys=False, allow_unicode=True).encode())
    _put(recipe.out / "model.safetensors", save(tensors))
    _put(recipe.out / "metrics.json", (json.dumps(metrics, indent=1) + "\n").encode())
    _put(recipe.out / "log.jsonl", log.encode())
    _put(recipe.out / "MODEL_CARD.md", write_card(found, metrics, recipe, memes).encode())
    _put(recipe.out / "config.json", (json.dumps(found.config, indent=1, ensure_ascii=False) + "\n").encode())


def _put(path: Path, content: bytes) -> None:
    partial = path.with_name(f".{path.name}.partial")
    partial.write_bytes(content)
    os.replace(partial, path)


def _say_nothing(stage: str, done: int, total: int) -> None:
    """Progress is asked for by those who show it."""
