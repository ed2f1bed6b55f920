"""What a recipe of the family `mamba` says: the two sides of the model, adapters, and the remedies of its stages."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Literal, Self

from pydantic import Field, model_validator

from memescope.training.recipe import Part
from memescope.training.staged.recipe import Objective, Stage, StagedRecipe


class TextPart(Part):
    """The text side. `pretrained` names weights (hub id, folder, or what pretraining left here); without it `width`,
    `layers`, `states` and `tokenizer` are those of a model that starts at random. See `models.mamba.config`.
    """

    kind: Literal["mamba", "bert", "llama"] = "mamba"
    pretrained: str | None = None
    tokenizer: str | None = None
    width: int = Field(default=256, ge=16)
    layers: int = Field(default=8, ge=1)
    states: int = Field(default=16, ge=1)
    direction: Literal["forward", "both", "shared", "block"] = "forward"
    merge: Literal["concat", "mean"] = "concat"
    pool: Literal["mean", "last", "cls"] = "mean"
    max_tokens: int = Field(default=50, ge=1)
    delta_dropout: float = Field(default=0.0, ge=0, lt=1)
    prompt: str = ""

    @model_validator(mode="after")
    def _has_what_is_set(self) -> Self:
        if self.kind != "mamba":
            refuse(self, ("states", "delta_dropout"), f"kind {self.kind!r}, which has no scan")
        if self.direction in ("forward", "block"):
            refuse(self, ("merge",), f"direction {self.direction!r}, which gives one vector")
        if self.pretrained is not None:
            refuse(self, ("width", "layers", "states"), f"pretrained {self.pretrained!r}: sizes are the weights' own")
        return self


class ImagePart(Part):
    """The picture side. `pretrained` as for text, or for `frozen` the encoders' `names`; without it `width`, `depths`
    and `states` are those of a model that starts at random. `drop_path` null: that of the weights. `inpaint` paints
    captions over first.
    """

    kind: Literal["vmamba", "resnet", "vit", "frozen"] = "vmamba"
    pretrained: str | None = None
    names: tuple[str, ...] = ()
    width: int = Field(default=32, ge=16)
    depths: tuple[int, ...] = (1, 1, 2, 1)
    states: int = Field(default=1, ge=1)
    drop_path: float | None = Field(default=None, ge=0, lt=1)
    size: int = Field(default=224, ge=32)
    inpaint: bool = False

    @model_validator(mode="after")
    def _has_what_is_set(self) -> Self:
        if self.kind == "frozen":
            refuse(self, ("width", "depths"), "kind 'frozen': sizes are the encoders' own")
        else:
            refuse(self, ("names",), f"kind {self.kind!r}: only frozen encoders are named so")
        if self.kind != "vmamba":
            refuse(self, ("states", "drop_path"), f"kind {self.kind!r}: only a vmamba has that")
        if self.pretrained is not None:
            refuse(self, ("width", "depths", "states"), f"pretrained {self.pretrained!r}: sizes are the weights' own")
        return self


class LoraPart(Part):
    """Adapters; `text` and `image` name the layers that get them (null: the source's choice; []: none, all frozen)."""

    r: int = Field(default=8, ge=1)
    alpha: float = Field(default=8, gt=0)
    dropout: float = Field(default=0.1, ge=0, lt=1)
    text: tuple[str, ...] | None = None
    image: tuple[str, ...] | None = None


class MambaPart(Part):
    """The model. `freeze` {"text": n, "image": n}: embeddings and the first n layers are not trained."""

    family: Literal["mamba"] = "mamba"
    text: TextPart | None = None
    image: ImagePart | None = None
    fusion: Literal["concat", "token", "prefix"] = "concat"
    hidden: int = Field(default=64, ge=1)
    dropout: float = Field(default=0.0, ge=0, lt=1)
    lora: LoraPart | None = None
    freeze: dict[Literal["text", "image"], int] = Field(default_factory=dict)
    smoothing: float = Field(default=0.0, ge=0, lt=1)

    @model_validator(mode="after")
    def _sides_are_there(self) -> Self:
        learns = {"text": self.text is not None, "image": self.image is not None and self.image.kind != "frozen"}
        for side in [name for name, its in learns.items() if not its]:
            how = "image.kind 'frozen'" if side == "image" and self.image is not None else f"no {side} part"
            if side in self.freeze:
                raise ValueError(f"freeze.{side} and {how}: there is nothing to freeze; leave it out")
            if self.lora is not None and getattr(self.lora, side):
                raise ValueError(f"lora.{side} and {how}: there is nothing to adapt; leave it out")
        return self


class MambaStage(Stage):
    """A stage with the remedies against overfitting.

    `gamma`: the learning rate is multiplied by it after every epoch, in place of `schedule` and `warmup`. `rate_a`,
    `rate_b`: learning rates of LoRA's A and B, as shares of `learning_rate`; `rate_backbone`: of what is pretrained.
    `average`: what is evaluated and kept is a mean of weights ("ema" with `decay`; "swa" over the last half).
    `patience`: the training ends when the loss on the selection split was not the lowest for so many epochs; 0: never.
    """

    gamma: float | None = Field(default=None, gt=0, le=1)
    rate_a: float = Field(default=1.0, gt=0)
    rate_b: float = Field(default=1.0, gt=0)
    rate_backbone: float = Field(default=1.0, gt=0)
    average: Literal["ema", "swa"] | None = None
    decay: float = Field(default=0.99, gt=0, lt=1)
    patience: int = Field(default=0, ge=0)


class MambaRecipe(StagedRecipe):
    """One row of a table of Mamba models."""

    objectives: ClassVar[tuple[Objective, ...]] = ("label",)
    aspects: ClassVar[bool] = False

    model: MambaPart
    stages: tuple[MambaStage, ...] = Field(min_length=1)


def refuse(part: Part, names: Sequence[str], why: str) -> None:
    """`ValueError` for keys that are set (to more than their default, or nothing) where they would do nothing."""
    defaults = type(part).model_fields
    for name in names:
        if (value := getattr(part, name)) and value != defaults[name].default:
            raise ValueError(f"{name} {value} and {why}; leave {name} out")
