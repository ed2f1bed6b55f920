"""The starter's training: one fit on folds of the training memes.

| file of the run | what |
|---|---|
| recipe.yaml | the recipe with every override: training it again gives the same model |
| model.safetensors, config.json | the model; `memescope.load(folder)` reads it |
| metrics.json | out-of-fold figures on the training memes; test figures come from `memescope eval` |
| log.jsonl | one line for each task: strengths tried, their losses, what was chosen |
| MODEL_CARD.md | data, figures, intended use |
"""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from typing import Any

import numpy as np

from memescope.atomic import write_whole
from memescope.datasets import split_hash
from memescope.meme import Meme
from memescope.training.cache import encode_memes, with_ocr_text
from memescope.training.groups import fold_of, near_groups
from memescope.training.run import Progress, read_memes, write_recipe
from memescope.training.starter.card import describe, write_card
from memescope.training.starter.fit import Fit, fit
from memescope.training.starter.recipe import StarterRecipe


def train_starter(recipe: StarterRecipe, report: Progress) -> dict[str, Any]:
    """Fit the starter and write its run folder; gives the content of `metrics.json`."""
    start = time.perf_counter()
    memes = read_memes(recipe.data, recipe.data.train_splits)
    report("group", 0, 1)
    groups = near_groups(memes)
    folds = fold_of(groups, recipe.data.folds, recipe.train.seed)
    rows = np.arange(len(memes))
    shown = memes
    if recipe.data.ocr_sets:
        read = np.array([i for i, meme in enumerate(memes) if meme.source in recipe.data.ocr_sets], dtype=np.int64)
        shown = memes + with_ocr_text([memes[i] for i in read], report)
        rows = np.concatenate([rows, read])
    features = encode_memes(shown, recipe.model.ngram_bits, report)
    found = fit(shown, features, folds[rows], groups[rows], recipe, report)
    found.config |= {"family": "starter", "name": recipe.name, "card": describe(found, memes)}
    metrics = {
        "recipe": recipe.name,
        "seed": recipe.train.seed,
        "rows": len(memes),
        "split_hash": split_hash(memes),
        "seconds": round(time.perf_counter() - start, 1),
        "out_of_fold": found.figures,
    }
    write_run(recipe, found, metrics, memes)
    return metrics


def write_run(recipe: StarterRecipe, found: Fit, metrics: dict[str, Any], memes: Sequence[Meme]) -> None:
    """Every file of the run folder, each put in place whole."""
    from safetensors.numpy import save

    tensors = {name: np.ascontiguousarray(value) for name, value in sorted(found.tensors.items())}
    log = "".join(json.dumps({"task": task, **entry}) + "\n" for task, entry in found.trials.items())
    write_recipe(recipe)
    write_whole(recipe.out / "model.safetensors", save(tensors))
    write_whole(recipe.out / "metrics.json", json.dumps(metrics, indent=1) + "\n")
    write_whole(recipe.out / "log.jsonl", log)
    write_whole(recipe.out / "MODEL_CARD.md", write_card(found, metrics, recipe, memes))
    write_whole(recipe.out / "config.json", json.dumps(found.config, indent=1, ensure_ascii=False) + "\n")
