"""The starter's recipe."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field

from memescope.training.recipe import Data, Part, Recipe


class StarterData(Data):
    """Which memes, and the folds.

    The memes of `ocr_sets` come twice, with the given text and with the text our OCR reads.
    `match` names for a set the task whose label mix in the val split calibration and decisions take over.
    """

    folds: int = Field(default=5, ge=2)
    ocr_sets: tuple[str, ...] = ()
    match: dict[str, str] = Field(default={})


class ModelPart(Part):
    """The starter's size and what each expert may choose from."""

    family: Literal["starter"] = "starter"
    ngram_bits: int = Field(default=16, ge=8, le=20)
    landmarks: int = Field(default=600, ge=1)
    gamma: float = Field(default=1.0, gt=0)
    picture_share: float = Field(default=0.5, gt=0)
    strengths: dict[str, tuple[float, ...]]


class TrainPart(Part):
    """How long and from which seed."""

    max_steps: int = Field(default=150, ge=1)
    seed: int = 0


class AbstainPart(Part):
    """The error each task's answered memes may have at most, and with which probability that may fail."""

    default: float = Field(default=0.3, gt=0, lt=1)
    target_error: dict[str, float] = Field(default={})
    delta: float = Field(default=0.05, gt=0, lt=1)


class StarterRecipe(Recipe):
    """Everything a run of the starter depends on."""

    out: Path = Path("runs/starter")
    data: StarterData
    model: ModelPart
    train: TrainPart = TrainPart()
    abstain: AbstainPart = AbstainPart()
