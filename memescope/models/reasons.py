"""Reasons on request: which models write them, and asking."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, Protocol, runtime_checkable

from memescope.meme import Meme

Reasons = Literal["acted-on", "all", "none"]
"""Of which memes a scan asks for reasons: those that are flagged or go to review, every one, none."""


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
