"""Training of the family `memelens` (arXiv 2601.12539): its recipe, and what it gives to be trained in stages.

Stage I learns labels over all sets, stage II, from the merged stage I, labels with explanations; `train_staged` runs
them, selects, calibrates and writes the run.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self, cast

from pydantic import Field, model_validator

from memescope.errors import UsageError
from memescope.meme import Meme, Reading
from memescope.models.memelens.prompting import Layout, Manner, Order, check_order, graded_forms, learnt_languages
from memescope.models.memelens.wording import Setting, load_wording
from memescope.training.memelens_data import MemeLensData, explained_tasks, read_mixture
from memescope.training.processes import processes
from memescope.training.readable import with_pictures
from memescope.training.run import Progress
from memescope.training.staged.recipe import Objective, Stage, StagedTraining
from memescope.training.vlm import VlmLearner, VlmPart, VlmRecipe

if TYPE_CHECKING:
    from memescope.models.memelens import MemeLens
    from memescope.training.staged.settle import Settled

HEADS_VERSION = 3
"""Raise it when the same recipe would train other heads."""


class MemeLensPart(VlmPart):
    """The model: any vision-language model, and how it is asked.

    `setting`, `layout`, `order`: `models.memelens.prompting`. `text` and `image` say what it is shown. `instructions`
    is a file of further wordings for training. `parts` labels of a multilabel task are asked about in a row. `derive`
    are coarse tasks answered by adding up a graded one. `head` puts a linear head on each task in place of words.
    """

    family: Literal["memelens"] = "memelens"
    setting: Setting = "hybrid"
    layout: Layout = "meme-first"
    order: Order = "classify-first"
    text: bool = True
    image: bool = True
    instructions: Path | None = None
    parts: int = Field(default=4, ge=1)
    derive: tuple[str, ...] = ()
    head: bool = False


class MemeLensTraining(StagedTraining):
    """`shard`: processes that train together share out the frozen weights of the language model, too (FSDP)."""

    shard: bool = False


class MemeLensRecipe(VlmRecipe):
    """One row of a table of MemeLens models."""

    objectives: ClassVar[tuple[Objective, ...]] = ("label", "both", "explain")

    model: MemeLensPart
    data: MemeLensData
    train: MemeLensTraining = MemeLensTraining()

    @model_validator(mode="after")
    def _coarse_tasks_have_a_graded_form(self) -> Self:
        try:
            graded_forms(self.model.derive, self.data.tasks)
        except UsageError as error:
            raise ValueError(f"model.{error}") from None
        return self

    @model_validator(mode="after")
    def _heads_learn_labels(self) -> Self:
        if self.model.head and any(stage.objective != "label" for stage in self.stages):
            raise ValueError("model.head: a head names labels and writes nothing: its stages learn the objective label")
        return self

    @model_validator(mode="after")
    def _frozen_weights_are_shared_out(self) -> Self:
        if self.train.shard and self.model.lora is None:
            raise ValueError("train.shard shares out weights that rest, and without model.lora none do")
        return self

    def model_matters(self, stages: Sequence[Stage]) -> dict[str, Any]:
        """How explanations are written matters from the first stage with explanations on."""
        matters = super().model_matters(stages)
        if all(stage.objective == "label" for stage in stages):
            del matters["order"], matters["max_rationale"]
        return matters


def train_memelens(recipe: MemeLensRecipe, report: Progress) -> dict[str, Any]:
    """Train a MemeLens model in stages and write its run folder; gives the content of `metrics.json`."""
    from memescope.training.staged.run import train_staged

    train, val = read_mixture(recipe.data)
    told: dict[str, Any] = {}
    if recipe.model.image:
        train, val, told = with_pictures(train, val, report)
    explained = explained_tasks(train, recipe.data.tasks)
    if any(stage.objective != "label" for stage in recipe.stages):
        check_order(recipe.model.order, explained)
    learner = MemeLensLearner(recipe, explained, learnt_languages(train, recipe.model.setting))
    if learner.shares is not None:
        told["shares"] = learner.shares
    return train_staged(recipe, learner, report, train, val, begin=learner.begin, end=learner.end, more=lambda: told)


class MemeLensLearner(VlmLearner):
    """A MemeLens model to be trained. `explained` are the tasks that there are explanations of, `languages` those that
    each task is learnt in."""

    def __init__(
        self, recipe: MemeLensRecipe, explained: tuple[str, ...], languages: dict[str, tuple[str, ...]]
    ) -> None:
        from memescope.models.memelens import HeadModel, MemeLens

        part = recipe.model
        manner = Manner(part.setting, part.layout, part.order, part.text, part.image, languages=languages)
        settings = {"manner": manner.to_dict(), "parts": part.parts, "derive": list(part.derive), "head": part.head}
        super().__init__(recipe, HeadModel if part.head else MemeLens, settings=settings)
        self.lens = cast("MemeLens", self.made)
        wording = load_wording(part.instructions)
        self.version += f" {wording.version}" + (f" heads {HEADS_VERSION}" if part.head else "")
        if part.instructions is not None:
            self.lens.learning = replace(manner, wording=wording)
        self._explained = explained
        self.shares: dict[str, int] | None = None
        if recipe.train.shard and processes() > 1:
            from memescope.training.sharding import share_out

            self.shares = share_out(self.made)

    def begin(self, number: int, stage: Stage) -> None:
        """Also: from the first stage with explanations on, the tasks that have them are asked for them."""
        super().begin(number, stage)
        if self.shares is not None:
            from memescope.training.sharding import leave_alone

            leave_alone(self.model)
        if stage.objective in ("both", "explain"):
            self.lens.change(explained=self._explained)
            self._rows.clear()

    def _place(self) -> None:
        if self.shares is None:  # what is shared out has its place
            super()._place()

    def rows(self, meme: Meme, objective: Objective) -> list[Any]:
        """A meme's token rows, made once for each of its copies."""
        key = (meme.source or "", f"{meme.split} {meme.id} {meme.aspect or ''} {','.join(meme.labels)}", objective)
        if key not in self._rows:
            self._rows[key] = self.made.rows(meme, objective, self._recipe.model.pack)
        return self._rows[key]

    def answer(self, memes: Sequence[Meme]) -> list[Reading]:
        """Answers of the model as it is, to what each meme is labelled for."""
        self.lens.labelled_only = True
        try:
            return super().answer(memes)
        finally:
            self.lens.labelled_only = False

    def settle(self, settled: dict[str, Settled], card: dict[str, dict[str, Any]]) -> None:
        """Also: of which tasks explanations were learnt; a task that is added up is believed as its graded form is."""
        super().settle(settled, card)
        explained, least = self.lens.manner.explained, self.lens.config.abstain or {}
        for task in self._recipe.data.tasks:
            card[task]["trained_on"] = card[task]["trained_on"] or "nothing: answered from its instruction alone"
            card[task]["explanations"] = "trained" if task in explained else "untrained"
        for coarse, graded in self.lens.derived.items():
            card[coarse] = {"trained_on": f"added up from {graded}", "explanations": "untrained"}
            least[coarse] = least.get(graded)
        if self.shares is not None:  # nothing is computed any more
            from memescope.training.sharding import gather

            gather(self.made)

    def card(self, metrics: dict[str, Any]) -> str:
        """The run's MODEL_CARD.md."""
        from memescope.training.memelens_card import write_card

        return write_card(self._recipe, self.lens, metrics)  # type: ignore[arg-type]
