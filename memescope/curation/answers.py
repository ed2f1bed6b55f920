"""Labels as answers to questions, so that rows can be compared: what is asked, what a row says, how far they differ."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from memescope.curation.identity import normal_text
from memescope.meme import Label, Meme
from memescope.taxonomy import load_taxonomy

Answer = str | tuple[str, ...]
"""A label; for a multilabel task all that hold, in alphabetical order."""
Question = tuple[str, str, str]
"""Task, aspect, and the aspect's place in the text; the last two are "" for most tasks."""


def labelled(memes: Sequence[Meme], rows: Sequence[int]) -> dict[Question, dict[int, Answer]]:
    """(task, aspect, its place) -> the answers of the rows labelled for it; both are "" for most tasks.

    The same phrase at two places of a tweet is two questions: its place is the text with the phrase masked.
    """
    found: dict[Question, dict[int, Answer]] = defaultdict(dict)
    for row in rows:
        meme = memes[row]
        aspect, place = normal_text(meme.aspect or ""), normal_text(str(meme.meta.get("text_masked") or ""))
        for task, label in meme.labels.items():
            found[task, aspect, place][row] = as_answer(label)
    return found


def as_answer(label: Label) -> Answer:
    """A label in a form that can be compared and counted."""
    return label if isinstance(label, str) else tuple(sorted(label))


def shown(answer: Answer) -> str:
    """An answer in words; no label at all is "(none)"."""
    return answer if isinstance(answer, str) else " + ".join(answer) or "(none)"


def label_distance(task: str, first: Answer, second: Answer) -> float:
    """How far two answers to a task are apart; see `Conflict`."""
    kind, labels = load_taxonomy()[task].kind, load_taxonomy()[task].labels
    if not isinstance(first, str) or not isinstance(second, str):
        either = set(first) | set(second)
        return 1 - len(set(first) & set(second)) / len(either) if either else 0.0
    if first == second:
        return 0.0
    if kind == "ordinal":
        return abs(labels.index(first) - labels.index(second)) / (len(labels) - 1)
    return 0.5 if "neutral" in (first, second) else 1.0
