"""Which labels a text names, and in what words: for rationales that must give reasons without giving the answer away.

A label's words are those that tell it (`harmful` of `not-harmful` and `partially-harmful`), with their usual forms
(`harmless`, `harmfully`, `non-harmful`). Related words that a reason can hardly do without (`harm`, `hate`) are not the
label.
"""

from __future__ import annotations

import re
from functools import cache

from memescope.meme import Label
from memescope.taxonomy.tasks import Task

_GRADES = frozenset({
    "not", "non", "very", "slightly", "partially", "moderately", "somewhat", "highly", "general", "other", "none", "to",
    "and", "of",
})  # fmt: skip
"""Words of labels that name no label by themselves."""
_FORMS = {
    "harmful": ("harmless",),
    "toxic": ("toxicity",),
    "abusive": ("abuse",),
    "misogynous": ("misogynist", "misogynists", "misogynistic", "misogyny"),
    "sarcastic": ("sarcasm",),
    "funny": ("unfunny", "humorous", "humour", "humor"),
    "sarcasm": ("sarcastic",),
    "vulgar": ("vulgarity",),
    "political": ("apolitical",),
    "hateful": ("hate speech", "hatred"),
    "propaganda": ("propagandist", "propagandistic"),
    "motivational": ("motivating", "demotivational"),
    "metaphorical": ("metaphor", "metaphors", "metaphorically"),
    "literal": ("literally",),
}
_SUFFIX = "(?:ly|ness|ity)?"
_PREFIX = r"(?:un|in|non[\s-]?)?"


def label_words(label: str) -> tuple[str, ...]:
    """The words of a label that tell it: `("harmful",)` of `very-harmful`; all of it where none does."""
    words = re.split(r"[-_\s]+", label.lower())
    return tuple(word for word in words if word not in _GRADES) or tuple(words)


def shown(label: Label) -> str:
    """A label as a sentence says it: `not harmful`; several with commas."""
    return ", ".join(label).replace("-", " ") if isinstance(label, list) else label.replace("-", " ")


def named_labels(text: str, task: Task, label: Label | None = None, exempt: str = "") -> list[str]:
    """The words by which `text` names a label of `task`, lower-case, in order of appearance.

    For a binary or graded task any of its labels counts (naming one names the other); for others only those of `label`.
    What stands in `exempt` (the meme's own text) may be quoted.
    """
    if task.kind in ("binary", "ordinal") or label is None:
        labels: tuple[str, ...] = task.labels
    else:
        labels = tuple(label) if isinstance(label, list) else (label,)
    quoted = {match[0].lower() for match in _pattern(labels).finditer(exempt)}
    found = (match[0].lower() for match in _pattern(labels).finditer(text))
    return [word for word in dict.fromkeys(found) if word not in quoted]


@cache
def _pattern(labels: tuple[str, ...]) -> re.Pattern[str]:
    words = dict.fromkeys(word for label in labels for word in label_words(label))
    forms = [f"{_PREFIX}{re.escape(word)}{_SUFFIX}" for word in words]
    forms += [re.escape(form) for word in words for form in _FORMS.get(word, ())]
    return re.compile(rf"(?<!\w)(?:{'|'.join(sorted(forms, key=len, reverse=True))})(?!\w)", re.IGNORECASE)
