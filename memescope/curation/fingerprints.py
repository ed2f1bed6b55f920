"""Fingerprints of many picture files: on all cores, kept in the cache by content, and never stopped by a bad file.

Many pictures are decoded in worker processes, so that a decoder that dies or hangs costs one picture and not the run.
What is done is kept batch by batch: after a kill the next run goes on from there.
"""

from __future__ import annotations

import hashlib
import multiprocessing
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures import TimeoutError as Late
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any

from memescope.cache import Cache, content_key
from memescope.curation.hashes import FINGERPRINT_VERSION, Fingerprint, fingerprint
from memescope.errors import PictureError
from memescope.perception.inpaint import INPAINT_VERSION, inpaint
from memescope.perception.lines import Line
from memescope.perception.pictures import MAX_BYTES, Picture, open_picture

Progress = Callable[[str, int, int], None]
"""Called with (stage, done, total)."""
SECONDS = 60.0
"""How long one picture may take before its process is ended."""
_BATCH = 16  # pictures a process is given at a time
_WINDOW = 512  # pictures between two looks into the cache
_FEW = 48  # so many are done sooner than processes start


@dataclass(frozen=True, slots=True)
class FilePrint:
    """What a picture file is known by: `file` and `pixels` are SHA-256, in hex, of its bytes and of the decoded pixels
    with their shape. For a file that cannot be read `error` says why, `marks` is None and `pixels` empty."""

    file: str
    pixels: str
    marks: Fingerprint | None
    error: str | None = None


def fingerprint_files(
    paths: Sequence[Path | bytes | None],
    *,
    inpainted: bool = False,
    workers: int | None = None,
    progress: Progress = lambda stage, done, total: None,
) -> list[FilePrint]:
    """The print of each file (or of a file's bytes), in order; equal files are decoded once. None gives an error.

    With `inpainted` marks are those of the picture without its letters: text is detected, not read, and painted over.
    `workers` processes, by default one a core.
    """
    workers = workers or os.cpu_count() or 1
    stage, cache, _key = ("inpaint pictures" if inpainted else "hash pictures"), Cache("fingerprints"), _keys(inpainted)
    found: list[FilePrint] = []
    with _decoders(workers, inpainted) as decode:
        for start in range(0, len(paths), _WINDOW):
            window = paths[start : start + _WINDOW]
            digests = [file_digest(path) for path in window]
            known = cache.get(_key(digest) for digest, _ in digests)
            wanted = {digest: path for path, (digest, _) in zip(window, digests, strict=True) if path is not None and digest}
            missing = {digest: path for digest, path in wanted.items() if _key(digest) not in known}
            errors: dict[str, str] = {}
            done = start + len(window) - len(missing)
            for batch in decode(missing):
                fresh = {_key(digest): value for digest, value in batch.items() if isinstance(value, bytes)}
                errors |= {digest: value for digest, value in batch.items() if isinstance(value, str)}
                cache.put(fresh)
                known |= fresh
                done += len(batch)
                progress(stage, min(done, len(paths)), len(paths))
            for digest, error in digests:
                why = error or errors.get(digest)
                found.append(_failed(digest, why) if why else _read(digest, known[_key(digest)]))
            progress(stage, len(found), len(paths))
    return found


def pixel_key(picture: Picture) -> str:
    """SHA-256, in hex, of the decoded pixels and their shape."""
    return hashlib.sha256(repr(picture.pixels.shape).encode() + picture.pixels.tobytes()).hexdigest()


def file_digest(path: Path | bytes | None) -> tuple[str, str | None]:
    """(SHA-256 of the file, None), or ("", why it could not be read). Files too large for a picture are not read."""
    if path is None:
        return "", "the row names no picture"
    if isinstance(path, bytes):
        return hashlib.sha256(path).hexdigest(), None
    try:
        if path.stat().st_size > MAX_BYTES:
            return "", f"{str(path)!r}: larger than {MAX_BYTES} bytes"
        return hashlib.sha256(path.read_bytes()).hexdigest(), None
    except OSError as error:
        return "", f"{str(path)!r}: {error.strerror or error}"


Done = dict[str, bytes | str]
"""By file digest: pixel digest and fingerprint as bytes, or why there is none."""
Decode = Callable[[dict[str, Path | bytes]], Iterator[Done]]


@contextmanager
def _decoders(workers: int, inpainted: bool) -> Iterator[Decode]:
    """Gives a function that decodes files by digest and yields what is done, in batches."""
    pool: list[ProcessPoolExecutor] = []
    work = partial(_decode, inpainted=inpainted)

    def decode(files: dict[str, Path | bytes]) -> Iterator[Done]:
        items = list(files.items())
        batches = [items[i : i + _BATCH] for i in range(0, len(items), _BATCH)]
        if workers == 1 or (not pool and len(items) <= _FEW):
            yield from map(work, batches)
            return
        if not pool:
            pool.append(_pool(workers))
        waiting: list[tuple[list[tuple[str, Path | bytes]], Future[Done]]] = []
        for batch in batches:
            waiting.append((batch, pool[0].submit(work, batch)))
        for batch, future in waiting:
            try:
                yield future.result(SECONDS * len(batch))
            except (BrokenProcessPool, Late):
                # One of these files ended or stopped a process: each is tried by itself.
                _end(pool[0])
                yield from _one_by_one(batch, work)
                pool[0] = _pool(workers)
                after = batches.index(batch) + 1
                waiting[after:] = [(one, pool[0].submit(work, one)) for one, _ in waiting[after:]]

    try:
        yield decode
    finally:
        for one in pool:
            _end(one)


def _one_by_one(batch: list[tuple[str, Path | bytes]], work: Callable[..., Done]) -> Iterator[Done]:
    """Each picture by itself, in a process that is replaced when one ends it."""
    pool = None
    for digest, file in batch:
        name = f"a picture of {len(file)} bytes" if isinstance(file, bytes) else repr(str(file))
        pool = pool or _pool(1)
        try:
            yield pool.submit(work, [(digest, file)]).result(SECONDS)
            continue
        except Late:
            yield {digest: f"{name}: decoding it took more than {SECONDS:g} s and was stopped"}
        except BrokenProcessPool:
            yield {digest: f"{name}: the decoder died on it"}
        _end(pool)
        pool = None
    if pool:
        _end(pool)


def _pool(workers: int) -> ProcessPoolExecutor:
    # Not forked: the parent may hold threads of OpenCV or a model.
    return ProcessPoolExecutor(workers, multiprocessing.get_context("spawn"), initializer=_one_thread)


def _end(pool: ProcessPoolExecutor) -> None:
    # A process that hangs would be waited for without end.
    for process in list((pool._processes or {}).values()):
        process.kill()
    pool.shutdown(wait=True, cancel_futures=True)


def _one_thread() -> None:
    import cv2

    cv2.setNumThreads(1)


def _decode(batch: list[tuple[str, Path | bytes]], inpainted: bool) -> Done:
    done: Done = {}
    for digest, path in batch:
        try:
            picture = open_picture(path)
            pixels = bytes.fromhex(pixel_key(picture))
            done[digest] = pixels + fingerprint(_without_letters(picture) if inpainted else picture).to_bytes()
        except PictureError as error:
            done[digest] = str(error)
    return done


def _without_letters(picture: Picture) -> Picture:
    boxes = _detector().boxes(picture.pixels)
    return inpaint(picture, [Line("", tuple((float(x), float(y)) for x, y in b.corners), b.score) for b in boxes])


@cache
def _detector() -> Any:
    from memescope.perception.detector import TextDetector

    return TextDetector()


def _keys(inpainted: bool) -> Callable[[str], str]:
    settings = [INPAINT_VERSION] if inpainted else []
    return lambda digest: content_key("file", FINGERPRINT_VERSION, digest, *settings)


def _read(digest: str, value: bytes) -> FilePrint:
    return FilePrint(digest, value[:32].hex(), Fingerprint.from_bytes(value[32:]))


def _failed(digest: str, why: str) -> FilePrint:
    return FilePrint(digest, "", None, why)
