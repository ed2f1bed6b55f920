"""A meme and a task put into words: what MemeLens is told and asked, and the form of its reply.

The paper (arXiv 2601.12539, as released) sends, after the picture, the instruction, a reminder of the form, and the
meme's text. Here the meme's text stands before the instruction (`layout="meme-first"`): everything up to it is then the
same for all tasks of a meme, and is read once. `instruction-first` is the paper's order. The system message names no
task, for the same reason; the paper has one for each group of tasks.

A task with several labels is asked one label at a time, yes or no, so that each has a probability; the paper has the
labels written in a row.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

from memescope.datasets.conversations import plain
from memescope.errors import UsageError
from memescope.meme import Meme
from memescope.models.memelens.wording import NO, YES, Setting, Wording, language, listed, load_wording, names
from memescope.taxonomy import load_taxonomy

Layout = Literal["meme-first", "instruction-first"]
Order = Literal["classify-first", "explain-first"]
"""Which of label and explanation is written first, where both are asked for."""
LABEL, EXPLANATION = "Label:", "Explanation:"
_PLACE = "{label}"
LANGUAGES = {
    "ar": "Arabic", "bn": "Bengali", "de": "German", "en": "English", "es": "Spanish", "hi": "Hindi", "ro": "Romanian",
    "ru": "Russian", "zh": "Chinese",
}  # fmt: skip


@dataclass(frozen=True)
class Manner:
    """How a model is asked. `text` and `image` say which of the two it is shown; `explained` are the tasks whose labels
    are always asked for together with an explanation (the second stage's). `languages` are those that each task was
    learnt in: in others its labels are named in English, as names that were never learnt are scored at random; None:
    it is not known, so all have their own."""

    setting: Setting = "hybrid"
    layout: Layout = "meme-first"
    order: Order = "classify-first"
    text: bool = True
    image: bool = True
    explained: tuple[str, ...] = ()
    languages: Mapping[str, tuple[str, ...]] | None = None
    wording: Wording = field(default_factory=load_wording)

    def __post_init__(self) -> None:
        for name, kinds in (("layout", get_args(Layout)), ("order", get_args(Order))):
            if getattr(self, name) not in kinds:
                raise UsageError(f"{name} {getattr(self, name)!r}: expected one of {', '.join(kinds)}")
        if not self.text and not self.image:
            raise UsageError("a model that is shown neither text nor picture has nothing to answer from")

    def to_dict(self) -> dict[str, Any]:
        """JSON values that `manner_of` reads; the wording is not in them but its file, where there is one."""
        kept = {name: getattr(self, name) for name in ("setting", "layout", "order", "text", "image")}
        known = (
            {} if self.languages is None else {"languages": {task: list(some) for task, some in self.languages.items()}}
        )
        return kept | {"explained": list(self.explained)} | known

    def language(self, task: str, lang: str) -> str:
        """The language in which this task's labels are named to a meme in `lang`."""
        found = language(lang, self.setting)
        return found if self.languages is None or found in self.languages.get(task, ()) else "en"


def manner_of(stored: Mapping[str, Any]) -> Manner:
    """How a saved model is asked. A file of further wordings only matters to training: it is not needed any more."""
    known = stored.get("languages")
    languages = None if known is None else {task: tuple(some) for task, some in known.items()}
    return Manner(**{**stored, "explained": tuple(stored.get("explained", ())), "languages": languages})


def learnt_languages(memes: Iterable[Meme], setting: Setting) -> dict[str, tuple[str, ...]]:
    """Task -> the languages in which labels are named to the memes that it is learnt from."""
    found: dict[str, set[str]] = {}
    for meme in memes:
        for task in meme.labels:
            found.setdefault(task, set()).add(language(meme.lang, setting))
    return {task: tuple(sorted(found[task])) for task in sorted(found)}


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


@dataclass(frozen=True)
class Template:
    """One question of a task in one wording. `user` says {label} where a multilabel task names the label that it asks
    about; `names` are label -> what it is called."""

    user: str
    names: dict[str, str]
    lang: str


def graded_forms(coarse: Sequence[str], tasks: Sequence[str]) -> dict[str, str]:
    """Each coarse task -> the graded one among `tasks` that it is added up from. `UsageError` where there is none, or
    the coarse task is asked itself."""
    taxonomy = load_taxonomy()
    found = {}
    for name in coarse:
        graded = [task for task in tasks if taxonomy[task].coarse_task == name]
        if not graded or name in tasks:
            raise UsageError(
                f"derive: {name!r} is asked itself: leave it out of derive or of the tasks"
                if name in tasks
                else f"derive: {name!r} has no graded form among {', '.join(tasks)}: leave it out of derive"
            )
        found[name] = graded[0]
    return found


def check_order(order: Order, explained: Sequence[str]) -> None:
    """`UsageError` for explanations first of a task with several labels: it is a question for each label, and each
    would need an explanation of its own before it is answered."""
    several = [task for task in explained if load_taxonomy()[task].kind == "multilabel"]
    if order == "explain-first" and several:
        raise UsageError(
            f"order explain-first: {', '.join(several)} has several labels, each a question of its own, and one "
            "explanation cannot stand before all: take model.order=classify-first, or leave its explanations out"
        )


def can_ask(meme: Meme, task: str) -> bool:
    """Whether a meme can be asked a task: one about a phrase needs a phrase."""
    return bool(meme.aspect) or not load_taxonomy()[task].aspect


def template(meme: Meme, task: str, manner: Manner, variant: int = 0, explain: bool | None = None) -> Template:
    """How a meme is asked a task.

    `explain` None asks for an explanation where the task is one of `manner.explained`. Raises `UsageError` for a task
    on a phrase where the meme names none.
    """
    known = load_taxonomy()[task]
    if not can_ask(meme, task):
        raise UsageError(f"meme {meme.id!r}: {task} asks about a phrase, and the meme names none (aspect)")
    explain = task in manner.explained if explain is None else explain
    lang = manner.language(task, meme.lang)
    called = names(known, lang)
    several = known.kind == "multilabel"
    instruction = manner.wording.ask(task, variant, _PLACE if several else "", plain(meme.aspect or ""))
    question = f"{instruction} Answer with {listed([NO, YES] if several else list(called.values()))}."
    form = [f"{LABEL} <label>"]
    if explain:
        told = f"{EXPLANATION} <what picture and words show that speaks for the label, in {LANGUAGES[lang]}>"
        form = [told, *form] if manner.order == "explain-first" else [*form, told]
    said = "\n".join([question, manner.wording.reminder, *form])
    # what a meme says is never filled in
    words = plain(meme.text).replace(_PLACE, "{ label}").strip() if several else plain(meme.text).strip()
    text = f"Text on the meme: {words or '(none)'}" if manner.text else "The text is not shown."
    parts = [text, said] if manner.layout == "meme-first" else [said, text]
    return Template("\n\n".join(parts), called, lang)


def asked(meme: Meme, task: str, manner: Manner, variant: int = 0, explain: bool | None = None) -> list[Asked]:
    """What a meme is asked for a task: one question, or one for each label of a multilabel task."""
    made = template(meme, task, manner, variant, explain)
    if load_taxonomy()[task].kind != "multilabel":
        return [Asked(task, made.user, made.names, None, made.lang)]
    return [
        Asked(task, made.user.replace(_PLACE, name), {NO: NO, YES: YES}, label, made.lang)
        for label, name in made.names.items()
    ]


def reply(called: str, explanation: str | None, order: Order) -> str:
    """What a model should write: the label's name, with the explanation before or behind it where there is one."""
    label = f"{LABEL} {called}"
    if not explanation:
        return label
    told = f"{EXPLANATION} {plain(explanation).strip()}"
    return f"{told}\n{label}" if order == "explain-first" else f"{label}\n{told}"


def read_reply(text: str, called: dict[str, str]) -> tuple[str | None, str]:
    """(label, explanation) of a free reply; the label is None unless the reply names exactly one of those there are.

    Case, quotation marks and a final full stop do not matter. A reply that is a label's name alone is taken, too, and
    so is the taxonomy's own name of a label that was asked for in another language.
    """
    label, explanation = None, ""
    before, found, after = text.partition(LABEL)
    stated = after.splitlines()[0] if found and after.strip() else "" if found else text
    wanted = {one.casefold(): one for one in called} | {name.casefold(): one for one, name in called.items()}
    label = wanted.get(stated.strip().strip("'\"`*<>.").strip().casefold())
    for piece in (before, after):
        if EXPLANATION in piece:
            explanation = piece.split(EXPLANATION, 1)[1].strip()
    return label, explanation
