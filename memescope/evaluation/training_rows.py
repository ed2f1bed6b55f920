"""What the measured rows share with the splits that were learnt from, and what baselines fitted on them say."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from memescope.curation.identity import Identity, Progress, identify, seen
from memescope.datasets import has_split, read_split
from memescope.evaluation.baselines import BASELINES, answer_baselines
from memescope.evaluation.predictions import MODEL, Row, rows_of
from memescope.meme import Meme
from memescope.taxonomy import Task


def add_training(
    rows: list[Row],
    answered: Sequence[tuple[Meme, Identity]],
    data: Path,
    split: str,
    learnt: Sequence[str],
    tasks: Sequence[Task],
    baselines: bool,
    seed: int,
    progress: Progress,
    blind: bool,
) -> tuple[bool, dict[str, str]]:
    """Note in each row what it shares with the splits that were learnt from, and what baselines fitted on them say.

    False where one of them is not there, or is the one that is measured; and baselines left out, with the reason.
    """
    if split in learnt or not all(has_split(data, one) for one in learnt):
        return False, {}
    train = [meme for one in learnt for meme in read_split(data, one)]
    identities = known(train, blind, progress)
    for row, kinds in zip(rows, seen([identity for _, identity in answered], identities), strict=True):
        row.seen = kinds
    if not baselines:
        return True, {}
    whole = [(meme, identity) for meme, identity in zip(train, identities, strict=True) if not identity.error]
    used = [*whole, *answered]
    without = sum(not identity.picture for _, identity in used)
    left_out = {"probe": f"needs pictures, and {without} of {len(used)} memes have none"} if without else {}
    said = answer_baselines(
        tasks,
        [meme for meme, _ in whole],
        [meme for meme, _ in answered],
        [identity for _, identity in whole],
        [identity for _, identity in answered],
        names=[name for name in BASELINES if name not in left_out],
        seed=seed,
        progress=progress,
    )
    for name, by_task in said.items():
        for task, answers in by_task.items():
            for i in rows_of(rows, task, MODEL):
                rows[i].answers.setdefault(name, {})[task] = answers[i]
    return True, left_out


def known(memes: Sequence[Meme], blind: bool, progress: Progress) -> list[Identity]:
    """Identities; with `blind` a picture that is not there at all is no error, one that is broken still is."""
    found = identify(memes, progress)
    if not blind:
        return found
    return [replace(its, error=None) if _absent(meme) else its for meme, its in zip(memes, found, strict=True)]


def _absent(meme: Meme) -> bool:
    return meme.image is None or (not isinstance(meme.image, bytes) and not Path(meme.image).is_file())
