"""Prompts as files: `prompts/NAME.yaml`, or any file of that form. Each has a version, its rules, and what it asks for.

Placeholders are `$name` and filled in one pass, so that no value is ever read as a template. Meme text goes in as
`$data` (`memescope.rationales.delimiting`); `$raw` is there for measuring what that is worth.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from importlib.resources import files
from pathlib import Path
from string import Template
from typing import Any, Literal, get_args

from memescope.cache import content_key
from memescope.errors import UsageError
from memescope.meme import Label, Meme
from memescope.rationales.delimiting import as_data
from memescope.rationales.naming import shown
from memescope.rationales.replies import KINDS
from memescope.rationales.rules import Rules
from memescope.taxonomy.tasks import Task

Use = Literal["given", "checked", "none"]
LANGUAGES = {
    "ar": "Arabic", "bn": "Bengali", "de": "German", "en": "English", "es": "Spanish", "fr": "French", "hi": "Hindi",
    "it": "Italian", "ja": "Japanese", "ko": "Korean", "pt": "Portuguese", "ro": "Romanian", "ru": "Russian",
    "tr": "Turkish", "zh": "Chinese",
}  # fmt: skip
"""Names of languages as prompts say them; others by their code."""


@dataclass(frozen=True)
class Prompt:
    """One prompt file. `label`: given to the teacher, checked against what it predicts first, or not used.

    `rules` and `languages` (a code, or `meme` for the meme's own) are for fields of the reply. `examples` are shown
    before as turns of the conversation: `text`, `picture_shows`, `label`, and the `reply` that would be right. `digest`
    changes with any word of the file.
    """

    name: str
    version: str
    kind: str
    label: Use
    system: str
    user: str
    form: str
    temperature: float
    max_tokens: int
    usual_tokens: int
    digest: str
    explain: str = ""
    native: str = ""
    aspect: str = ""
    rules: Mapping[str, Rules] = field(default_factory=dict)
    languages: Mapping[str, str] = field(default_factory=dict)
    examples: Sequence[Mapping[str, str]] = ()

    @property
    def needs_task(self) -> bool:
        """Whether it asks about a task: by its label, or by naming it."""
        named = Template(self.user).get_identifiers()
        return self.label != "none" or "task" in named or "labels" in named


@dataclass(frozen=True)
class Subject:
    """What a prompt is filled with: a meme, the task and label in question, and what else is known of it.

    `extra` are further fields of the data block, such as the rationale that a judge marks.
    """

    meme: Meme
    task: Task | None = None
    label: Label | None = None
    caption: str | None = None
    extra: Mapping[str, str] = field(default_factory=dict)

    @property
    def fields(self) -> dict[str, Any]:
        """What goes into the data block."""
        return {"text": self.meme.text, "picture_shows": self.caption, **self.extra}


@dataclass(frozen=True)
class Filled:
    """A prompt ready to be sent. `word` is the delimiter drawn for it, `kind` the kind of reply."""

    system: str
    user: str
    form: str
    kind: str
    word: str
    examples: tuple[tuple[str, str], ...] = ()

    @property
    def text(self) -> str:
        """All of it, as what is sent is counted."""
        turns = (part for turn in self.examples for part in turn)
        return "\n".join([self.system, *turns, self.user, self.form])


def shipped() -> list[str]:
    """The names of the prompts in the package."""
    folder = files("memescope.rationales").joinpath("prompts")
    return sorted(path.name.removesuffix(".yaml") for path in folder.iterdir() if path.name.endswith(".yaml"))


@cache
def load_prompt(name: str) -> Prompt:
    """A shipped prompt by name, or one of your own by its path (ending in .yaml). `UsageError` says what is wrong."""
    if name.endswith((".yaml", ".yml")):
        try:
            text = Path(name).read_text("utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise UsageError(f"prompt {name}: cannot be read: {error}") from None
    elif name in shipped():
        text = files("memescope.rationales").joinpath("prompts", f"{name}.yaml").read_text("utf-8")
    else:
        raise UsageError(f"no prompt {name!r}; there are: {', '.join(shipped())}, or a file of your own (.yaml)")
    return _prompt(text, name)


def _prompt(text: str, where: str) -> Prompt:
    import yaml

    try:
        entry = yaml.safe_load(text)
        rules = {name: _rules(one) for name, one in entry.pop("rules", {}).items()}
        prompt = Prompt(**entry, rules=rules, digest=content_key(text)[:12])
    except (yaml.YAMLError, TypeError, AttributeError) as error:
        raise UsageError(f"prompt {where}: {error}; see memescope/rationales/prompts for the form") from None
    if prompt.kind not in KINDS or prompt.label not in get_args(Use):
        raise UsageError(
            f"prompt {where}: expected kind {' or '.join(KINDS)} and label {' or '.join(get_args(Use))}, found "
            f"{prompt.kind!r} and {prompt.label!r}"
        )
    unknown = set(Template(prompt.user + prompt.explain).get_identifiers()) - _NAMES
    if unknown or not {"data", "raw"} & set(Template(prompt.user).get_identifiers()):
        raise UsageError(f"prompt {where}: $data must be in `user`, and no ${', $'.join(sorted(unknown)) or 'other'}")
    return prompt


def _rules(entry: Mapping[str, Any]) -> Rules:
    sentences = entry.get("sentences")
    return Rules(**{**entry, "sentences": (sentences[0], sentences[1]) if sentences else None})


_NAMES = {"data", "raw", "task", "definition", "label", "labels", "native", "aspect"}


def fill(prompt: Prompt, subject: Subject, explain: bool = False, hint: str = "") -> Filled:
    """The messages for one meme. `explain` takes the second question of a `checked` prompt, `hint` says what was wrong
    with an earlier reply."""
    block, word = as_data(subject.fields)
    task, lang = subject.task, subject.meme.lang
    kind = prompt.kind
    native = ""
    if kind == "explanation":
        if lang in ("en", "und"):
            kind = "english-explanation"
        else:
            native = Template(prompt.native).substitute(language=LANGUAGES.get(lang, lang)).rstrip("\n")
    aspect = ""
    if prompt.aspect and subject.meme.aspect:
        # An aspect is copied from the post: quoted by JSON like the rest of it.
        name = (
            as_data({"aspect": subject.meme.aspect})[0].split("\n")[1].removeprefix('{"aspect": "').removesuffix('"}')
        )
        aspect = Template(prompt.aspect).substitute(name=name).rstrip("\n")
    user = Template(prompt.explain if explain else prompt.user).substitute(
        data=block,
        raw=subject.meme.text,
        task=task.name.replace("_", " ") if task else "",
        definition=task.definition.rstrip(".") if task else "",
        label=shown(subject.label) if subject.label and not explain else _spelled(subject.label),
        labels=_spelled(task.labels) if task else "",
        native=native,
        aspect=aspect,
    )
    if hint:
        user = f"{user.rstrip()}\n({hint})\n"
    keys = ", ".join(f'"{name}"' for name in KINDS[kind].model_fields)
    form = Template(prompt.form).substitute(keys=keys)
    turns = tuple((_example(prompt, example, task), example["reply"].strip()) for example in prompt.examples)
    return Filled(prompt.system, user, form, kind, word, turns)


def _example(prompt: Prompt, example: Mapping[str, str], task: Task | None) -> str:
    """What would have been asked about an example; its label is as the file has it."""
    meme = Meme(text=example["text"], lang="en")
    shown_in_it = Subject(meme, task, example.get("label"), example.get("picture_shows"))
    return fill(replace(prompt, examples=()), shown_in_it).user


def _spelled(labels: Label | Sequence[str] | None) -> str:
    """Labels as they are to be spelled in a reply."""
    return ", ".join([labels] if isinstance(labels, str) else labels or [])


def messages(filled: Filled, form: bool, picture: str | None = None) -> list[dict[str, Any]]:
    """Chat messages: system, then user, with the form spelled out where the server has no schema, and the picture as a
    data address."""
    text = f"{filled.user.rstrip()}\n{filled.form}" if form else filled.user
    content: Any = text
    if picture:
        content = [{"type": "image_url", "image_url": {"url": picture}}, {"type": "text", "text": text}]
    said = [{"role": "system", "content": filled.system}]
    for asked, reply in filled.examples:
        said += [{"role": "user", "content": asked}, {"role": "assistant", "content": reply}]
    return [*said, {"role": "user", "content": content}]
