"""Which rows are the same meme: by picture bytes, decoded pixels, normalised text, or the dataset's own parallel id.

Two uses: rows that share a key, or whose pictures nearly look the same (`near_keys`), count once in intervals
(`intervals.clusters`); test rows that share a key with the training split are left out of the clean figures (`seen`).
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from memescope.cache import Cache, content_key
from memescope.curation.hashes import FINGERPRINT_VERSION, fingerprint
from memescope.errors import PictureError
from memescope.meme import Meme
from memescope.perception.pictures import MAX_BYTES, Picture, open_picture

Key = tuple[str, str]
"""(kind, value); kinds: `bytes`, `pixels`, `text`, `parallel`, `near`."""
Progress = Callable[[str, int, int], None]
"""Called with (stage, done, total)."""
PARALLEL = "meme_id"
"""The `meta` field that names one meme in several languages."""
NEAR_BITS = 12
"""PDQ distance up to which two pictures are one. In the test sets at hand every such pair is one meme saved twice or
one meme in two languages; from 13 bits on there are pairs of one template with other words."""
_CLEAR = 50  # PDQ quality below which its bits are noise
_BATCH = 200


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


def pixel_key(picture: Picture) -> str:
    """SHA-256, in hex, of the decoded pixels and their shape."""
    return hashlib.sha256(repr(picture.pixels.shape).encode() + picture.pixels.tobytes()).hexdigest()


def identify(memes: Sequence[Meme], progress: Progress = lambda stage, done, total: None) -> list[Identity]:
    """The identity of each meme of a prepared set. Pixels are hashed once and kept in the cache by file content.

    A picture that cannot be read gives an `Identity` with its `error`, known by its text alone.
    """
    cache = Cache("pixels")
    found: list[Identity] = []
    for start in range(0, len(memes), _BATCH):
        batch = memes[start : start + _BATCH]
        digests = [_file_digest(Path(meme.image)) for meme in batch]
        known = cache.get(digest for digest, _ in digests)
        fresh: dict[str, bytes] = {}
        for meme, (digest, error) in zip(batch, digests, strict=True):
            if not error and digest not in known:
                try:
                    known[digest] = fresh[digest] = pixel_key(open_picture(meme.image)).encode()
                except PictureError as cause:
                    error = str(cause)
            if error:
                found.append(Identity(_text_keys(meme), error=error))
            else:
                keys: tuple[Key, ...] = (("bytes", digest), ("pixels", known[digest].decode()))
                found.append(Identity(keys + _text_keys(meme), picture=digest))
        cache.put(fresh)
        progress("hash pictures", min(start + _BATCH, len(memes)), len(memes))
    return found


def near_keys(
    memes: Sequence[Meme], identities: Sequence[Identity], progress: Progress = lambda stage, done, total: None
) -> list[tuple[Key, ...]]:
    """For each row a key for each row that looks nearly the same: PDQ hashes at most `NEAR_BITS` apart.

    Every picture must be readable. Hashes are kept in the cache by file content.
    """
    cache = Cache("pdq")
    hashes = np.zeros((len(memes), 32), np.uint8)
    clear = np.zeros(len(memes), bool)
    keys = [content_key(FINGERPRINT_VERSION, identity.picture) for identity in identities]
    known = cache.get(keys)
    fresh: dict[str, bytes] = {}
    for row, (meme, key) in enumerate(zip(memes, keys, strict=True)):
        if key not in known:
            marks = fingerprint(open_picture(meme.image))
            known[key] = fresh[key] = bytes([marks.quality]) + marks.pdq
        clear[row], hashes[row] = known[key][0] >= _CLEAR, np.frombuffer(known[key][1:], np.uint8)
        progress("compare pictures", row + 1, len(memes))
    cache.put(fresh)
    signs = np.unpackbits(hashes, axis=1).astype(np.float32) * 2 - 1
    near: list[tuple[Key, ...]] = []
    for row in range(len(memes)):
        apart = (256 - signs[: row + 1] @ signs[row]) / 2
        others = np.flatnonzero(clear[: row + 1] & clear[row] & (apart <= NEAR_BITS))
        # Each row owns the key named by its number; a later row that looks the same takes it too.
        near.append(tuple(("near", str(other)) for other in others))
    return near


def seen(test: Sequence[Identity], train: Sequence[Identity]) -> list[tuple[str, ...]]:
    """For each test row the kinds of key it shares with some training row; an empty tuple is a clean row."""
    known = {key for identity in train for key in identity.keys}
    return [tuple(dict.fromkeys(kind for kind, value in row.keys if (kind, value) in known)) for row in test]


def _text_keys(meme: Meme) -> tuple[Key, ...]:
    keys: list[Key] = []
    if text := normal_text(meme.text):
        keys.append(("text", text))
    if PARALLEL in meme.meta:
        keys.append(("parallel", f"{meme.source}:{meme.meta[PARALLEL]}"))
    return tuple(keys)


def _file_digest(path: Path) -> tuple[str, str | None]:
    """(SHA-256 of the file, None), or ("", why it could not be read). Files too large for a picture are not read."""
    try:
        if path.stat().st_size > MAX_BYTES:
            return "", f"{str(path)!r}: larger than {MAX_BYTES} bytes"
        return hashlib.sha256(path.read_bytes()).hexdigest(), None
    except OSError as error:
        return "", f"{str(path)!r}: {error.strerror or error}"
