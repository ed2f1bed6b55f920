"""What a family hands to a vision-language model, and the token rows it becomes.

A family says what is said: `Turn` (something to learn to say), `Instruction` (a task to answer by scored labels), `Ask`
(something to be written). The model's chat template says how: where the picture's tokens stand, how roles are marked,
what ends a turn.

    prompt = template(system, picture, user, opening of the assistant's turn)      given
    row    = prompt + lead + answer + end of turn                                  answer and end are learnt

Prompts are tokenised whole. `lead` and the pieces of `answer` are tokenised each by itself, so that a label has the
same tokens when it is learnt and when it is scored.

Shape letters: `b` rows, `t` tokens.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from memescope.errors import UsageError
from memescope.objectives.generation import IGNORED


@dataclass(frozen=True)
class Ask:
    """What the model is asked, up to where it goes on by itself.

    `lead` begins the assistant's turn and is given. Without `image`, or for a meme without one, no picture is shown.
    """

    system: str
    user: str
    lead: str = ""
    image: bool = True


@dataclass(frozen=True)
class Turn:
    """Something to learn to say: `answer` after the prompt of `system`, picture and `user`, and after `lead`.

    `answer` may be pieces, tokenised apart: `("Label:", " harmful", "\\nExplanation: ...")`. Where labels are scored
    (`Instruction`), the label must be a piece of its own, begun by a space.
    """

    system: str
    user: str
    answer: str | tuple[str, ...]
    image: bool = True
    lead: str = ""

    @property
    def pieces(self) -> tuple[str, ...]:
        """The answer, in the pieces that are tokenised."""
        return (self.answer,) if isinstance(self.answer, str) else self.answer

    @property
    def ask(self) -> Ask:
        """What stands before the answer."""
        return Ask(self.system, self.user, self.lead, self.image)


@dataclass(frozen=True)
class Instruction:
    """A task as one meme is asked it: a prompt, what the assistant's turn begins with, and the labels to choose from.

    `labels`: the task's own labels (all of them, in the taxonomy's order) -> the words the model writes for each.
    Several labels (`multilabel`) are a question each: `{label}` in `lead` (or `prompt`) is filled with the words of the
    label, and `yes_no` are the two answers. `then` is what the model was taught to write after a label, for labels that
    begin with one another (`very funny`, `very funny indeed`): None for the end of the turn.
    """

    task: str
    prompt: str
    labels: Mapping[str, str]
    system: str = ""
    lead: str = "Label:"
    multilabel: bool = False
    yes_no: tuple[str, str] = ("yes", "no")
    image: bool = True
    then: str | None = None

    def __post_init__(self) -> None:
        if len(set(self.labels.values())) < len(self.labels):
            raise UsageError(f"task {self.task!r}: two of its labels have the same words: {dict(self.labels)}")
        if self.multilabel and "{label}" not in self.lead + self.prompt:
            raise UsageError(f"task {self.task!r} has several labels: its prompt or lead must say {{label}} somewhere")

    def questions(self) -> list[tuple[Ask, tuple[str, ...]]]:
        """What is asked, and the answers to choose from: one entry, or one for each of several labels (no, yes)."""
        if not self.multilabel:
            return [(Ask(self.system, self.prompt, self.lead, self.image), tuple(self.labels.values()))]
        yes, no = self.yes_no
        return [
            (
                Ask(
                    self.system, self.prompt.replace("{label}", words), self.lead.replace("{label}", words), self.image
                ),
                (no, yes),
            )
            for words in self.labels.values()
        ]

    def turns(self, label: str | Sequence[str], learn_lead: bool = False, rest: str = "") -> list[Turn]:
        """How the right label is taught so that scoring finds it: one Turn, or one for each of several labels.

        `learn_lead` has the lead learnt too, which a model needs that is to write by itself; `rest` comes behind the
        label (an explanation).
        """
        held = label if not isinstance(label, str) else [label]
        unknown = [one for one in held if one not in self.labels]
        if unknown or (not self.multilabel and len(held) != 1):
            raise UsageError(f"task {self.task!r} with the labels {', '.join(self.labels)} cannot be taught {label!r}")
        found = []
        for number, (ask, answers) in enumerate(self.questions()):
            if self.multilabel:
                right = answers[int(list(self.labels)[number] in held)]
            else:
                right = self.labels[held[0]]
            pieces = (f" {right}", rest) if rest else (f" {right}",)
            if learn_lead:
                pieces, ask = (ask.lead, *pieces), Ask(ask.system, ask.user, "", ask.image)
            found.append(Turn(ask.system, ask.user, pieces, ask.image, ask.lead))
        return found


class Speaker(Protocol):
    """What rows need of a vision-language model (`backbones.vlm`)."""

    end: int
    """The token that ends the assistant's turn."""
    pad: int
    gap: str
    """What the template writes between the opening of the assistant's turn and its first word."""

    def open(self, system: str, user: str, picture: Sequence[int] | None) -> list[int]:
        """The prompt's tokens, those of the picture where the chat template puts them."""
        ...

    def words(self, text: str) -> list[int]:
        """The tokens of a piece of text by itself."""
        ...


@dataclass
class Row:
    """Tokens with what is learnt of them. `branch` is 0 for the trunk, which all branches (1, 2 ...) follow alone;
    `step` counts a branch's tokens from its beginning (0 in the trunk)."""

    ids: list[int]
    labels: list[int]
    branch: list[int] = field(default_factory=list)
    step: list[int] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.ids)


def prompt(speaker: Speaker, ask: Ask, picture: Sequence[int] | None) -> list[int]:
    """The tokens of what is given: template, picture (`None`: there is none), lead."""
    opened = speaker.open(ask.system, ask.user, picture if ask.image else None)
    return [*opened, *(speaker.words(begun(speaker, ask.lead)) if ask.lead else [])]


def begun(speaker: Speaker, text: str) -> str:
    """The first words of the assistant's turn, as the template begins them."""
    return text if text[:1].isspace() else speaker.gap + text


def row(speaker: Speaker, turn: Turn, picture: Sequence[int] | None, longest: int | None = None) -> Row:
    """One turn as a row. An answer longer than `longest` tokens is cut, and then has no end to be learnt."""
    given = prompt(speaker, turn.ask, picture)
    pieces = list(turn.pieces)
    if not turn.lead:
        pieces[0] = begun(speaker, pieces[0])
    answer = [token for piece in pieces for token in speaker.words(piece)]
    if not answer:
        raise UsageError(f"nothing to learn: the answer to {turn.user[:60]!r} is empty")
    answer = answer[:longest] if longest is not None and len(answer) > longest else [*answer, speaker.end]
    return Row([*given, *answer], [IGNORED] * len(given) + answer)


def packed(rows: Sequence[Row], at_least: int = 0) -> list[Row]:
    """Rows of one meme as one row: what they begin with stands once, in the trunk, and each goes on in its branch.

    The loss of the packed row is that of its parts, as no branch sees another. `at_least` tokens must be shared (all
    that the picture takes: it can only stand once), else the rows are given back as they are.
    """
    if len(rows) < 2:
        return list(rows)
    shared = 0
    # what follows the trunk is not learnt: the state before it belongs to another branch's row
    most = min(next(i for i, label in enumerate(one.labels) if label != IGNORED) - 1 for one in rows)
    while shared < most and len({one.ids[shared] for one in rows}) == 1:
        shared += 1
    if shared < max(at_least, 1):
        return list(rows)
    ids, labels = rows[0].ids[:shared], [IGNORED] * shared
    branch, step = [0] * shared, [0] * shared
    for number, one in enumerate(rows, 1):
        rest = len(one) - shared
        ids += one.ids[shared:]
        labels += one.labels[shared:]
        branch += [number] * rest
        step += range(rest)
    return [Row(ids, labels, branch, step)]


def collate(rows: Sequence[Row], pad: int) -> dict[str, Any]:
    """int64 `input_ids`, `labels`, bool `attention_mask` (b, t), padded on the right; `branch` and `step` where a row
    is packed."""
    import torch

    longest = max(map(len, rows))

    def table(get: Callable[[Row], Sequence[int]], filler: int) -> Any:
        return torch.tensor([[*get(one), *[filler] * (longest - len(get(one)))] for one in rows])

    batch = {
        "input_ids": table(lambda one: one.ids, pad),
        "attention_mask": table(lambda one: [1] * len(one), 0).bool(),
        "labels": table(lambda one: one.labels, IGNORED),
    }
    if any(one.branch for one in rows):
        batch["branch"] = table(lambda one: one.branch, 0)
        batch["step"] = table(lambda one: one.step, 0)
    return batch
