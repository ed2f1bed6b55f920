"""Training of a family on a vision-language model: what its recipe has, and what it gives to be trained in stages.

A family adds `class MyRecipe(VlmRecipe)` with its own `model`, a `VlmLearner` with what its card says, and

    train, val = read_staged(recipe)
    learner = MyLearner(recipe, MyModel)
    return train_staged(recipe, learner, report, train, val, begin=learner.begin, end=learner.end)
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self

from pydantic import Field, model_validator

from memescope.errors import MemescopeError
from memescope.meme import Meme, Reading
from memescope.training.recipe import Part
from memescope.training.staged.recipe import Objective, Stage, StagedRecipe

if TYPE_CHECKING:
    from torch import nn

    from memescope.models.vlm import VlmModel
    from memescope.training.staged.settle import Settled

CODE_VERSION = 1
"""Raise it when the same recipe would train another model."""


class TinyPart(Part):
    """A TinyVLM: `language` by name, its first `layers`, the frozen encoder `vision`, `side` squared tokens of a
    picture, a projector `width` wide."""

    language: str = "smollm2-135m"
    layers: int | None = Field(default=None, ge=1)
    vision: str = "effnet-lite0"
    side: int = Field(default=4, ge=1, le=7)
    width: int = Field(default=1152, ge=1)


class VlmPart(Part):
    """The model: `vlm` by name (`tinyvlm`, hub id or folder).

    `tiny` describes a TinyVLM. `lora` trains adapters (r, alpha, dropout, targets) in place of the language model;
    `merge` has each later stage start from the merged weights of the one before, with a new adapter. `weights` are
    what untrained weights are kept in. `picture`: min_pixels, max_pixels, do_image_splitting. `max_text` and
    `max_rationale` are tokens. `pack` puts what is learnt of a meme into one row where prompts begin alike. `keep`
    keeps the features of each picture in the user's cache (a large model's take megabytes each). `length`: see
    `models.scoring`; `choose` tries both on the selection split and takes the better. `soften` multiplies the final
    norm of a TinyVLM's language model before training: the first layers of a deep model alone are very sure of wrong
    words, and steps are spent on unlearning that.
    """

    family: str
    vlm: str = "tinyvlm"
    tiny: TinyPart | None = None
    lora: dict[str, Any] | None = None
    merge: bool = True
    weights: str = "float32"
    picture: dict[str, Any] | None = None
    max_text: int = Field(default=128, ge=1)
    max_rationale: int = Field(default=256, ge=1)
    pack: bool = True
    keep: bool = True
    length: str = Field(default="sum", pattern="^(sum|mean|choose)$")
    soften: float = Field(default=1.0, gt=0)

    @model_validator(mode="after")
    def _tiny_describes_a_tinyvlm(self) -> Self:
        if self.tiny is not None and self.vlm != "tinyvlm":
            raise ValueError(f"tiny describes a TinyVLM, and vlm is {self.vlm}: leave tiny out (model.tiny=null)")
        return self

    @model_validator(mode="after")
    def _softens_its_own(self) -> Self:
        if self.soften != 1 and self.vlm != "tinyvlm":
            raise ValueError(f"soften is for a TinyVLM, and vlm is {self.vlm}: leave soften out (model.soften=1)")
        return self


class VlmRecipe(StagedRecipe):
    """One row of a table of such models."""

    objectives: ClassVar[tuple[Objective, ...]] = ("label", "rationale", "both", "explain")

    model: VlmPart


class VlmLearner(ABC):
    """A family's model to be trained. The recipe's seed decides everything new in it.

    `model` is what the Trainer has: the family's model, of which a checkpoint keeps what is trained; `made` the
    family's model itself.
    """

    def __init__(self, recipe: VlmRecipe, family: type[VlmModel], **settings: Any) -> None:
        """`settings` are further fields of `VlmConfig` (`settings={...}` of the family)."""
        import torch

        from memescope.training.kept_sights import KeptSights

        torch.manual_seed(recipe.train.seed)
        part = recipe.model
        tiny = None
        if part.vlm == "tinyvlm":
            tiny = (part.tiny or TinyPart()).model_dump() | {"seed": recipe.train.seed}
        self.made: VlmModel = family.create(
            part.vlm,
            recipe.data.tasks,
            name=recipe.name,
            tiny=tiny,
            lora=part.lora,
            weights=part.weights,
            picture=part.picture,
            max_text=part.max_text,
            max_rationale=part.max_rationale,
            length="sum" if part.length == "choose" else part.length,
            precision="bfloat16" if recipe.train.precision == "bf16" else "float32",
            **settings,
        )
        if part.soften != 1:
            self.made.vlm.text_model.norm.weight.data.mul_(part.soften)
        if not torch.cuda.is_available():
            # on a CPU, at the length of memes, torch's fused attention is slower backward than the plain products
            self.made.vlm.text_model.set_attn_implementation("eager")
        self.made.look = KeptSights(self.made.vlm, part.keep)
        self.model: nn.Module = trained_part(self.made)
        self.tasks = tuple(recipe.data.tasks)
        self.version = f"{CODE_VERSION} {self.made.vlm.version}"
        self._recipe = recipe
        self._rows: dict[tuple[str, str, str], list[Any]] = {}

    def begin(self, number: int, stage: Stage) -> None:
        """Before stage `number` (from 0): the adapter of the stage before is merged, and a new one made. What comes
        after stages that were trained before (calibration) then is computed where they would have been."""
        import torch

        if number and self._recipe.model.lora is not None and self._recipe.model.merge:
            self.made.merge()
            torch.manual_seed(self._recipe.train.seed + number)
            self.made.adapt()
        self._place()

    def _place(self) -> None:
        from memescope.backbones.precision import best_device

        self.model.to(best_device())

    def end(self, labelled: Sequence[Meme]) -> None:
        """After the last stage: how label scores are summed, by the log-loss of the selection split's labels."""
        if self._recipe.model.length == "choose":
            losses = {}
            for length in ("sum", "mean"):
                self.made.config.length = length
                losses[length] = log_loss(self.answer(labelled), labelled, self.tasks)
            self.made.config.length = min(losses, key=losses.__getitem__)

    def rows(self, meme: Meme, objective: Objective) -> list[Any]:
        """A meme's token rows, made once."""
        # the same id may be in two splits, and a post has a row for each phrase that is asked about
        key = (meme.source or "", f"{meme.split} {meme.id} {meme.aspect or ''}", objective)
        if key not in self._rows:
            self._rows[key] = self.made.rows(meme, objective, self._recipe.model.pack)
        return self._rows[key]

    def collate(self, memes: Sequence[Meme], objective: Objective) -> dict[str, Any]:
        """The rows of some memes, each with its picture's features."""
        return self.made.batch(memes, [self.rows(meme, objective) for meme in memes])

    def length(self, meme: Meme, objective: Objective) -> int:
        """Tokens of the longest row a meme gives."""
        return max(map(len, self.rows(meme, objective)))

    def answer(self, memes: Sequence[Meme]) -> list[Reading]:
        """Answers of the model as it is."""
        return self.made.answer(memes)

    def save(self, folder: Path) -> None:
        """The run folder whole; for a stage, what is trained."""
        from safetensors.torch import save_file

        if folder == self._recipe.out:
            self.made.save_pretrained(folder)
            return
        folder.mkdir(parents=True, exist_ok=True)
        save_file(self.model.state_dict(), folder / "model.safetensors", metadata={"format": "pt"})

    def load(self, folder: Path) -> None:
        """What `save` wrote for a stage."""
        from safetensors.torch import load_file

        self.model.load_state_dict(load_file(folder / "model.safetensors"))

    def settle(self, settled: dict[str, Settled], card: dict[str, dict[str, Any]]) -> None:
        """Calibration and thresholds into the model's configuration."""
        from memescope.training.staged.settle import store

        store(self.made.config, settled, card)
        self.made.config.writes = any(
            stage.objective in ("rationale", "both", "explain") for stage in self._recipe.stages
        )

    @abstractmethod
    def card(self, metrics: dict[str, Any]) -> str:
        """The run's MODEL_CARD.md."""


def softened(part: VlmPart) -> list[str]:
    """The card's line on `soften`, where it is used."""
    line = (
        f"The final norm of the language model, cut from a deeper one, began at {part.soften:g} of its size: the first "
        "layers alone are sure of wrong words."
    )
    return [] if part.soften == 1 else [line]


def trained_part(made: VlmModel, through: Callable[..., Any] | None = None) -> nn.Module:
    """The model for the Trainer: its state is what is trained, adapters and new parts only, never what rests.

    `through` computes the loss in place of the model itself, where more than the model is needed (a teacher).
    """
    from torch import nn

    class Trained(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.made = made

        def forward(self, **batch: Any) -> Any:
            return (through or self.made)(**batch)

        def state_dict(self, *_: Any, **__: Any) -> Any:
            return {name: p.detach().contiguous() for name, p in self.named_parameters() if p.requires_grad}

        def load_state_dict(self, state_dict: Any, strict: bool = True, assign: bool = False) -> Any:
            """All of what is trained and nothing else, whatever `strict` says: what rests is never stored."""
            own = self.state_dict()
            if own.keys() != state_dict.keys():
                wrong = sorted(own.keys() ^ state_dict.keys())
                raise MemescopeError(f"stored weights are not those that are trained: {', '.join(wrong[:3])} ...")
            super().load_state_dict(state_dict, strict=False, assign=assign)
            return nn.modules.module._IncompatibleKeys([], [])

    return Trained()


def log_loss(readings: Sequence[Reading], memes: Sequence[Meme], tasks: Sequence[str]) -> float:
    """Mean over tasks of the mean negative log-probability of what is right, in nats."""
    from math import log

    from memescope.training.staged.stage import score_task

    found = []
    for task in tasks:
        rows = score_task(task, readings, memes)
        if rows is not None:
            right = rows.truth_matrix
            p = rows.probabilities
            chance = (p * right + (1 - p) * (1 - right)).clip(1e-9) if rows.multilabel else (p * right).sum(1)
            found.append(sum(-log(max(float(one), 1e-9)) for one in chance.ravel()) / chance.size)
    return sum(found) / max(len(found), 1)
