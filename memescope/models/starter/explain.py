"""Evidence by occlusion, all asked tasks at once: words taken out of the text, places taken out of the picture's grid.

Words are taken out of the features, as places are: a word's token states are left out of the mean, its n-grams out of
the counts. For the sentence, the words it names are really taken out and the text is encoded again. Picture places are
taken out of the pooled mean, which is exact for this model.

Shape letters: v versions of a meme, c columns of all tasks, g grid places along one side, d width.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from memescope.backbones import load_text_encoder, load_vision_encoder
from memescope.explanation import (
    Effects,
    explain_regions,
    log_odds,
    pooled_without,
    says,
    strongest,
    without,
)
from memescope.explanation.regions import mask_of
from memescope.explanation.words import Word, pieces
from memescope.meme import Evidence, Meme, Region, Span
from memescope.models.starter import ngrams
from memescope.models.starter.features import TEXT_ENCODER, VISION_ENCODER, encode_parts, readable
from memescope.models.starter.heads import Floats, TaskHead
from memescope.perception.cleaning import clean
from memescope.perception.pictures import open_picture

if TYPE_CHECKING:
    from memescope.models.starter.model import Starter


def explain(model: Starter, meme: Meme, tasks: Sequence[str]) -> dict[str, Evidence]:
    """Words, regions and the sentence for each task's answered label (for several labels: the most probable one)."""
    heads = [head for head in model.heads if head.name in tasks]
    scene = _Scene(model, meme, heads)
    shown = {head.name: scene.label(head) for head in heads}
    words, lost = scene.words(heads, shown)
    # what the sentences say of words is measured on texts that really lack them, encoded together
    spans = {head.name: scene.spans(words, lost[head.name]) if words else [] for head in heads}
    named = {name: {span.text for span in strongest(found)} for name, found in spans.items()}
    rests = {name: without(scene.text, [w for w in words if w.text in some]) for name, some in named.items()}
    left = scene.read([rest for rest in rests.values() if readable(rest) and rest != scene.text])
    found = {
        head.name: _evidence(scene, head, shown[head.name], spans[head.name], left.get(rests[head.name]))
        for head in heads
    }
    return {task: found[task] for task in tasks}


@dataclass(frozen=True)
class _Text:
    """v versions of a text: their columns by expert, each (v, c), and their pooled vectors (v, d)."""

    columns: dict[str, Floats]
    vectors: NDArray[np.floating]


class _Scene:
    """One meme and its parts; which source it looks like, and the trust in it, stay those of the whole."""

    def __init__(self, model: Starter, meme: Meme, asked: Sequence[TaskHead]) -> None:
        self.model = model
        needed = {head.name for head in asked} | {head.parent for head in asked}
        self.heads = [head for head in model.heads if head.name in needed]
        self.original = meme.text
        self.text = clean(meme.text)
        picture = None if meme.image is None else open_picture(meme.image)
        features = encode_parts([self.text], [picture], model.bits)
        p = model.familiarity.p(features)
        self.looks = model.familiarity.source_logits(features)
        self.trust = {head.name: model.trust(head, p) for head in self.heads}
        self.grid = None if picture is None else load_vision_encoder(VISION_ENCODER).patches([picture])[0]
        self.whole_text = self._columns(features.counts, features.text) if features.has_text[0] else None
        self.whole_picture = None if picture is None else features.picture
        self._seen: dict[bytes, dict[str, Floats]] = {}

    def tables(self, text: _Text | None, picture: NDArray[np.floating] | None) -> dict[str, Floats]:
        """Every task's probabilities for v texts and v pooled vectors; one of a kind goes with all of the other."""
        if text is None and picture is None:
            return {head.name: np.array([head.prior]) for head in self.heads}
        # every task looks at the same places of the picture: they are answered once
        key = b"" if picture is None or text is not self.whole_text else picture.tobytes()
        if key not in self._seen or not key:
            self._seen[key] = self._answer(text, picture)
        return self._seen[key]

    def _answer(self, text: _Text | None, picture: NDArray[np.floating] | None) -> dict[str, Floats]:
        columns = dict(text.columns) if text is not None else {}
        if picture is not None:
            columns["picture"] = self.model.picture_columns(picture)
        n = max(len(part) for part in columns.values())
        if text is not None and picture is not None:
            words, places = (np.broadcast_to(part, (n, part.shape[1])) for part in (text.vectors, picture))
            columns["pair"] = self.model.pair_columns(words, places)
        have = "both" if text is not None and picture is not None else "text" if text is not None else "picture"
        looks = np.repeat(self.looks, n, axis=0)
        found = self.model.fuse(
            {name: np.broadcast_to(z, (n, z.shape[1])) for name, z in columns.items()}, have, looks, self.heads
        )
        return {head.name: head.pull(found[head.name], np.repeat(self.trust[head.name], n)) for head in self.heads}

    def _columns(self, counts: ngrams.SparseRows, vectors: NDArray[np.floating]) -> _Text:
        return _Text(self.model.text_columns(counts, vectors), vectors)

    def label(self, head: TaskHead) -> int:
        """The label that is explained: the answered one."""
        probabilities = self.tables(self.whole_text, self.whole_picture)[head.name]
        answered = head.choose(probabilities)[0][0]
        if isinstance(answered, str):
            return head.labels.index(answered)
        held = [head.labels.index(label) for label in answered] or range(len(head.labels))
        return max(held, key=lambda j: float(probabilities[0, j]))

    def read(self, texts: Sequence[str]) -> dict[str, _Text]:
        """Each of some cleaned texts, all with a word in them, encoded in one batch."""
        different = list(dict.fromkeys(texts))
        if not different:
            return {}
        features = encode_parts(different, [None] * len(different), self.model.bits)
        columns = self._columns(features.counts, features.text)
        return {
            text: _Text({name: z[[i]] for name, z in columns.columns.items()}, columns.vectors[[i]])
            for i, text in enumerate(different)
        }

    def words(self, heads: Sequence[TaskHead], shown: Mapping[str, int]) -> tuple[list[Word], dict[str, Floats]]:
        """The words of the text, and the log-odds (v,) that each task's label loses without each."""
        parts = [word for word in pieces(self.text) if readable(without(self.text, [word]))] if self.whole_text else []
        return (parts, self._lost(heads, shown, self._without(parts))) if parts else ([], {})

    def _lost(self, heads: Sequence[TaskHead], shown: Mapping[str, int], text: _Text) -> dict[str, Floats]:
        before = self.tables(self.whole_text, self.whole_picture)
        after = self.tables(text, self.whole_picture)
        columns = {head.name: shown[head.name] for head in heads}
        return {name: log_odds(before[name][:, j]) - log_odds(after[name][:, j]) for name, j in columns.items()}

    def _without(self, parts: Sequence[Word]) -> _Text:
        """The text without each word, from the token states of the whole text."""
        encoder = load_text_encoder(TEXT_ENCODER)
        states, offsets = encoder.tokens([self.text])[0], encoder.offsets([self.text])[0]
        total = states.sum(axis=0, dtype=np.float64)
        vectors = np.empty((len(parts), states.shape[1]))
        for i, word in enumerate(parts):
            inside = (offsets[:, 0] < word.end) & (offsets[:, 1] > word.start)
            vectors[i] = (total - states[inside].sum(axis=0)) / max(int((~inside).sum()), 1)
        vectors /= np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
        counts = ngrams.count([without(self.text, [word]) for word in parts], self.model.bits)
        return self._columns(counts, vectors)

    def spans(self, words: Sequence[Word], weights: Floats) -> list[Span]:
        """The words with their places in the original text, found in order; one that cleaning rewrote is left out."""
        found, at = [], 0
        for word, weight in zip(words, weights, strict=True):
            start = self.original.find(word.text, at)
            if start >= 0:
                at = start + len(word.text)
                found.append(Span(word.text, start, at, float(weight)))
        return found


def _evidence(scene: _Scene, head: TaskHead, label: int, spans: list[Span], rest: _Text | None) -> Evidence:
    """`rest` is the text without the words that speak most for the label; None where no word would be left."""

    def probability(text: _Text | None, picture: NDArray[np.floating] | None) -> Floats:
        return scene.tables(text, picture)[head.name][:, label]

    text, picture = scene.whole_text, scene.whole_picture
    best = strongest(spans)
    regions: list[Region] = []
    without_regions = None
    if scene.grid is not None:
        regions = explain_regions(scene.grid, lambda vectors: log_odds(probability(text, vectors)))[1]
        if regions:
            left = pooled_without(scene.grid, mask_of(regions, scene.grid.shape[0])[None])
            without_regions = float(probability(text, left)[0])
    effects = Effects(
        probability=float(probability(text, picture)[0]),
        words=best,
        without_words=float(probability(rest, picture)[0]) if best else None,
        regions=regions,
        without_regions=without_regions,
        without_text=float(probability(None, picture)[0]) if text is not None else None,
        without_picture=float(probability(text, None)[0]) if picture is not None else None,
    )
    return Evidence(spans, regions, says(head.labels[label], effects))
