"""How like the training memes a meme is, source by source: four scores, each read against the training memes' own.

- text, picture: mean distance to the 5 nearest of a sample of the source's training memes, on principal components of
  the encoder's vectors (a deep nearest-neighbour detector, Sun et al., ICML 2022);
- words: the mean inverse document frequency of the text's n-grams: other languages and gibberish are made of rare ones;
- source: the log-odds that the meme is of this source and not of another one the starter was trained on (linear).

Each becomes a conformal p-value: the share of held-out training memes that are at least as strange. The least of them,
times how many there are (Bonferroni), is the meme's p-value for the source; a task takes the best of its sources.
`trust` falls from 1 at `FAMILIAR` to 0 at `STRANGE`.

Shape letters: b memes, r components, m sampled training memes of a source, q stored quantiles.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from memescope.models.starter.features import Features
from memescope.models.starter.ngrams import SparseRows

Floats = NDArray[np.float64]

NEIGHBOURS = 5
FAMILIAR, STRANGE = 0.05, 0.005
PARTS = ("text", "picture")


def project(vectors: NDArray[np.floating], centre: NDArray[np.floating], basis: NDArray[np.floating]) -> Floats:
    """Principal components (b, r) scaled to length 1, of vectors (b, d); `basis` is (d, r)."""
    found = (vectors.astype(np.float64) - centre) @ basis.astype(np.float64)
    return found / np.maximum(np.linalg.norm(found, axis=1, keepdims=True), 1e-12)


def neighbour_distance(points: Floats, sample: NDArray[np.floating]) -> Floats:
    """Mean distance (b,) of unit points (b, r) to their `NEIGHBOURS` nearest of a sample (m, r)."""
    near = min(NEIGHBOURS, len(sample))
    squares = 2 - 2 * points @ sample.astype(np.float64).T
    nearest = np.partition(squares, near - 1, axis=1)[:, :near]
    return np.sqrt(np.maximum(nearest, 0)).mean(axis=1)


def mean_rarity(counts: SparseRows, idf: NDArray[np.floating]) -> Floats:
    """The mean inverse document frequency (b,) of each text's distinct n-grams; 0 for a text without any."""
    ends = np.cumsum(np.append(0.0, idf[counts.columns]))[counts.starts]
    return np.diff(ends) / np.maximum(np.diff(counts.starts), 1)


def p_values(scores: Floats, held_out: NDArray[np.floating]) -> Floats:
    """Share (b,) of held-out training scores (q,), sorted upwards, at least as strange (large) as each score."""
    reached = len(held_out) - np.searchsorted(held_out, scores, side="left")
    return (reached + 1) / (len(held_out) + 1)


def source_log_odds(logits: Floats) -> Floats:
    """log p/(1-p) of each source against all others (b, s), from softmax logits (b, s); zeros for a single source."""
    if logits.shape[1] == 1:
        return np.zeros_like(logits)
    out = np.empty_like(logits)
    for j in range(logits.shape[1]):
        others = np.delete(logits, j, axis=1)
        top = others.max(axis=1, keepdims=True)
        out[:, j] = logits[:, j] - (top + np.log(np.exp(others - top).sum(axis=1, keepdims=True)))[:, 0]
    return out


class Familiarity:
    """The stored samples and quantiles of each source, ready to score memes."""

    def __init__(self, tensors: Mapping[str, NDArray[Any]], sources: Sequence[str]) -> None:
        self.sources = tuple(sources)
        self._idf = tensors["idf"].astype(np.float64)
        self._tensors = {name: value for name, value in tensors.items() if name.startswith("familiar.")}

    def p(self, features: Features) -> dict[str, Floats]:
        """The p-value (b,) of memes for each source; 0 for a meme without text and picture."""
        there = {"text": features.has_text, "picture": features.has_picture}
        vectors = {"text": features.text, "picture": features.picture}
        t = self._tensors
        least = {source: np.ones(len(features)) for source in self.sources}
        tests = 2 * features.has_text + features.has_picture + (features.has_text & features.has_picture)
        rarity = mean_rarity(features.counts, self._idf)
        for part in PARTS:
            points = project(vectors[part], t[f"familiar.{part}.centre"], t[f"familiar.{part}.basis"])
            for source in self.sources:
                distance = neighbour_distance(points, t[f"familiar.{part}.{source}.sample"])
                found = p_values(distance, t[f"familiar.{part}.{source}.quantiles"])
                least[source] = np.where(there[part], np.minimum(least[source], found), least[source])
        for source in self.sources:
            found = p_values(rarity, t[f"familiar.words.{source}.quantiles"])
            least[source] = np.where(there["text"], np.minimum(least[source], found), least[source])
        both = features.has_text & features.has_picture
        odds = source_log_odds(self.source_logits(features))
        for j, source in enumerate(self.sources):
            found = p_values(-odds[:, j], t[f"familiar.source.{source}.quantiles"])
            least[source] = np.where(both, np.minimum(least[source], found), least[source])
        return {source: np.where(tests > 0, np.minimum(p * np.maximum(tests, 1), 1), 0) for source, p in least.items()}

    def source_logits(self, features: Features) -> Floats:
        """Logits (b, s) of the source a meme comes from."""
        t = self._tensors
        points = [
            project(vectors, t[f"familiar.{part}.centre"], t[f"familiar.{part}.basis"])
            for part, vectors in (("text", features.text), ("picture", features.picture))
        ]
        return (
            np.concatenate(points, axis=1) @ t["familiar.source.weight"].astype(np.float64) + t["familiar.source.bias"]
        )


def trust(p: Floats) -> Floats:
    """From 0 (p at most `STRANGE`) to 1 (p at least `FAMILIAR`), linear in between."""
    return np.clip((p - STRANGE) / (FAMILIAR - STRANGE), 0, 1)
