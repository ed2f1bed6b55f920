"""Fingerprints of many picture files: on all cores, kept in the cache by content, and never stopped by a bad file.

A transform of `memescope.datasets.transforms`: many pictures are decoded in worker processes, so that a decoder that
dies or hangs costs one picture, and after a kill the next run goes on where this one stopped.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from memescope.curation.hashes import FINGERPRINT_VERSION, Fingerprint, fingerprint
from memescope.datasets.transforms import Transform, cache_of, picture_digest, run_transform
from memescope.errors import PictureError
from memescope.meme import Meme
from memescope.perception.inpaint import INPAINT_VERSION, inpaint
from memescope.perception.lines import Line
from memescope.perception.pictures import Picture, open_picture

Progress = Callable[[str, int, int], None]
"""Called with (stage, done, total)."""
SECONDS = 60.0
"""How long one picture may take before its process is ended."""
_FEW = 48  # so many are done sooner than processes start


@dataclass(frozen=True, slots=True)
class FilePrint:
    """What a picture file is known by: `file` and `pixels` are SHA-256, in hex, of its bytes and of the decoded pixels
    with their shape. For a file that cannot be read `error` says why, `marks` is None and `pixels` empty."""

    file: str
    pixels: str
    marks: Fingerprint | None
    error: str | None = None


class Fingerprints(Transform):
    """(SHA-256 of the pixels, fingerprint) of pictures whose meme is called by the SHA-256 of its file.

    With `inpainted` marks are those of the picture without its letters: text is detected, not read, and painted over.
    """

    def __init__(self, inpainted: bool = False) -> None:
        self.inpainted = inpainted
        self.name = "inpainted-fingerprints" if inpainted else "fingerprints"
        self.version = f"{FINGERPRINT_VERSION}" + (f" {INPAINT_VERSION}" if inpainted else "")

    def content(self, meme: Meme) -> str:
        return meme.id

    def apply(self, meme: Meme) -> tuple[str, Fingerprint]:
        picture = open_picture(meme.image)
        return pixel_key(picture), self.marks(picture)

    def marks(self, picture: Picture) -> Fingerprint:
        """The fingerprint of the picture, or of what is beneath its letters."""
        return fingerprint(_without_letters(picture) if self.inpainted else picture)

    def pack(self, value: tuple[str, Fingerprint]) -> bytes:
        return bytes.fromhex(value[0]) + value[1].to_bytes()

    def unpack(self, data: bytes, meme: Meme) -> tuple[str, Fingerprint]:
        return data[:32].hex(), Fingerprint.from_bytes(data[32:])


def fingerprint_files(
    files: Sequence[Path | bytes | None],
    *,
    inpainted: bool = False,
    workers: int | None = None,
    progress: Progress = lambda stage, done, total: None,
) -> list[FilePrint]:
    """The print of each file (or of a file's bytes), in order; equal files are decoded once. None gives an error.

    `inpainted`: see `Fingerprints`. `workers` processes, by default one a core; few pictures are done in this one.
    """
    transform, stage = Fingerprints(inpainted), "inpaint pictures" if inpainted else "hash pictures"
    digests: list[str] = []
    errors: dict[int, str] = {}
    memes: dict[str, Meme] = {}
    for row, file in enumerate(files):
        try:
            digests.append(picture_digest(Meme(file)))
            memes.setdefault(digests[row], Meme(file, id=digests[row]))
        except PictureError as error:
            digests.append("")
            errors[row] = str(error)
    kept = cache_of(transform)
    keys = {digest: transform.key(meme) for digest, meme in memes.items()}
    missing = len(keys) - len(kept.has(keys.values()))
    ran = run_transform(
        transform,
        list(memes.values()),
        workers=0 if missing <= _FEW else workers,
        progress=lambda _, done, total: progress(stage, done, total),
        timeout=SECONDS,
    )
    failed = dict(ran.errors)
    values = kept.get(keys.values())
    found = []
    for row, digest in enumerate(digests):
        if why := errors.get(row) or failed.get(digest):
            found.append(FilePrint(digest, "", None, why))
        else:
            found.append(FilePrint(digest, *transform.unpack(values[keys[digest]], memes[digest])))
    return found


def pixel_key(picture: Picture) -> str:
    """SHA-256, in hex, of the decoded pixels and their shape."""
    return hashlib.sha256(repr(picture.pixels.shape).encode() + picture.pixels.tobytes()).hexdigest()


def _without_letters(picture: Picture) -> Picture:
    boxes = _detector().boxes(picture.pixels)
    return inpaint(picture, [Line("", tuple((float(x), float(y)) for x, y in b.corners), b.score) for b in boxes])


@cache
def _detector() -> Any:
    from memescope.perception.detector import TextDetector

    return TextDetector()
