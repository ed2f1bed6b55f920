"""Which training memes a model keeps to answer against: chosen once, stored with it.

| choice | which memes |
|---|---|
| random | drawn evenly |
| stratified | drawn evenly from each label of the first task, in the training set's proportions, at least one of each |
| k-means | the meme nearest to each of so many centres of the pooled vectors |
| coreset | one after the other that which is farthest from all taken (greedy k-centre: Sener and Savarese 2018) |

k-means and coreset look at the pooled text and picture side by side, each scaled to length 1, so that distances are
cosines and neither modality outweighs the other.

Shape letters: `n` training memes, `s` those that are kept, `d` widths of both pooled vectors.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, get_args

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import normalize

from memescope.errors import UsageError

Choice = Literal["random", "stratified", "k-means", "coreset"]
CHOICES: tuple[Choice, ...] = get_args(Choice)


def choose_support(
    text: Tensor, image: Tensor, strata: Sequence[str], size: int, choice: Choice, seed: int
) -> list[int]:
    """Places of the chosen memes, ascending: `size` of them, or all where there are fewer.

    `text` (n, p) and `image` (n, q) are pooled vectors; `strata` (n,) name what stratified draws keep in proportion.
    """
    if choice not in CHOICES:
        raise UsageError(f"support choice {choice!r}: expected one of {', '.join(CHOICES)}")
    if size < 1:
        raise UsageError(f"support size {size}: expected 1 or more")
    n = len(text)
    if size >= n:
        return list(range(n))
    draw = np.random.default_rng([seed, size])
    if choice == "random":
        return sorted(draw.choice(n, size, replace=False).tolist())
    if choice == "stratified":
        return _stratified(strata, size, draw)
    points = torch.cat([normalize(text.float(), dim=1), normalize(image.float(), dim=1)], 1)
    return _k_means(points, size, seed) if choice == "k-means" else _coreset(points, size, int(draw.integers(n)))


def _stratified(strata: Sequence[str], size: int, draw: np.random.Generator) -> list[int]:
    """Shares by largest remainder; where there are more strata than places, the most frequent ones get them."""
    names, which, counts = np.unique(np.array(strata), return_inverse=True, return_counts=True)
    order = np.argsort(-counts, kind="stable")[:size]
    quota = np.zeros(len(names), np.int64)
    quota[order] = 1
    ideal = counts * size / counts.sum()
    while quota.sum() < size:
        room = quota < counts
        quota[np.where(room, ideal - quota, -np.inf).argmax()] += 1
    chosen: list[int] = []
    for name, count in enumerate(quota):
        chosen += draw.choice(np.flatnonzero(which == name), count, replace=False).tolist()
    return sorted(chosen)


def _k_means(points: Tensor, size: int, seed: int) -> list[int]:
    from sklearn.cluster import KMeans

    found = KMeans(size, random_state=seed, n_init=3, max_iter=50).fit(points.numpy())
    distances = torch.cdist(torch.from_numpy(found.cluster_centers_.astype(np.float32)), points)
    taken: dict[int, None] = {}
    for row in distances.argsort(1).tolist():  # two centres may have one nearest meme: the next one then
        taken[next(i for i in row if i not in taken)] = None
    return sorted(taken)


def _coreset(points: Tensor, size: int, first: int) -> list[int]:
    taken = [first]
    away = (points - points[first]).norm(dim=1)
    while len(taken) < size:
        away[taken[-1]] = -1.0
        farthest = int(away.argmax())
        taken.append(farthest)
        away = torch.minimum(away, (points - points[farthest]).norm(dim=1))
        away[taken] = -1.0
    return sorted(taken)
