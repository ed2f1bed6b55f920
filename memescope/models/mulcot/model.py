"""MulCoT-RD (arXiv 2508.05234): a model that reasons about a post in five parts and names its feeling.

Assistant and student are the same thing in two sizes: any vision-language model, or a TinyVLM of more or fewer layers,
that has learnt to write a chain with its label and to name the label alone. Labels are answered by scoring
(`models.vlm`), as every family's are; the label that ends a written chain is told beside (`conclude`), which is what
the paper measures.

Shape letters: `b` rows, `t` tokens, `m` places that are listened to, `w` words of the vocabulary.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn
from transformers.utils import ModelOutput

from memescope.backbones.vlm import Sight
from memescope.cache import content_key
from memescope.errors import UsageError
from memescope.meme import Meme
from memescope.models.mulcot import prompting
from memescope.models.mulcot.chain import CHAIN_PARTS, LEAD, PREDICTION, read_chain, stated_label
from memescope.models.vlm import Ask, Instruction, Row, Turn, VlmModel
from memescope.models.vlm.reading import states
from memescope.models.vlm.rows import begun
from memescope.objectives.distillation import Mask, check_vocabularies, distillation_loss
from memescope.objectives.generation import IGNORED, token_cross_entropy
from memescope.objectives.joint import joint_loss
from memescope.taxonomy import load_taxonomy


class MulCot(VlmModel):
    """Assistant or student. A task on an aspect is asked of the whole post where it names none."""

    family = "mulcot"

    def instructions(self, meme: Meme, tasks: Sequence[str]) -> list[Instruction]:
        """The label alone is asked for."""
        return [prompting.instruction(self._cut(meme), task) for task in tasks]

    def turns(self, meme: Meme, objective: str) -> list[Turn]:
        """`explain`: the label alone and, where there is one, a chain with its label; `both`: the same of memes with a
        chain; `rationale` or `label`: one of the two."""
        learn: prompting.Learn = "both" if objective in ("both", "explain") else "label"
        return prompting.turns(self._cut(meme), self.tasks, "rationale" if objective == "rationale" else learn)

    def batch(self, memes: Sequence[Meme], rows: Sequence[Sequence[Row]]) -> dict[str, Any]:
        """With `task` int64 (b, t): 1 at the places of a label asked for alone, 0 elsewhere."""
        found = super().batch(memes, rows)
        numbers = torch.zeros_like(found["input_ids"])
        flat = [one for some in rows for one in some]
        for number, one in enumerate(flat):
            kinds = [int(kind) for kind in self._alone(one)]
            numbers[number, : len(kinds)] = torch.tensor(kinds)
            if not one.branch:
                numbers[number, len(kinds) :] = kinds[-1]  # padding belongs to its row
        return found | {"task": numbers}

    def _alone(self, row: Row) -> list[bool]:
        """Whether each place of a row, or of a branch of it, is of a label asked for alone: it begins with the lead."""
        lead = self.vlm.words(begun(self.vlm, LEAD))
        branches = row.branch or [0] * len(row)
        first: dict[int, int] = {}
        for i, label in enumerate(row.labels):
            if label != IGNORED:
                first.setdefault(branches[i], i)
        alone = {number: row.ids[i : i + len(lead)] == lead for number, i in first.items()}
        return [alone.get(number, False) for number in branches]

    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor,
        labels: Tensor,
        sights: Sequence[Sight] = (),
        branch: Tensor | None = None,
        step: Tensor | None = None,
        num_items_in_batch: Tensor | int | None = None,
        task: Tensor | None = None,
        totals: Tensor | None = None,
        **_: Any,
    ) -> ModelOutput:
        """`loss`: cross-entropy of reasoning and of labels, each a mean of its own, added.

        `totals`: see `shares_of`, in place of `num_items_in_batch`.
        """
        batch = {"input_ids": input_ids, "attention_mask": attention_mask, "branch": branch, "step": step}
        found, right, kinds = said(self, batch, labels, labels if task is None else task, sights, "answers")
        kinds = torch.zeros_like(kinds) if task is None else kinds
        head = self.vlm.model.get_output_embeddings()

        def loss(some: Tensor) -> Tensor:
            return token_cross_entropy(head(found[some]), right[some])

        return ModelOutput(loss=joint_loss(kinds, loss, self.weights, shares_of(kinds, right, totals)))

    @property
    def weights(self) -> tuple[float, float]:
        """What reasoning and the label alone count in the loss."""
        return 1.0, float((self.config.settings or {}).get("label_weight", 1.0))

    def reason(self, meme: Meme) -> Ask:
        """A whole chain is asked for."""
        return prompting.reason_ask(self._cut(meme), self.about(meme))

    def about(self, meme: Meme) -> str:
        """The task that a chain about this meme is on: an aspect's where it names one, else the post's."""
        fitting = [task for task in self.tasks if load_taxonomy()[task].aspect == bool(meme.aspect)]
        return (fitting or list(self.tasks))[0]

    def chains(self, memes: Sequence[Meme], temperature: float = 0.0, seed: int = 0) -> list[str]:
        """A chain for each meme as it was written, label included. Above temperature 0 chains are drawn: what is drawn
        for a meme depends on its id, the seed and nothing else."""
        asks = [self.reason(meme) for meme in memes]
        if not temperature:
            return self.write(memes, asks)
        seeds = [int(content_key(seed, meme.source, meme.id)[:12], 16) for meme in memes]
        return self.write(memes, asks, draw=(temperature, seeds))

    def conclude(self, memes: Sequence[Meme]) -> list[tuple[str, str | None]]:
        """For each meme the reasoning that is written and the label that it ends in (None: in none)."""
        found = []
        for meme, text in zip(memes, self.chains(memes), strict=True):
            found.append((reasoning(text), stated_label(text, load_taxonomy()[self.about(meme)].labels)))
        return found

    def generate(self, memes: Sequence[Meme]) -> list[str]:
        """The reasoning that is written about each meme: parts under their names, in the form that is stored."""
        return [text for text, _ in self.conclude(memes)]

    def _cut(self, meme: Meme) -> Meme:
        return replace(meme, text=self.short(meme.text))


def reasoning(text: str) -> str:
    """The parts of a written chain without its prediction, as stored (`chain.chain_text`); a text without parts is
    given whole."""
    parts = read_chain(text)
    found = "\n".join(f"{name}: {parts[name]}" for name in CHAIN_PARTS if name in parts)
    return found or text.partition(PREDICTION)[0].strip(' "')


def check_roles(assistant: MulCot, student: MulCot, pictures: Sequence[Any] = ()) -> None:
    """`UsageError` where the two cannot be compared token by token: other vocabularies, or other tokens for one of some
    pictures. They read the same rows."""
    names = ("the assistant", "the student")
    check_vocabularies(assistant.vlm.tokenizer.get_vocab(), student.vlm.tokenizer.get_vocab(), names)
    for picture in pictures:
        its, own = (model.vlm.span(model.look.grid(picture)) for model in (assistant, student))
        if its != own:
            raise UsageError(
                f"the assistant {assistant.vlm.name} has {len(its)} tokens of a picture, the student "
                f"{student.vlm.name} {len(own)}: give both the same `picture` settings, take two models of one family, "
                "or set distil.weight=0 to distil by chains alone"
            )


class Taught(nn.Module):
    """A student that listens to its assistant while it learns: the loss has the assistant's probabilities in it.

    Only the student is learnt. Both read the same rows, so both must have the same tokens; the assistant is frozen and
    in evaluation mode. Where the widths of their vocabularies' tables differ (padding), the narrower counts.
    """

    def __init__(
        self, student: MulCot, assistant: MulCot, weight: float, temperature: float, squared: bool, mask: Mask
    ) -> None:
        super().__init__()
        check_roles(assistant, student)
        self.student = student
        self._assistant = [assistant.eval().requires_grad_(False)]  # in a list: not a part that is learnt or saved
        self._settings: dict[str, Any] = {"weight": weight, "temperature": temperature, "squared": squared}
        self._mask: Mask = mask

    @property
    def assistant(self) -> MulCot:
        """The frozen teacher."""
        return self._assistant[0]

    def forward(
        self,
        labels: Tensor,
        task: Tensor,
        sights: Sequence[Sight] = (),
        assistant_sights: Sequence[Sight] | None = None,
        totals: Tensor | None = None,
        num_items_in_batch: Tensor | int | None = None,
        **batch: Any,
    ) -> ModelOutput:
        """`loss`: of reasoning and of labels, added. A batch of `MulCot.batch` has what is needed.

        `assistant_sights` where the two do not see with the same eyes.
        """
        if self.assistant.device != labels.device:
            nn.Module.to(self.assistant, labels.device)
        own, right, kinds = said(self.student, batch, labels, task, sights, self._mask)
        seen = sights if assistant_sights is None else assistant_sights
        with torch.no_grad():
            other, _, _ = said(self.assistant, batch, labels, task, seen, self._mask)
        heads = [model.vlm.model.get_output_embeddings() for model in (self.student, self.assistant)]

        def loss(some: Tensor) -> Tensor:
            with torch.no_grad():
                other_said = heads[1](other[some])
            own_said = heads[0](own[some])
            width = min(own_said.shape[-1], other_said.shape[-1])
            return distillation_loss(
                own_said[:, :width], other_said[:, :width], right[some], **self._settings, mask=self._mask
            ).loss

        return ModelOutput(loss=joint_loss(kinds, loss, self.student.weights, shares_of(kinds, right, totals)))


def shares_of(kinds: Tensor, right: Tensor, totals: Tensor | None) -> Tensor | None:
    """Of each task the learnt places of this batch (m,), as a part of the `totals` (2,) of all batches that one
    optimiser step sums over; None where the batch is all."""
    if totals is None:
        return None
    here = torch.stack([((kinds == number) & (right != IGNORED)).sum() for number in range(len(totals))])
    return here / totals.clamp(min=1)


def said(
    model: MulCot, batch: Mapping[str, Any], labels: Tensor, task: Tensor, sights: Sequence[Sight], mask: Mask
) -> tuple[Tensor, Tensor, Tensor]:
    """States (m, d) at the learnt places, or everywhere as released; what is right there (m,), and for which task (m,).

    States, not logits: a table of the vocabulary's width is made for each task's places apart, and never copied.
    """
    found = states(model.vlm, batch, sights)
    if mask == "answers":
        places = labels[:, 1:] != IGNORED
        return found[:, :-1][places], labels[:, 1:][places], task[:, 1:][places]
    following = torch.cat([labels[:, 1:], labels.new_full((len(labels), 1), IGNORED)], 1)
    return found.flatten(0, 1), following.flatten(), task.flatten()
