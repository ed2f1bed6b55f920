"""What both forms of Mr.Harm share: learning, answering by scored labels, writing rationales, saving.

The two forms differ in how the language model is run: `seq2seq.py` (T5, the paper) and `decoder.py` (a decoder-only
model, for small machines).

Shape letters: `b` memes, `t` text tokens, `v` visual tokens, `e` their width, `d` width of the language model, `k`
labels of a task, `q` columns of answers, `m` learned places, `w` words of the vocabulary.
"""

from __future__ import annotations

import copy
import shutil
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn
from transformers import AutoConfig, PreTrainedModel
from transformers.utils import ModelOutput

from memescope.backbones.base import batches
from memescope.backbones.language import Quiet
from memescope.backbones.precision import computes_in, products
from memescope.errors import UsageError
from memescope.meme import Evidence, Meme, Reading
from memescope.models import scoring
from memescope.models.mrharm.config import MrHarmConfig
from memescope.models.mrharm.fusion import Fusion, Keys, fused_places
from memescope.models.mrharm.processor import MrHarmProcessor
from memescope.models.prefix import Prefix
from memescope.models.writing import write
from memescope.objectives.generation import token_cross_entropy
from memescope.objectives.label import label_loss

FINAL = "final"
REASONS = "reasons"
"""Folder in that of a model that learnt reasons first and labels after: its weights as they were in between
(bfloat16)."""
LORA = {"r": 16, "alpha": 32, "dropout": 0.05}
LORA_TARGETS = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")


class MrHarm(PreTrainedModel, ABC):
    """A language model that looks at the picture through its `fusion`.

    `lm` is the language model as transformers has it; the picture encoder is frozen and belongs to the processor.
    """

    config: MrHarmConfig
    config_class = MrHarmConfig
    base_model_prefix = "lm"
    supports_gradient_checkpointing = True
    _supports_sdpa = True
    _no_split_modules = ["LlamaDecoderLayer", "T5Block"]  # noqa: RUF012 - as transformers declares it

    processor: MrHarmProcessor
    version: str = "mrharm-unsaved"
    reasons: Path | None = None
    """The folder of the weights that write reasons; None: the model's own do."""

    def __init__(self, config: MrHarmConfig, lm: Any = None) -> None:
        """`lm` is a loaded language model; without one its weights are random, to be loaded over."""
        super().__init__(config)
        self.lm = self._new_lm(AutoConfig.for_model(**(config.language_config or {}))) if lm is None else lm
        width = self.lm.config.hidden_size
        self.fusion: Fusion | None = None
        self.projector: nn.Linear | None = None
        if config.fusion == "cross-attention":
            blocks = self._blocks()
            places = fused_places(config.fusion_layers, len(blocks))
            if config.final_fusion and config.kind == "seq2seq":
                places.append(FINAL)
            self.fusion = Fusion(width, config.visual_width, places, config.fusion_heads)
            self.fusion.attach(blocks)
        elif config.fusion == "concatenation":
            self.projector = nn.Linear(config.visual_width, width)
        if config.lora:
            self._adapt(config.lora)
        self.post_init()

    def _init_weights(self, module: nn.Module) -> None:
        """Nothing: layers of ours start as PyTorch starts them, as in the published code."""

    @abstractmethod
    def _new_lm(self, config: Any) -> Any:
        """The language model of a configuration, its weights random."""

    @abstractmethod
    def _blocks(self) -> Sequence[nn.Module]:
        """The blocks of the language model that a picture can be fused behind."""

    def _adapt(self, lora: Mapping[str, Any]) -> None:
        """Low-rank adapters in the language model, which is frozen; what looks at the picture is trained in full."""
        from peft import LoraConfig, inject_adapter_in_model

        unknown = set(lora) - {*LORA, "targets"}
        if unknown:
            raise UsageError(f"lora: unknown {', '.join(sorted(unknown))}; known: {', '.join(LORA)}, targets")
        full = LORA | dict(lora)
        targets = list(full.get("targets") or LORA_TARGETS)
        inject_adapter_in_model(
            LoraConfig(r=full["r"], lora_alpha=full["alpha"], lora_dropout=full["dropout"], target_modules=targets),
            self.lm,
        )

    # learning

    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor,
        visual: Tensor | None = None,
        labels: Tensor | None = None,
        decoder_input_ids: Tensor | None = None,
        answers: Tensor | None = None,
        num_items_in_batch: Tensor | int | None = None,
        **_: Any,
    ) -> ModelOutput:
        """`loss` and what it was computed from.

        With `labels` (and `decoder_input_ids` for T5): cross-entropy of the tokens, and `logits` (m, w) at the learned
        places. With `answers` (b, q): cross-entropy of the scored labels, and `scores` task -> (b, k). A batch of
        `MrHarmProcessor.collate` has what is needed. `num_items_in_batch`: see `objectives.generation`.
        """
        batch = {"input_ids": input_ids, "attention_mask": attention_mask, "visual": visual}
        if answers is not None:
            scores = self.scorer(self.prefix(batch))
            return ModelOutput(loss=label_loss(scores, self._targets(answers)), scores=scores)
        if labels is None:
            raise UsageError("nothing to learn in the batch: expected labels (tokens) or answers (columns of labels)")
        logits, wanted = self._learned(batch, labels, decoder_input_ids)
        return ModelOutput(loss=token_cross_entropy(logits, wanted, total=num_items_in_batch), logits=logits)

    @abstractmethod
    def _learned(
        self, batch: Mapping[str, Any], labels: Tensor, decoder_input_ids: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        """Logits (m, w) at the places that are learned, and the tokens (m,) that are right there."""

    def _targets(self, answers: Tensor) -> dict[str, Tensor]:
        found, at = {}, 0
        for question in self.scorer.questions:
            columns = answers[:, at : at + len(question.parts)]
            found[question.task] = columns if question.multilabel else columns[:, 0]
            at += len(question.parts)
        return found

    # reading

    @abstractmethod
    def prefix(self, batch: Mapping[str, Any]) -> Prefix:
        """Prompts read, pictures seen: ready to be scored or gone on from."""

    def _look(self, visual: Tensor | None) -> Keys | None:
        """The picture's keys and values for every fused block, once for all calls."""
        if self.fusion is None:
            return None
        if visual is None:
            raise UsageError("the batch has no visual features, but the model looks at pictures: give visual=")
        return self.fusion.look(visual.to(next(self.fusion.parameters()).dtype))

    def _embedded(self, batch: Mapping[str, Any]) -> tuple[dict[str, Tensor], Tensor]:
        """Inputs of the language model and their mask; concatenation puts the picture before the text."""
        ids, mask = batch["input_ids"], batch["attention_mask"].bool()
        if self.projector is None:
            return {"input_ids": ids}, mask
        if batch.get("visual") is None:
            raise UsageError("the batch has no visual features, but the model looks at pictures: give visual=")
        seen = self.projector(batch["visual"].to(self.projector.weight.dtype))
        words = self.lm.get_input_embeddings()(ids)
        mask = torch.cat([mask.new_ones(seen.shape[:2]), mask], 1)
        return {"inputs_embeds": torch.cat([seen.to(words.dtype), words], 1)}, mask

    @property
    def scorer(self) -> scoring.Scorer:
        """Scores the labels of all tasks."""
        if "_scorer" not in self.__dict__:
            self.__dict__["_scorer"] = scoring.Scorer(
                self.processor.questions, cast(scoring.Length, self.config.length)
            )
        found: scoring.Scorer = self.__dict__["_scorer"]
        return found

    # answering

    @property
    def name(self) -> str:
        """The model's name on verdicts."""
        return self.config.name

    @property
    def tasks(self) -> tuple[str, ...]:
        """The tasks it answers."""
        return tuple(self.config.tasks or {})

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
        for rows, prefix in self._prefixes(memes):
            tables = self.tables(prefix)
            for question in self.scorer.questions:
                least = (self.config.abstain or {}).get(question.task, 0.0)
                found = scoring.answers(question, tables[question.task], least)
                for row, answer in zip(rows, found, strict=True):
                    readings[row].answers[question.task] = answer
        if rationale:
            for reading, text in zip(readings, self.generate(memes), strict=True):
                reading.rationale = text
        return readings

    def generate(self, memes: Sequence[Meme]) -> list[str]:
        """The rationale of each meme, written greedily, at most `max_rationale` tokens."""
        texts = [""] * len(memes)
        for rows, prefix in self.writer._prefixes(memes):
            for row, text in zip(rows, self.writer._reasons(prefix), strict=True):
                texts[row] = text
        return texts

    @property
    def writer(self) -> MrHarm:
        """The model that writes the reasons: this one, or itself as it was before it learnt to judge (`REASONS`).

        Learning to write the label unlearns to write reasons: after three epochs the label is all that is written.
        """
        if self.reasons is None:
            return self
        if "_writer" not in self.__dict__:
            with Quiet():
                made: Any = type(self).from_pretrained(
                    self.reasons, config=copy.deepcopy(self.config), dtype=self.dtype
                )
            made = made.to(self.device).eval()
            made.processor = self.processor
            self.__dict__["_writer"] = made
        found: MrHarm = self.__dict__["_writer"]
        return found

    def explain(self, meme: Meme, tasks: Sequence[str]) -> dict[str, Evidence]:
        """Words, picture regions and one sentence for each task asked. `UsageError` for one it does not answer."""
        from memescope.models.mrharm.explain import explain

        return explain(self, meme, tasks)

    def tables(self, prefix: Prefix) -> dict[str, Tensor]:
        """Calibrated probabilities (b, k) by task."""
        with torch.inference_mode(), self._precision():
            scores = self.scorer(prefix)
        calibration = self.config.calibration or {}
        return {
            question.task: scoring.probabilities(
                scores[question.task].double(), question.multilabel, calibration.get(question.task)
            )
            for question in self.scorer.questions
        }

    def read(self, batch: Mapping[str, Any]) -> Prefix:
        """`prefix` without gradients, in the model's precision, on its device."""
        with torch.inference_mode(), self._precision():
            return self.prefix({name: value.to(self.device) for name, value in batch.items()})

    def _prefixes(self, memes: Sequence[Meme]) -> Iterator[tuple[list[int], Prefix]]:
        """Memes with prompts of similar length together, read: (positions, prefix)."""
        self.eval()
        prompts = [self.processor.prompt(meme) for meme in memes]
        for rows in batches([len(prompt) for prompt in prompts]):
            some = [memes[row] for row in rows]
            yield rows, self.read(self.processor(some))

    def _reasons(self, prefix: Prefix) -> list[str]:
        processor = self.processor
        with torch.inference_mode(), self._precision():
            written = write(prefix, processor.rationale_lead, {processor.end}, self.config.max_rationale)
        return [processor.text(ids) for ids in written]

    def _precision(self) -> Any:
        return products(self.config.precision, self.device)

    def save_pretrained(self, save_directory: str | PathLike[Any], *args: Any, **kwargs: Any) -> None:
        """Weights as safetensors, configuration, tokenizer; the frozen picture encoder only where it was a folder."""
        # names as they are here: not those of the checkpoints that backbones once came from
        with Quiet():
            super().save_pretrained(save_directory, *args, **kwargs | {"save_original_format": False})
        self.processor.save_pretrained(Path(save_directory))
        copied = Path(save_directory) / REASONS
        if self.reasons is not None and self.reasons.resolve() != copied.resolve():
            shutil.copytree(self.reasons, copied, dirs_exist_ok=True)
