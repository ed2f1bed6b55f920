"""Which label a rationale argues for, read off its words: for those that conclude the opposite of what they explain.

The label's words (`memescope.rationales.naming`) with the negations of their clause. What the last sentence says that
names a label is the conclusion; one that names both, or asks, or supposes, concludes nothing.
"""

from __future__ import annotations

import re

from memescope.meme import Label
from memescope.rationales.naming import label_words, named_labels
from memescope.rationales.rules import sentences_in
from memescope.taxonomy.tasks import Task

_NEGATION = re.compile(
    r"\b(?:not|no|nor|never|neither|without|cannot|unlikely|absence of|devoid of|free of|nothing|none|"
    r"rather than|lack of|lacks|lacking|"
    r"hardly|far from|rule out)\b|n['’]t\b"
)
_CLAUSE = re.compile(
    r"[;:]|,?\s\b(?:but|however|although|though|while|whereas|yet|because|since|as it|which)\b|"
    r",\s(?:and\s|thus\s|thereby\s)?(?:making|it|its|they|this|these|the|that|there|he|she|could|can|may|might|is|are|was|hence|therefore|so)\b"
)
_CONCEDED = re.compile(r"\b(?:while|although|though|even if|despite|whereas)\b[^,;]*,")
"""What is granted before the point is made."""
_OPEN = re.compile(r"\b(?:whether|if)\b")
_OPPOSITE = re.compile(r"^(?:un|in|non[\s-]?)(?=\w)|less$")
_DEGREE = (
    r"(?:very|somewhat|slightly|partially|moderately|mildly|highly|extremely|severely|quite|less|more|most|really)"
)
_GRADED = re.compile(rf"{_DEGREE}\s+$")
_NEAR = 4
"""A degree (`somewhat harmful`) is stated on purpose: only a negation so many words before it speaks of it."""


def degree_words(text: str, task: Task) -> list[str]:
    """Degrees put on a label (`somewhat harmful`), lower-case, in order of appearance: what tells a graded label."""
    named = "|".join(re.escape(word) for word in dict.fromkeys(w for label in task.labels for w in label_words(label)))
    return list(dict.fromkeys(match[0] for match in re.finditer(rf"\b{_DEGREE}\s+(?:{named})\b", text.lower())))


def concluded(rationale: str, task: Task) -> Label | None:
    """The label that the rationale's last naming sentence states; None where it states none or several.

    For a graded task only the absence of what is graded can be read: the lowest label, or None.
    """
    for sentence in reversed(sentences_in(rationale.lower())):
        said = _said(sentence, task)
        if said:
            return said.pop() if len(said) == 1 else None
    return None


def _said(sentence: str, task: Task) -> set[str]:
    said: set[str] = set()
    for clause in _CLAUSE.split(_CONCEDED.sub(" ", sentence)):
        if _OPEN.search(clause):
            continue
        for word in named_labels(clause, task):
            for match in re.finditer(rf"(?<!\w){re.escape(word)}(?!\w)", clause):
                before = clause[: match.start()]
                if degree := _GRADED.search(before):
                    before = " ".join(before[: degree.start()].split()[-_NEAR:])
                negated = bool(_NEGATION.search(before))
                if label := _label(word, negated, task):
                    said.add(label)
    return said


def _label(word: str, negated: bool, task: Task) -> str | None:
    if task.kind == "binary":
        opposite = bool(_OPPOSITE.search(word)) and not any(word in label_words(label) for label in task.labels)
        return task.labels[0] if negated != opposite else task.labels[1]
    if task.kind == "ordinal" and len({w for label in task.labels for w in label_words(label)}) == 1:
        return task.labels[0] if negated or _OPPOSITE.search(word) else None
    if negated:
        return None
    return next((label for label in task.labels if word in label_words(label)), None)
