"""MM-ORIENT (arXiv 2508.16300): attention within each modality (HIMA) beside relations across them (CMRL), then MLC.

    features -> HIMA: s_text (+) g_text, s_image (+) g_image   \\
             -> CMRL: four graphs                                (+) further columns -> dense -> a head for each task

As published a meme's answer depends on the memes it shares a batch with: they are the graphs' nodes and level 2's
members. That is how a model learns, and it is the mode "transductive". It answers against a *support set* kept with it:
each meme is taken as the only one beside the support set, so its answer is the published forward over the support set
and that meme, whoever else is asked about.

Shape letters: `b` memes, `o` others that they may hear, `s` memes of the support set, `k` labels of a task, and
those of `features.py`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from os import PathLike
from typing import Any, Literal

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel
from transformers.utils import ModelOutput

from memescope.backbones.language import Quiet
from memescope.errors import UsageError
from memescope.meme import Answer, Evidence, Meme, Reading
from memescope.models.mmorient.cmrl import Cmrl, edges_among, edges_from
from memescope.models.mmorient.config import MmOrientConfig
from memescope.models.mmorient.features import Features
from memescope.models.mmorient.heads import Classifier, CrossAttention
from memescope.models.mmorient.hima import BothHima, Crowd, First, mean
from memescope.models.mmorient.making import Making
from memescope.models.scoring import probabilities
from memescope.objectives.label import label_loss

Mode = Literal["support", "transductive"]
SUPPORT = ("words", "words_there", "regions", "regions_there", "text", "image")
AT_ONCE = 256
"""Memes made features of at a time when many are answered."""


class MmOrient(PreTrainedModel):
    """The method and, by `config.variant`, the baselines on the same features."""

    config: MmOrientConfig
    config_class = MmOrientConfig
    version: str = "mmorient-unsaved"
    making: Making

    def __init__(self, config: MmOrientConfig) -> None:
        super().__init__(config)
        c, hidden = config, list(config.hidden or ())
        labels = {task: len(entry["labels"]) for task, entry in (c.tasks or {}).items()}
        self.hima: BothHima | None = None
        self.cmrl: Cmrl | None = None
        self.crossing: CrossAttention | None = None
        self.mlc_image: Classifier | None = None
        pooled = {"text": c.word_width + c.text_width, "image": c.region_width + c.image_width}
        width = sum(pooled.values()) + c.extra_width
        if c.variant == "mmorient":
            self.hima = BothHima(c.word_width, c.region_width, c.level_one, c.level_two)
            width = self.hima.width + c.extra_width
            if c.graphs:
                widths = {"text": c.text_width, "image": c.image_width}
                self.cmrl = Cmrl(widths, c.graphs, c.graph_width, c.normalise)
                width += self.cmrl.width
        elif c.variant == "cross-attention":
            self.crossing = CrossAttention(c.word_width, c.region_width, c.graph_width)
            width = self.crossing.width + c.text_width + c.image_width + c.extra_width
        elif c.variant in ("text", "late"):
            width = pooled["text"] + c.extra_width
        elif c.variant == "image":
            width = pooled["image"]
        self.mlc = Classifier(width, hidden, c.dropout, labels)
        if c.variant == "late":
            self.mlc_image = Classifier(pooled["image"], hidden, c.dropout, labels)
        self._make_room(c.support_size if self.looks_around else 0)
        self._crowds: tuple[Crowd | None, Crowd | None] | None = None
        self.post_init()

    def _init_weights(self, module: nn.Module) -> None:
        """Nothing: layers start as PyTorch and torch-geometric start them."""

    @property
    def looks_around(self) -> bool:
        """Whether an answer rests on other memes too."""
        return self.cmrl is not None or (self.hima is not None and self.hima.levels[1])

    # learning

    def forward(
        self,
        words: Tensor,
        word_mask: Tensor,
        regions: Tensor,
        region_mask: Tensor,
        text: Tensor,
        image: Tensor,
        extra: Tensor,
        labels: Tensor | None = None,
        others_text: Tensor | None = None,
        others_image: Tensor | None = None,
        edges: Mapping[str, Tensor] | None = None,
        **_: Any,
    ) -> ModelOutput:
        """The published forward: the memes given are the batch. `scores` task -> (b, k), and with `labels` `loss`.

        `labels` (b, columns) int64: a column for each task, one for each label of a multilabel task; `objectives.label`
        says what stands for a missing one. `edges` are sampled ones (`cmrl.Edges`), with the vectors of the further
        memes they come from, `others_text` (o, p) and `others_image` (o, q); without them they are the batch's own.
        """
        batch = Features(words, word_mask, regions, region_mask, text, image, extra)
        if self.hima is None:
            scores = self._plain(batch)
        else:
            attended = self.hima.among(self._first(self.hima, batch))
            others = None if others_text is None or others_image is None else _vectors(others_text, others_image)
            if self.cmrl is not None and edges is None:
                edges = edges_among(_vectors(text, image), self.thresholds)
            scores = self.mlc(self._joined(batch, attended, edges, others))
        if labels is None:
            return ModelOutput(scores=scores)
        return ModelOutput(loss=label_loss(scores, self.targets(labels)), scores=scores)

    @property
    def thresholds(self) -> dict[str, float]:
        """Graph -> the cosine two memes must pass. `UsageError` for a graph without one."""
        found = self.config.thresholds or {}
        missing = [name for name in self.config.graphs or [] if name not in found]
        if missing:
            raise UsageError(f"no threshold for the graphs {', '.join(missing)}: give thresholds, or quantiles")
        return {name: found[name] for name in self.config.graphs or []}

    def targets(self, labels: Tensor) -> dict[str, Tensor]:
        """Task -> (b,), or (b, k) for a multilabel task, from the columns of a batch."""
        found, at = {}, 0
        for task, entry in (self.config.tasks or {}).items():
            several = entry["kind"] == "multilabel"
            count = len(entry["labels"]) if several else 1
            columns = labels[:, at : at + count]
            found[task], at = (columns if several else columns[:, 0]), at + count
        return found

    @staticmethod
    def _first(hima: BothHima, batch: Features) -> First:
        return hima.first(batch.words, batch.word_mask, batch.regions, batch.region_mask)

    def _joined(
        self,
        batch: Features,
        attended: Tensor,
        edges: Mapping[str, Tensor] | None,
        others: Mapping[str, Tensor] | None,
    ) -> Tensor:
        """What MLC gets, in the released order: graphs, attention to picture and text, further columns."""
        parts = [attended, batch.extra]
        if self.cmrl is not None and edges is not None:
            parts.insert(0, self.cmrl(_vectors(batch.text, batch.image), edges, others))
        return torch.cat(parts, -1)

    def _plain(self, batch: Features) -> dict[str, Tensor]:
        """Scores of the baselines, each meme by itself."""
        variant = self.config.variant
        if self.crossing is not None:
            met = self.crossing(batch.words, batch.word_mask, batch.regions, batch.region_mask)
            return dict(self.mlc(torch.cat([met, batch.text, batch.image, batch.extra], -1)))
        text = torch.cat([mean(batch.words, batch.word_mask), batch.text, batch.extra], -1)
        image = torch.cat([mean(batch.regions, batch.region_mask), batch.image], -1)
        if self.mlc_image is not None:
            read, seen = self.mlc(text), self.mlc_image(image)
            return {task: self._decided(task, read[task], seen[task]) for task in read}
        joined = {"text": text, "image": image, "concatenation": torch.cat([text, image], -1)}[variant]
        return dict(self.mlc(joined))

    def _decided(self, task: str, read: Tensor, seen: Tensor) -> Tensor:
        """The mean of two decisions, as scores: probabilities are averaged, then taken back by log or log-odds."""
        if (self.config.tasks or {})[task]["kind"] == "multilabel":
            both = (read.sigmoid() + seen.sigmoid()) / 2
            return both.logit(eps=1e-6)
        return torch.logaddexp(read.log_softmax(-1), seen.log_softmax(-1))

    # the support set

    def _make_room(self, size: int) -> None:
        c = self.config
        widths = {"words": c.word_width, "regions": c.region_width, "text": c.text_width, "image": c.image_width}
        for name in SUPPORT:
            shape = (size,) if name.endswith("there") else (size, widths[name])
            kind = torch.bool if name.endswith("there") else torch.float32
            self.register_buffer(f"support_{name}", torch.zeros(shape, dtype=kind))

    @torch.no_grad()
    def hold(self, support: Features) -> None:
        """Take these memes as the support set: their pooled vectors, and their first-level vectors as the weights are
        now. Hold again after the weights changed."""
        self._crowds = None
        if self.hima is None or not self.looks_around:
            return
        self.config.support_size = len(support)
        first = self._first(self.hima, support.to(self.dtype))
        found = {"words": first.text, "regions": first.image, "text": support.text, "image": support.image}
        found |= {"words_there": first.text_there, "regions_there": first.image_there}
        for name in SUPPORT:
            self.register_buffer(f"support_{name}", found[name].clone())

    @property
    def support(self) -> dict[str, Tensor]:
        """The pooled vectors of the support set, "text" (s, p) and "image" (s, q)."""
        return _vectors(self.get_buffer("support_text"), self.get_buffer("support_image"))

    def beside_support(self, batch: Features) -> dict[str, Tensor]:
        """Scores (b, k) by task, each meme beside the support set alone. `UsageError` where there is none."""
        if self.hima is None or not self.looks_around:
            return dict(self(**batch.tensors()).scores)
        if not self.config.support_size:
            raise UsageError("the model has no support set to answer against: hold one, or answer transductively")
        if self._crowds is None:
            held = [self.get_buffer(f"support_{name}") for name in SUPPORT[:4]]
            self._crowds = self.hima.crowds(First(*held))
        attended = self.hima.beside(self._first(self.hima, batch), self._crowds)
        edges = None
        if self.cmrl is not None:
            edges = edges_from(_vectors(batch.text, batch.image), self.thresholds, self.support)
        return dict(self.mlc(self._joined(batch, attended, edges, self.support)))

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

    def answer(self, memes: Sequence[Meme], mode: Mode | None = None) -> list[Reading]:
        """One Reading a meme, in order. `mode`: the configuration's unless given.

        "support": the same answer whatever else is asked about (1e-6). "transductive", as published: the memes given
        are one batch, graph and all, so answers depend on each other. Raises `PictureError` for a picture that cannot
        be read.
        """
        found: list[Reading] = []
        mode = mode or self.config.mode  # type: ignore[assignment]
        step = len(memes) if mode == "transductive" else AT_ONCE
        for start in range(0, len(memes), max(step, 1)):
            found.extend(self.read(self.making(memes[start : start + step]), mode))
        return found

    def read(self, features: Features, mode: Mode | None = None) -> list[Reading]:
        """`answer` for memes whose features are there already."""
        tables = self.tables(features, mode)
        readings = [Reading(model=self.version) for _ in range(len(features))]
        for task, entry in (self.config.tasks or {}).items():
            least = (self.config.abstain or {}).get(task, 0.0)
            for reading, row in zip(readings, tables[task].cpu().tolist(), strict=True):
                held = dict(zip(entry["labels"], row, strict=True))
                several = entry["kind"] == "multilabel"
                label = [name for name, p in held.items() if p >= 0.5] if several else max(held, key=held.__getitem__)
                answer = Answer(label, held)
                answer.abstain = least is None or answer.confidence < least
                reading.answers[task] = answer
        return readings

    @torch.inference_mode()
    def tables(self, features: Features, mode: Mode | None = None) -> dict[str, Tensor]:
        """Calibrated probabilities float64 (b, k) by task."""
        self.eval()
        if len(features) == 0:
            return {task: torch.zeros(0, len(entry["labels"])) for task, entry in (self.config.tasks or {}).items()}
        batch = features.to(self.dtype)
        transductive = (mode or self.config.mode) == "transductive"
        scores = self(**batch.tensors()).scores if transductive else self.beside_support(batch)
        calibration = self.config.calibration or {}
        return {
            task: probabilities(scores[task].double(), entry["kind"] == "multilabel", calibration.get(task))
            for task, entry in (self.config.tasks or {}).items()
        }

    @property
    def alone(self) -> Mode:
        """How one meme is answered by itself: against the support set where there is one."""
        return "support" if self.config.support_size or not self.looks_around else "transductive"

    def explain(self, meme: Meme, tasks: Sequence[str]) -> dict[str, Evidence]:
        """Words, picture regions and one sentence for each task asked. `UsageError` for one it does not answer."""
        from memescope.models.mmorient.explain import explain

        return explain(self, meme, tasks)

    def save_pretrained(self, save_directory: str | PathLike[Any], *args: Any, **kwargs: Any) -> None:
        """Weights and support set as safetensors, and the configuration; the encoders are named, not copied."""
        with Quiet():
            super().save_pretrained(save_directory, *args, **kwargs)


def _vectors(text: Tensor, image: Tensor) -> dict[str, Tensor]:
    return {"text": text, "image": image}
