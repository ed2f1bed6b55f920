"""A family's model around any vision-language model: learning, answering by scored labels, writing, saving.

A family is a subclass that says what is said:

    class MemeLens(VlmModel):
        family = "memelens"
        def instructions(self, meme, tasks): ...     what each task is asked, for scored answers
        def turns(self, meme, objective): ...        what is learnt of a meme
        def reason(self, meme): ...                  what a rationale is asked with; None: it writes none

Everything else is here and the same for all. Pictures are seen with frozen weights through `look`; whoever wants to
keep what it gives (`training.kept_sights`) puts itself in its place.

Shape letters: `b` rows, `t` tokens, `d` width, `m` learnt places, `w` words of the vocabulary, `k` labels of a task.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from os import PathLike
from pathlib import Path
from typing import Any, Protocol, Self, cast

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel
from transformers.utils import ModelOutput

from memescope.backbones.base import batches
from memescope.backbones.precision import best_device, computes_in, products
from memescope.backbones.vlm import Sight, Vlm
from memescope.errors import UsageError
from memescope.meme import Evidence, Meme, Reading
from memescope.models import scoring
from memescope.models.prefix import CausalPrefix
from memescope.models.vlm import adapters, saving
from memescope.models.vlm.asking import Asker, Part, Stem
from memescope.models.vlm.config import VlmConfig
from memescope.models.vlm.reading import learnt, read
from memescope.models.vlm.rows import Ask, Instruction, Row, Turn, collate, packed, prompt, row
from memescope.models.writing import Sampled, likeliest, write
from memescope.objectives.generation import token_cross_entropy
from memescope.perception.pictures import open_picture
from memescope.taxonomy.tasks import load_taxonomy


class Look(Protocol):
    """How a model comes to the sights of pictures (files, bytes, pictures)."""

    def __call__(self, pictures: Sequence[Any]) -> list[Sight]:
        """In order. `PictureError` for what cannot be read."""
        ...

    def grid(self, picture: Any) -> tuple[int, int]:
        """The grid of the picture's sight."""
        ...


class Fresh:
    """Each picture encoded anew."""

    def __init__(self, vlm: Vlm) -> None:
        self._vlm = vlm

    def __call__(self, pictures: Sequence[Any]) -> list[Sight]:
        """In order."""
        return self._vlm.see([open_picture(picture) for picture in pictures])

    def grid(self, picture: Any) -> tuple[int, int]:
        """By the picture's size."""
        return self._vlm.fixed_grid or self._vlm.grid(open_picture(picture))


class VlmModel(PreTrainedModel, ABC):
    """A vision-language model that answers tasks. `core` is the model as transformers has it, adapters included."""

    config: VlmConfig
    config_class = VlmConfig
    base_model_prefix = "core"
    _supports_sdpa = True
    family = "vlm"

    def __init__(self, config: VlmConfig, vlm: Vlm) -> None:
        super().__init__(config)
        self.vlm = vlm
        self.core = vlm.model
        self.peft: Any = None
        self.version = f"{config.family}-unsaved"
        self.look: Look = Fresh(vlm)
        self._asker = Asker(vlm)
        vlm.freeze()

    @classmethod
    def create(cls, vlm: str = "tinyvlm", tasks: Sequence[str] = ("harmful",), **settings: Any) -> Self:
        """A model to be trained: any supported vision-language model by name, with new adapters where `lora` is given.

        `settings` are fields of `VlmConfig`: `tiny={"layers": 12}` for a TinyVLM, `lora={"r": 16}`,
        `settings={...}` of the family.
        """
        for name in tasks:
            load_taxonomy()[name]
        config = VlmConfig(family=cls.family, vlm=vlm, tasks=list(tasks), **({"name": cls.family} | settings))
        made = cls(config, saving.load_core(config))
        config.vlm_version = made.vlm.version
        if config.lora is not None:
            made.adapt()
        return made.eval()

    # what a family says

    @abstractmethod
    def instructions(self, meme: Meme, tasks: Sequence[str]) -> list[Instruction]:
        """What some tasks are asked of a meme, one instruction for each."""

    @abstractmethod
    def turns(self, meme: Meme, objective: str) -> list[Turn]:
        """What is learnt of a meme; none where it has nothing to learn from."""

    def reason(self, meme: Meme) -> Ask | None:
        """What a rationale is asked with; None for a family or stage that writes none."""
        return None

    def short(self, text: str) -> str:
        """A meme's words, cut after `max_text` tokens."""
        encoded = self.vlm.tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)
        places = encoded["offset_mapping"]
        return text if len(places) <= self.config.max_text else text[: places[self.config.max_text - 1][1]]

    # adapters

    def adapt(self) -> None:
        """A new adapter, as `config.lora` says; the language model rests."""
        if self.peft is not None:
            raise UsageError(f"{self.config.name} has an adapter already: merge it first")
        self.peft = adapters.add(self.vlm, self.config.lora or {})

    def merge(self) -> None:
        """The adapter into the weights, which then are the model's own."""
        if self.peft is not None:
            adapters.merge(self.vlm, self.peft)
            self.core, self.peft = self.vlm.model, None
            self.config.whole = True  # no hub has these weights
        self.vlm.freeze()

    # learning

    def rows(self, meme: Meme, objective: str, pack: bool = False) -> list[Row]:
        """The token rows of what is learnt of a meme; with `pack` as one row where their beginnings are alike."""
        span = self._span(meme)
        found = [row(self.vlm, turn, span, self.config.max_rationale) for turn in self.turns(meme, objective)]
        if not pack or len(found) < 2:
            return found
        seen = [[i for i, token in enumerate(one.ids) if token == self.vlm.image] for one in found]
        return packed(found, max((places[-1] + 1 for places in seen if places), default=0))

    def batch(self, memes: Sequence[Meme], rows: Sequence[Sequence[Row]]) -> dict[str, Any]:
        """A batch of some memes' rows, each with its picture's features: what `forward` takes."""
        shown = [any(self.vlm.image in one.ids for one in some) for some in rows]
        seen = self._seen(
            [meme if show else replace(meme, image=None) for meme, show in zip(memes, shown, strict=True)]
        )
        sights = [
            sight
            for sight, some in zip(seen, rows, strict=True)
            for one in some
            if self.vlm.image in one.ids and sight is not None
        ]
        return collate([one for some in rows for one in some], self.vlm.pad) | {"sights": sights}

    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor,
        labels: Tensor,
        sights: Sequence[Sight] = (),
        branch: Tensor | None = None,
        step: Tensor | None = None,
        num_items_in_batch: Tensor | int | None = None,
        **_: Any,
    ) -> ModelOutput:
        """`loss`: cross-entropy of the learnt tokens; `logits` (m, w) at their places, and the `wanted` tokens (m,).

        A batch of `batch` has what is needed. `num_items_in_batch`: see `objectives.generation`.
        """
        batch = {"input_ids": input_ids, "attention_mask": attention_mask, "branch": branch, "step": step}
        logits, wanted = learnt(self.vlm, batch, labels, sights)
        return ModelOutput(
            loss=token_cross_entropy(logits, wanted, total=num_items_in_batch), logits=logits, wanted=wanted
        )

    # answering

    @property
    def name(self) -> str:
        """The model's name on verdicts."""
        return self.config.name

    @property
    def tasks(self) -> tuple[str, ...]:
        """The tasks it answers."""
        return tuple(self.config.tasks or ())

    @property
    def card(self) -> dict[str, Any]:
        """What it was trained on, by task."""
        return self.config.card or {}

    @property
    def computes_in(self) -> str:
        """What its answers are computed in on this device."""
        return computes_in(self.config.precision, self.device)

    @property
    def writes(self) -> bool:
        """Whether it was taught to write reasons."""
        return bool(self.config.writes)

    def answer(self, memes: Sequence[Meme], rationale: bool = False) -> list[Reading]:
        """One Reading a meme, in order; with `rationale` also the reasons it writes. Any batch or order gives the same.

        Raises `PictureError` for a picture that cannot be read.
        """
        readings = [Reading(model=self.version) for _ in memes]
        for reading, tables in zip(readings, self.tables(memes), strict=True):
            for task, table in tables.items():
                least = (self.config.abstain or {}).get(task, 0.0)
                reading.answers[task] = scoring.answers(self._question(task), table[None], least)[0]
        if rationale:
            for reading, text in zip(readings, self.generate(memes), strict=True):
                reading.rationale = text or None
        return readings

    def tables(
        self,
        memes: Sequence[Meme],
        seen: Sequence[Sight | None] | None = None,
        hidden: Sequence[Tensor | None] | None = None,
    ) -> list[dict[str, Tensor]]:
        """Calibrated probabilities (k,) by task, of each meme. `seen`: sights in place of its pictures'; `hidden`: see
        `score`."""
        calibration = self.config.calibration or {}
        found: list[dict[str, Tensor]] = []
        for scores in self.score(memes, seen=seen, hidden=hidden):
            found.append({})
            for task, its in scores.items():
                several = self._question(task).multilabel
                found[-1][task] = scoring.probabilities(its[None].double(), several, calibration.get(task))[0]
        return found

    def score(
        self,
        memes: Sequence[Meme],
        instructions: Sequence[Sequence[Instruction]] | None = None,
        seen: Sequence[Sight | None] | None = None,
        hidden: Sequence[Tensor | None] | None = None,
    ) -> list[dict[str, Tensor]]:
        """The score (k,) of each label by task, of each meme; for several labels that of yes less that of no.

        `instructions` in place of the family's own; `hidden` bool (n,): places of the picture that nothing may look at.
        """
        self.eval()
        asked = [self.instructions(meme, self.tasks) for meme in memes] if instructions is None else instructions
        spans = [self._span(meme) for meme in memes]
        parts = [self._asker.parts(some, span) for some, span in zip(asked, spans, strict=True)]
        found = self.scored(
            parts,
            lambda some: self._seen([memes[i] for i in some]) if seen is None else [seen[i] for i in some],
            hidden,
        )
        return [_by_task(one, its) for one, its in zip(asked, found, strict=True)]

    def scored(
        self,
        parts: Sequence[Sequence[Part]],
        see: Callable[[Sequence[int]], Sequence[Sight | None]],
        hidden: Sequence[Tensor | None] | None = None,
    ) -> list[dict[int, Tensor]]:
        """The scores (k,) of each part's answers, of each meme, by the part's number. `see` gives some memes' sights,
        by their numbers."""
        stems = [(i, stem) for i, some in enumerate(parts) for stem in self._asker.stems(some, self.vlm.image)]
        found: list[dict[int, Tensor]] = [{} for _ in parts]
        for rows in batches([len(stem.ids) for _, stem in stems]):
            some = [stems[i] for i in rows]
            shown = [i for i, stem in some if self.vlm.image in stem.ids]
            by_meme = dict(zip(shown, see(shown), strict=True)) if shown else {}
            sights = [by_meme.get(i) for i, _ in some]
            ids = [stem.ids for _, stem in some]
            with torch.inference_mode(), self._precision():
                prefix = read(self.vlm, ids, sights, None if hidden is None else [hidden[i] for i, _ in some])
                for which, numbers, scores in self._branches(prefix, [stem for _, stem in some]):
                    found[some[which][0]].update(zip(numbers, scores, strict=True))
        return found

    def _branches(self, prefix: CausalPrefix, stems: Sequence[Stem]) -> Iterator[tuple[int, list[int], list[Tensor]]]:
        """The scores behind each stem: its number, the numbers of its parts, their scores."""
        todo = [(i, branch, numbers) for i, stem in enumerate(stems) for branch, numbers in stem.branches]
        length = cast(scoring.Length, self.config.length)
        for some in batches([len(branch.tree.read) for _, branch, _ in todo]):
            rows = [todo[i] for i in some]
            edges = prefix.branch_each([i for i, _, _ in rows], [branch.tree for _, branch, _ in rows])
            for (i, branch, numbers), its in zip(rows, edges, strict=True):
                yield i, numbers, branch.scores(its, length)

    def generate(self, memes: Sequence[Meme]) -> list[str]:
        """The rationale of each meme, written greedily; empty where the family asks for none."""
        asks = [self.reason(meme) for meme in memes]
        some = [i for i, ask in enumerate(asks) if ask is not None]
        texts = [""] * len(memes)
        written = self.write([memes[i] for i in some], [ask for ask in asks if ask is not None])
        for i, text in zip(some, written, strict=True):
            texts[i] = text
        return texts

    def write(
        self,
        memes: Sequence[Meme],
        asks: Sequence[Ask],
        longest: int | None = None,
        draw: tuple[float, Sequence[int]] | None = None,
        seen: Sequence[Sight | None] | None = None,
        hidden: Sequence[Tensor | None] | None = None,
    ) -> list[str]:
        """What the model writes when asked, at most `longest` tokens (`max_rationale`): greedily, or drawn at a
        temperature, by a seed for each meme. `seen`: sights in place of its pictures'; `hidden`: see `score`."""
        self.eval()
        rows = [prompt(self.vlm, ask, self._span(meme)) for meme, ask in zip(memes, asks, strict=True)]
        texts = [""] * len(memes)
        for some in batches([len(ids) for ids in rows]):
            shown = [memes[i] if asks[i].image else replace(memes[i], image=None) for i in some]
            sights = self._seen(shown) if seen is None else [seen[i] for i in some]
            with torch.inference_mode(), self._precision():
                unseen = None if hidden is None else [hidden[i] for i in some]
                prefix = read(self.vlm, [rows[i] for i in some], sights, unseen)
                choose = Sampled(draw[0], [draw[1][i] for i in some]) if draw else likeliest
                written = write(prefix, (), {self.vlm.end}, longest or self.config.max_rationale, choose)
            for i, ids in zip(some, written, strict=True):
                texts[i] = self.vlm.text(ids)
        return texts

    def explain(self, meme: Meme, tasks: Sequence[str]) -> dict[str, Evidence]:
        """Words, picture regions and one sentence for each task asked. `UsageError` for one it does not answer."""
        from memescope.models.vlm.explain import explain

        return explain(self, meme, tasks)

    # pictures

    def _seen(self, memes: Sequence[Meme]) -> list[Sight | None]:
        there = [i for i, meme in enumerate(memes) if meme.image is not None]
        found: list[Sight | None] = [None] * len(memes)
        if there:
            for i, sight in zip(there, self.look([memes[i].image for i in there]), strict=True):
                found[i] = sight
        return found

    def _span(self, meme: Meme) -> tuple[int, ...] | None:
        return None if meme.image is None else self.vlm.span(self.look.grid(meme.image))

    def _question(self, task: str) -> scoring.Question:
        entry = load_taxonomy()[task]
        return scoring.Question(task, entry.labels, entry.kind == "multilabel", ())

    def _precision(self) -> Any:
        return products(self.config.precision, self.device)

    # saving

    def save_pretrained(self, save_directory: str | PathLike[Any], *_: Any, **__: Any) -> None:
        """The run folder: configuration, adapter, and the weights themselves where no hub has them."""
        saving.save(self, Path(save_directory))

    @classmethod
    def load_folder(cls, folder: Path) -> Self:
        """The model that `save_pretrained` wrote, in evaluation mode, on a GPU where there is one. The version names
        its content."""
        config, vlm, digest = saving.load(folder)
        made = cls(config, vlm)
        if (folder / saving.ADAPTER).is_dir():
            made.peft = adapters.read(vlm, folder / saving.ADAPTER)
        made.version = f"{config.name}-{digest}"
        nn.Module.to(made, best_device())
        return made.eval()


def _by_task(instructions: Sequence[Instruction], scores: dict[int, Tensor]) -> dict[str, Tensor]:
    found, at = {}, 0
    for one in instructions:
        count = len(one.labels) if one.multilabel else 1
        some = [scores[number] for number in range(at, at + count)]
        found[one.task] = torch.stack([yes - no for no, yes in some]) if one.multilabel else some[0]
        at += count
    return found
