"""The same meme with different labels, within and between datasets, after mapping to the taxonomy."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from statistics import NormalDist
from typing import Any

from memescope.curation.answers import Answer, Question, label_distance, labelled, shown
from memescope.curation.families import CORRECTS
from memescope.curation.grouping import EVIDENCE, Evidence, Grouping
from memescope.meme import Meme
from memescope.taxonomy import load_taxonomy

_Z = NormalDist().inv_cdf(0.975)


@dataclass(frozen=True)
class Conflict:
    """One meme to which rows give different labels of one task.

    `distance`: how far apart the labels are, 0 to 1: the share of the scale for ordinal tasks, one minus the overlap of
    the sets for multilabel ones, half where one of two feelings is `neutral`, otherwise 1.
    """

    group: int
    task: str
    aspect: str
    rows: tuple[int, ...]
    answers: tuple[Answer, ...]
    evidence: Evidence
    distance: float
    suggestion: str


@dataclass(frozen=True)
class PairRate:
    """How often two datasets (or one with itself) give one meme different labels.

    `shared` memes, of which `conflicts` differ; `low` and `high`: 95 % Wilson interval of the rate. `labels` counts the
    pairs of labels that differ, the first dataset's label first.
    """

    task: str
    first: str
    second: str
    evidence: Evidence
    shared: int
    conflicts: int
    rate: float
    low: float
    high: float
    labels: dict[str, int]


def wilson(hits: int, trials: int) -> tuple[float, float]:
    """The 95 % score interval of a share (Wilson 1927); (0, 1) without trials."""
    if not trials:
        return 0.0, 1.0
    share, spread = hits / trials, _Z**2 / trials
    middle = share + spread / 2
    half = _Z * math.sqrt(share * (1 - share) / trials + spread / (4 * trials))
    low, high = (middle - half) / (1 + spread), (middle + half) / (1 + spread)
    return (0.0 if hits == 0 else max(0.0, low)), (1.0 if hits == trials else min(1.0, high))


def find_conflicts(memes: Sequence[Meme], names: Sequence[str], grouping: Grouping) -> list[Conflict]:
    """Every meme and task on which rows disagree, the surest and gravest first.

    Rows that are surely one meme are compared among themselves. What only a text links to them is compared where they
    agree, so that weak evidence never adds rows to a sure conflict.
    """
    found = []
    for number, rows in enumerate(grouping.groups):
        sure = grouping.sure_parts(rows)
        by_task = labelled(memes, rows)
        for question, answers in by_task.items():
            parts = [{row: answers[row] for row in part if row in answers} for part in sure]
            differing = [part for part in parts if len(set(part.values())) > 1]
            if not differing and len(set(answers.values())) > 1:
                differing = [answers]
            found += [_conflict(memes, names, grouping, number, question, part, by_task) for part in differing]
    return sorted(found, key=lambda c: (EVIDENCE.index(c.evidence), -c.distance, -len(c.rows), c.group, c.task))


def _conflict(
    memes: Sequence[Meme],
    names: Sequence[str],
    grouping: Grouping,
    group: int,
    question: Question,
    answers: Mapping[int, Answer],
    by_task: Mapping[Question, Mapping[int, Answer]],
) -> Conflict:
    differing = [(a, b) for a, b in combinations(answers, 2) if answers[a] != answers[b]]
    evidence = min((grouping.evidence(a, b) for a, b in differing), key=EVIDENCE.index)
    distance = max(label_distance(question[0], answers[a], answers[b]) for a, b in differing)
    suggestion = _suggest(memes, names, question, answers, by_task, evidence)
    return Conflict(group, *question[:2], tuple(answers), tuple(answers.values()), evidence, distance, suggestion)


def pair_rates(memes: Sequence[Meme], names: Sequence[str], grouping: Grouping) -> list[PairRate]:
    """Shared memes and conflicts by task, pair of datasets and evidence: a meme counts for each kind of evidence that
    links a row of one to a row of the other; rows that only others link are left out.

    Two languages of a parallel dataset are told apart, since their labels come from other annotators.
    """
    shared: Counter[tuple[str, str, str, Evidence]] = Counter()
    differ: dict[tuple[str, str, str, Evidence], Counter[str]] = defaultdict(Counter)
    conflicts: Counter[tuple[str, str, str, Evidence]] = Counter()
    for rows in grouping.groups:
        # Aspects of one tweet are questions of their own, but one meme counts once a task.
        found: dict[tuple[str, str, str, Evidence], set[str]] = defaultdict(set)
        for (task, _, _), answers in labelled(memes, rows).items():
            for a, b in combinations(answers, 2):
                evidence = grouping.evidence(a, b)
                if evidence == "linked":
                    continue
                first, second = _side(names[a], memes[a], evidence), _side(names[b], memes[b], evidence)
                labels = [shown(answers[a]), shown(answers[b])]
                if first == second:
                    labels.sort()
                elif first > second:
                    first, second = second, first
                    labels.reverse()
                differing = found[task, first, second, evidence]
                if labels[0] != labels[1]:
                    differing.add(" | ".join(labels))
        for key, pairs in found.items():
            shared[key] += 1
            conflicts[key] += bool(pairs)
            differ[key].update(pairs)
    order = sorted(shared, key=lambda key: (key[0], -conflicts[key], -shared[key], key))
    return [_rate(key, shared[key], conflicts[key], dict(differ[key].most_common())) for key in order]


def _rate(key: tuple[str, str, str, Evidence], shared: int, conflicts: int, labels: dict[str, int]) -> PairRate:
    return PairRate(*key, shared, conflicts, conflicts / shared, *wilson(conflicts, shared), labels)


def _side(name: str, meme: Meme, evidence: Evidence) -> str:
    return f"{name}:{meme.lang}" if evidence == "parallel" else name


def _suggest(
    memes: Sequence[Meme],
    names: Sequence[str],
    question: Question,
    answers: Mapping[int, Answer],
    by_task: Mapping[Question, Mapping[int, Answer]],
    evidence: Evidence,
) -> str:
    """What a person may do about a conflict, the most specific first."""
    if evidence == "parallel":
        return "cultures or languages differ: keep one label for each, do not merge"
    if evidence in ("text", "linked"):
        return "only the texts are known to be the same: look at the pictures before changing a label"
    if len({names[row].split("[")[0] for row in answers}) == 1 and len({names[row] for row in answers}) > 1:
        return "variants of one dataset: choose one rule for all of its rows"
    coarse = load_taxonomy()[question[0]].coarse_task
    its = by_task.get((coarse, *question[1:]), {}) if coarse else {}
    if len(agreed := {answer for row, answer in its.items() if row in answers}) == 1:
        return f"only the degree differs: use {coarse} ({shown(agreed.pop())})"
    of = {names[row]: answer for row, answer in answers.items()}
    for later, earlier in CORRECTS.items():
        if later in of and earlier in of and of[later] != of[earlier]:
            return f"{later} was labelled after {earlier} and with more to go on: prefer {shown(of[later])}"
    kinds = [a for a in answers.values() if not isinstance(a, str)]
    if kinds:
        both = tuple(sorted(set(kinds[0]).intersection(*kinds[1:])))
        return f"agreed: {shown(both)}; the others need a second look" if both else "no label is agreed: relabel"
    # A row that stands in two splits was labelled once.
    once = {(names[row], memes[row].id, memes[row].text, answer) for row, answer in answers.items()}
    counts = Counter(answer for *_, answer in once).most_common()
    if counts[0][1] > counts[1][1]:
        return f"most say {shown(counts[0][0])} ({counts[0][1]} of {len(once)})"
    if len({memes[row].split for row in answers} & {"train", "test"}) == 2:
        return "train contradicts test: relabel both, or leave both out"
    return "look at the meme and relabel, or leave it out"


def record(conflict: Conflict, memes: Sequence[Meme], names: Sequence[str]) -> dict[str, Any]:
    """A conflict as one line of `conflicts.jsonl`."""
    rows = []
    for row, answer in zip(conflict.rows, conflict.answers, strict=True):
        meme = memes[row]
        rows.append(
            {
                "dataset": names[row],
                "split": meme.split,
                "id": meme.id,
                "lang": meme.lang,
                "label": answer if isinstance(answer, str) else list(answer),
                "native": meme.meta.get("native_labels"),
                "where": meme.meta.get("where"),
                "text": meme.text,
                "image": str(meme.image) if isinstance(meme.image, Path) else None,
            }
        )
    return {
        "task": conflict.task,
        "aspect": conflict.aspect or None,
        "group": conflict.group,
        "evidence": conflict.evidence,
        "distance": round(conflict.distance, 4),
        "suggestion": conflict.suggestion,
        "rows": rows,
    }
