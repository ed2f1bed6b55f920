"""Training a staged family: its stages one after the other, calibration, and the run folder.

| file of the run | what |
|---|---|
| recipe.yaml | the recipe with every override |
| config.json, model.safetensors, tokenizer files | the model; `memescope.load(folder)` reads it |
| log.jsonl | losses and figures by stage and step |
| MODEL_CARD.md | data, deviations from the paper, figures, intended use |
| metrics.json | written last: figures on the selection split, by stage and once calibrated; `eval` makes test figures |

Finished stages and checkpoints are kept in the user's cache folder under what they depend on (model, data, the stages
before, seed), so that a killed run goes on, and runs that begin alike share their first stages.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, Protocol

from memescope.atomic import write_whole
from memescope.backbones.precision import trains_in
from memescope.cache import cache_folder
from memescope.datasets import split_hash, spread
from memescope.errors import UsageError
from memescope.meme import Meme
from memescope.rationales.audit_input import read_any
from memescope.training.processes import by_the_first
from memescope.training.run import Progress, is_written, read_memes, write_recipe
from memescope.training.staged.folds import split_fold
from memescope.training.staged.keys import stage_keys
from memescope.training.staged.recipe import Objective, Stage, StagedRecipe
from memescope.training.staged.settle import Settled, settle
from memescope.training.staged.stage import PLAIN, Learner, run_stage
from memescope.training.staged.tricks import Tricks

METRICS = "metrics.json"
"""Written last: a run folder that has it is whole."""


class Versioned(Learner, Protocol):
    """A learner whose stages can be kept."""

    version: str
    """Names the code and weights it starts from: another version trains again."""


class FamilyLearner(Versioned, Protocol):
    """A learner that can be settled and written as a run."""

    def settle(self, settled: dict[str, Settled], card: dict[str, dict[str, Any]]) -> None:
        """Take over calibration, abstain thresholds and what the card says of each task."""
        ...

    def card(self, metrics: dict[str, Any]) -> str:
        """The run's MODEL_CARD.md."""
        ...


def train_staged(
    recipe: StagedRecipe,
    learner: FamilyLearner,
    report: Progress,
    train: Sequence[Meme],
    val: Sequence[Meme],
    tricks: Callable[[Stage], Tricks] = lambda stage: PLAIN,
    begin: Callable[[int, Stage], None] = lambda number, stage: None,
    end: Callable[[Sequence[Meme]], None] = lambda labelled: None,
    more: Callable[[], dict[str, Any]] = dict,
) -> dict[str, Any]:
    """Train `learner` as the recipe says and write the run folder; gives the content of `metrics.json`.

    `tricks` says what a stage's training has beyond the plain one. `begin` is called before each stage with its number
    (from 0), done or not: what it does to the learner depends on the recipe alone. `end` is called after the last with
    the selection memes that have labels, before they are answered for calibration. `more` gives what the metrics have
    besides. A folder with the finished run of this very recipe, from these memes and this code, is left as it is.
    """
    start = time.perf_counter()
    key = stage_keys(recipe, learner.version, train, val)[-1]
    if (there := _finished(recipe, key)) is not None:
        return there
    stages, log = run_stages(recipe, learner, report, train, val, tricks, begin)
    labelled = usable(val, "label", recipe.data.tasks)
    end(labelled)
    settled = settle(learner.answer(labelled), labelled, recipe.data.tasks, recipe.abstain, recipe.train.seed)
    card: dict[str, dict[str, Any]] = {task: {"trained_on": _trained_on(task, train)} for task in recipe.data.tasks}
    card |= {task: card[task] | {"val": one.figures} for task, one in settled.items()}
    learner.settle(settled, card)
    metrics = {
        "recipe": recipe.name,
        "seed": recipe.train.seed,
        "precision": trains_in(recipe.train.precision),
        "rows": len(train),
        "split_hash": split_hash(train),
        "val_rows": len(val),
        "seconds": round(time.perf_counter() - start, 1),
        "stages": stages,
        "val": {task: one.figures | {"calibration": one.method} for task, one in settled.items()},
        "key": key,
    }
    metrics |= more()
    by_the_first(lambda: _write(recipe, learner, log, metrics))
    return metrics


def _write(recipe: StagedRecipe, learner: FamilyLearner, log: str, metrics: dict[str, Any]) -> None:
    recipe.out.mkdir(parents=True, exist_ok=True)
    finished = recipe.out / METRICS
    finished.unlink(missing_ok=True)
    write_recipe(recipe)
    write_whole(recipe.out / "log.jsonl", log)
    write_whole(recipe.out / "MODEL_CARD.md", learner.card(metrics))
    learner.save(recipe.out)
    write_whole(finished, json.dumps(metrics, indent=1) + "\n")


def _finished(recipe: StagedRecipe, key: str) -> dict[str, Any] | None:
    """The metrics of the run in the recipe's folder, where it is of this recipe and of all that `key` names."""
    path = recipe.out / METRICS
    if not path.is_file() or not is_written(recipe):
        return None
    found: dict[str, Any] = json.loads(path.read_text("utf-8"))
    return found if found.get("key") == key else None


def run_stages(
    recipe: StagedRecipe,
    learner: Versioned,
    report: Progress,
    train: Sequence[Meme],
    val: Sequence[Meme],
    tricks: Callable[[Stage], Tricks] = lambda stage: PLAIN,
    begin: Callable[[int, Stage], None] = lambda number, stage: None,
) -> tuple[list[dict[str, Any]], str]:
    """Train the stages, or take those that are in the cache; `learner` then is as the last one left it.

    Gives what was chosen in each stage, and the log.
    """
    keys = stage_keys(recipe, learner.version, train, val)
    rows = [_rows_of(stage, train, val, recipe.data.tasks) for stage in recipe.stages]
    stages, log = [], ""
    for number, (stage, key) in enumerate(zip(recipe.stages, keys, strict=True)):
        begin(number, stage)
        folder = cache_folder() / "training" / key
        found = run_stage(learner, stage, *rows[number], recipe.train, folder, report, tricks(stage))
        entries = [json.loads(line) for line in (folder / "log.jsonl").read_text("utf-8").splitlines()]
        stages.append(found | {"train": losses_between(entries)})
        log += "".join(json.dumps({"stage": stage.name, **entry}) + "\n" for entry in entries)
    return stages, log


def _rows_of(
    stage: Stage, train: Sequence[Meme], val: Sequence[Meme], tasks: Sequence[str]
) -> tuple[list[Meme], list[Meme]]:
    """The memes that a stage learns from and is chosen on; `UsageError` where there are none."""
    found = usable(train, stage.objective, tasks), usable(val, stage.objective, tasks)
    for name, some in zip(("train", "val"), found, strict=True):
        if not some:
            raise UsageError(
                f"stage {stage.name!r} ({stage.objective}): no {name} meme has what it learns from "
                f"({_needs(stage.objective, tasks)})"
            )
    return found


def losses_between(entries: Sequence[dict[str, Any]]) -> list[dict[str, float]]:
    """The mean training loss between one evaluation and the next, from a stage's log: the other half of its curve."""
    found, losses = [], []
    for entry in entries:
        if "loss" in entry:
            losses.append(float(entry["loss"]))
        elif "eval_loss" in entry and losses:
            found.append({"epoch": entry["epoch"], "step": entry["step"], "loss": round(sum(losses) / len(losses), 4)})
            losses = []
    return found


def usable(memes: Sequence[Meme], objective: Objective, tasks: Sequence[str]) -> list[Meme]:
    """The memes that have what an objective learns from."""
    needs_reason, needs_label = objective in ("rationale", "both"), objective in ("label", "both", "explain")
    return [
        meme
        for meme in memes
        if (not needs_reason or meme.rationale) and (not needs_label or any(task in meme.labels for task in tasks))
    ]


def read_staged(recipe: StagedRecipe) -> tuple[list[Meme], list[Meme]]:
    """The training and the selection memes of a recipe, each with its rationale where the recipe's file has one."""
    data = recipe.data
    train = read_memes(data, data.train_splits)
    if data.folds:
        train, _ = split_fold(train, data.folds, data.fold)
    if data.fraction < 1:
        train = spread(train, max(1, round(data.fraction * len(train))))
    val = read_memes(data, (data.val_split,))
    if data.rationales is not None:
        reasons = read_any(data.rationales, [*train, *val], data.tasks[0])
        train, val = (
            [replace(m, rationale=reasons[m.id].rationale) if m.id in reasons else m for m in part]
            for part in (train, val)
        )
    return train, val


def _needs(objective: Objective, tasks: Sequence[str]) -> str:
    parts = {"rationale": "a rationale", "label": f"a label of {', '.join(tasks)}", "pretrain": "text or picture"}
    parts["explain"] = parts["label"]
    return f"{parts['rationale']} and {parts['label']}" if objective == "both" else parts[objective]


def _trained_on(task: str, memes: Sequence[Meme]) -> str:
    counts: dict[str, int] = {}
    for meme in memes:
        if task in meme.labels:
            counts[meme.source or "memes"] = counts.get(meme.source or "memes", 0) + 1
    return "; ".join(f"{n} memes of {source}" for source, n in counts.items())
