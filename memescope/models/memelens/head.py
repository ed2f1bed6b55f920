"""The paper's multimodal baseline: a linear head on the vision-language model, one dataset at a time, no words.

MemeLens (arXiv 2601.12539) fine-tunes Qwen3-VL with LoRA as a classifier on `<image> text`: what the model has read at
the last token of the prompt goes through a linear layer. Here each task has a layer of its own, and a multilabel task
one output for each label. The phrase that a task is about, where a meme names one, stands behind the text.

Shape letters: `b` memes, `t` tokens, `d` width, `k` labels of a task.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from os import PathLike
from pathlib import Path
from typing import Any, Self

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers.utils import ModelOutput

from memescope.backbones.base import batches
from memescope.backbones.vlm import Sight, Vlm
from memescope.datasets.conversations import plain
from memescope.errors import UsageError
from memescope.explanation.occlusion import MemeVersions, Tables, check_tasks, explain_scene
from memescope.meme import Evidence, Meme
from memescope.models.memelens.model import MemeLens
from memescope.models.vlm.config import VlmConfig
from memescope.models.vlm.reading import states
from memescope.models.vlm.rows import Ask, Instruction, Row, collate, prompt
from memescope.objectives.generation import IGNORED
from memescope.perception.pictures import open_picture
from memescope.taxonomy import load_taxonomy

HEADS = "heads.safetensors"


class HeadModel(MemeLens):
    """Heads on the state of the prompt's last token. It is asked nothing and writes nothing."""

    def __init__(self, config: VlmConfig, vlm: Vlm) -> None:
        super().__init__(config, vlm)
        width = int(vlm.text_model.config.hidden_size)
        taxonomy = load_taxonomy()
        layers = {task: nn.Linear(width, len(taxonomy[task].labels)) for task in config.tasks or ()}
        for layer in layers.values():
            nn.init.normal_(layer.weight, std=0.02)
            nn.init.zeros_(layer.bias)
        self.heads = nn.ModuleDict(layers)

    def rows(self, meme: Meme, objective: str, pack: bool = False) -> list[Row]:
        """One row: the prompt, of which no token is learnt."""
        text = plain(self.short(meme.text)).strip() if self.manner.text else ""
        # one post has a row, and a label, for each phrase that is asked about
        phrase = f"Asked about: {plain(meme.aspect)}" if meme.aspect else ""
        ask = Ask("", "\n".join(filter(None, (text, phrase))), "", self.manner.image)
        ids = prompt(self.vlm, ask, self._span(meme))
        return [Row(ids, [IGNORED] * len(ids))]

    def batch(self, memes: Sequence[Meme], rows: Sequence[Sequence[Row]]) -> dict[str, Any]:
        """`targets` int64 or float32 by task, -1 where a meme has none, in place of `labels` of tokens: where there are
        some, the Trainer counts them to weigh the batches of a step."""
        made = super().batch(memes, rows)
        del made["labels"]
        made["targets"] = {task: torch.tensor([_target(meme, task) for meme in memes]) for task in self.heads}
        return made

    def forward(  # type: ignore[override]
        self,
        input_ids: Tensor,
        attention_mask: Tensor,
        targets: dict[str, Tensor],
        sights: Sequence[Sight] = (),
        **_: Any,
    ) -> ModelOutput:
        """`loss`: the sum over tasks of the mean cross-entropy of the memes that are labelled for it."""
        found = self._last({"input_ids": input_ids, "attention_mask": attention_mask}, sights)
        losses = []
        for task, target in targets.items():
            logits = self.heads[task](found).float()
            known = (target >= 0) if target.ndim == 1 else (target >= 0).all(1)
            if bool(known.any()):
                one = F.cross_entropy if target.ndim == 1 else F.binary_cross_entropy_with_logits
                losses.append(one(logits[known], target[known].to(logits.device)))
        loss = torch.stack(losses).sum() if losses else found.sum() * 0
        return ModelOutput(loss=loss)

    def score(
        self,
        memes: Sequence[Meme],
        instructions: Sequence[Sequence[Instruction]] | None = None,
        seen: Sequence[Sight | None] | None = None,
        hidden: Sequence[Tensor | None] | None = None,
    ) -> list[dict[str, Tensor]]:
        """The heads' outputs (k,) by task, of each meme."""
        if hidden is not None and any(one is not None for one in hidden):
            raise UsageError(f"{self.name} has heads: places of its picture cannot be hidden one by one")
        self.eval()
        device = self.vlm.text_model.get_input_embeddings().weight.device
        rows = [self.rows(meme, "label")[0] for meme in memes]
        found: list[dict[str, Tensor]] = [{} for _ in memes]
        for some in batches([len(row) for row in rows]):
            shown = [i for i in some if self.vlm.image in rows[i].ids]
            sights = self._seen([memes[i] for i in shown]) if seen is None else [seen[i] for i in shown]
            batch = {name: its.to(device) for name, its in collate([rows[i] for i in some], self.vlm.pad).items()}
            with torch.inference_mode(), self._precision():
                last = self._last(batch, [one for one in sights if one is not None])
                scores = {task: head(last).float() for task, head in self.heads.items()}
            for place, i in enumerate(some):
                found[i] = {task: its[place] for task, its in scores.items()}
        return found

    def explain(self, meme: Meme, tasks: Sequence[str]) -> dict[str, Evidence]:
        """Measured on versions of the meme: nothing asks for single places of a picture, as words would be asked."""
        check_tasks(self.name, tasks, self.tasks)

        def ask(versions: Sequence[Meme]) -> list[Tables]:
            return [{task: table.cpu().numpy() for task, table in one.items()} for one in self.tables(versions)]

        opened = replace(meme, image=open_picture(meme.image)) if self.looks and meme.image is not None else meme
        scene = MemeVersions(opened, ask, self.manner.text, self.manner.image)
        return explain_scene(scene, {task: load_taxonomy()[task].labels for task in tasks})

    explanations = None  # type: ignore[assignment]
    """It cannot be asked for words."""

    def generate(self, memes: Sequence[Meme]) -> list[str]:
        """It writes nothing."""
        return [""] * len(memes)

    def _last(self, batch: dict[str, Any], sights: Sequence[Sight]) -> Tensor:
        """The state (b, d) of each prompt's last token."""
        found = states(self.vlm, batch, sights)
        last = batch["attention_mask"].long().sum(1) - 1
        at: Tensor = found[torch.arange(len(found), device=found.device), last]
        return at.to(next(self.heads.parameters()).dtype)

    def save_pretrained(self, save_directory: str | PathLike[Any], *_: Any, **__: Any) -> None:
        """The run folder, heads beside."""
        from safetensors.torch import save_file

        super().save_pretrained(save_directory)
        save_file(self.heads.state_dict(), Path(save_directory) / HEADS, metadata={"format": "pt"})

    @classmethod
    def load_folder(cls, folder: Path) -> Self:
        """The model that `save_pretrained` wrote."""
        import hashlib

        from safetensors.torch import load_file

        made = super().load_folder(folder)
        made.heads.load_state_dict(load_file(folder / HEADS))
        made.version += "-" + hashlib.sha256((folder / HEADS).read_bytes()).hexdigest()[:6]
        return made


def _target(meme: Meme, task: str) -> int | list[float]:
    known = load_taxonomy()[task]
    label = meme.labels.get(task)
    if known.kind == "multilabel":
        return [-1.0 if label is None else float(name in label) for name in known.labels]
    return known.labels.index(label) if isinstance(label, str) else -1
