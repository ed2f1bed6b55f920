"""Memes to token rows and back: the text formats of Mr.Harm (papers: arXiv 2312.05434; its released code).

Published: the encoder reads the meme's text, lower-cased; the decoder writes "Output: " and the rationale in stage 1,
"The answer is: " and the label in stage 2. Here the words before the answer, the *lead*, are given to the model instead
of being written by it, so they are what tells a rationale from a label, and one task's label from another's, in models
that learned both (one-stage training): whatever is asked comes after the same reading of the meme.

    seq2seq      encoder: text </s>                 decoder: lead answer </s>
    decoder      <bos> text <joiner> lead answer <eos>

Shape letters: `b` rows, `t` tokens, `v` visual tokens, `e` their width, `q` columns of answers.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor

from memescope.backbones.packaged import VISION
from memescope.errors import UsageError
from memescope.meme import Meme
from memescope.models.mrharm.config import MrHarmConfig
from memescope.models.mrharm.vision import VisualEncoder, VisualSettings, load_visual_encoder
from memescope.models.scoring import Question, ask
from memescope.objectives.generation import IGNORED
from memescope.objectives.label import MISSING
from memescope.taxonomy.tasks import load_taxonomy

Stage = Literal["rationale", "label", "answer", "both"]
"""What rows teach: to write the rationale; to write the label (published); to score the labels (`objectives.label`);
the rationale and the label, each in its own row (one-stage)."""
STAGES = ("rationale", "label", "answer", "both")
VISION_FOLDER = "vision"


class MrHarmProcessor:
    """Knows the tokenizer, the picture encoder and the formats; saved beside the model."""

    def __init__(self, tokenizer: Any, config: MrHarmConfig, vision: VisualEncoder | None = None) -> None:
        self.tokenizer, self.config, self._vision = tokenizer, config, vision
        entries = config.tasks or {}
        self.tasks = {name: load_taxonomy()[name] for name in entries}
        self.questions: tuple[Question, ...] = tuple(
            ask(task, entries[name]["lead"], self.tokens, self.end, entries[name]["labels"])
            for name, task in self.tasks.items()
        )
        self.rationale_lead = self.tokens(config.rationale_lead)
        self._joiner = self.tokens(config.joiner) if config.kind == "decoder" else [self.end]
        start = tokenizer.bos_token_id if tokenizer.bos_token_id is not None else tokenizer.eos_token_id
        self._start = [start] if config.kind == "decoder" else []

    @property
    def end(self) -> int:
        """The token that ends what is written."""
        return int(self.tokenizer.eos_token_id)

    @property
    def vision(self) -> VisualEncoder | None:
        """The frozen picture encoder, loaded when it is first needed; None where the model does not look.

        Raises `UsageError` where it is not the one that the model was trained with.
        """
        config = self.config
        if self._vision is None and config.vision is not None:
            self._vision = load_visual_encoder(config.vision, VisualSettings(**(config.vision_settings or {})))
            # a folder's version is its name and the hash of its content: a copy has another name
            if content(config.vision_version) not in (None, content(self._vision.version)):
                raise UsageError(
                    f"picture encoder {config.vision!r} is {self._vision.version}, but the model was trained with "
                    f"{config.vision_version}: its answers would not be the same; fetch that version"
                )
        return self._vision

    def tokens(self, text: str) -> list[int]:
        """A piece of text by itself, without special tokens."""
        return list(self.tokenizer(text, add_special_tokens=False)["input_ids"])

    def prompt(self, meme: Meme) -> list[int]:
        """What the model reads of a meme's words: at most `max_text` tokens of the text, then what ends it.

        As published, the limit counts the end token of an encoder's input.
        """
        text = self.config.template.format(
            text=meme.text, caption=meme.meta.get("caption", ""), aspect=meme.aspect or ""
        )
        room = self.config.max_text - (len(self._joiner) if self.config.kind == "seq2seq" else 0)
        return [*self._start, *self.tokens(self._cased(text))[:room], *self._joiner]

    def rows(self, meme: Meme, stage: Stage) -> list[dict[str, list[int]]]:
        """Rows to learn from: `input_ids` and `labels`, or `input_ids` and `answers` for the stage "answer".

        None where the meme has no rationale, or none of the tasks' labels. One of each task that it labels, and for
        multilabel tasks one for each label.
        """
        if stage not in STAGES:
            raise UsageError(f"stage {stage!r}: expected one of {', '.join(STAGES)}")
        prompt = self.prompt(meme)
        rows = []
        if stage in ("rationale", "both") and meme.rationale:
            text = self.tokens(f" {self._cased(meme.rationale)}")[: self.config.max_rationale]
            rows.append(self._row(prompt, self.rationale_lead, [*text, self.end]))
        if stage in ("label", "both"):
            for question in self.questions:
                for (given, answers), right in zip(question.parts, self._right(question, meme), strict=True):
                    if right != MISSING:
                        answer = [token for token in answers[right] if token != self.end]
                        rows.append(self._row(prompt, given, [*answer, self.end]))
        if stage == "answer":
            columns = [right for question in self.questions for right in self._right(question, meme)]
            if any(right != MISSING for right in columns):
                rows.append({"input_ids": prompt, "answers": columns})
        return rows

    def _row(self, prompt: list[int], lead: Sequence[int], answer: list[int]) -> dict[str, list[int]]:
        learned = [*(lead if self.config.learn_lead else [IGNORED] * len(lead)), *answer]
        if self.config.kind == "seq2seq":
            return {
                "input_ids": prompt,
                "decoder_input_ids": [self._decoder_start, *lead, *answer][:-1],
                "labels": learned,
            }
        return {"input_ids": [*prompt, *lead, *answer], "labels": [*[IGNORED] * len(prompt), *learned]}

    @property
    def _decoder_start(self) -> int:
        return int((self.config.language_config or {})["decoder_start_token_id"])

    def _right(self, question: Question, meme: Meme) -> list[int]:
        """The right answer's number for each part of a question; `MISSING` where the meme is not labelled."""
        label = meme.labels.get(question.task)
        if label is None:
            return [MISSING] * len(question.parts)
        self.tasks[question.task].check(label)
        if isinstance(label, list):
            return [int(name in label) for name in question.labels]
        return [question.labels.index(label)]

    def _cased(self, text: str) -> str:
        return text.lower() if self.config.lower else text

    def see(self, memes: Sequence[Meme]) -> Tensor | None:
        """Visual tokens float32 (b, v, e), zeros for memes without picture; None where the model does not look."""
        return None if self.vision is None else self.vision([meme.image for meme in memes])

    def collate(self, rows: Sequence[dict[str, Any]], visual: Tensor | None = None) -> dict[str, Tensor]:
        """A batch, padded on the right to its longest row. `visual` (b, v, e), unless each row brings its own."""
        pad = self.tokenizer.pad_token_id
        batch = {
            "input_ids": padded([row["input_ids"] for row in rows], pad),
            "attention_mask": padded([[1] * len(row["input_ids"]) for row in rows], 0),
        }
        for name, filler in (("labels", IGNORED), ("decoder_input_ids", pad)):
            if name in rows[0]:
                batch[name] = padded([row[name] for row in rows], filler)
        if "answers" in rows[0]:
            batch["answers"] = torch.tensor([row["answers"] for row in rows])
        if visual is None and "visual" in rows[0]:
            visual = torch.stack([torch.as_tensor(row["visual"]) for row in rows])
        if visual is not None:
            batch["visual"] = visual.float()
        return batch

    def __call__(self, memes: Sequence[Meme], visual: Tensor | None = None) -> dict[str, Tensor]:
        """The prompts of memes as a batch, pictures included: what `prefix` and `answer` of a model read."""
        seen = self.see(memes) if visual is None else visual
        return self.collate([{"input_ids": self.prompt(meme)} for meme in memes], seen)

    def text(self, ids: Sequence[int]) -> str:
        """What was written, as text."""
        return str(self.tokenizer.decode(list(ids), skip_special_tokens=True)).strip()

    def save_pretrained(self, folder: str | Path, **_: Any) -> None:
        """The tokenizer; and a picture encoder that came from a folder, which may not be there tomorrow."""
        self.tokenizer.save_pretrained(folder)
        source = Path(self.config.vision or "")
        copy = Path(folder) / VISION_FOLDER
        if self.config.vision is not None and source.is_dir() and source.resolve() != copy.resolve():
            copy.mkdir(parents=True, exist_ok=True)
            for path in sorted([*source.glob("*.json"), *source.glob("*.safetensors")]):
                shutil.copyfile(path, copy / path.name)

    @classmethod
    def from_pretrained(cls, folder: str | Path, config: MrHarmConfig) -> MrHarmProcessor:
        """From a folder that `save_pretrained` wrote."""
        from transformers import AutoConfig, AutoTokenizer

        if config.vision not in (None, *VISION) and (Path(folder) / VISION_FOLDER).is_dir():
            config.vision = str(Path(folder) / VISION_FOLDER)
        language = AutoConfig.for_model(**(config.language_config or {}))
        return cls(AutoTokenizer.from_pretrained(folder, config=language), config)


def content(version: str | None) -> str | None:
    """The part of an encoder's version that names its content."""
    return version.rpartition("@")[2] if version else None


def padded(rows: Sequence[Sequence[int]], filler: int) -> Tensor:
    """int64 (b, t), filled up on the right."""
    longest = max(map(len, rows))
    return torch.tensor([[*row, *[filler] * (longest - len(row))] for row in rows])
