"""Splits for data that comes without: by hash, so that they are the same everywhere, and the same meme stays together.

Rows with the same normalised text, or with the same picture bytes, or joined by a chain of these, are one group. A
group's hash is that of the smallest of its keys; where it falls between 0 and 1 decides the split.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path

from memescope.errors import UsageError
from memescope.meme import Meme
from memescope.perception.cleaning import letters

RATIO = (0.7, 0.1, 0.2)
CONTENT = "content"
"""Rows are kept together by what they hold, not by a column."""
_SPLITS = ("train", "val", "test")


def assign_splits(
    memes: Sequence[Meme], digests: Mapping[Path, str], ratio: Sequence[float] = RATIO, by: str = CONTENT
) -> None:
    """Give a split to each meme that has none; `digests` has the SHA-256 of picture files.

    With `by` the rows are kept together by that column of the user's data (`meta`) instead. Raises `UsageError` for a
    ratio that is not three shares of a whole, and for a column that no row has.
    """
    if len(ratio) != 3 or min(ratio) < 0 or abs(sum(ratio) - 1) > 1e-6:
        raise UsageError(f"ratio {'/'.join(map(str, ratio))}: expected shares of train, val and test that sum to 1")
    without = [meme for meme in memes if not meme.split]
    if by != CONTENT and without and all(by not in meme.meta for meme in without):
        raise UsageError(f"split by {by!r}: no row has such a column; expected {CONTENT!r} or a column of the data")
    keys = [_keys(meme, digests) if by == CONTENT else [_digest("column", meme.meta.get(by))] for meme in without]
    parent: dict[str, str] = {}

    def root(key: str) -> str:
        while parent.setdefault(key, key) != key:
            parent[key] = parent[parent[key]]
            key = parent[key]
        return key

    for mine in keys:
        for key in mine[1:]:
            first, second = sorted((root(mine[0]), root(key)))
            parent[second] = first
    for meme, mine in zip(without, keys, strict=True):
        meme.split = _split(root(mine[0]), ratio)


def _keys(meme: Meme, digests: Mapping[Path, str]) -> list[str]:
    text = letters(meme.text)
    picture = digests.get(meme.image, "") if isinstance(meme.image, Path) else ""
    keys = [_digest(kind, value) for kind, value in (("text", text), ("picture", picture)) if value]
    return keys or [_digest("id", f"{meme.source} {meme.id}")]


def _digest(kind: str, value: object) -> str:
    return hashlib.sha256(f"{kind} {value}".encode()).hexdigest()


def _split(key: str, ratio: Sequence[float]) -> str:
    place = int(hashlib.sha256(f"split {key}".encode()).hexdigest()[:12], 16) / 16**12
    edge = 0.0
    for split, share in zip(_SPLITS, ratio, strict=True):
        edge += share
        if place < edge:
            return split
    return _SPLITS[max(i for i, share in enumerate(ratio) if share)]
