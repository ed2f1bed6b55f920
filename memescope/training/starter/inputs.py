"""What each of the starter's experts is fitted on, and the tensors that make the same of a meme later.

| expert | looks at | input |
|---|---|---|
| ngrams | text | hashed n-grams, inverse document frequency, unit length |
| text | text | pooled sentence vector |
| picture | picture | pooled picture vector, on its principal components |
| pair | both | Gaussian kernel to landmarks (Nyström features) over both vectors |

Centres, components and landmarks come from the training memes without their labels.

Shape letters: n rows, d width, r components, m landmarks.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from memescope.models.starter import ngrams
from memescope.models.starter.features import Features
from memescope.models.starter.kernel import joint, similarities
from memescope.training.starter.linear import Linear
from memescope.training.starter.recipe import ModelPart

PICTURE_COMPONENTS = 256
PAIR_COMPONENTS = 160
SMALLEST = 1e-4
"""Kernel directions with a smaller eigenvalue (of at most m) carry rounding noise."""


@dataclass(frozen=True)
class Inputs:
    """`x[expert]` (n, d) for fitting; `stored[expert]` turns a fitted layer into the one that is stored."""

    x: dict[str, Any]
    stored: dict[str, Callable[[Linear], Linear]]
    tensors: dict[str, NDArray[Any]]


def make_inputs(features: Features, sources: Sequence[str], settings: ModelPart, seed: int) -> Inputs:
    """The inputs of every expert over n training rows."""
    from scipy.sparse import csr_matrix

    idf = ngrams.document_frequency_weights(features.counts, settings.ngram_bits).astype(np.float16)
    weighed = ngrams.weigh(features.counts, idf.astype(np.float32))
    shape = (len(features), 1 << settings.ngram_bits)
    sparse = csr_matrix((weighed.values, weighed.columns, weighed.starts), shape)
    seen = features.picture[features.has_picture]
    centre = (seen if len(seen) else features.picture).mean(axis=0, dtype=np.float64).astype(np.float32)
    basis = principal_axes(seen - centre, PICTURE_COMPONENTS)
    components = (features.picture - centre) @ basis
    components[~features.has_picture] = 0
    spread = max(float(components.std()), 1e-6)
    text_spread = float(features.text[features.has_text].std()) if features.has_text.any() else 1.0
    tensors: dict[str, NDArray[Any]] = {
        "idf": idf,
        "picture.centre": centre,
        "scales": np.array([text_spread, settings.gamma], np.float32),
    }
    # the mean length of the picture's part, against 1 of the text's
    length = max(float(np.linalg.norm(components[:, :PAIR_COMPONENTS], axis=1).mean()), 1e-6)
    tensors["pair.basis"] = (basis[:, :PAIR_COMPONENTS] * (settings.picture_share / length)).astype(np.float16)
    points = joint(features.text, features.picture, centre, tensors["pair.basis"].astype(np.float32))
    landmarks = points[_sample(features, sources, settings.landmarks, seed)].astype(np.float16)
    tensors["pair.landmarks"] = landmarks
    stored_landmarks = landmarks.astype(np.float32)
    root = _inverse_root(similarities(stored_landmarks, stored_landmarks, settings.gamma).astype(np.float64))
    x = {
        "ngrams": sparse,
        "text": features.text / text_spread,
        "picture": components / spread,
        "pair": (similarities(points, stored_landmarks, settings.gamma) @ root).astype(np.float32),
    }
    stored: dict[str, Callable[[Linear], Linear]] = {
        "ngrams": lambda layer: layer,
        "text": lambda layer: layer,
        "picture": lambda layer: Linear(basis @ layer.weight / spread, layer.bias),
        "pair": lambda layer: Linear(root @ layer.weight, layer.bias),
    }
    return Inputs(x, stored, tensors)


def principal_axes(centred: NDArray[np.floating], count: int) -> NDArray[np.float32]:
    """The leading principal axes (d, r), each with the sign that makes its largest entry positive."""
    d = centred.shape[1]
    _, axes = np.linalg.eigh(centred.T.astype(np.float64) @ centred if len(centred) else np.eye(d))
    leading = axes[:, ::-1][:, :count]
    signs = np.sign(leading[np.abs(leading).argmax(axis=0), np.arange(leading.shape[1])])
    return (leading * signs).astype(np.float32)


def _sample(features: Features, sources: Sequence[str], each: int, seed: int) -> NDArray[np.int64]:
    """At most `each` rows of every source, of those with text and picture where there are any."""
    rng = np.random.default_rng(seed)
    whole = features.has_text & features.has_picture
    named = np.array(sources)
    taken = []
    for name in sorted(set(sources)):
        mine = np.flatnonzero((named == name) & whole)
        mine = mine if len(mine) else np.flatnonzero(named == name)
        taken.append(np.sort(rng.permutation(mine)[:each]))
    return np.concatenate(taken)


def _inverse_root(kernel: NDArray[np.float64]) -> NDArray[np.float64]:
    """K^(-1/2) on the directions that are not noise: (m, directions)."""
    values, vectors = np.linalg.eigh(kernel)
    kept = values > SMALLEST
    return vectors[:, kept] / np.sqrt(values[kept])
