"""A recipe: one YAML file, checked, with `key=value` overrides (`data.limit=200`, `train.max_steps=5`, `out=DIR`).

`model.family` says which family's recipe it is; each family checks its own keys.
"""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy
from importlib import import_module
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic_core import ErrorDetails

from memescope.errors import UsageError

FAMILIES = {
    "mamba": "memescope.training.mamba_recipe:MambaRecipe",
    "mamba-pretrain": "memescope.training.mamba_pretrain:PretrainRecipe",
    "starter": "memescope.training.starter.recipe:StarterRecipe",
    "memelens": "memescope.training.memelens:MemeLensRecipe",
    "mrharm": "memescope.training.mrharm:MrHarmRecipe",
    "mmorient": "memescope.training.mmorient:MmOrientRecipe",
    "mulcot": "memescope.training.mulcot:MulCotRecipe",
}
"""Family -> the recipe that describes its training, imported when it is asked for."""


class Part(BaseModel):
    """A group of keys; unknown ones are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Data(Part):
    """Which memes: prepared sets under `root`, `limit` rows of each split (0: all).

    `clean` names what `memescope data audit --out` wrote of these sets: only rows of their clean splits are taken.
    """

    root: Path = Path(".")
    sets: tuple[str, ...] = Field(min_length=1)
    train_splits: tuple[str, ...] = ("train", "val")
    limit: int = Field(default=0, ge=0)
    clean: Path | None = None


class Recipe(Part):
    """What the recipes of all families have."""

    name: str
    out: Path
    data: Data


def load_recipe(source: str | Path | dict[str, Any], overrides: Sequence[str] = (), **named: Any) -> Recipe:
    """The recipe of a YAML file (or its content) with `overrides` like `data.limit=200` and `named` like `data={...}`.

    Values are read as YAML. Raises `UsageError` naming the file, the key and what was expected.
    """
    import yaml

    if isinstance(source, dict):
        content, where = deepcopy(source), "recipe"
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
        try:
            _put(content, key.strip(), yaml.safe_load(value))
        except yaml.YAMLError as error:
            raise UsageError(f"override {override!r}: the value is not YAML: {error}") from None
    for key, value in named.items():
        _put(content, key.replace("__", "."), deepcopy(value))
    try:
        recipe: Recipe = _family(content, where).model_validate(content)
        return recipe
    except ValidationError as error:
        raise UsageError(f"{where}: {'; '.join(map(_told, error.errors()))}") from None


def _told(error: ErrorDetails) -> str:
    """One thing that is wrong: where, why, and what was found, unless that is a whole group of keys."""
    found = "" if isinstance(error["input"], dict | BaseModel) else f" (found {error['input']!r})"
    return ": ".join(filter(None, (".".join(map(str, error["loc"])), error["msg"]))) + found


def _family(content: dict[str, Any], where: str) -> type[Recipe]:
    model = content.get("model")
    family = model.get("family") if isinstance(model, dict) else None
    if family not in FAMILIES:
        raise UsageError(f"{where}: model.family: expected one of {', '.join(FAMILIES)} (found {family!r})")
    module, name = FAMILIES[family].split(":")
    kind: type[Recipe] = getattr(import_module(module), name)
    return kind


def _put(content: dict[str, Any], key: str, value: Any) -> None:
    """Set `a.b.c`; a number counts the entries of a list from 0, as in `stages.0.epochs`."""
    *parents, last = key.split(".")
    place: Any = content
    for parent in parents:
        inner = place[_index(place, parent, key)] if isinstance(place, list) else place.setdefault(parent, {})
        if not isinstance(inner, dict | list):
            raise UsageError(f"override {key!r}: {parent!r} is a value, not a group of keys")
        place = inner
    if isinstance(place, list):
        place[_index(place, last, key)] = value
        return
    if isinstance(value, dict) and isinstance(place.get(last), dict):
        value = {**place[last], **value}
    place[last] = value


def _index(place: list[Any], number: str, key: str) -> int:
    if not number.isdigit() or int(number) >= len(place):
        raise UsageError(f"override {key!r}: expected a number from 0 to {len(place) - 1}, found {number!r}")
    return int(number)
