"""MemeLens (arXiv 2601.12539): any vision-language model, instructed for many tasks, with labels and explanations.

Stage I learns `Label: ...`; stage II, from the merged stage I, learns the label together with an explanation, in either
order. Labels are answered by scoring all of a task's label names behind the instruction (`models.vlm`), so each has a
probability and none can be made up; the paper parses what is written, and draws a label where it cannot.

What is in `config.settings`:

    manner      setting, layout, order, text, image, explained, languages (`prompting.Manner`)
    derive      coarse tasks answered by adding up the labels of a graded one
    parts       so many labels of a multilabel task are asked about in a row of training
    head        labels come from a linear head in place of words (`head.py`)
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import cached_property
from random import Random
from typing import Any

import torch
from torch import Tensor

from memescope.backbones.vlm import Sight
from memescope.datasets.conversations import plain
from memescope.errors import UsageError
from memescope.meme import Answer, Evidence, Meme
from memescope.models.memelens.prompting import (
    EXPLANATION,
    LABEL,
    Manner,
    can_ask,
    check_order,
    graded_forms,
    manner_of,
    read_reply,
    template,
)
from memescope.models.memelens.wording import NO, YES, draw
from memescope.models.reasons import Explanation
from memescope.models.vlm.model import VlmModel
from memescope.models.vlm.rows import Ask, Instruction, Turn
from memescope.taxonomy import load_taxonomy

PARTS = 4
ROOM = 24
"""Tokens kept for the label behind an explanation."""


class MemeLens(VlmModel):
    """One model for every task. `wording` of training rows may have more instructions than the package's."""

    family = "memelens"
    wanted: tuple[str, ...] | None = None
    """The tasks that are answered for now; None: all."""
    labelled_only = False
    """Whether a meme is only asked what it is labelled for: while a training looks at its selection split."""
    learning: Manner | None = None
    """How rows of training are asked, where that has further wordings; None: as `manner`."""

    @cached_property
    def manner(self) -> Manner:
        """How the model is asked."""
        return manner_of((self.config.settings or {}).get("manner") or {})

    def change(self, **changes: Any) -> None:
        """Another manner from now on, kept in the configuration: what a stage of training sets."""
        self.manner = replace(self.manner, **changes)
        self.config.settings = (self.config.settings or {}) | {"manner": self.manner.to_dict()}
        if self.learning is not None:
            self.learning = replace(self.learning, **changes)

    @property
    def derived(self) -> dict[str, str]:
        """Coarse task -> the graded task it is added up from."""
        return graded_forms((self.config.settings or {}).get("derive") or (), self.config.tasks or ())

    @property
    def tasks(self) -> tuple[str, ...]:
        """The tasks it answers: those it is asked, then those that are added up."""
        known = (*(self.config.tasks or ()), *self.derived)
        return known if self.wanted is None else tuple(task for task in known if task in self.wanted)

    @property
    def looks(self) -> bool:
        """Whether it is shown pictures: one that is not can do without them."""
        return self.manner.image

    def _span(self, meme: Meme) -> tuple[int, ...] | None:
        # a picture that is not shown may be missing or broken: it is not opened for its size
        return super()._span(meme) if self.looks else None

    @contextmanager
    def asked_for(self, tasks: Sequence[str]) -> Iterator[None]:
        """Answer these tasks alone inside."""
        before, self.wanted = self.wanted, tuple(tasks)
        try:
            yield
        finally:
            self.wanted = before

    # what is asked

    def instructions(self, meme: Meme, tasks: Sequence[str]) -> list[Instruction]:
        """One instruction a task, always in the first wording; a task on a phrase only of a meme that names one."""
        needed = {self.derived.get(task, task) for task in tasks}
        wanted = [
            task
            for task in self.config.tasks or ()
            if task in needed and can_ask(meme, task) and (task in meme.labels or not self.labelled_only)
        ]
        return [self._instruction(meme, task, self.manner) for task in wanted]

    def _instruction(
        self, meme: Meme, task: str, manner: Manner, variant: int = 0, explain: bool | None = None, lead: str = LABEL
    ) -> Instruction:
        shown = replace(meme, text=self.short(meme.text)) if manner.text else meme
        several = load_taxonomy()[task].kind == "multilabel"
        explain = task in manner.explained if explain is None else explain
        then = f"\n{EXPLANATION}" if explain and manner.order == "classify-first" else None
        common: dict[str, Any] = {"system": manner.wording.system, "lead": lead, "image": manner.image, "then": then}
        made = template(shown, task, manner, variant, explain)
        return Instruction(task, made.user, made.names, multilabel=several, yes_no=(YES, NO), **common)

    # what is learnt

    def turns(self, meme: Meme, objective: str) -> list[Turn]:
        """The replies to be learnt to each task that a meme is labelled for.

        `label`: the label alone. `both`: label and explanation, of the tasks that `meme.meta["explains"]` names (all,
        where it names none). `explain`: the same, and the label alone of the others. The wording is drawn by the meme,
        the task and `meme.meta["copy"]`.
        """
        manner = self.learning or self.manner
        found: list[Turn] = []
        for task in self.config.tasks or ():
            if task in meme.labels and can_ask(meme, task):
                reason = self._reason_for(meme, task) if objective in ("both", "explain") else None
                if objective != "both" or reason:
                    found += self._turns(meme, task, manner, reason)
        return found

    def _turns(self, meme: Meme, task: str, manner: Manner, reason: str | None) -> list[Turn]:
        number = draw(0, meme.source, meme.id, task, meme.meta.get("copy", 0))
        variant = number % manner.wording.variants(task)
        instruction = self._instruction(meme, task, manner, variant, explain=reason is not None)
        label = meme.labels[task]
        if reason is None:
            turns = instruction.turns(label, learn_lead=True)
        elif manner.order == "classify-first":
            turns = instruction.turns(label, learn_lead=True, rest=f"\n{EXPLANATION} {reason}")
        else:
            turns = [
                replace(turn, answer=(f"{EXPLANATION} {reason}\n", *turn.pieces))
                for turn in instruction.turns(label, learn_lead=True)
            ]
        most = int((self.config.settings or {}).get("parts") or PARTS)
        if instruction.multilabel and len(turns) > most:
            # drawn at random whatever holds, so that the share of yes stays what it is
            turns = Random(number).sample(turns, most)
        return turns

    def _reason_for(self, meme: Meme, task: str) -> str | None:
        if not meme.rationale or task not in meme.meta.get("explains", (task,)):
            return None
        text = plain(meme.rationale).strip()
        most = self.config.max_rationale - ROOM
        places = self.vlm.tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)["offset_mapping"]
        return text if len(places) <= most else sentences(text[: places[most - 1][1]])

    # what is answered

    def score(
        self,
        memes: Sequence[Meme],
        instructions: Sequence[Sequence[Instruction]] | None = None,
        seen: Sequence[Sight | None] | None = None,
        hidden: Sequence[Tensor | None] | None = None,
    ) -> list[dict[str, Tensor]]:
        """As for every family; with explain-first a task's explanation is written before its labels are scored."""
        if instructions is None and self.manner.order == "explain-first" and self.manner.explained:
            instructions = [list(some) for some in self._after_reasons(memes, seen, hidden)]
        return super().score(memes, instructions, seen, hidden)

    def _after_reasons(
        self,
        memes: Sequence[Meme],
        seen: Sequence[Sight | None] | None = None,
        hidden: Sequence[Tensor | None] | None = None,
    ) -> list[list[Instruction]]:
        """Each meme's instructions, behind what it writes of those that are explained. It writes from what it may look
        at: a place that is `hidden` from the label is hidden from its explanation, too."""
        found = [self.instructions(meme, self.tasks) for meme in memes]
        places = [
            (i, j) for i, some in enumerate(found) for j, one in enumerate(some) if one.task in self.manner.explained
        ]
        check_order(self.manner.order, sorted({found[i][j].task for i, j in places}))
        asks = [Ask(found[i][j].system, found[i][j].prompt, "", found[i][j].image) for i, j in places]
        written = self.write(
            [memes[i] for i, _ in places],
            asks,
            seen=None if seen is None else [seen[i] for i, _ in places],
            hidden=None if hidden is None else [hidden[i] for i, _ in places],
        )
        for (i, j), said in zip(places, written, strict=True):
            before = said.partition(LABEL)[0].strip() or EXPLANATION
            found[i][j] = replace(found[i][j], lead=f"{before}\n{LABEL}")
        return found

    def tables(
        self,
        memes: Sequence[Meme],
        seen: Sequence[Sight | None] | None = None,
        hidden: Sequence[Tensor | None] | None = None,
    ) -> list[dict[str, Tensor]]:
        """Calibrated probabilities by task; those of a coarse task are sums of its graded form's."""
        found = super().tables(memes, seen, hidden)
        taxonomy = load_taxonomy()
        for tables in found:
            for coarse, graded in self.derived.items():
                if graded not in tables or coarse not in self.tasks:
                    continue
                of = taxonomy[graded].coarse_labels
                sums = [
                    sum(
                        p for label, p in zip(taxonomy[graded].labels, tables[graded], strict=True) if of[label] == name
                    )
                    for name in taxonomy[coarse].labels
                ]
                tables[coarse] = torch.stack([torch.as_tensor(one, dtype=torch.float64) for one in sums])
        return found

    def explain(self, meme: Meme, tasks: Sequence[str]) -> dict[str, Evidence]:
        """As for every family; only these tasks are asked of the meme's many versions."""
        known = [task for task in tasks if task in self.tasks]
        meme = meme if self.looks else replace(meme, image=None)
        with self.asked_for(known if len(known) == len(tasks) else self.tasks):
            return super().explain(meme, tasks)

    # what is written

    @property
    def writes(self) -> bool:
        """Whether any task has explanations."""
        return bool(self.manner.explained)

    def generate(self, memes: Sequence[Meme]) -> list[str]:
        """The explanation of each meme's own answer to the first task that has explanations; empty for stage I."""
        tasks = [task for task in self.config.tasks or () if task in self.manner.explained]
        found = [""] * len(memes)
        able = {i: [task for task in tasks if can_ask(meme, task)] for i, meme in enumerate(memes)}
        for task in dict.fromkeys(some[0] for some in able.values() if some):
            mine = [i for i, some in able.items() if some and some[0] == task]
            for i, one in zip(mine, self.explanations([memes[i] for i in mine], task), strict=True):
                found[i] = one.text
        return found

    def explanations(self, memes: Sequence[Meme], task: str) -> list[Explanation]:
        """What the model writes for its own answer to a task, and whether it ever learnt to.

        Free text: it says what was learnt from a teacher's explanations and is not measured evidence (`explain`).
        Of a task that is added up from a graded form, the graded answer is explained.
        """
        asked = self.derived.get(task, task)
        if asked not in (self.config.tasks or ()):
            raise UsageError(f"{self.name} is not asked {task!r}; it is asked {', '.join(self.config.tasks or ())}")
        with self.asked_for((asked,)):
            answers = [reading.answers[asked] for reading in self.answer(memes)]
        asks = [self._ask(meme, asked, answer) for meme, answer in zip(memes, answers, strict=True)]
        texts = []
        for said, ask in zip(self.write(memes, asks), asks, strict=True):
            texts.append(said if ask.lead else read_reply(said, {})[1] or said.partition(LABEL)[0].strip())
        return [Explanation(task, text, asked in self.manner.explained) for text in texts]

    def _ask(self, meme: Meme, task: str, answer: Answer) -> Ask:
        """What an explanation of this answer is asked with: where the label comes first, it is given. Of several labels
        the most probable is explained: one that was answered, or, where none was, why not even that one."""
        instruction = self._instruction(meme, task, self.manner, explain=True)
        likeliest = max(answer.probabilities, key=answer.probabilities.__getitem__)
        if instruction.multilabel:
            ask, (no, yes) = instruction.questions()[list(instruction.labels).index(likeliest)]
            said = yes if likeliest in (answer.label or ()) else no
        else:
            ask, _ = instruction.questions()[0]
            said = instruction.labels[likeliest]
        lead = f"{LABEL} {said}\n{EXPLANATION}" if self.manner.order == "classify-first" else ""
        return Ask(ask.system, ask.user, lead, ask.image)


def sentences(text: str) -> str:
    """The whole sentences of a text that was cut, so that its end is learnt where something ends. The text as it is
    where that would lose more than half of it."""
    end = max(text.rfind(mark) for mark in (". ", "! ", "? ", ".\n", "\u3002"))
    return text[: end + 1] if end >= len(text) // 2 else text
