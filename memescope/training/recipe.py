"""A recipe: one YAML file, checked, with `key=value` overrides (`data.limit=200`, `train.max_steps=5`, `out=DIR`)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from memescope.errors import UsageError


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class DataPart(_Part):
    """Which memes: prepared sets under `root`, `limit` rows of each split (0: all), and the folds.

    The memes of `ocr_sets` come twice, with the given text and with the text our OCR reads.
    `match` names for a set the task whose label mix in the val split calibration and decisions take over.
    """

    root: Path = Path(".")
    sets: tuple[str, ...] = Field(min_length=1)
    train_splits: tuple[str, ...] = ("train", "val")
    limit: int = Field(default=0, ge=0)
    folds: int = Field(default=5, ge=2)
    ocr_sets: tuple[str, ...] = ()
    match: dict[str, str] = {}


class ModelPart(_Part):
    """The starter's size and what each expert may choose from."""

    family: Literal["starter"] = "starter"
    ngram_bits: int = Field(default=16, ge=8, le=20)
    landmarks: int = Field(default=600, ge=1)
    gamma: float = Field(default=1.0, gt=0)
    picture_share: float = Field(default=0.5, gt=0)
    strengths: dict[str, tuple[float, ...]]


class TrainPart(_Part):
    """How long and from which seed."""

    max_steps: int = Field(default=150, ge=1)
    seed: int = 0


class AbstainPart(_Part):
    """The error each task's answered memes may have at most, and with which probability that may fail."""

    default: float = Field(default=0.3, gt=0, lt=1)
    target_error: dict[str, float] = {}
    delta: float = Field(default=0.05, gt=0, lt=1)


class Recipe(_Part):
    """Everything a run depends on."""

    name: str
    out: Path = Path("runs/starter")
    data: DataPart
    model: ModelPart
    train: TrainPart = TrainPart()
    abstain: AbstainPart = AbstainPart()


def load_recipe(source: str | Path | dict[str, Any], overrides: Sequence[str] = (), **named: Any) -> Recipe:
    """The recipe of a YAML file (or its content) with `overrides` like `data.limit=200` and `named` like `data={...}`.

    Values are read as YAML. Raises `UsageError` naming the file, the key and what was expected.
    """
    import yaml

    if isinstance(source, dict):
        content, where = dict(source), "recipe"
    else:
        where = str(source)
        path = Path(source)
        if not path.is_file():
            raise UsageError(f"{path}: no such recipe; recipes ship in the folder 'recipes'")
        try:
            content = yaml.safe_load(path.read_text("utf-8"))
        except yaml.YAMLError as error:
            raise UsageError(f"{path}: not YAML: {error}") from None
        if not isinstance(content, dict):
            raise UsageError(f"{path}: expected a mapping of keys, found {type(content).__name__}")
    for override in overrides:
        key, equals, value = override.partition("=")
        if not equals or not key:
            raise UsageError(f"override {override!r}: expected key=value, for example data.limit=200")
        _put(content, key.strip(), yaml.safe_load(value))
    for key, value in named.items():
        _put(content, key.replace("__", "."), value)
    try:
        return Recipe.model_validate(content)
    except ValidationError as error:
        wrong = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']} (found {e['input']!r})" for e in error.errors())
        raise UsageError(f"{where}: {wrong}") from None


def _put(content: dict[str, Any], key: str, value: Any) -> None:
    *parents, last = key.split(".")
    place = content
    for parent in parents:
        inner = place.setdefault(parent, {})
        if not isinstance(inner, dict):
            raise UsageError(f"override {key!r}: {parent!r} is a value, not a group of keys")
        place = inner
    if isinstance(value, dict) and isinstance(place.get(last), dict):
        value = {**place[last], **value}
    place[last] = value
