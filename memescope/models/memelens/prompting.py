"""A meme and a task put into words: what MemeLens is told and asked, and the form of its reply.

The paper (arXiv 2601.12539, as released) sends, after the picture, the instruction, a reminder of the form, and the
meme's text. Here the meme's text stands before the instruction (`layout="meme-first"`): everything up to it is then the
same for all tasks of a meme, and is read once. `instruction-first` is the paper's order. The system message names no
task, for the same reason; the paper has one for each group of tasks.

A task with several labels is asked one label at a time, yes or no, so that each has a probability; the paper has the
labels written in a row.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal, get_args

from memescope.datasets.conversations import plain
from memescope.errors import UsageError
from memescope.meme import Meme
from memescope.models.memelens.wording import NO, YES, Setting, Wording, language, listed, load_wording, names
from memescope.taxonomy import load_taxonomy
from memescope.taxonomy.tasks import Task

Layout = Literal["meme-first", "instruction-first"]
Order = Literal["classify-first", "explain-first"]
"""Which of label and explanation is written first, where both are asked for."""
LABEL, EXPLANATION = "Label:", "Explanation:"
LANGUAGES = {
    "ar": "Arabic", "bn": "Bengali", "de": "German", "en": "English", "es": "Spanish", "hi": "Hindi", "ro": "Romanian",
    "ru": "Russian", "zh": "Chinese",
}  # fmt: skip


@dataclass(frozen=True)
class Manner:
    """How a model is asked. `text` and `image` say which of the two it is shown; `explained` are the tasks whose labels
    are always asked for together with an explanation (the second stage's)."""

    setting: Setting = "hybrid"
    layout: Layout = "meme-first"
    order: Order = "classify-first"
    text: bool = True
    image: bool = True
    explained: tuple[str, ...] = ()
    wording: Wording = field(default_factory=load_wording)

    def __post_init__(self) -> None:
        for name, kinds in (("layout", get_args(Layout)), ("order", get_args(Order))):
            if getattr(self, name) not in kinds:
                raise UsageError(f"{name} {getattr(self, name)!r}: expected one of {', '.join(kinds)}")
        if not self.text and not self.image:
            raise UsageError("a model that is shown neither text nor picture has nothing to answer from")


@dataclass(frozen=True)
class Asked:
    """One question: the whole user message, and label -> what it is called in the reply, in the labels' order.

    `part` is the label that a multilabel task is asked about; `names` are then those of no and yes.
    """

    task: str
    user: str
    names: dict[str, str]
    part: str | None = None
    lang: str = "en"


def asked(meme: Meme, task: str, manner: Manner, variant: int = 0, explain: bool | None = None) -> list[Asked]:
    """What a meme is asked for a task: one question, or one for each label of a multilabel task.

    `explain` None asks for an explanation where the task is one of `manner.explained`. Raises `UsageError` for a task
    on a phrase where the meme names none.
    """
    known = load_taxonomy()[task]
    if task == "aspect_sentiment" and not meme.aspect:
        raise UsageError(f"meme {meme.id!r}: {task} asks about a phrase, and the meme names none (aspect)")
    explain = task in manner.explained if explain is None else explain
    lang = language(meme.lang, manner.setting)
    called = names(known, lang)
    parts: Sequence[str | None] = known.labels if known.kind == "multilabel" else (None,)
    return [_asked(meme, known, manner, variant, explain, lang, called, part) for part in parts]


def _asked(
    meme: Meme,
    task: Task,
    manner: Manner,
    variant: int,
    explain: bool,
    lang: str,
    called: dict[str, str],
    part: str | None,
) -> Asked:
    label = called[part] if part else ""
    choices = {NO: NO, YES: YES} if part else called
    instruction = manner.wording.ask(task.name, variant, label, plain(meme.aspect or ""))
    question = f"{instruction} Answer with {listed(list(choices.values()))}."
    form = [f"{LABEL} <label>"]
    if explain:
        told = f"{EXPLANATION} <what picture and words show that speaks for the label, in {LANGUAGES[lang]}>"
        form = [told, *form] if manner.order == "explain-first" else [*form, told]
    said = "\n".join([question, manner.wording.reminder, *form])
    text = f"Text on the meme: {plain(meme.text).strip() or '(none)'}" if manner.text else "The text is not shown."
    parts = [text, said] if manner.layout == "meme-first" else [said, text]
    return Asked(task.name, "\n\n".join(parts), choices, part, lang)


def reply(called: str, explanation: str | None, order: Order) -> str:
    """What a model should write: the label's name, with the explanation before or behind it where there is one."""
    label = f"{LABEL} {called}"
    if not explanation:
        return label
    told = f"{EXPLANATION} {plain(explanation).strip()}"
    return f"{told}\n{label}" if order == "explain-first" else f"{label}\n{told}"


def read_reply(text: str, called: dict[str, str]) -> tuple[str | None, str]:
    """(label, explanation) of a free reply; the label is None unless the reply names exactly one of those there are.

    Case, quotation marks and a final full stop do not matter; a reply that is a label's name alone is taken, too.
    """
    label, explanation = None, ""
    before, found, after = text.partition(LABEL)
    stated = after.splitlines()[0] if found and after.strip() else "" if found else text
    wanted = {name.casefold(): one for one, name in called.items()}
    label = wanted.get(stated.strip().strip("'\"`*<>.").strip().casefold())
    for piece in (before, after):
        if EXPLANATION in piece:
            explanation = piece.split(EXPLANATION, 1)[1].strip()
    return label, explanation
