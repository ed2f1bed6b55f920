"""Krippendorff's alpha: how far annotators agree beyond chance, with any number of votes for each meme.

Krippendorff, Content Analysis (2004), chapter 11. The coincidences of labels are sums over memes, so thousands of
bootstrap resamples cost one matrix product; the package `krippendorff` is the reference in the tests.
Glossary: u memes, v labels, c clusters of memes that are drawn together, r resamples.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from memescope.curation.answers import Question, labelled
from memescope.curation.grouping import WEAK, Grouping
from memescope.meme import Meme
from memescope.taxonomy import load_label_map, load_taxonomy
from memescope.taxonomy.labels import mapped_datasets

Level = Literal["nominal", "ordinal"]
Floats = NDArray[np.float64]
RESAMPLES = 2000
FEWEST = 20
"""With fewer memes an interval says nothing: such pairs are left out."""


@dataclass(frozen=True)
class Agreement:
    """`of`: the annotators' votes on each meme, or the labels that datasets, languages or repeated rows give it.

    `where`: the dataset (and language), or the two that are compared. `alpha`: 1 agreement, 0 chance, below 0 worse;
    NaN where all votes are one label. `low`, `high`: 95 % percentile bootstrap interval over memes.
    """

    of: Literal["votes", "labels"]
    where: str
    task: str
    level: Level
    memes: int
    votes: int
    alpha: float
    low: float
    high: float


def coincidences(counts: NDArray[np.int64]) -> Floats:
    """Coincidence matrices (u, v, v) from how often each label was given, (u, v); zero for fewer than two votes."""
    n = counts.astype(np.float64)
    votes = n.sum(axis=1)
    pairs = np.einsum("uv,uw->uvw", n, n)
    pairs[:, np.arange(n.shape[1]), np.arange(n.shape[1])] -= n
    return pairs / np.where(votes > 1, votes - 1, 1)[:, None, None] * (votes > 1)[:, None, None]


def alpha_of(coincident: Floats, level: Level) -> Floats:
    """Alpha (...) of summed coincidence matrices (..., v, v); NaN where one label is all there is."""
    given = coincident.sum(axis=-1)
    total = given.sum(axis=-1)
    if level == "ordinal":
        upto = given.cumsum(axis=-1)
        # Between two labels: everything ranked from one to the other, of the two themselves half.
        middle = upto - given / 2
        apart = (middle[..., :, None] - middle[..., None, :]) ** 2
    else:
        apart = np.broadcast_to(1 - np.eye(coincident.shape[-1]), coincident.shape)
    observed = (coincident * apart).sum(axis=(-1, -2))
    expected = (given[..., :, None] * given[..., None, :] * apart).sum(axis=(-1, -2))
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(expected > 0, 1 - (total - 1) * observed / expected, np.nan)


def alpha(
    counts: NDArray[np.int64],
    level: Level,
    clusters: NDArray[np.int64] | None = None,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> tuple[float, float, float]:
    """(alpha, low, high) from vote counts (u, v), labels in order for `ordinal`.

    The interval resamples clusters (u,) of memes, by default each meme for itself.
    """
    each = coincidences(counts)
    value = float(alpha_of(each.sum(axis=0), level))
    flat = each.reshape(len(each), -1)
    if clusters is not None:
        flat = np.stack([np.bincount(clusters, weights=column) for column in flat.T], axis=1)
    # Clusters with the same votes are exchangeable: what is drawn is how many there are of each kind.
    kinds, often = np.unique(flat.round(12), axis=0, return_counts=True)
    drawn = np.random.default_rng(seed).multinomial(often.sum(), often / often.sum(), size=resamples)
    values = alpha_of((drawn @ kinds).reshape(resamples, *each.shape[1:]), level)
    values = values[~np.isnan(values)]
    if np.isnan(value) or len(values) * 2 < resamples:
        return value, float("nan"), float("nan")
    low, high = np.quantile(values, [0.025, 0.975])
    return value, float(low), float(high)


def vote_agreement(memes: Sequence[Meme], names: Sequence[str], grouping: Grouping) -> list[Agreement]:
    """Agreement of the annotators' votes (`meta["votes"]`) by dataset and task; where a dataset has several languages
    for each of them, and for all votes on one meme together.

    Votes are mapped as the dataset's labels are; a field without a map keeps its native labels (nominal).
    """
    unit = {row: number for number, rows in enumerate(grouping.groups) for row in rows}
    votes: dict[tuple[str, str], dict[int, list[str]]] = defaultdict(dict)
    for row, meme in enumerate(memes):
        for native, given in (meme.meta.get("votes") or {}).items():
            for task, its in _mapped(meme.source or "", native, given).items():
                votes[names[row], task][row] = its
    found = []
    for (name, task), given in votes.items():
        langs = sorted({memes[row].lang for row in given})
        parts = {lang: {r: v for r, v in given.items() if memes[r].lang == lang} for lang in langs}
        if len(langs) > 1:
            for lang, part in parts.items():
                found.append(
                    _measure("votes", f"{name}:{lang}", task, list(part.values()), [unit.get(r, -1 - r) for r in part])
                )
        pooled: dict[int, list[str]] = defaultdict(list)
        for row, its in given.items():
            pooled[unit.get(row, -1 - row) if len(langs) > 1 else -1 - row] += its
        keys = list(pooled) if len(langs) > 1 else [unit.get(row, -1 - row) for row in given]
        where = f"{name}: all votes on a meme" if len(langs) > 1 else name
        found.append(_measure("votes", where, task, list(pooled.values()), keys))
    return [one for one in found if one is not None]


def label_agreement(memes: Sequence[Meme], names: Sequence[str], grouping: Grouping) -> list[Agreement]:
    """Agreement of the labels that two datasets, two languages, or repeated rows of one dataset give the same memes.

    Memes that are linked by their text alone are left out.
    """
    units: dict[tuple[str, str, str], list[list[str]]] = defaultdict(list)
    clusters: dict[tuple[str, str, str], list[int]] = defaultdict(list)
    for number, rows in enumerate(grouping.groups):
        for (task, _, _), its in _by_side(memes, names, grouping, rows).items():
            sides = sorted(its)
            for at, first in enumerate(sides):
                if len(its[first]) > 1:
                    units[task, first, first].append(its[first])
                    clusters[task, first, first].append(number)
                for second in sides[at + 1 :]:
                    both = [Counter(its[side]).most_common(1)[0][0] for side in (first, second)]
                    units[task, first, second].append(both)
                    clusters[task, first, second].append(number)
    found = []
    for key, votes in sorted(units.items()):
        task, first, second = key
        where = f"{first}, rows of one meme" if first == second else f"{first} / {second}"
        found.append(_measure("labels", where, task, votes, clusters[key]))
    return [one for one in found if one is not None]


def _by_side(
    memes: Sequence[Meme], names: Sequence[str], grouping: Grouping, rows: Sequence[int]
) -> dict[Question, dict[str, list[str]]]:
    """Question -> side -> its labels; a side is a dataset, or one of its languages where it is parallel."""
    parallel = {row for row in rows if any(kind == "parallel" for kind, _ in grouping.keys[row])}
    known = [row for row in rows if any(kind not in WEAK for kind, _ in grouping.keys[row])]
    found: dict[Question, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    seen = set()
    for question, answers in labelled(memes, known).items():
        for row, answer in answers.items():
            side = f"{names[row]}:{memes[row].lang}" if row in parallel else names[row]
            # One row that stands in two splits was labelled once.
            its = question, side, memes[row].id, memes[row].text, answer
            if its in seen:
                continue
            seen.add(its)
            for task, label in _single(question[0], answer):
                found[task, question[1], question[2]][side].append(label)
    return found


def _single(task: str, answer: str | tuple[str, ...]) -> Iterable[tuple[str, str]]:
    """A multilabel answer as a yes or no for each label, everything else as it is."""
    if isinstance(answer, str):
        return [(task, answer)]
    return [(f"{task}={label}", "yes" if label in answer else "no") for label in load_taxonomy()[task].labels]


def _mapped(source: str, native: str, given: Sequence[Any]) -> dict[str, list[str]]:
    """Votes on one native field as canonical labels of its task; several labels in one vote are a yes or no each."""
    known = load_label_map(source).fields.get(native) if source in mapped_datasets() else None
    task, names = known if known else (f"native {native}", {})
    found: dict[str, list[str]] = defaultdict(list)
    for vote in given:
        if isinstance(vote, list):
            answer = tuple(names.get(str(one), str(one)) for one in vote)
            for one, label in _single(task, answer) if known else [(task, " + ".join(sorted(answer)))]:
                found[one].append(label)
        elif vote is not None:
            found[task].append(names.get(str(vote), str(vote)))
    return found


def _measure(
    of: Literal["votes", "labels"], where: str, task: str, votes: Sequence[Sequence[str]], clusters: Sequence[int]
) -> Agreement | None:
    """None for fewer than `FEWEST` memes with two votes, and where all votes are one label."""
    kept = [(its, cluster) for its, cluster in zip(votes, clusters, strict=True) if len(its) > 1]
    if len(kept) < FEWEST:
        return None
    tasks = load_taxonomy().tasks
    level: Level = "ordinal" if task in tasks and tasks[task].kind == "ordinal" else "nominal"
    there = {label for its, _ in kept for label in its}
    labels = [label for label in tasks[task].labels if label in there] if task in tasks else []
    labels += sorted(there - set(labels))
    counts = np.zeros((len(kept), len(labels)), np.int64)
    for row, (its, _) in enumerate(kept):
        for label in its:
            counts[row, labels.index(label)] += 1
    numbers = np.unique([cluster for _, cluster in kept], return_inverse=True)[1]
    if len(labels) < 2:
        return None
    value, low, high = alpha(counts, level, numbers)
    return Agreement(of, where, task, level, len(kept), int(counts.sum()), value, low, high)
