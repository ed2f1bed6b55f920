"""Training of the family `mulcot` (arXiv 2508.05234): teacher's chains, assistant, its own chains, student.

| step | what | kept |
|---|---|---|
| teacher | chains from an endpoint, where the recipe names one; else those of `data.rationales` | replies, one by one |
| assistant | learns the chains with their labels and the labels alone | stages |
| augmentation | a chain by the assistant for each training meme; the right ones are learnt from, too | one by one |
| student | the same two tasks, from labels and from the assistant's probabilities | stages |

Each step is taken from the user's cache where it was done before, so a killed run goes on, and recipes that differ in
the student alone share their assistant.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

from pydantic import Field, model_validator

from memescope.datasets import spread
from memescope.errors import PictureError
from memescope.meme import Meme
from memescope.perception.pictures import open_picture
from memescope.taxonomy import load_taxonomy
from memescope.taxonomy.tasks import Kind
from memescope.training.recipe import Part
from memescope.training.run import Progress
from memescope.training.staged.recipe import Objective, Stage, StagedData
from memescope.training.vlm import TinyPart, VlmLearner, VlmPart, VlmRecipe, trained_part

if TYPE_CHECKING:
    from memescope.models.mulcot.model import MulCot
    from memescope.models.vlm.model import Look
    from memescope.training.staged.settle import Settled

CODE_VERSION = 1
"""Raise it when the same recipe would train another model."""
SOME_PICTURES = 16
"""Pictures that assistant and student must cut alike before the first is trained."""


class MulCotData(StagedData):
    """`val_rows` of the selection split are taken, spread evenly (0: all). `chains`: all of the teacher's, or only the
    `right` ones, which end in the meme's label; the others' memes then have a label alone. `sentences`: the first so
    many of each part of the teacher's chains are learnt (0: all)."""

    val_rows: int = Field(default=0, ge=0)
    chains: Literal["all", "right"] = "all"
    sentences: int = Field(default=0, ge=0)


class MulCotPart(VlmPart):
    """A role's model (`training.vlm`). `label_weight`: what the label alone counts beside the chain, as published 1."""

    family: Literal["mulcot"] = "mulcot"
    max_rationale: int = Field(default=448, ge=1)
    label_weight: float = Field(default=1.0, ge=0)

    @property
    def sees(self) -> dict[str, Any]:
        """The settings that decide how many tokens a picture has."""
        if self.vlm == "tinyvlm":
            return {"tiny.side": (self.tiny or TinyPart()).side}
        return {"picture": self.picture or {}}


class AssistantPart(Part):
    """The assistant: its model and its stages; `seed` in place of the recipe's, so that students of several seeds have
    one assistant."""

    model: MulCotPart
    stages: tuple[Stage, ...] = Field(min_length=1)
    seed: int | None = None


class AugmentPart(Part):
    """Chains drawn from the assistant at `temperature`, by `seed`, for `rows` of the training memes, spread evenly (0:
    all). `wrong` ones, cut off or with another label than the meme's, are dropped as published, or kept as they are."""

    temperature: float = Field(default=0.7, gt=0)
    seed: int = 0
    rows: int = Field(default=0, ge=0)
    wrong: Literal["drop", "keep"] = "drop"


class DistilPart(Part):
    """How the student listens: see `objectives.distillation`. As released: squared false, mask everything."""

    weight: float = Field(default=0.3, ge=0, le=1)
    temperature: float = Field(default=2.0, gt=0)
    squared: bool = True
    mask: Literal["answers", "everything"] = "answers"


class TeacherPart(Part):
    """An endpoint that writes the training memes' chains first (`memescope rationales` says more of each setting)."""

    url: str
    model: str
    allow_remote: str | None = None
    tries: int = Field(default=3, ge=1)
    pictures: bool = True
    concurrency: int = Field(default=8, ge=1)
    budget_tokens: int | None = None


class MulCotRecipe(VlmRecipe):
    """One row of a table of MulCoT-RD models; `model` and `stages` are the student's.

    Without `assistant` the student learns the teacher's chains by itself. `also` are tasks answered beside those that
    are learnt, with their calibration: what a model of aspects says of whole posts.
    """

    kinds: ClassVar[tuple[Kind, ...]] = ("binary", "multiclass", "ordinal")

    data: MulCotData
    model: MulCotPart
    teacher: TeacherPart | None = None
    assistant: AssistantPart | None = None
    augment: AugmentPart | None = None
    distil: DistilPart | None = None
    also: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _assistant_reads_the_students_rows(self) -> Self:
        if self.assistant is None:
            return self
        self.check_stages(self.assistant.stages)
        own, its = self.model.sees, self.assistant.model.sees
        if self.distil is not None and self.distil.weight and own != its:
            raise ValueError(
                f"the student sees pictures by {own}, the assistant by {its}: to be listened to, it must have as many "
                "tokens of a picture as the student"
            )
        return self

    @model_validator(mode="after")
    def _calibration_fits_other_tasks(self) -> Self:
        taxonomy, first = load_taxonomy(), self.data.tasks[0]
        for task in self.also:
            if taxonomy[task].labels != taxonomy[first].labels:
                raise ValueError(f"also: {task!r} has other labels than {first!r}, whose calibration it would have")
        return self

    @model_validator(mode="after")
    def _has_a_teacher(self) -> Self:
        missing = [name for name in ("augment", "distil") if getattr(self, name) is not None]
        if self.assistant is None and missing:
            raise ValueError(f"{' and '.join(missing)} need an assistant")
        if self.distil is not None and self.distil.mask == "everything" and self.model.pack:
            raise ValueError("distil.mask=everything needs model.pack=false: rows that share a beginning have no own")
        return self


def train_mulcot(recipe: MulCotRecipe, report: Progress) -> dict[str, Any]:
    """Train assistant and student and write the student's run folder; gives the content of `metrics.json`."""
    from memescope.models.mulcot.model import check_roles
    from memescope.training.mulcot_chains import add_sampled, read_chained
    from memescope.training.staged.keys import stage_keys
    from memescope.training.staged.run import run_stages, train_staged

    train, val, roles = read_chained(recipe, report)
    left_out = roles.pop("left_out", {})
    student = MulCotLearner(recipe)
    if recipe.assistant is not None:
        first = assistants(recipe, recipe.assistant)
        learner = MulCotLearner(first)
        listens = recipe.distil is not None and recipe.distil.weight > 0
        if listens:  # told now, not when the assistant has been trained
            check_roles(learner.student, student.student, some_pictures(train))
        key = stage_keys(first, learner.version, train, val)[-1]
        stages, _ = run_stages(first, learner, _named(report, "assistant"), train, val, begin=learner.begin)
        roles["assistant"] = {"stages": stages, "parameters": learner.made.num_parameters()}
        if recipe.augment is not None:
            train, roles["augmentation"] = add_sampled(learner.student, key, train, recipe, report)
        if listens:
            student.listen(learner.student, key)
    student.roles = roles | {"student": {"parameters": student.made.num_parameters()}}
    told = {"roles": student.roles} | left_out
    return train_staged(
        recipe,
        student,
        _named(report, "student"),
        train,
        val,
        begin=student.begin,
        end=student.end,
        more=lambda: told,
    )


def some_pictures(memes: Sequence[Meme]) -> list[Any]:
    """A few pictures that can be read, spread evenly."""
    found = []
    for picture in spread([meme.image for meme in memes if meme.image is not None], SOME_PICTURES):
        try:
            open_picture(picture)
        except PictureError:
            continue
        found.append(picture)
    return found


def assistants(recipe: MulCotRecipe, its: AssistantPart) -> MulCotRecipe:
    """The recipe of the assistant alone."""
    seed = recipe.train.seed if its.seed is None else its.seed
    train = recipe.train.model_copy(update={"seed": seed})
    return recipe.model_copy(update={"model": its.model, "stages": its.stages, "train": train})


def _named(report: Progress, role: str) -> Progress:
    return lambda stage, done, total: report(f"{role}: {stage}", done, total)


class MulCotLearner(VlmLearner):
    """One role to be trained; a student may `listen` to its assistant."""

    def __init__(self, recipe: MulCotRecipe) -> None:
        from memescope.models.mulcot.model import MulCot

        super().__init__(recipe, MulCot, settings={"label_weight": recipe.model.label_weight})
        self.recipe = recipe
        self.roles: dict[str, Any] = {}
        self.version = f"{CODE_VERSION} {self.version}"
        self._look: Look | None = None

    def listen(self, assistant: MulCot, key: str) -> None:
        """Have the assistant's probabilities in the loss; `key` names how it was trained."""
        from memescope.models.mulcot.model import Taught

        its = self.recipe.distil or DistilPart()
        taught = Taught(self.student, assistant, its.weight, its.temperature, its.squared, its.mask)
        self.model = trained_part(self.made, taught)
        self.version += f" {key} {its.model_dump_json()}"
        if assistant.vlm.seen_by != self.made.vlm.seen_by:
            self._look = assistant.look

    @property
    def student(self) -> MulCot:
        """The model that is learnt, as its family has it."""
        made: Any = self.made
        found: MulCot = made
        return found

    def collate(self, memes: Sequence[Meme], objective: Objective) -> dict[str, Any]:
        """Rows and what the student sees of the pictures; and what the assistant sees, where it has other eyes."""
        batch = super().collate(memes, objective)
        if self._look is None:
            return batch
        own, self.made.look = self.made.look, self._look
        try:
            return batch | {"assistant_sights": super().collate(memes, objective)["sights"]}
        finally:
            self.made.look = own

    def settle(self, settled: dict[str, Settled], card: dict[str, dict[str, Any]]) -> None:
        """Calibration and thresholds; tasks that are answered `also` take those of the first that was learnt."""
        super().settle(settled, card)
        config, first = self.made.config, self.tasks[0]
        if not self.recipe.also or first not in settled:
            return
        config.tasks = [*(config.tasks or []), *(task for task in self.recipe.also if task not in self.tasks)]
        for task in self.recipe.also:
            for table in (config.calibration or {}, config.abstain or {}):
                table.setdefault(task, table[first])
            (config.card or {}).setdefault(task, {"trained_on": f"nothing: answered as {first} was learnt"})

    def card(self, metrics: dict[str, Any]) -> str:
        """The run's MODEL_CARD.md."""
        from memescope.training.mulcot_card import write_card

        return write_card(self.recipe, self.student, self.roles, metrics)


def with_chain(meme: Meme, task: str, reasoning: str, stated: str, number: int) -> Meme:
    """The same meme with another chain, which is about one task: a row of its own, to learn that task from."""
    label = meme.labels[task]
    meta = meme.meta | {"explains": [task]} | ({"stated": stated} if stated != label else {})
    return replace(meme, id=f"{meme.id}~{number}", labels={task: label}, rationale=reasoning, meta=meta)
