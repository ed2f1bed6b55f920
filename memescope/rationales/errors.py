"""Do faults of a teacher's rationales predict a student's errors? Flags and scores of an audit against predictions.

The predictions must be of memes that the student did not learn from (out of fold). For each flag: the error with and
without it, and the odds ratio of an error within the gold label (Mantel and Haenszel 1959, half a row added to each
cell, since some flags are rare). For each score, and for the number of flags: the AUROC of an error, within the gold
label. Intervals are by bootstrap over distinct memes. With a second student, one that read no reasons: the AUROC of
the first less that of the second, on the same resamples. What holds for both is the meme's difficulty.

Shape letters: `n` rows, `r` resamples.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from memescope.errors import UsageError
from memescope.evaluation.intervals import RESAMPLES, Figure, interval, resample
from memescope.evaluation.metrics import DECIDING_ROWS, weighted_auroc
from memescope.evaluation.strata import Errors, Stratum, by_stratum
from memescope.rationales.audit import DROPPED, FLAGS

Floats = NDArray[np.float64]

INVENTED = ("misquotes", "quotes-caption", "ungrounded", "brings-in", "invents-detail")
"""Flags of what is not on the meme: the rate of hallucination."""
ANY = "any of these five"
FEWEST = DECIDING_ROWS
"""Flags of fewer memes are counted only: a resample of thirteen memes without an error never holds one."""
SCORES = ("sufficiency", "sufficiency_masked", "necessity", "words", "formula", "own_words")
_MOST = 2


@dataclass(frozen=True)
class Flagged:
    """One flag: memes with it, the error (share) with and without it, the odds ratio of an error within the gold label;
    None where it has too few memes on one side."""

    flag: str
    n: int
    error: float | None
    otherwise: float | None
    odds_ratio: Figure | None


@dataclass(frozen=True)
class Ranked:
    """One score: the AUROC of an error within the gold label (half is chance), and less another student's."""

    score: str
    n: int
    auroc: Figure
    less: Figure | None


@dataclass(frozen=True)
class Findings:
    """What an audit says of a student's errors. `hallucination` rests on `INVENTED`; `all flags` on every flag that the
    audit's filter drops."""

    n: int
    distinct: int
    wrong: float
    flags: list[Flagged]
    scores: list[Ranked]
    strata: list[Stratum]

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return asdict(self) | {"strata": [asdict(one) | {"verdict": one.verdict} for one in self.strata]}


def find_errors(
    audited: Mapping[str, Mapping[str, Any]],
    errors: Errors,
    against: Errors | None = None,
    *,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Findings:
    """Audit lines by meme id against a student's errors; memes without a rationale are left out.

    `against` are another student's errors on the same memes. `UsageError` where nothing is left, or the two differ.
    """
    if against is not None and against.ids != errors.ids:
        raise UsageError("the two students were not measured on the same memes")
    kept = np.array([i for i, its in enumerate(errors.ids) if its in audited], dtype=np.int64)
    if not len(kept):
        raise UsageError("no rationale of the audit belongs to a meme that was answered: are both of one dataset?")
    errors, rows = _take(errors, kept), [audited[errors.ids[i]] for i in kept]
    against = None if against is None else _take(against, kept)
    flags = {name: np.array([name in row["flags"] for row in rows]) for name in FLAGS}
    invented: Floats = np.sum([flags[name] for name in INVENTED], axis=0, dtype=np.float64)
    columns = {ANY: invented > 0, **flags}
    scores: dict[str, Floats] = {
        "hallucination": invented,
        "all flags": np.sum([flags[name] for name in DROPPED], axis=0, dtype=np.float64),
    }
    scores |= {name: np.array([_number(row.get(name)) for row in rows]) for name in SCORES}
    blocks = [np.ones((1, len(rows))), *resample(errors.cluster, resamples, seed)]
    strata = [f"{min(int(count), _MOST)}{' or more' if count >= _MOST else ''} of the five" for count in invented]
    order = sorted(range(len(strata)), key=lambda i: strata[i])
    return Findings(
        n=len(rows),
        distinct=len(np.unique(errors.cluster)),
        wrong=float(errors.wrong.mean()),
        flags=[_flagged(name, its, errors, blocks) for name, its in columns.items() if its.any()],
        scores=[_ranked(name, its, errors, against, blocks) for name, its in scores.items() if _varies(its)],
        strata=by_stratum(_take(errors, np.array(order)), [strata[i] for i in order], resamples, seed),
    )


def odds_ratio(flag: NDArray[np.bool_], wrong: Floats, label: NDArray[np.int64], weights: Floats) -> Floats:
    """Odds of an error with the flag over those without it, pooled over labels (Mantel-Haenszel): (r,).

    flag, wrong, label (n,); weights (r, n). Half a row is added to each cell of each label that occurs.
    """
    above, below = np.zeros(len(weights)), np.zeros(len(weights))
    for k in np.unique(label):
        mine = label == k
        cells = [
            weights[:, mine] @ (side[mine] * part[mine]) + 0.5
            for side in (flag.astype(np.float64), 1.0 - flag)
            for part in (wrong, 1 - wrong)
        ]
        total = sum(cells)
        above = above + cells[0] * cells[3] / total
        below = below + cells[1] * cells[2] / total
    found: Floats = above / below
    return found


def within_label(score: Floats, wrong: Floats, label: NDArray[np.int64], weights: Floats) -> Floats:
    """AUROC of an error by a score among rows of one gold label, labels weighted by their pairs: (r,).

    A row that some seeds get wrong counts on both sides by its shares.
    """
    total, pairs = np.zeros(len(weights)), np.zeros(len(weights))
    for k in np.unique(label):
        mine = label == k
        # Each row twice: as wrong by its share, as right by the rest.
        both = np.concatenate([weights[:, mine] * wrong[mine], weights[:, mine] * (1 - wrong[mine])], axis=1)
        truth = np.repeat([1.0, 0.0], mine.sum())
        area = weighted_auroc(np.tile(score[mine], 2), truth, both)
        its = both[:, truth == 1].sum(axis=1) * both[:, truth == 0].sum(axis=1)
        total, pairs = total + np.where(its > 0, area, 0) * its, pairs + its
    with np.errstate(invalid="ignore", divide="ignore"):
        return total / pairs


def _flagged(name: str, its: NDArray[np.bool_], errors: Errors, blocks: Sequence[Floats]) -> Flagged:
    count = int(its.sum())
    if min(count, len(its) - count) < FEWEST:
        return Flagged(name, count, None, None, None)
    drawn = np.concatenate([odds_ratio(its, errors.wrong, errors.label, weights) for weights in blocks])
    return Flagged(name, count, float(errors.wrong[its].mean()), float(errors.wrong[~its].mean()), interval(drawn))


def _ranked(name: str, its: Floats, errors: Errors, against: Errors | None, blocks: Sequence[Floats]) -> Ranked:
    there = ~np.isnan(its)

    def area(of: Errors) -> Floats:
        return np.concatenate(
            [within_label(its[there], of.wrong[there], of.label[there], weights[:, there]) for weights in blocks]
        )

    mine = area(errors)
    return Ranked(name, int(there.sum()), interval(mine), None if against is None else interval(mine - area(against)))


def _take(errors: Errors, rows: NDArray[np.int64]) -> Errors:
    cluster = np.unique(errors.cluster[rows], return_inverse=True)[1].astype(np.int64)
    return Errors(tuple(errors.ids[i] for i in rows), errors.wrong[rows], errors.label[rows], errors.labels, cluster)


def _varies(values: Floats) -> bool:
    there = values[~np.isnan(values)]
    return len(there) > 0 and bool((there != there[0]).any())


def _number(value: Any) -> float:
    return float("nan") if value is None else float(value)
