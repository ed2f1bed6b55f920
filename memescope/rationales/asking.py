"""One question, asked until a reply holds: its form, its label and its rules are checked, and the fault of one reply is
told, in our own words, with the next try."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from memescope.meme import Label
from memescope.rationales.desk import Answered, Desk, Question
from memescope.rationales.prompts import Prompt, Subject, fill
from memescope.rationales.replies import LABEL_FIELDS, TRUNCATED, Invalid, parse, read_label
from memescope.rationales.rules import Rules, broken_rule, copies, same_rewrites, whole_sentences


class Unusable(Exception):
    """No reply held within the bound; `fault` is the last one's."""

    def __init__(self, fault: Invalid) -> None:
        self.fault = fault


@dataclass
class Used:
    """What one meme took."""

    replies: int = 0
    tokens_in: int = 0
    tokens_out: int = 0


async def until_valid(
    subject: Subject, prompt: Prompt, desk: Desk, tries: int, used: Used, explain: bool = False
) -> tuple[dict[str, Any], Answered]:
    """Fields of the first reply that holds; raises `Unusable` with the fault of the last one."""
    several = subject.task is not None and subject.task.kind == "multilabel"
    fault, hint = Invalid("empty", ""), ""
    for turn in range(tries):
        answer = await desk.ask(Question(prompt, subject, explain, turn, hint, several))
        used.replies += 1
        used.tokens_in += answer.tokens_in
        used.tokens_out += answer.tokens_out
        checked = check(answer, subject, prompt, explain)
        if isinstance(checked, dict):
            return checked, answer
        fault = checked
        # The count makes each request another one: at temperature 0 the same would bring the same reply.
        earlier = "An earlier try" if turn == 0 else f"{turn + 1} earlier tries"
        hint = f"{earlier} could not be used: {fault.hint}."
    raise Unusable(fault)


def check(answer: Answered, subject: Subject, prompt: Prompt, explain: bool = False) -> dict[str, Any] | Invalid:
    """The fields of a reply that has the form asked for and breaks no rule, labels in their canonical spelling."""
    kind = fill(prompt, subject).kind
    if answer.finish == "content_filter":
        return Invalid("content-filter", "the reply was withheld")
    if answer.word in answer.text:
        return Invalid("echo", "the reply repeated the lines around the data")
    text = answer.text
    if answer.finish == "length":
        text = whole_sentences(text) if kind == "rationale" else ""
        if not text:
            return TRUNCATED
    fields = parse(text, kind)
    if isinstance(fields, Invalid):
        return fields
    for name in LABEL_FIELDS:
        if name in fields:
            task = subject.task
            several = task is not None and task.kind == "multilabel"
            stated = read_label(fields[name], task.labels if task else (), several)
            if stated is None:
                return Invalid("no-label", f"{name} was not one of the labels, spelled as given")
            if explain and not agree(stated, subject.label):
                return Invalid("wrong-label", f"{name} was not the annotators' label")
            fields[name] = stated
    if copies(text, [example["reply"] for example in prompt.examples]):
        return Invalid("copied", "the reply repeated a sentence of an example")
    for name, value in fields.items():
        wanted = prompt.languages.get(name)
        lang = subject.meme.lang if wanted == "meme" else wanted
        for text in value if isinstance(value, list) else [value]:
            if isinstance(text, str) and name in prompt.rules:
                fault = _fault(text, prompt.rules[name], subject, None if lang == "und" else lang)
                if fault:
                    return fault
        if kind == "paraphrases" and (fault := same_rewrites(value, subject.meme.text)):
            return fault
    return fields


def agree(stated: Label | None, gold: Label | None) -> bool:
    """Whether two labels are the same; of several, in any order."""
    if isinstance(stated, list) and isinstance(gold, list):
        return sorted(stated) == sorted(gold)
    return stated == gold


def _fault(text: str, rules: Rules, subject: Subject, lang: str | None) -> Invalid | None:
    return broken_rule(text, rules, task=subject.task, label=subject.label, meme_text=subject.meme.text, lang=lang)
