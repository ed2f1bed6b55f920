"""Rationales changed to find out what a student takes from them: files that `memescope train` reads like any other.

`silent`: without the sentences that name a label of the task, so that the reasons must stand by themselves. `swapped`:
each meme gets the rationale of another meme of the same split and label, so that the label in a teacher's words is all
that is left of it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from memescope.errors import UsageError
from memescope.meme import Meme
from memescope.rationales.audit import groups_of
from memescope.rationales.rules import words_in
from memescope.rationales.sameness import sameness
from memescope.rationales.store import Rationale
from memescope.rationales.sufficiency import silent_sentences
from memescope.rationales.things import Ground
from memescope.taxonomy.tasks import Task

FEWEST_WORDS = 5
"""What is left of a rationale with fewer words is no reason: it is left out."""


def silent(memes: Sequence[Meme], rationales: Mapping[str, Rationale], task: Task, seed: int = 0) -> list[Rationale]:
    """Each rationale without the sentences that name a label; those of which next to nothing is left are left out."""
    found = []
    for meme in memes:
        if meme.id in rationales:
            text = silent_sentences(rationales[meme.id].rationale, task)
            if words_in(text) >= FEWEST_WORDS:
                found.append(_changed(rationales[meme.id], text, "silent"))
    return found


def swapped(memes: Sequence[Meme], rationales: Mapping[str, Rationale], task: Task, seed: int = 0) -> list[Rationale]:
    """Each meme with the rationale of another of its split and label, none used twice.

    Never that of a meme with nearly the same text or rationale; a meme for which there is no other is left out.
    """
    memes = [meme for meme in memes if meme.id in rationales]
    texts = [rationales[meme.id].rationale for meme in memes]
    group = groups_of(memes, sameness(texts, [Ground([meme.text]) for meme in memes]))
    alike: dict[Any, list[int]] = defaultdict(list)
    for i, meme in enumerate(memes):
        alike[meme.split, str(meme.labels.get(task.name))].append(i)
    turn = np.random.default_rng(seed).permutation(len(memes))
    given: dict[int, int] = {}
    for rows in alike.values():
        # Half a turn of a circle in which each group stands together: unless one is over half, nobody meets their own.
        circle = sorted(rows, key=lambda i: turn[group[i]])
        for place, i in enumerate(circle):
            other = circle[(place + len(circle) // 2) % len(circle)]
            if group[other] != group[i]:
                given[i] = other
    return [_changed(rationales[memes[i].id], texts[given[i]], "swapped") for i in range(len(memes)) if i in given]


HOWS: dict[str, Callable[[Sequence[Meme], Mapping[str, Rationale], Task, int], list[Rationale]]] = {
    "silent": silent,
    "swapped": swapped,
}
"""How -> the function that changes the rationales of some memes."""


def change(
    memes: Sequence[Meme], rationales: Mapping[str, Rationale], task: Task, how: str, seed: int = 0
) -> list[Rationale]:
    """Changed rationales in the memes' order. `UsageError` for an unknown `how`, or where no rationale is left."""
    if how not in HOWS:
        raise UsageError(f"--how {how}: expected one of {', '.join(HOWS)}")
    found = HOWS[how](memes, rationales, task, seed)
    if not found:
        raise UsageError(f"--how {how}: nothing is left of {len(rationales)} rationales")
    return found


def _changed(one: Rationale, text: str, how: str) -> Rationale:
    """The record says how; fields of the reply as it was would contradict the text."""
    return replace(one, rationale=text, prompt=f"{one.prompt} ({how})", parts={}, logprob=None)
