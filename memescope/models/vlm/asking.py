"""Every task of a meme behind one reading of it: where prompts part, and the trees of tokens behind that place.

    stem     what the questions of a meme share: template, picture, words, as far as they are alike
    branch   a tree behind a stem: the rest of some questions' prompts, and the answers to choose from

How much is shared is decided by the wording alone: a family that puts picture and words first and the question last has
one stem for all its tasks. Questions that part before the picture is over have stems of their own.

Shape letters: `k` labels of a task, `n` nodes of a tree.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from memescope.errors import UsageError
from memescope.models.scoring import Length
from memescope.models.tree import Tree
from memescope.models.vlm.rows import Ask, Instruction, Speaker, begun, prompt

PACKED = 96
"""So many tokens of several questions go into one tree: enough that the stem's keys are not copied for each task, few
enough that little is computed for what no token may look at."""


@dataclass(frozen=True)
class Part:
    """A question's tokens: its prompt, and each answer's."""

    task: str
    given: tuple[int, ...]
    answers: tuple[tuple[int, ...], ...]


@dataclass
class Branch:
    """A tree and, for each of its parts in order, the nodes of each answer."""

    tree: Tree = field(default_factory=Tree)
    nodes: list[list[list[int]]] = field(default_factory=list)

    def scores(self, edges: Tensor, length: Length) -> list[Tensor]:
        """The score (k,) of each answer of each part, from log-probabilities (n,)."""
        return [
            torch.stack([edges[path].sum() if length == "sum" else edges[path].mean() for path in paths])
            for paths in self.nodes
        ]


@dataclass
class Stem:
    """What is read once. `parts` are numbers of the meme's parts, as the branches have them."""

    ids: list[int]
    branches: list[tuple[Branch, list[int]]] = field(default_factory=list)


class Asker:
    """Makes stems and branches; trees that memes have in common are made once."""

    def __init__(self, speaker: Speaker) -> None:
        self._speaker = speaker
        self._known: dict[tuple[Any, ...], Branch] = {}

    def parts(self, instructions: Sequence[Instruction], picture: Sequence[int] | None) -> list[Part]:
        """The questions of one meme as tokens, in order."""
        return [
            Part(one.task, tuple(prompt(self._speaker, ask, picture)), self._answers(one, ask, words))
            for one in instructions
            for ask, words in one.questions()
        ]

    def stems(self, parts: Sequence[Part], after: int) -> list[Stem]:
        """The stems of some parts; `after` is the token of a picture, which must be read with the stem."""
        groups: dict[tuple[int, ...], list[int]] = {}
        for number, part in enumerate(parts):
            last = max((i for i, token in enumerate(part.given) if token == after), default=-1)
            groups.setdefault(part.given[: last + 1], []).append(number)
        found = []
        for numbers in groups.values():
            prompts = [parts[number].given for number in numbers]
            shared = shared_start(prompts)
            stem = Stem(list(prompts[0][:shared]))
            for some in _packs([(number, len(parts[number].given) - shared) for number in numbers]):
                rest = tuple((parts[number].given[shared:], parts[number].answers) for number in some)
                stem.branches.append((self._branch(rest), some))
            found.append(stem)
        return found

    def _branch(self, rest: tuple[Any, ...]) -> Branch:
        if rest not in self._known:
            if len(self._known) > 4096:  # prompts with the meme's words behind the question never come again
                self._known.clear()
            branch = Branch()
            for given, answers in rest:
                branch.nodes.append([branch.tree.add(given, answer) for answer in answers])
            self._known[rest] = branch
        return self._known[rest]

    def _answers(self, instruction: Instruction, ask: Ask, words: Sequence[str]) -> tuple[tuple[int, ...], ...]:
        speaker = self._speaker
        answers = [tuple(speaker.words(f" {one}" if ask.lead else begun(speaker, f" {one}"))) for one in words]
        if len(set(answers)) < len(answers) or not all(answers):
            raise UsageError(f"task {instruction.task!r}: two of {', '.join(words)} have the same tokens, or none")
        if any(a != b and b[: len(a)] == a for a in answers for b in answers):
            then = speaker.words(instruction.then)[:1] if instruction.then else [speaker.end]
            answers = [(*answer, *then) for answer in answers]
        return tuple(answers)


def shared_start(rows: Sequence[Sequence[int]]) -> int:
    """How many tokens all rows begin with alike."""
    shared = min(map(len, rows))
    first = rows[0]
    for row in rows[1:]:
        shared = next((i for i in range(shared) if row[i] != first[i]), shared)
    return shared


def _packs(sizes: Sequence[tuple[int, int]]) -> list[list[int]]:
    """Neighbours together as long as their prompts' rests are at most `PACKED` tokens."""
    packs: list[list[int]] = []
    room = 0
    for number, size in sizes:
        if not packs or size > room:
            packs.append([])
            room = PACKED
        packs[-1].append(number)
        room -= size
    return packs
