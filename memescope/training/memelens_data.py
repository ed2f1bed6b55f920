"""What a MemeLens model learns from: several sets with their own splits and explanations, mixed (`training.mixing`).

A configuration is a task of a set in a language, as in the paper (arXiv 2601.12539, 38 of them). Each gives so many
rows to the mixture; rows of one meme are then put together again, so that the meme is read once for all its tasks.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from pydantic import Field

from memescope.datasets import spread
from memescope.datasets.conversations import plain
from memescope.errors import UsageError
from memescope.meme import Meme
from memescope.models.memelens.prompting import can_ask
from memescope.rationales.audit_input import read_any
from memescope.taxonomy import load_taxonomy
from memescope.training.mixing import Sampling, mixed
from memescope.training.recipe import Part
from memescope.training.run import read_memes
from memescope.training.staged.folds import split_fold
from memescope.training.staged.recipe import StagedData


class Reasons(Part):
    """Explanations of one set: a file (`memescope rationales`, or as published), and the task that they explain."""

    file: Path
    task: str


class Splits(Part):
    """Splits of a set that differ from the recipe's."""

    train: tuple[str, ...] = Field(min_length=1)
    val: str


class MemeLensData(StagedData):
    """Which memes, for which tasks, and how they are mixed.

    `reasons` and `splits` are by set. `rows` of the mixture (a meme's label for one task is a row; 0: as many as there
    are), drawn by `sampling` with `temperature` and `seed`. `val_limit` memes of each set's selection split (0: all).
    """

    reasons: dict[str, Reasons] = Field(default_factory=dict)
    splits: dict[str, Splits] = Field(default_factory=dict)
    sampling: Sampling = "proportional"
    temperature: float = Field(default=1.0, ge=1)
    rows: int = Field(default=0, ge=0)
    val_limit: int = Field(default=0, ge=0)
    seed: int = 0


def read_mixture(data: MemeLensData) -> tuple[list[Meme], list[Meme]]:
    """The training memes, each with the labels that were drawn for it, and the selection memes with all of theirs.

    `meta["copy"]` numbers the rounds in which a meme comes; `meta["explains"]` are the tasks its rationale is about.
    """
    if data.rationales is not None:
        raise UsageError("data.rationales is for one set; give data.reasons by set: {SET: {file: FILE, task: TASK}}")
    for name in (*data.reasons, *data.splits):
        if name not in data.sets:
            raise UsageError(f"data.reasons, data.splits: {name!r} is none of the sets {', '.join(data.sets)}")
    for name, reasons in data.reasons.items():
        if reasons.task not in data.tasks:
            raise UsageError(
                f"data.reasons: those of {name} are about {reasons.task}, which is none of data.tasks: "
                f"add it, or leave {name} out of data.reasons"
            )
    if data.folds and data.splits:
        raise UsageError("data.folds and data.splits: folds are of train_splits; give those, and no splits")
    train, val = [], []
    for name in data.sets:
        own = data.splits.get(name, Splits(train=data.train_splits, val=data.val_split))
        one = data.model_copy(update={"sets": (name,)})
        learnt = read_memes(one, own.train)
        if data.folds:
            learnt, _ = split_fold(learnt, data.folds, data.fold)
        if data.fraction < 1:
            learnt = spread(learnt, max(1, round(data.fraction * len(learnt))))
        chosen = read_memes(one, (own.val,))
        chosen = spread(chosen, data.val_limit)
        if name in data.reasons:
            learnt, chosen = (_with_reasons(some, data.reasons[name]) for some in (learnt, chosen))
        train += learnt
        val += chosen
    return _mixture(train, data), [_labelled(meme, data.tasks) for meme in val]


def explained_tasks(memes: Sequence[Meme], tasks: Sequence[str]) -> tuple[str, ...]:
    """Those of the tasks that memes of a mixture have an explanation of."""
    found = {task for meme in memes if meme.rationale for task in meme.meta["explains"]}
    return tuple(task for task in tasks if task in found)


def _learns(meme: Meme, task: str) -> bool:
    return task in meme.labels and can_ask(meme, task)


def _mixture(memes: Sequence[Meme], data: MemeLensData) -> list[Meme]:
    """The memes in the order in which the mixture names them, each with the labels it was drawn for."""
    groups: dict[str, list[tuple[int, str]]] = {}
    for number, meme in enumerate(memes):
        for task in data.tasks:
            if _learns(meme, task):
                groups.setdefault(f"{meme.source} {task} {meme.lang}", []).append((number, task))
    total = data.rows or sum(map(len, groups.values()))
    drawn: dict[tuple[int, int], list[str]] = {}
    for (number, task), copy in mixed(groups, total, data.sampling, data.temperature, data.seed):
        drawn.setdefault((number, copy), []).append(task)
    return [_labelled(memes[number], tasks, copy) for (number, copy), tasks in drawn.items()]


def _labelled(meme: Meme, tasks: Sequence[str], copy: int = 0) -> Meme:
    """A meme with the labels of some tasks alone; its explanation stays where it is about one of them.

    One that came with the prepared set names no task: it is about all that the meme is labelled for. One without a word
    is none.
    """
    said = meme.rationale if plain(meme.rationale or "").strip() else None
    kept = {task: meme.labels[task] for task in load_taxonomy().tasks if task in tasks and _learns(meme, task)}
    about = [task for task in meme.meta.get("explains", kept if said else ()) if task in kept]
    name = meme.id if not copy else f"{meme.id} ({copy + 1})"
    meta = {**meme.meta, "copy": copy, "explains": about}
    return replace(meme, id=name, labels=kept, rationale=said if about else None, meta=meta)


def _with_reasons(memes: Sequence[Meme], reasons: Reasons) -> list[Meme]:
    found = read_any(reasons.file, memes, reasons.task) if memes else {}
    told = {"explains": [reasons.task]}
    return [
        replace(meme, rationale=found[meme.id].rationale if meme.id in found else None, meta=meme.meta | told)
        for meme in memes
    ]
