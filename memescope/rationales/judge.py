"""A language model as judge of stored rationales: informativeness, clarity, plausibility, faithfulness, each 1 to 5.

The four scales are those MemeLens (arXiv 2601.12539) has its explanations judged on. A judge flatters rationales that
it wrote itself; the report says when it did.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from memescope.meme import Meme
from memescope.rationales.asking import Unusable, Used, until_valid
from memescope.rationales.desk import Desk, at_desk
from memescope.rationales.generate import Summary, summarise
from memescope.rationales.prompts import Prompt, Subject
from memescope.rationales.retrying import TeacherError
from memescope.rationales.store import Failure, Rationale
from memescope.rationales.teacher import Teacher
from memescope.taxonomy import load_taxonomy

SCALES = ("informativeness", "clarity", "plausibility", "faithfulness")
_RESAMPLES = 2000


@dataclass(slots=True)
class Judged:
    """The scores of one rationale."""

    id: str
    dataset: str
    split: str | None
    scores: dict[str, int]
    judge: str
    prompt_version: str

    def to_dict(self) -> dict[str, Any]:
        """One line of the file of scores: the four scales are fields of their own."""
        row = asdict(self)
        scores = row.pop("scores")
        return {**row, **scores}


@dataclass(frozen=True)
class JudgeReport:
    """Means with 95 % intervals (bootstrap over rationales) and the counts of each score from 1 to 5."""

    scales: dict[str, dict[str, Any]]
    own: int
    run: Summary

    def to_dict(self) -> dict[str, Any]:
        return {"scales": self.scales, "own_rationales": self.own, **self.run.to_dict()}


def judge(
    memes: Sequence[Meme],
    rationales: Mapping[str, Rationale],
    prompt: Prompt,
    teacher: Teacher,
    *,
    captions: Mapping[str, str] | None = None,
    seed: int | None = None,
    tries: int = 3,
    pictures: bool = False,
    concurrency: int = 8,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> tuple[list[Judged | Failure], JudgeReport]:
    """Scores, or a named failure, for each meme that has a rationale, in the memes' order."""
    started = time.perf_counter()
    tasks = load_taxonomy().tasks
    subjects = [
        Subject(
            meme,
            task=tasks.get(stored.task or ""),
            label=stored.label,
            caption=(captions or {}).get(meme.id) or meme.meta.get("caption"),
            extra={"explanation": stored.rationale},
        )
        for meme in memes
        if (stored := rationales.get(meme.id)) is not None
    ]
    desk = Desk(teacher, seed, pictures)

    async def one(subject: Subject) -> Judged | Failure:
        meme, used = subject.meme, Used()
        try:
            fields, _ = await until_valid(subject, prompt, desk, tries, used)
        except (Unusable, TeacherError) as error:
            code, why = (
                (error.fault.code, error.fault.hint) if isinstance(error, Unusable) else (error.code, str(error))
            )
            return Failure(meme.id, code, why, meme.source or "", meme.split, used.replies)
        return Judged(meme.id, meme.source or "", meme.split, fields, teacher.model, prompt.version)

    found = at_desk(desk, subjects, one, concurrency, progress)
    scored = [one for one in found if isinstance(one, Judged)]
    summary = summarise(found, desk, teacher.budget, time.perf_counter() - started)
    summary.rationales = len(scored)
    own = sum(stored.model == teacher.model for stored in rationales.values())
    return found, JudgeReport(scales_of(scored), own, summary)


def scales_of(judged: Sequence[Judged], seed: int = 0) -> dict[str, dict[str, Any]]:
    """Mean, interval and counts for each scale; empty where nothing was judged."""
    if not judged:
        return {}
    scores = np.array([[one.scores[scale] for scale in SCALES] for one in judged], dtype=np.float64)  # (n, 4)
    drawn = np.random.default_rng(seed).integers(len(scores), size=(_RESAMPLES, len(scores)))
    report = {}
    for column, scale in enumerate(SCALES):
        low, high = np.quantile(scores[:, column][drawn].mean(axis=1), [0.025, 0.975])
        report[scale] = {
            "mean": round(float(scores[:, column].mean()), 3),
            "low": round(float(low), 3),
            "high": round(float(high), 3),
            "counts": [int((scores[:, column] == value).sum()) for value in range(1, 6)],
        }
    return report
