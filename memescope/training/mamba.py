"""Training of the family `mamba` (Liu et al., Mamba-Based Approaches to the Hateful Memes Challenge)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from memescope.meme import Meme, Reading
from memescope.training.mamba_recipe import ImagePart, MambaRecipe, MambaStage, TextPart
from memescope.training.readable import with_pictures
from memescope.training.run import Progress
from memescope.training.staged.recipe import Objective, Stage

if TYPE_CHECKING:
    from torch import Tensor
    from torch.nn import Module

    from memescope.training.staged.settle import Settled
    from memescope.training.staged.tricks import Tricks

CODE_VERSION = 1
"""Raise it when the same recipe would train another model."""


def train_mamba(recipe: MambaRecipe, report: Progress) -> dict[str, Any]:
    """Train a Mamba meme model and write its run folder; gives the content of `metrics.json`."""
    from memescope.training.staged.run import read_staged, train_staged

    train, val = read_staged(recipe)
    told: dict[str, Any] = {}
    if recipe.model.image is not None:
        train, val, told = with_pictures(train, val, report)
    learner = MambaLearner(recipe)
    return train_staged(recipe, learner, report, train, val, learner.tricks, more=lambda: told)


class MambaLearner:
    """A Mamba meme model to be trained. The recipe's seed decides its new layers."""

    def __init__(self, recipe: MambaRecipe) -> None:
        import torch

        from memescope.models.mamba import create
        from memescope.training.mamba_pixels import Kept

        torch.manual_seed(recipe.train.seed)
        part = recipe.model
        self.model: Any = create(
            side(part.text),
            side(part.image),
            tasks=recipe.data.tasks,
            fusion=part.fusion,
            hidden=part.hidden,
            dropout=part.dropout,
            lora=None if part.lora is None else part.lora.model_dump(),
            freeze=dict(part.freeze),
            smoothing=part.smoothing,
            name=recipe.name,
            precision="bfloat16" if recipe.train.precision == "bf16" else "float32",
        )
        config = self.model.config
        self.tasks = tuple(recipe.data.tasks)
        self._recipe = recipe
        sides = [about for about in (config.text, config.image) if about is not None]
        self.version = f"mamba/{CODE_VERSION} " + " ".join(f"{a['version']} {a.get('versions', '')}" for a in sides)
        processor = self.model.processor
        if processor.see is not None and config.image is not None:
            processor.see = Kept(processor.see, config.image)

    def collate(self, memes: Sequence[Meme], objective: Objective) -> dict[str, Tensor]:
        """A batch with its answers."""
        batch: dict[str, Tensor] = self.model.processor(memes, labels=True)
        return batch

    def length(self, meme: Meme, objective: Objective) -> int:
        """Tokens of the text; 1 where only pictures are looked at."""
        return 1 if self.model.config.text is None else len(self.model.processor.ids(meme))

    def answer(self, memes: Sequence[Meme]) -> list[Reading]:
        """Answers of the model as it is."""
        readings: list[Reading] = self.model.answer(memes)
        return readings

    def save(self, folder: Path) -> None:
        """The model's folder, whole: configuration, weights, tokenizer."""
        self.model.save_pretrained(folder)

    def load(self, folder: Path) -> None:
        """Weights that `save` wrote."""
        from safetensors.torch import load_model

        load_model(self.model, str(folder / "model.safetensors"))

    def settle(self, settled: dict[str, Settled], card: dict[str, dict[str, Any]]) -> None:
        """Calibration and thresholds into the model's configuration."""
        from memescope.training.staged.settle import store

        store(self.model.config, settled, card)

    def card(self, metrics: dict[str, Any]) -> str:
        """The run's MODEL_CARD.md."""
        from memescope.training.mamba_card import write_card

        return write_card(self._recipe, self.model, metrics)

    def tricks(self, stage: Stage) -> Tricks:
        """What a stage's training has beyond the plain one."""
        assert isinstance(stage, MambaStage)
        return tricks(self.model, stage)


def tricks(model: Module, stage: MambaStage) -> Tricks:
    """What a stage of fine-tuning or pretraining has beyond the plain one."""
    from memescope.training.staged.tricks import Tricks

    return Tricks(
        groups=lambda rate: groups(model, rate, stage),
        gamma=stage.gamma,
        average=stage.average,
        decay=stage.decay,
        patience=stage.patience,
    )


def groups(model: Module, rate: float, stage: MambaStage) -> list[dict[str, Any]]:
    """Trainable parameters by learning rate and weight decay, which vectors and A and D of scans are spared."""
    found: dict[tuple[float, float], list[Any]] = {}
    for name, p in model.named_parameters():
        if not p.requires_grad:
            continue
        share = 1.0
        if name.endswith("lora_A"):
            share = stage.rate_a
        elif name.endswith("lora_B"):
            share = stage.rate_b
        elif "backbone." in name:
            share = stage.rate_backbone
        last = name.rpartition(".")[2]
        decay = 0.0 if p.ndim < 2 or last in ("A_log", "A_logs", "dt_projs_bias") else stage.weight_decay
        found.setdefault((rate * share, decay), []).append(p)
    return [{"params": some, "lr": lr, "weight_decay": decay} for (lr, decay), some in found.items()]


def side(part: TextPart | ImagePart | None) -> dict[str, Any] | None:
    """A side of the model as `models.mamba.create` takes it: sizes only of one that starts at random."""
    if part is None:
        return None
    values = part.model_dump(exclude_none=True)
    if part.pretrained is not None or part.kind == "frozen":
        for size in ("width", "layers", "states", "depths"):
            values.pop(size, None)
    return values
