"""What the recipes of staged families have: data with a selection split, stages, precision."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal, Self, get_args

from pydantic import Field, model_validator

from memescope.taxonomy import load_taxonomy
from memescope.taxonomy.tasks import Kind
from memescope.training.recipe import Data, Part, Recipe

Objective = Literal["rationale", "label", "both", "explain", "pretrain"]
"""What a stage learns; `explain` is labels, with their reasons where there are any; `pretrain` needs neither."""


class StagedData(Data):
    """Which memes, and for which tasks.

    `train_splits` are learnt from; `val_split` chooses the checkpoint, calibrates and sets the abstain threshold.
    `rationales` is a file of reasons by meme id (`memescope rationales`); memes without one are left out of a stage
    that learns reasons. With `folds` the training memes are cut into so many, near-duplicates together, and `fold`
    (from 0) is held out: not learnt from, to be answered out of fold. `fraction` of the training rows are taken,
    spread evenly.
    """

    train_splits: tuple[str, ...] = ("train",)
    val_split: str = "val"
    tasks: tuple[str, ...] = Field(min_length=1)
    rationales: Path | None = None
    fraction: float = Field(default=1.0, gt=0, le=1)
    folds: int = Field(default=0, ge=0)
    fold: int = Field(default=0, ge=0)

    @model_validator(mode="after")
    def _fold_is_there(self) -> Self:
        if self.folds == 1 or self.fold >= max(self.folds, 1):
            raise ValueError(f"fold {self.fold} of {self.folds} folds: expected 2 folds or more, counted from 0")
        if self.folds and len(self.sets) > 1:
            raise ValueError(f"folds are of one set's memes, and here are {len(self.sets)}: {', '.join(self.sets)}")
        return self


class Stage(Part):
    """One stage: what is learnt, for how long, and which of its checkpoints is kept.

    `select`: the checkpoint with the lowest `loss`, the highest `accuracy` or `macro_f1` on the selection split
    (mean over tasks), or the `last`. The learning rate rises for the share `warmup` of the steps, then follows
    `schedule` to 0. `accumulate` batches make one step.
    """

    name: str
    objective: Objective
    epochs: float = Field(gt=0)
    learning_rate: float = Field(gt=0)
    batch_size: int = Field(default=32, ge=1)
    accumulate: int = Field(default=1, ge=1)
    weight_decay: float = Field(default=0.01, ge=0)
    warmup: float = Field(default=0.1, ge=0, lt=1)
    schedule: Literal["linear", "cosine", "constant"] = "linear"
    select: Literal["loss", "accuracy", "macro_f1", "last"] = "loss"


class StagedTraining(Part):
    """`max_steps` of each stage (0: all); `minutes` between checkpoints, from which a killed run goes on."""

    seed: int = 0
    max_steps: int = Field(default=0, ge=0)
    precision: Literal["float32", "bf16"] = "float32"
    minutes: float = Field(default=5.0, gt=0)


class AbstainPart(Part):
    """The error that answered memes may have at most, and with which probability that may fail."""

    target_error: float = Field(default=0.3, gt=0, lt=1)
    delta: float = Field(default=0.05, gt=0, lt=1)


class StagedRecipe(Recipe):
    """Everything a run in stages depends on; each family adds its `model`, and says which `objectives` its stages can
    learn, which `kinds` of task, and whether it reads the phrase that a task on `aspects` asks about."""

    objectives: ClassVar[tuple[Objective, ...]] = get_args(Objective)
    kinds: ClassVar[tuple[Kind, ...]] = get_args(Kind)
    aspects: ClassVar[bool] = True

    data: StagedData
    stages: tuple[Stage, ...] = Field(min_length=1)
    train: StagedTraining = StagedTraining()
    abstain: AbstainPart = AbstainPart()

    @model_validator(mode="after")
    def _family_can_learn_it(self) -> Self:
        self.check_stages(self.stages)
        self.check_kinds(self.data.tasks)
        return self

    def model_matters(self, stages: Sequence[Stage]) -> dict[str, Any]:
        """What of `model` the weights after `stages` depend on; runs that agree in it share these stages."""
        matters: dict[str, Any] = self.model_dump(mode="json")["model"]
        return matters

    def check_stages(self, stages: Sequence[Stage]) -> None:
        """`ValueError` for a stage with an objective that the family does not learn."""
        for stage in stages:
            if stage.objective not in self.objectives:
                known = ", ".join(self.objectives)
                raise ValueError(f"stage {stage.name!r}: this family learns {known}, and not {stage.objective}")

    def check_kinds(self, tasks: Sequence[str]) -> None:
        """`ValueError` for a task of a kind that the family does not learn."""
        for task in tasks:
            if (kind := load_taxonomy()[task].kind) not in self.kinds:
                raise ValueError(f"task {task!r} is {kind}: this family learns tasks that are {', '.join(self.kinds)}")
            if load_taxonomy()[task].aspect and not self.aspects:
                raise ValueError(
                    f"task {task!r} asks about a phrase, and this family reads the text alone: mrharm, memelens "
                    "and mulcot read the phrase too"
                )
