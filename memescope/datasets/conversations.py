"""Memes as conversations for instruction tuning: a question built from the taxonomy, the label as the answer."""

from __future__ import annotations

import re

from memescope.meme import Label, Meme
from memescope.taxonomy import Task, load_taxonomy

IMAGE = "<image>"
"""Where ms-swift and LLaMA-Factory put the picture."""
_PLACEHOLDER = re.compile(r"<(?=/?(image|video|audio|bbox|ref-object|\|)[^<>]*>)", re.IGNORECASE)


def question(meme: Meme, task: Task, pictured: bool) -> str:
    """What is asked of a meme for one task; the meme's text is marked off and cannot place a picture of its own."""
    labels = ", ".join(task.labels)
    how = f"Answer with one of: {labels}."
    if task.kind == "multilabel":
        how = f"Answer with all of these that hold, separated by commas, or with none: {labels}."
    parts = [f"{task.name.replace('_', ' ').capitalize()}: {task.definition}", how]
    if meme.aspect:
        parts.append(f"Asked about: {plain(meme.aspect)}")
    parts.append(f"Text on the meme:\n{plain(meme.text)}" if meme.text.strip() else "The meme has no text.")
    return (IMAGE if pictured else "") + "\n".join(parts)


def answer(label: Label, rationale: str | None) -> str:
    """`Label: ...`, and the rationale on the next line where there is one."""
    said = label if isinstance(label, str) else ", ".join(label) or "none"
    return f"Label: {said}" + (f"\nExplanation: {plain(rationale)}" if rationale else "")


def plain(text: str) -> str:
    """Text in which nothing is taken for a placeholder or a special token (`<image>`, `<|im_end|>`)."""
    return _PLACEHOLDER.sub("< ", text)


def turns(meme: Meme, tasks: list[str], pictured: bool) -> list[tuple[str, str]]:
    """(question, answer) for each of these tasks that the meme is labelled for, in the taxonomy's order."""
    taxonomy = load_taxonomy()
    return [
        (question(meme, taxonomy[name], pictured), answer(meme.labels[name], meme.rationale))
        for name in taxonomy.tasks
        if name in meme.labels and name in tasks
    ]
