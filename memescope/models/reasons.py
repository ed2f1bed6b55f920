"""Reasons on request: which models write them, and asking."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol, runtime_checkable

from memescope.meme import Meme

Reasons = Literal["acted-on", "all", "none"]
"""Of which memes a scan asks for reasons: those that are flagged or go to review, every one, none."""


@dataclass(frozen=True)
class Explanation:
    """What a model writes for its answer to a task. `trained` is False where it never learnt explanations of it."""

    task: str
    text: str
    trained: bool


@runtime_checkable
class Explainer(Protocol):
    """A model that can be asked to write about one task, whether it learnt to or not."""

    def explanations(self, memes: Sequence[Meme], task: str) -> list[Explanation]:
        """What it writes for its own answer to the task, of each meme, in order."""
        ...


@runtime_checkable
class Reasoner(Protocol):
    """A model that can say in words why. `writes` is False for one that was never taught reasons."""

    writes: bool

    def generate(self, memes: Sequence[Meme]) -> list[str]:
        """The reasons for each meme, in order; empty where it has none to give."""
        ...


def writes_reasons(model: object) -> bool:
    """Whether a model was taught to write reasons."""
    return isinstance(model, Reasoner) and model.writes


def reasons_of(model: object, meme: Meme) -> str | None:
    """What a model writes on one meme; None when it writes none."""
    return model.generate([meme])[0].strip() or None if isinstance(model, Reasoner) and model.writes else None


def written_for(model: object, meme: Meme, tasks: Sequence[str]) -> dict[str, Explanation]:
    """What a model writes about some of its answers, by task; nothing for a model that cannot be asked by task."""
    if not isinstance(model, Explainer):
        return {}
    return {task: model.explanations([meme], task)[0] for task in tasks}
