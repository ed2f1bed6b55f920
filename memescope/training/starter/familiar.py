"""Fitting `memescope.models.starter.familiarity`: components, samples, the source layer and held-out quantiles.

Shape letters: n training memes, d width, r components, m sampled memes of a source.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from memescope.models.starter.familiarity import mean_rarity, neighbour_distance, project, source_log_odds
from memescope.models.starter.features import Features
from memescope.training.starter.linear import fit_linear

COMPONENTS = 48
SAMPLE = 500
QUANTILES = 1000
STRENGTH = 1.0


def fit_familiarity(
    features: Features,
    idf: NDArray[np.floating],
    sources: Sequence[str],
    folds: NDArray[np.int64],
    seed: int,
    steps: int,
) -> tuple[dict[str, NDArray[Any]], dict[str, NDArray[np.float64]]]:
    """Tensors (names begin with `familiar.`) and each source's held-out logit (n,), in the order of the stored layer.

    `idf` are the n-gram layer's document frequencies (of all rows: a row has seen itself, one of thousands); `folds`
    (n,) keep near-duplicates apart.
    """
    names = sorted(set(sources))
    of = np.array([names.index(source) for source in sources])
    rng = np.random.default_rng(seed)
    tensors: dict[str, NDArray[Any]] = {}
    points = {}
    for part, vectors, there in (
        ("text", features.text, features.has_text),
        ("picture", features.picture, features.has_picture),
    ):
        centre, basis = _components(vectors[there] if there.any() else vectors)
        tensors[f"familiar.{part}.centre"], tensors[f"familiar.{part}.basis"] = centre, basis
        points[part] = project(vectors, centre, basis)
        for j, source in enumerate(names):
            mine = np.flatnonzero((of == j) & there)
            taken = np.sort(rng.permutation(mine)[:SAMPLE])
            sample = points[part][taken].astype(np.float16)
            # each meme against the sampled memes of the other folds: as strange as a new meme of this source is
            away = np.concatenate(
                [
                    neighbour_distance(points[part][mine[folds[mine] == f]], sample[folds[taken] != f])
                    for f in np.unique(folds[mine])
                    if (folds[taken] != f).any()
                ]
                or [np.zeros(1)]
            )
            tensors[f"familiar.{part}.{source}.sample"] = (
                sample if len(sample) else np.zeros((1, basis.shape[1]), np.float16)
            )
            tensors[f"familiar.{part}.{source}.quantiles"] = _quantiles(away)
    rarity = mean_rarity(features.counts, idf)
    for j, source in enumerate(names):
        mine = np.flatnonzero((of == j) & features.has_text)
        tensors[f"familiar.words.{source}.quantiles"] = _quantiles(rarity[mine] if len(mine) else np.zeros(1))
    x, target = np.concatenate([points["text"], points["picture"]], axis=1), np.eye(len(names))[of]
    held_out = np.zeros(target.shape)
    layers = []
    for f in np.unique(folds):
        layer = fit_linear(x[folds != f], target[folds != f], True, STRENGTH, steps)
        held_out[folds == f] = layer.logits(x[folds == f])
        layers.append(layer)
    tensors["familiar.source.weight"] = np.mean([layer.weight for layer in layers], axis=0).astype(np.float32)
    tensors["familiar.source.bias"] = np.mean([layer.bias for layer in layers], axis=0).astype(np.float32)
    odds = source_log_odds(held_out)
    for j, source in enumerate(names):
        tensors[f"familiar.source.{source}.quantiles"] = _quantiles(-odds[of == j, j])
    return tensors, {name: held_out[:, j] for j, name in enumerate(names)}


def _components(vectors: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float16]]:
    """Mean (d,) and the leading principal axes (d, r), each with the sign that makes its largest entry positive."""
    centre = vectors.mean(axis=0, dtype=np.float64)
    _, axes = np.linalg.eigh(np.cov(vectors.T.astype(np.float64)) if len(vectors) > 1 else np.eye(vectors.shape[1]))
    leading = axes[:, ::-1][:, :COMPONENTS]
    leading = leading * np.sign(leading[np.abs(leading).argmax(axis=0), np.arange(leading.shape[1])])
    return centre.astype(np.float32), leading.astype(np.float16)


def _quantiles(values: NDArray[np.floating]) -> NDArray[np.float32]:
    """At most `QUANTILES` of the values, evenly spread in rank, sorted upwards."""
    ordered = np.sort(values)
    if len(ordered) > QUANTILES:
        ordered = ordered[np.linspace(0, len(ordered) - 1, QUANTILES).round().astype(int)]
    return ordered.astype(np.float32)
