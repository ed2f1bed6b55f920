"""All public datasets by name."""

from __future__ import annotations

from functools import cache
from importlib import import_module
from importlib.resources import files

from memescope.datasets.source import Source
from memescope.errors import UsageError


@cache
def load_sources() -> dict[str, Source]:
    """Every source by name, in alphabetical order: the modules of `memescope.datasets.sources`."""
    folder = files("memescope.datasets.sources")
    names = sorted(f.name.removesuffix(".py") for f in folder.iterdir() if f.name.endswith(".py") and f.name[0] != "_")
    return {name: import_module(f"memescope.datasets.sources.{name}").SOURCE for name in names}


def load_source(name: str) -> Source:
    """One source; `UsageError` names those that exist."""
    sources = load_sources()
    if name not in sources:
        raise UsageError(f"no dataset {name!r}; there are: {', '.join(sources)}")
    return sources[name]
