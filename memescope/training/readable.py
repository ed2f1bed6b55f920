"""Memes whose picture cannot be read, left out before a training rather than found in the middle of it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from memescope.datasets.checking import Progress, check_pictures
from memescope.errors import UsageError
from memescope.meme import Meme
from memescope.training.processes import found_by_the_first


def with_pictures(
    train: Sequence[Meme], val: Sequence[Meme], progress: Progress
) -> tuple[list[Meme], list[Meme], dict[str, Any]]:
    """The training and the selection memes whose picture can be read or that have none; and what metrics say of the
    others: `unread`, what is wrong with each file, and a line of `warnings`. {}: all can be read.

    A picture that a set has in itself was read when the set was prepared. Raises `UsageError` where no training or no
    selection meme is left.
    """
    files = [meme.image for meme in (*train, *val) if isinstance(meme.image, Path)]
    found = found_by_the_first(lambda: check_pictures(files, progress=progress))
    unread = {file: its.error for file, its in found.items() if its.error is not None}
    if not unread:
        return list(train), list(val), {}
    kept = [[meme for meme in some if meme.image not in unread] for some in (train, val)]
    for name, before, after in zip(("training", "selection"), (train, val), kept, strict=True):
        if before and not after:
            file, error = next((meme.image, unread[meme.image]) for meme in before)
            raise UsageError(f"no picture of the {len(before)} {name} memes can be read; the first: {file}: {error}")
    file, error = next(iter(unread.items()))
    warning = (
        f"{len(train) - len(kept[0])} training and {len(val) - len(kept[1])} selection memes were left out: their "
        f"pictures cannot be read (the first of {len(unread)}: {file}: {error})"
    )
    return kept[0], kept[1], {"unread": {str(file): error for file, error in unread.items()}, "warnings": [warning]}
