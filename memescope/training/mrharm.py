"""Training of the family `mrharm` (arXiv 2312.05434): its recipe, and what it gives to be trained in stages."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from memescope.meme import Meme, Reading
from memescope.training.readable import with_pictures
from memescope.training.recipe import Part
from memescope.training.run import Progress
from memescope.training.staged.recipe import Objective, Stage, StagedRecipe

if TYPE_CHECKING:
    from torch import Tensor

    from memescope.training.staged.settle import Settled

CODE_VERSION = 1
"""Raise it when the same recipe would train another model."""


class MrHarmPart(Part):
    """The model: `language` and `vision` by name (packaged, pulled, hub id or folder), and how they meet.

    `layers` keeps the first so many of a decoder-only model. `fusion`, `fusion_layers`, `fusion_heads`, `final_fusion`:
    see `models.mrharm.MrHarmConfig`. `lora` trains adapters in place of the language model. `label_loss`: `tokens`
    writes the label, as published; `scores` is the cross-entropy of the scored labels. `as_released` reproduces the
    released code's settings. `max_text` and `max_rationale` are tokens.
    """

    family: Literal["mrharm"] = "mrharm"
    language: str = "smollm2-135m"
    vision: str | None = "effnet-lite0"
    layers: int | None = Field(default=None, ge=1)
    fusion: Literal["cross-attention", "concatenation", "none"] = "cross-attention"
    fusion_layers: str = "every"
    fusion_heads: int = Field(default=1, ge=1)
    final_fusion: bool = True
    lora: dict[str, Any] | None = None
    label_loss: Literal["tokens", "scores"] = "tokens"
    as_released: bool = False
    max_text: int | None = Field(default=None, ge=1)
    max_rationale: int | None = Field(default=None, ge=1)


class MrHarmRecipe(StagedRecipe):
    """One row of a table of Mr.Harm models."""

    model: MrHarmPart


def train_mrharm(recipe: MrHarmRecipe, report: Progress) -> dict[str, Any]:
    """Train a Mr.Harm model in stages and write its run folder; gives the content of `metrics.json`."""
    from memescope.training.staged.run import read_staged, train_staged

    train, val = read_staged(recipe)
    told: dict[str, Any] = {}
    if recipe.model.vision is not None:
        train, val, told = with_pictures(train, val, report)
    learner = MrHarmLearner(recipe)
    return train_staged(recipe, learner, report, train, val, begin=learner.begin, more=lambda: told)


class MrHarmLearner:
    """A Mr.Harm model to be trained. The recipe's seed decides its new layers."""

    def __init__(self, recipe: MrHarmRecipe) -> None:
        import torch

        from memescope.models.mrharm import MrHarmProcessor, create
        from memescope.training.staged.seen import Seen

        torch.manual_seed(recipe.train.seed)
        part = recipe.model
        sizes: dict[str, Any] = {"max_text": part.max_text, "max_rationale": part.max_rationale}
        self.model: Any = create(
            part.language,
            part.vision,
            recipe.data.tasks,
            part.layers,
            as_released=part.as_released,
            fusion=part.fusion,
            fusion_layers=part.fusion_layers,
            fusion_heads=part.fusion_heads,
            final_fusion=part.final_fusion,
            lora=part.lora,
            name=recipe.name,
            precision="bfloat16" if recipe.train.precision == "bf16" else "float32",
            **{name: value for name, value in sizes.items() if value is not None},
        )
        if not torch.cuda.is_available():
            # on a CPU, at the length of memes, torch's fused attention is slower backward than the plain products
            self.model.lm.set_attn_implementation("eager")
        config = self.model.config
        self.tasks = tuple(recipe.data.tasks)
        self.version = f"{CODE_VERSION} {config.language_version} {config.vision_version}"
        self._recipe = recipe
        self._label_stage: Literal["label", "answer"] = "answer" if part.label_loss == "scores" else "label"
        self._lengths: dict[tuple[str, str, str], int] = {}
        self._loaded: Path | None = None
        self._reasons: Path | None = None
        processor = self.model.processor
        if processor.vision is not None:
            seen = Seen(processor.vision, config.vision_settings)
            self.model.processor = MrHarmProcessor(processor.tokenizer, config, seen)

    def begin(self, number: int, stage: Stage) -> None:
        """Before stage `number`: weights that learnt reasons are kept where the stage teaches the label alone."""
        before = self._recipe.stages[number - 1].objective if number else "label"
        if stage.objective == "label" and before != "label":
            self._reasons = self._loaded

    def collate(self, memes: Sequence[Meme], objective: Objective) -> dict[str, Tensor]:
        """The rows of some memes, each with its picture's features."""
        processor = self.model.processor
        rows = [processor.rows(meme, self._stage(objective)) for meme in memes]
        seen = processor.see(memes)
        if seen is not None:
            counts = [len(some) for some in rows]
            seen = seen.repeat_interleave(seen.new_tensor(counts).long(), 0)
        batch: dict[str, Tensor] = processor.collate([row for some in rows for row in some], seen)
        return batch

    def length(self, meme: Meme, objective: Objective) -> int:
        """Tokens of the longest row a meme gives."""
        key = (meme.source or "", meme.id, objective)
        if key not in self._lengths:
            rows = self.model.processor.rows(meme, self._stage(objective))
            self._lengths[key] = max(len(row["input_ids"]) for row in rows)
        return self._lengths[key]

    def answer(self, memes: Sequence[Meme]) -> list[Reading]:
        """Answers of the model as it is."""
        readings: list[Reading] = self.model.answer(memes)
        return readings

    def save(self, folder: Path) -> None:
        """The model's folder, whole: configuration, weights, tokenizer; in the run folder what writes reasons, too."""
        from memescope.models.mrharm.model import REASONS

        self.model.save_pretrained(folder)
        shutil.rmtree(folder / REASONS, ignore_errors=True)  # of a run that was here before
        if self._reasons is not None and folder == self._recipe.out:
            from safetensors.torch import load_file, save_file

            weights = load_file(self._reasons / "model.safetensors")
            half = {name: value.bfloat16() for name, value in weights.items()}
            (folder / REASONS).mkdir(exist_ok=True)
            save_file(half, folder / REASONS / "model.safetensors", metadata={"format": "pt"})

    def load(self, folder: Path) -> None:
        """Weights that `save` wrote."""
        from safetensors.torch import load_model

        load_model(self.model, str(folder / "model.safetensors"))
        self._loaded = folder

    def settle(self, settled: dict[str, Settled], card: dict[str, dict[str, Any]]) -> None:
        """Calibration and thresholds into the model's configuration."""
        from memescope.training.staged.settle import store

        store(self.model.config, settled, card)
        self.model.config.writes = any(stage.objective != "label" for stage in self._recipe.stages)

    def card(self, metrics: dict[str, Any]) -> str:
        """The run's MODEL_CARD.md."""
        from memescope.training.mrharm_card import write_card

        return write_card(self._recipe, self.model.config, metrics)

    def _stage(self, objective: Objective) -> Any:
        return self._label_stage if objective == "label" else objective
