"""Training without one fold, which the model then answers: predictions for training memes that it has not learnt from.

Memes that show or say nearly the same are in one fold (`training.groups`), so nothing is answered that was as good as
learnt. The cut depends on the memes alone: every seed and every recipe over the same memes has the same folds.
"""

from __future__ import annotations

from collections.abc import Sequence

from memescope.errors import UsageError
from memescope.meme import Meme
from memescope.training.groups import fold_of, near_groups
from memescope.training.run import read_memes
from memescope.training.staged.recipe import StagedData

_CUT = 0
"""Seed of the cut, whatever the seed of the training."""


def split_fold(memes: Sequence[Meme], folds: int, fold: int) -> tuple[list[Meme], list[Meme]]:
    """The memes that are learnt from, and those of `fold`, which are held out; both in their order."""
    of = fold_of(near_groups(memes), folds, _CUT)
    parts = ([meme for meme, its in zip(memes, of, strict=True) if (its == fold) == held] for held in (False, True))
    learnt, held = parts
    if not learnt or not held:
        raise UsageError(f"data.folds={folds}: {len(memes)} training memes cannot be cut into so many")
    return learnt, held


def held_out(data: StagedData) -> list[Meme]:
    """The training memes that a recipe's `fold` leaves out; none where it has no folds."""
    return split_fold(read_memes(data, data.train_splits), data.folds, data.fold)[1] if data.folds else []
