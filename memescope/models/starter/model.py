"""The starter at work: loads its tensors, answers memes and explains answers.

Shape letters: b memes, k labels of a task, c columns of all tasks.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from memescope.errors import UsageError
from memescope.meme import Answer, Evidence, Meme, Reading
from memescope.models.starter import ngrams
from memescope.models.starter.familiarity import Familiarity, trust
from memescope.models.starter.features import Features, encode
from memescope.models.starter.heads import Floats, TaskHead, in_order
from memescope.models.starter.kernel import joint, similarities

WEIGHTS = "model.safetensors"
LEAST_TRUST = 0.5
"""Below it a meme is too unlike the training memes to be answered with any confidence."""


class Starter:
    """A multitask model on frozen packaged encoders. Read its limits in `card` and in `MODEL_CARD.md`."""

    name = "starter"

    def __init__(self, tensors: dict[str, NDArray[Any]], config: dict[str, Any], version: str) -> None:
        self.version = version
        self.config = config
        self.tensors = tensors
        self.heads = in_order([TaskHead.from_dict(name, entry) for name, entry in config["tasks"].items()])
        self.tasks: tuple[str, ...] = tuple(config["tasks"])
        self.card: dict[str, dict[str, Any]] = config["card"]
        self.bits: int = config["ngram_bits"]
        self.familiarity = Familiarity(tensors, config["sources"])
        self._idf = tensors["idf"].astype(np.float32)
        self._text_spread, self._gamma = map(float, tensors["scales"])
        self._basis = tensors["pair.basis"].astype(np.float32)
        self._landmarks = tensors["pair.landmarks"].astype(np.float32)
        # float32 for the small dense layers; the large n-gram layer stays as it is stored, few of its rows are read
        self._layers: dict[str, tuple[NDArray[np.float32], NDArray[np.float64]]] = {
            expert: (
                tensors[f"{expert}.weight"] if expert == "ngrams" else tensors[f"{expert}.weight"].astype(np.float32),
                tensors[f"{expert}.bias"].astype(np.float64),
            )
            for expert in config["experts"]
        }

    def answer(self, memes: Sequence[Meme]) -> list[Reading]:
        """One Reading a meme, in order, without evidence. Raises `PictureError` for a picture that cannot be read.

        A meme without text, without picture or without both is answered from what is there; without both, with the
        training rates, and every answer abstains.
        """
        if not memes:
            return []
        features = encode(memes, self.bits)
        p = self.familiarity.p(features)
        tables = self.probabilities(features, p)
        readings = [Reading(model=self.version) for _ in memes]
        for head in self.heads:
            labels, confidence = head.choose(tables[head.name])
            strange = self.trust(head, p) < LEAST_TRUST
            for i, reading in enumerate(readings):
                probabilities = {name: float(p) for name, p in zip(head.labels, tables[head.name][i], strict=True)}
                unsure = head.abstain is None or confidence[i] < head.abstain or strange[i]
                reading.answers[head.name] = Answer(labels[i], probabilities, abstain=bool(unsure))
        order = {task: i for i, task in enumerate(self.tasks)}
        for reading in readings:
            reading.answers = dict(sorted(reading.answers.items(), key=lambda item: order[item[0]]))
        return readings

    def columns(self, features: Features) -> dict[str, Floats]:
        """Each expert's logits for every column, (b, c)."""
        return {
            **self.text_columns(features.counts, features.text),
            "picture": self.picture_columns(features.picture),
            "pair": self.pair_columns(features.text, features.picture),
        }

    def text_columns(self, counts: ngrams.SparseRows, vectors: NDArray[np.floating]) -> dict[str, Floats]:
        """The logits (b, c) of the experts that read: b texts as n-gram counts and pooled vectors."""
        weight, bias = self._layers["ngrams"]
        counted = ngrams.weigh(counts, self._idf).dot(weight) + bias
        weight, bias = self._layers["text"]
        return {"ngrams": counted.astype(np.float64), "text": vectors / self._text_spread @ weight + bias}

    def picture_columns(self, vectors: NDArray[np.floating]) -> Floats:
        """The logits (b, c) of the expert that looks, for b pooled picture vectors."""
        weight, bias = self._layers["picture"]
        return (vectors - self.tensors["picture.centre"]) @ weight + bias

    def pair_columns(self, text: NDArray[np.floating], picture: NDArray[np.floating]) -> Floats:
        """The logits (b, c) of the expert that sees both, for b pooled text and b pooled picture vectors."""
        weight, bias = self._layers["pair"]
        points = joint(text, picture, self.tensors["picture.centre"], self._basis)
        found: Floats = similarities(points, self._landmarks, self._gamma) @ weight + bias
        return found

    def probabilities(self, features: Features, p: Mapping[str, Floats] | None = None) -> dict[str, Floats]:
        """Calibrated probabilities of every task, (b, k) each.

        With `p`, the p-values (b,) of the sources, they are pulled to the training rates where a meme is unfamiliar.
        """
        columns = self.columns(features)
        looks = self.familiarity.source_logits(features)
        tables = {head.name: np.zeros((len(features), len(head.labels))) for head in self.heads}
        text, picture = features.has_text, features.has_picture
        for have, there in {"both": text & picture, "text": text & ~picture, "picture": ~text}.items():
            rows = np.flatnonzero(there)
            if len(rows):
                found = self.fuse({expert: logits[rows] for expert, logits in columns.items()}, have, looks[rows])
                for name, table in found.items():
                    tables[name][rows] = table
        if p is None:
            return tables
        return {head.name: head.pull(tables[head.name], self.trust(head, p)) for head in self.heads}

    def fuse(
        self, columns: Mapping[str, Floats], have: str, looks: Floats, heads: Sequence[TaskHead] | None = None
    ) -> dict[str, Floats]:
        """Probabilities (b, k) of every task from the experts' columns (b, c) of memes that have these parts.

        `looks` (b, s) are the logits of the sources a meme may be from. `heads`, parents first, are all unless given.
        """
        sources = {source: looks[:, j] for j, source in enumerate(self.familiarity.sources)}
        tables: dict[str, tuple[tuple[str, ...], Floats]] = {}
        for head in self.heads if heads is None else heads:
            logits = {source: member.logits(columns, have) for source, member in head.members.items()}
            tables[head.name] = (head.labels, head.shared_out(head.mixed(logits, sources), tables))
        return {name: table for name, (_, table) in tables.items()}

    @staticmethod
    def trust(head: TaskHead, p: Mapping[str, Floats]) -> Floats:
        """How far (b,) a task may be believed, 0 to 1: by the source it was trained on that the meme is most like."""
        return trust(np.max([p[source] for source in head.sources], axis=0))

    def explain(self, meme: Meme, tasks: Sequence[str]) -> dict[str, Evidence]:
        """Words, picture regions and one sentence for each task asked. `UsageError` for one it does not answer."""
        unknown = [task for task in tasks if task not in self.tasks]
        if unknown:
            raise UsageError(f"starter does not answer {', '.join(unknown)}; it answers {', '.join(self.tasks)}")
        from memescope.models.starter.explain import explain

        return explain(self, meme, tasks)


def load_folder(folder: Path) -> Starter:
    """The starter stored in a folder: `config.json` and `model.safetensors`. The version names their content."""
    from safetensors.numpy import load

    content = (folder / "config.json").read_bytes()
    weights = folder / WEIGHTS
    if not weights.is_file():
        raise UsageError(f"{weights}: this file of the model is missing")
    stored = weights.read_bytes()
    digest = hashlib.sha256(content + stored).hexdigest()[:12]
    return Starter(load(stored), json.loads(content), f"starter-{digest}")
