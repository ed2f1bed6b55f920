"""Models by name or run folder: `load("starter")` is the one that ships in the package."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from memescope.errors import UsageError
from memescope.meme import Evidence, Meme, Reading

FAMILIES = {
    "mamba": "memescope.models.mamba:load_folder",
    "memelens": "memescope.models.memelens:load_folder",
    "mmorient": "memescope.models.mmorient:load_folder",
    "mrharm": "memescope.models.mrharm:load_folder",
    "mulcot": "memescope.models.mulcot:load_folder",
    "starter": "memescope.models.starter:load_folder",
}
"""Family -> the function that loads a folder of it, imported when it is asked for."""
HEATS = {
    "mamba": ("memescope.models.mamba.heat:heat_map", ("gradcam", "hidden-attention")),
    "mmorient": ("memescope.models.mmorient.inside:heat_map", ("attention",)),
}
"""Family -> what draws its inside views, `(model, meme, task, method) -> explanation.heat.Heat`, and their methods."""
SERVED = {"openai:": "memescope.remote:open_remote"}
"""Beginning of a name -> the function that opens a model which is served elsewhere, of the whole name."""
PACKAGED = {"starter": Path(__file__).parent / "starter" / "weights"}
"""Name -> the folder of a model in the package."""


def with_access(name: str, allow_remote: str | None = None, key_env: str | None = None) -> str:
    """A served model's name with the host that may be sent memes and the variable that holds the key.

    Raises `UsageError` where a model on this machine is given either.
    """
    if not (allow_remote or key_env):
        return name
    if not is_served(name):
        raise UsageError(f"--allow-remote and --key-env are for --model openai:URL; {name!r} runs on this machine")
    found: str = import_module("memescope.remote.spec").with_access(name, allow_remote, key_env)
    return found


def is_served(name: str) -> bool:
    """Whether a model's name is that of one behind a server."""
    return any(name.startswith(beginning) for beginning in SERVED)


class Model(Protocol):
    """What every model does, whatever its family."""

    name: str
    version: str
    tasks: tuple[str, ...]
    card: Mapping[str, Mapping[str, Any]]

    def answer(self, memes: Sequence[Meme]) -> list[Reading]:
        """One Reading a meme, in order; any batch size or order gives the same numbers (1e-4)."""
        ...

    def explain(self, meme: Meme, tasks: Sequence[str]) -> dict[str, Evidence]:
        """What each of some tasks' answers rests on."""
        ...


@runtime_checkable
class Narrows(Protocol):
    """A model whose every task costs: it can be told which ones are wanted."""

    def asked_for(self, tasks: Sequence[str]) -> AbstractContextManager[None]:
        """Answer these tasks alone inside."""
        ...


@runtime_checkable
class Computes(Protocol):
    """A model that may compute in less than float32 (others do not)."""

    @property
    def computes_in(self) -> str:
        """float32 or bfloat16, on the device that it is on."""
        ...


@runtime_checkable
class Looks(Protocol):
    """A model that may do without pictures: it says whether it looks at them (others are taken to)."""

    @property
    def looks(self) -> bool:
        """False: it reads text alone, so a meme whose picture was never obtained can be answered."""
        ...


def load(name_or_path: str | Path = "starter") -> Model:
    """A packaged model by name, the model in a run folder, or one behind a server (`openai:URL`).

    Raises `UsageError` for a name that is not packaged, a folder without a model and a family that is not known.
    """
    for beginning, place in SERVED.items():
        if str(name_or_path).startswith(beginning):
            module, function = place.split(":")
            opened: Model = getattr(import_module(module), function)(str(name_or_path))
            return opened
    folder = PACKAGED.get(str(name_or_path), Path(name_or_path))
    module, function = FAMILIES[family_of(name_or_path)].split(":")
    loader: Callable[[Path], Model] = getattr(import_module(module), function)
    return loader(folder)


def family_of(name_or_path: str | Path) -> str:
    """The family of a packaged model or of the model in a run folder; `UsageError` as `load`."""
    folder = PACKAGED.get(str(name_or_path), Path(name_or_path))
    config = folder / "config.json"
    if not config.is_file():
        raise UsageError(
            f"no model {str(name_or_path)!r}: expected one of {', '.join(PACKAGED)}, or a run folder with config.json"
        )
    try:
        family: str = json.loads(config.read_text("utf-8"))["family"]
    except (json.JSONDecodeError, KeyError, TypeError) as error:
        raise UsageError(f"{config}: expected JSON with a 'family': {type(error).__name__}: {error}") from None
    if family not in FAMILIES:
        raise UsageError(f"{config}: family {family!r} is not known; families: {', '.join(FAMILIES)}")
    return family


def heat(model: Model, meme: Meme, task: str, method: str) -> Any:
    """An inside view of an answer (`explanation.heat.Heat`). `UsageError` for a method the family does not have."""
    family = getattr(getattr(model, "config", None), "family", "starter")
    entry, methods = HEATS.get(family, ("", ()))
    if method not in methods:
        there = "; ".join(f"{name}: {', '.join(some)}" for name, (_, some) in HEATS.items())
        raise UsageError(f"{model.name} has no view {method!r}, only occlusion; there are: {there}")
    module, function = entry.split(":")
    return getattr(import_module(module), function)(model, meme, task, method)
