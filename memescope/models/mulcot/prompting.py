"""What MulCoT-RD's assistant and student are told and asked (arXiv 2508.05234, as released; our own words).

Two requests about one post share everything but their last paragraph: reason in five parts, or name the label alone.
The order is that of the paper's prompts: the task, for an aspect the note that the feeling towards it decides, the
post, the form of the reply. What only the teacher is told (definitions of the labels, that plain facts are neutral) is
in `rationales/prompts/chain.yaml`.

An aspect-level task of a post that names no aspect is asked of the post as a whole.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from memescope.datasets.conversations import plain
from memescope.meme import Meme
from memescope.models.mulcot.chain import CHAIN_PARTS, LEAD, PREDICTION, quoted
from memescope.models.vlm.rows import Ask, Instruction, Turn
from memescope.taxonomy import load_taxonomy

Learn = Literal["both", "label", "rationale"]
"""What is learnt of a post: reasoning with its label and the label alone (the paper's two tasks), or one of the two."""
SYSTEM = "You are an expert in the feeling that posts of picture and text express. Look at the picture first."
_NOTE = (
    'What counts is the feeling towards "{aspect}", not that of the post as a whole: this rules over everything else.'
)


def question(meme: Meme, task: str) -> str:
    """The task, the aspect where it is about one, and the post's text; both requests begin so."""
    known = load_taxonomy()[task]
    aspect = plain(meme.aspect).strip() if meme.aspect and known.aspect else ""
    lines = [f"{task.replace('_', ' ').capitalize()}: {', '.join(known.labels)}."]
    if aspect:
        lines.append(_NOTE.format(aspect=aspect))
    lines.append(f"Post: {plain(meme.text).strip() or '(no text)'}")
    return "\n".join(lines)


def label_user(meme: Meme, task: str) -> str:
    """The user's message that asks for the label alone."""
    return f'{question(meme, task)}\nReply with "{PREDICTION}" alone.'


def reason_user(meme: Meme, task: str) -> str:
    """The user's message that asks for reasoning and label."""
    return f"{question(meme, task)}\nReply in five quoted parts: {', '.join((*CHAIN_PARTS, PREDICTION))}."


def reason_ask(meme: Meme, task: str) -> Ask:
    """What is asked of a model that is to write a whole chain."""
    return Ask(SYSTEM, reason_user(meme, task))


def instruction(meme: Meme, task: str) -> Instruction:
    """How the label is scored: asked for alone."""
    labels = {label: label for label in load_taxonomy()[task].labels}
    return Instruction(task, label_user(meme, task), labels, SYSTEM, LEAD)


def turns(meme: Meme, tasks: Sequence[str], learn: Learn) -> list[Turn]:
    """What is learnt of a meme: for each task that it labels the reasoning with its label, the label alone, or both.

    The lead is learnt, too, as published: nothing is given to the model that is to write by itself. Of a meme without
    reasoning only the label is there to learn. `meta["explains"]` names the tasks that the reasoning is about, where it
    is not about all. `meta["stated"]` is the label that a chain ends in where that is not the meme's: a chain that an
    assistant got wrong and that is kept all the same.
    """
    found = []
    for task in tasks:
        label = meme.labels.get(task)
        if not isinstance(label, str):
            continue
        if learn in ("both", "rationale") and meme.rationale and task in meme.meta.get("explains", tasks):
            pieces = (quoted(meme.rationale), f" {meme.meta.get('stated', label)}")
            found.append(Turn(SYSTEM, reason_user(meme, task), pieces))
        if learn in ("both", "label"):
            found += instruction(meme, task).turns(label, learn_lead=True)
    return found
