"""What a model is asked and what labels are called: instructions in English, label names in nine languages.

MemeLens (arXiv 2601.12539, section 4) writes one instruction for each dataset, has it paraphrased twenty times, and
draws one for each meme; its hybrid form asks in English and names labels in the meme's language. Neither its
instructions nor its label names are published in full: these are our own, frames of a sentence times clauses for each
task. A file of further wordings (`frames`, `asks`, as in `instructions.yaml`) can be added to them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal, get_args

from memescope.errors import UsageError
from memescope.taxonomy import load_taxonomy
from memescope.taxonomy.tasks import Task

Setting = Literal["hybrid", "english"]
"""hybrid: label names (and explanations) in the meme's language (`Manner.languages`); english: all in English."""
SETTINGS: tuple[Setting, ...] = get_args(Setting)
NATIVE = ("ar", "bn", "de", "es", "hi", "ro", "ru", "zh")
"""Languages with label names of their own; with English the nine of the paper. Hindi-English takes those of Hindi."""
NO, YES = "no", "yes"
"""Answers to a multilabel task's question for one label, in every language."""


@dataclass(frozen=True)
class Wording:
    """`frames` hold {ask}; `asks` of a multilabel task hold {label}, those of a task on a phrase {aspect}."""

    system: str
    frames: tuple[str, ...]
    reminder: str
    asks: Mapping[str, tuple[str, ...]]
    version: str

    def variants(self, task: str) -> int:
        """How many ways there are to ask this task."""
        return len(self.frames) * len(self.asks_of(task))

    def asks_of(self, task: str) -> tuple[str, ...]:
        """The clauses of a task; `UsageError` where there are none."""
        if task not in self.asks:
            raise UsageError(f"no instructions for the task {task!r}; there are some for: {', '.join(self.asks)}")
        return self.asks[task]

    def ask(self, task: str, variant: int = 0, label: str = "", aspect: str = "") -> str:
        """One instruction: variant 0 is the first frame with the first clause; a variant counts modulo all."""
        asks = self.asks_of(task)
        frame = self.frames[variant % len(self.frames)]
        clause = asks[variant // len(self.frames) % len(asks)]
        # a label or an aspect may hold braces: nothing is formatted twice
        filled = clause.replace("{label}", f"'{label}'").replace("{aspect}", f"'{aspect}'")
        return frame.replace("{ask}", filled)


@cache
def load_wording(extra: Path | None = None) -> Wording:
    """The wordings of the package, with those of a file behind them. `UsageError` for a file that is none."""
    content = _read(files("memescope.models.memelens").joinpath("instructions.yaml").read_text("utf-8"))
    version = str(content["version"])
    frames, asks = list(content["frames"]), {task: list(some) for task, some in content["asks"].items()}
    if extra is not None:
        try:
            raw = extra.read_text("utf-8")
        except OSError as error:
            raise UsageError(f"{extra}: no file of instructions: {error}") from None
        more = _checked(_read(raw), extra)
        frames += [frame for frame in more.get("frames") or () if frame not in frames]
        for task, some in (more.get("asks") or {}).items():
            asks.setdefault(task, [])
            asks[task] += [ask for ask in some if ask not in asks[task]]
        version += "+" + hashlib.sha256(raw.encode()).hexdigest()[:8]
    fixed = {task: tuple(some) for task, some in asks.items()}
    return Wording(content["system"], tuple(frames), content["reminder"], fixed, version)


def _read(text: str) -> Any:
    import yaml

    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise UsageError(f"instructions: not YAML: {error}") from None


def _checked(content: Any, where: Path) -> dict[str, Any]:
    taxonomy = load_taxonomy()
    if not isinstance(content, dict) or not set(content) <= {"frames", "asks"}:
        raise UsageError(f"{where}: expected `frames` and `asks`")
    for frame in content.get("frames") or ():
        if not isinstance(frame, str) or "{ask}" not in frame:
            raise UsageError(f"{where}: the frame {frame!r} does not say {{ask}}")
    for task, asks in (content.get("asks") or {}).items():
        known = taxonomy[task]
        needed = "{label}" if known.kind == "multilabel" else "{aspect}" if known.aspect else ""
        for ask in asks:
            if not isinstance(ask, str) or needed not in ask:
                raise UsageError(f"{where}: {task}: {ask!r} does not say {needed or 'anything'}")
    return content


@cache
def _native(lang: str) -> tuple[dict[str, str], dict[str, dict[str, str]]]:
    content = _read(files("memescope.models.memelens").joinpath(f"native/{lang}.yaml").read_text("utf-8"))
    return content["labels"], content["tasks"]


def language(lang: str, setting: Setting) -> str:
    """The language in which labels are named to a meme: "en" in the English setting and where none has names."""
    if setting not in SETTINGS:
        raise UsageError(f"instructions in the setting {setting!r}: expected one of {', '.join(SETTINGS)}")
    first = lang.split("-")[0].lower()
    return first if setting == "hybrid" and first in NATIVE else "en"


def names(task: Task, lang: str = "en") -> dict[str, str]:
    """Label -> what it is called in a language of `NATIVE` or English, in the order of the task's labels."""
    if lang == "en":
        return {label: label for label in task.labels}
    labels, own = _native(lang)
    return {label: own.get(task.name, {}).get(label) or labels[label] for label in task.labels}


def draw(seed: int, *of: object) -> int:
    """A number that depends on what it is for and on nothing else: the same row always gets the same wording."""
    digest = hashlib.sha256("\x1f".join(map(str, (seed, *of))).encode()).digest()
    return int.from_bytes(digest[:6], "big")


def listed(labels: Sequence[str]) -> str:
    """'a', 'b' or 'c'."""
    quoted = [f"'{label}'" for label in labels]
    return " or ".join([", ".join(quoted[:-1]), quoted[-1]]) if len(quoted) > 1 else quoted[0]
