"""Which rows are the same meme: by picture bytes, decoded pixels, normalised text, or the dataset's own parallel id.

Two uses: rows that share a key, or whose pictures nearly look the same (`near_keys`), count once in intervals
(`intervals.clusters`); test rows that share a key with the training split are left out of the clean figures (`seen`).
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from memescope.curation.fingerprints import Progress, fingerprint_files
from memescope.curation.hashes import MIN_QUALITY
from memescope.curation.neighbours import near_pairs
from memescope.meme import Meme

Key = tuple[str, str]
"""(kind, value); kinds: `bytes`, `pixels`, `text`, `parallel`, `near`."""
PARALLEL = "meme_id"
"""The `meta` field that names one meme in several languages."""
KEYS_RULE = "keys/1"
"""Names how `seen` tells clean rows; changes whenever they could."""
NEAR_BITS = 12
"""PDQ distance up to which two pictures are one. In the test sets at hand every such pair is one meme saved twice or
one meme in two languages; from 13 bits on there are pairs of one template with other words."""


@dataclass(frozen=True)
class Identity:
    """What a row is known by. `picture` is the SHA-256 of the file's bytes; `error` says why it could not be read."""

    keys: tuple[Key, ...]
    picture: str = ""
    error: str | None = None


def normal_text(text: str) -> str:
    """Letters, marks and digits of the text, compatibility forms and case folded, one space between words."""
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())
    kept = "".join(c if unicodedata.category(c)[0] in "LMN" else " " for c in folded)
    return re.sub(r" +", " ", kept).strip()


def identify(memes: Sequence[Meme], progress: Progress = lambda stage, done, total: None) -> list[Identity]:
    """The identity of each meme of a prepared set, whose pictures are read once and kept by content.

    A picture that cannot be read gives an `Identity` with its `error`, known by its text alone.
    """
    found = []
    prints = fingerprint_files([_file(meme) for meme in memes], progress=progress)
    for meme, its in zip(memes, prints, strict=True):
        if its.error is not None:
            found.append(Identity(_text_keys(meme), error=its.error))
        else:
            keys: tuple[Key, ...] = (("bytes", its.file), ("pixels", its.pixels))
            found.append(Identity(keys + _text_keys(meme), picture=its.file))
    return found


def near_keys(memes: Sequence[Meme], progress: Progress = lambda stage, done, total: None) -> list[tuple[Key, ...]]:
    """For each row a key for each row that looks nearly the same: PDQ hashes at most `NEAR_BITS` apart.

    Rows whose picture cannot be read, or is too flat for a hash, have none.
    """
    prints = fingerprint_files([_file(meme) for meme in memes], progress=progress)
    clear = [row for row, its in enumerate(prints) if its.marks is not None and its.marks.quality >= MIN_QUALITY]
    hashes = np.frombuffer(b"".join(prints[row].marks.pdq for row in clear), np.uint8)  # type: ignore[union-attr]
    near: list[list[Key]] = [[] for _ in memes]
    for row in clear:
        near[row].append(("near", str(row)))
    for first, second, _ in near_pairs(hashes.reshape(-1, 32), NEAR_BITS):
        for a, b in zip(first.tolist(), second.tolist(), strict=True):
            # Each row owns the key named by its number; a later row that looks the same takes it too.
            near[clear[b]].append(("near", str(clear[a])))
    return [tuple(keys) for keys in near]


def seen(test: Sequence[Identity], train: Sequence[Identity]) -> list[tuple[str, ...]]:
    """For each test row the kinds of key it shares with some training row; an empty tuple is a clean row."""
    known = {key for identity in train for key in identity.keys}
    return [tuple(dict.fromkeys(kind for kind, value in row.keys if (kind, value) in known)) for row in test]


def _file(meme: Meme) -> Path | bytes | None:
    """The picture of a prepared set's row: a path, embedded bytes, or none."""
    return meme.image if meme.image is None or isinstance(meme.image, bytes) else Path(meme.image)


def _text_keys(meme: Meme) -> tuple[Key, ...]:
    keys: list[Key] = []
    if text := normal_text(meme.text):
        keys.append(("text", text))
    if PARALLEL in meme.meta:
        keys.append(("parallel", f"{meme.source}:{meme.meta[PARALLEL]}"))
    return tuple(keys)
