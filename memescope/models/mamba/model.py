"""Mamba models of memes: TextMamba, BiDTextMamba, ImageMamba, ConcatMamba and what they are compared with.

    text    -> TextTower    -> pooled (b, d)
    picture -> PictureTower -> mean   (b, e)      side by side -> Linear 64 -> ReLU -> Linear -> sigmoid or softmax

Source: Liu, Mohan Kumar, Mittal, Yeon, Mamba-Based Approaches to the Hateful Memes Challenge (section 2.1). Each task
has a head of its own; a meme that a task does not label adds nothing to its loss. A task with two labels has one output
and a sigmoid, as in the source; more labels have a softmax, and each label of a multilabel task a sigmoid.

Shape letters: `b` memes, `t` tokens, `d` `e` widths, `v` places, `k` labels of a task, `q` columns of answers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel
from transformers.utils import ModelOutput

from memescope.backbones.base import batches
from memescope.backbones.language import Quiet
from memescope.backbones.precision import computes_in, products
from memescope.errors import UsageError
from memescope.meme import Evidence, Meme, Reading
from memescope.models import scoring
from memescope.models.mamba import lora
from memescope.models.mamba.config import MambaMemesConfig
from memescope.models.mamba.picture import PictureTower
from memescope.models.mamba.processor import MambaProcessor
from memescope.models.mamba.text import TextTower
from memescope.objectives.label import label_loss
from memescope.taxonomy.tasks import load_taxonomy

PICTURE_TOKENS = 64
"""A picture counts as so many tokens when memes are put into batches: 32 in one."""
ADAPTED = {
    "mamba": lora.TEXT_TARGETS,
    "vmamba": lora.IMAGE_TARGETS,
    "bert": ("query", "value"),
    "llama": ("q_proj", "v_proj"),
    "vit": ("q_proj", "v_proj"),
}
"""Layers that get adapters where a recipe names none: the source's, and LoRA's own choice for attention."""


class MambaMemes(PreTrainedModel):
    """Two towers and a head for each task."""

    config: MambaMemesConfig
    config_class = MambaMemesConfig
    base_model_prefix = "towers"
    accepts_loss_kwargs = False  # losses are means of a batch: the Trainer divides them by the batches of a step

    processor: MambaProcessor
    version: str = "mamba-unsaved"

    def __init__(self, config: MambaMemesConfig, text: Any = None, image: Any = None) -> None:
        """`text` and `image` are loaded backbones; without them their weights are random, to be loaded over."""
        super().__init__(config)
        self.picture = None if config.image is None else PictureTower(config.image, image)
        seen = self.picture.width if self.picture is not None else 0
        self.text: TextTower | None = None
        if config.text is not None:
            joined = seen if config.fusion == "token" else 0
            prefix = seen if config.fusion == "prefix" else 0
            self.text = TextTower(config.text, text, joined, prefix)
        width = self.text.pooled_width if self.text is not None else 0
        width += seen if config.fusion == "concat" or self.text is None else 0
        self.dropout = nn.Dropout(config.dropout)
        self.heads = nn.ModuleDict(
            {
                name: nn.Sequential(
                    nn.Linear(width, config.hidden), nn.ReLU(), nn.Linear(config.hidden, _outputs(name))
                )
                for name in config.tasks or {}
            }
        )
        if config.lora is not None:
            self._adapt(config.lora)
        self._freeze(config.freeze or {})
        self.post_init()

    def init_weights(self) -> None:
        """Nothing: towers bring their weights or start by their own rules, heads as PyTorch starts them."""

    def _backbones(self, side: str) -> list[nn.Module]:
        tower = self.text if side == "text" else self.picture
        if tower is None:
            return []
        return [module for name, module in tower.named_children() if name in ("backbone", "backward_backbone")]

    def _adapt(self, settings: Mapping[str, Any]) -> None:
        if unknown := set(settings) - {*lora.DEFAULTS, "text", "image"}:
            raise UsageError(f"lora: unknown {', '.join(sorted(unknown))}; known: r, alpha, dropout, text, image")
        sizes = {name: settings.get(name, value) for name, value in lora.DEFAULTS.items()}
        for side in ("text", "image"):
            about = getattr(self.config, side)
            if about is None or about["kind"] == "frozen":
                continue
            targets = settings.get(side)
            if targets is None and about["kind"] not in ADAPTED:
                raise UsageError(f"lora.{side}: a {about['kind']} has no usual layers for adapters; name some, or []")
            for backbone in self._backbones(side):
                lora.adapt(backbone, tuple(ADAPTED[about["kind"]] if targets is None else targets), **sizes)

    def _freeze(self, settings: Mapping[str, int]) -> None:
        for side, count in settings.items():
            for backbone in self._backbones(side):
                parts = layers(backbone, getattr(self.config, side)["kind"])
                if not 0 <= count < len(parts):
                    raise UsageError(f"freeze.{side}: {count} of {len(parts) - 1} layers: expected 0 to all of them")
                for part in parts[: count + 1]:
                    part.requires_grad_(False)

    # learning

    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        pixels: Tensor | None = None,
        seen: Tensor | None = None,
        labels: Tensor | None = None,
        **_: Any,
    ) -> ModelOutput:
        """`scores` task -> (b, k), and with `labels` (b, q) the `loss`: a batch of the processor has what is needed."""
        scores = self.scores(self.features(input_ids, attention_mask, pixels, seen))
        if labels is None:
            return ModelOutput(scores=scores)
        return ModelOutput(loss=label_loss(scores, self._targets(labels), self.config.smoothing), scores=scores)

    def features(
        self, input_ids: Tensor | None, attention_mask: Tensor | None, pixels: Tensor | None, seen: Tensor | None
    ) -> Tensor:
        """What the heads read, (b, width)."""
        states = None
        if self.picture is not None:
            if pixels is None:
                raise UsageError("the batch has no pixels, but the model looks at pictures")
            states = self.picture(pixels)
        embeds = None
        if self.text is not None:
            if input_ids is None:
                raise UsageError("the batch has no input_ids, but the model reads text")
            embeds = self.text.embed(input_ids, self.vector(states, seen) if self.config.fusion == "token" else None)
        return self.joined(embeds, attention_mask, states, seen)

    def vector(self, states: Tensor | None, seen: Tensor | None) -> Tensor:
        """A picture's vector (b, e): the mean over its places; zeros for a meme without one."""
        assert states is not None
        mean = states.mean(1)
        return mean if seen is None else mean * seen[:, None].to(mean.dtype)

    def joined(
        self, embeds: Tensor | None, attention_mask: Tensor | None, states: Tensor | None, seen: Tensor | None
    ) -> Tensor:
        """(b, width) from token embeddings (b, t, d) and the picture's states (b, v, e)."""
        if self.text is None or embeds is None:
            return self.vector(states, seen)
        mask = torch.ones(embeds.shape[:2], dtype=torch.bool, device=embeds.device)
        mask = mask if attention_mask is None else attention_mask.bool()
        visual = None
        if self.config.fusion == "prefix" and states is not None:
            visual = states if seen is None else states * seen[:, None, None].to(states.dtype)
        pooled = self.text(embeds, mask, visual)
        if states is None or self.config.fusion != "concat":
            return pooled
        return torch.cat([pooled, self.vector(states, seen).to(pooled.dtype)], -1)

    def scores(self, features: Tensor) -> dict[str, Tensor]:
        """Scores (b, k) by task; of two labels the first has 0, so that the softmax is the sigmoid of the second's."""
        features = self.dropout(features)
        found = {}
        for name, head in self.heads.items():
            table = head(features)
            found[name] = torch.cat([torch.zeros_like(table), table], -1) if _two(name) else table
        return found

    def _targets(self, labels: Tensor) -> dict[str, Tensor]:
        found, at = {}, 0
        for name in self.config.tasks or {}:
            task = load_taxonomy()[name]
            multilabel = task.kind == "multilabel"
            columns = labels[:, at : at + (len(task.labels) if multilabel else 1)]
            found[name] = columns if multilabel else columns[:, 0]
            at += columns.shape[1]
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
    def looks(self) -> bool:
        """Whether it has a picture side."""
        return self.config.image is not None

    @property
    def card(self) -> dict[str, Any]:
        """What it was trained on, by task."""
        return self.config.card or {}

    @property
    def computes_in(self) -> str:
        """What its answers are computed in on this device."""
        return computes_in(self.config.precision, self.device)

    def answer(self, memes: Sequence[Meme]) -> list[Reading]:
        """One Reading a meme, in order; any batch or order gives the same. `PictureError` for an unreadable picture."""
        readings = [Reading(model=self.version) for _ in memes]
        was = self.training
        self.eval()
        if self.config.text is not None:
            lengths = [len(self.processor.ids(meme)) for meme in memes]
        else:
            lengths = [PICTURE_TOKENS] * len(memes)
        for rows in batches(lengths):
            tables = self.tables(self.processor([memes[row] for row in rows]))
            for name in self.tasks:
                least = (self.config.abstain or {}).get(name, 0.0)
                found = scoring.answers(question(name), tables[name], least)
                for row, answer in zip(rows, found, strict=True):
                    readings[row].answers[name] = answer
        self.train(was)
        return readings

    def tables(self, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Calibrated probabilities (b, k) by task, of a batch of the processor."""
        with torch.inference_mode(), self.precision():
            scores = self(**{name: value.to(self.device) for name, value in batch.items()}).scores
        return self.calibrated(scores)

    def calibrated(self, scores: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Probabilities (b, k) by task from scores."""
        calibration = self.config.calibration or {}
        return {
            name: scoring.probabilities(table.double(), question(name).multilabel, calibration.get(name))
            for name, table in scores.items()
        }

    def explain(self, meme: Meme, tasks: Sequence[str]) -> dict[str, Evidence]:
        """Words, picture regions and one sentence for each task asked. `UsageError` for one it does not answer."""
        from memescope.models.mamba.explain import explain

        return explain(self, meme, tasks)

    def precision(self) -> Any:
        """The context that answers are computed in."""
        return products(self.config.precision, self.device)

    def save_pretrained(self, save_directory: str | PathLike[Any], *args: Any, **kwargs: Any) -> None:
        """Weights as safetensors, configuration, tokenizer."""
        # names as they are here: not those of the checkpoints that backbones once came from
        with Quiet():
            super().save_pretrained(save_directory, *args, **kwargs | {"save_original_format": False})
        self.processor.save_pretrained(Path(save_directory))


def question(name: str) -> scoring.Question:
    """A task as answers are made of it."""
    task = load_taxonomy()[name]
    return scoring.Question(name, tuple(task.labels), task.kind == "multilabel", ())


def layers(backbone: Any, kind: str) -> list[nn.Module]:
    """The parts of a backbone from its input on: what embeds, then its layers (stages of a VMamba or ResNet)."""
    if kind == "mamba":
        return [backbone.embeddings, *backbone.layers]
    if kind == "llama":
        return [backbone.embed_tokens, *backbone.layers]
    if kind == "vmamba":
        return [backbone.patch_embed, *backbone.layers]
    if kind == "resnet":
        return [backbone.embedder, *backbone.encoder.stages]
    return [backbone.embeddings, *(backbone.encoder.layer if kind == "bert" else backbone.layers)]


def _two(name: str) -> bool:
    task = load_taxonomy()[name]
    return task.kind != "multilabel" and len(task.labels) == 2


def _outputs(name: str) -> int:
    return 1 if _two(name) else len(load_taxonomy()[name].labels)
