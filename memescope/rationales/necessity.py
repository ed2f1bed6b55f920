"""Does a model's answer rest on what a rationale cites?

The cited words of the meme's text are taken out, the model answers again, and the answer should move more than
without as many words drawn at random: comprehensiveness in the words of DeYoung et al. (ERASER, ACL 2020), with a
control of the same size. The picture is left out, so that the text alone can move the answer. This measures rationale
and model together: a true reason that the model does not use moves nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from memescope.evaluation.intervals import Figure, resample
from memescope.explanation.words import Word, log_odds, split_words, without
from memescope.meme import Meme
from memescope.models import Model
from memescope.rationales.matching import STOP, allowed, content_words, edits, fold, squeeze, stem
from memescope.rationales.quotes import quoted

DRAWS = 4
"""Random sets of words for each meme."""
_BATCH = 64


@dataclass(frozen=True)
class Necessity:
    """How far the answer moves (mean absolute change of the log-odds of the label it gives) without the cited words,
    and without as many random ones; their paired difference; `moved` (n,) is each row's, NaN where nothing or
    everything is cited."""

    rows: int
    cited: Figure
    drawn: Figure
    difference: Figure
    moved: NDArray[np.float64]


def cited_words(rationale: str, text: str) -> tuple[list[Word], list[Word]]:
    """(cited, all) content words of a meme's text: cited are those the rationale quotes or uses too, inflections and a
    share of OCR slips aside."""
    content = [word for word in split_words(text) if len(squeeze(word.text)) > 2 and fold(word.text) not in STOP]
    said = set(content_words(rationale))
    stems = said | {stem(word) for word in said}
    runs = [squeeze(its) for its, _ in quoted(rationale)]
    return [word for word in content if _is_cited(fold(word.text).strip("#@'"), stems, said, runs)], content


def _is_cited(word: str, stems: set[str], said: set[str], runs: Sequence[str]) -> bool:
    bare = squeeze(word)
    if word in stems or stem(word) in stems or (len(bare) >= 4 and any(bare in run for run in runs)):
        return True
    room = min(allowed(len(bare)), 2) if len(bare) >= 5 else 0
    return room > 0 and any(
        abs(len(one) - len(bare)) <= room and edits(bare, one, inside=False) <= room for one in said if len(one) >= 5
    )


def necessity(
    memes: Sequence[Meme],
    rationales: Sequence[str],
    model: Model,
    task: str,
    cluster: NDArray[np.int64],
    seed: int = 0,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Necessity | None:
    """Of all memes whose rationale cites some, not all, content words of the text; None where none does.

    `cluster` (n,) are rows that count as one.
    """
    rng = np.random.default_rng(seed)
    rows: list[int] = []
    versions: list[str] = []
    for row, (meme, rationale) in enumerate(zip(memes, rationales, strict=True)):
        cited, content = cited_words(rationale, meme.text)
        if not cited or len(cited) == len(content):
            continue
        rows.append(row)
        versions += [meme.text, without(meme.text, cited)]
        for _ in range(DRAWS):
            chosen = sorted(rng.choice(len(content), size=len(cited), replace=False).tolist())
            versions.append(without(meme.text, [content[i] for i in chosen]))
    if not rows:
        return None
    scores = _scores(memes, rows, versions, model, task, progress)  # (rows, 2 + DRAWS)
    cited_move = np.abs(scores[:, 0] - scores[:, 1])
    drawn_move = np.abs(scores[:, :1] - scores[:, 2:]).mean(axis=1)
    moved = np.full(len(memes), np.nan)
    moved[rows] = cited_move - drawn_move
    own = np.unique(cluster[rows], return_inverse=True)[1].astype(np.int64)
    figures = [_mean(values, own, seed) for values in (cited_move, drawn_move, cited_move - drawn_move)]
    return Necessity(len(rows), figures[0], figures[1], figures[2], moved)


def _scores(
    memes: Sequence[Meme],
    rows: Sequence[int],
    versions: Sequence[str],
    model: Model,
    task: str,
    progress: Callable[[int, int], None],
) -> NDArray[np.float64]:
    """Log-odds, for every version of a row's text, of the label the model gives the whole text, (rows, versions)."""
    each = len(versions) // len(rows)
    found = np.zeros((len(rows), each))
    step = max(1, _BATCH // each)
    for start in range(0, len(rows), step):
        some = range(start, min(start + step, len(rows)))
        asked = [
            replace(memes[rows[i]], image=None, text=text) for i in some for text in versions[i * each : (i + 1) * each]
        ]
        answers = [reading.answers[task] for reading in model.answer(asked)]
        for place, i in enumerate(some):
            its = answers[place * each : (place + 1) * each]
            label = its[0].label if isinstance(its[0].label, str) else None
            names = [label] if label is not None else list(its[0].probabilities)
            table = np.array([[one.probabilities[name] for name in names] for one in its])
            found[i] = log_odds(table).mean(axis=1)
        progress(some[-1] + 1, len(rows))
    return found


def _mean(values: NDArray[np.float64], cluster: NDArray[np.int64], seed: int) -> Figure:
    drawn = np.concatenate([(w @ values) / w.sum(axis=1) for w in resample(cluster, seed=seed)])
    low, high = np.quantile(drawn, [0.025, 0.975])
    return Figure(float(values.mean()), float(low), float(high))
