"""What is made of each meme of a dataset once and kept: OCR, inpainted pictures, features, captions.

A `Transform` is a small picklable object; its models are opened where it runs. `run_transform` runs one over memes in
processes of one thread each, keeps every value in the cache by content (picture, code version, parameters) and so goes
on after a kill where it stopped. `Perceived` gives the values back in the order of the memes, from the cache, so that
memory does not grow with the dataset. What is looked up by id instead (captions of the authors, features computed
elsewhere) is a `Lookup`.
"""

from __future__ import annotations

import hashlib
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from memescope.cache import Cache, content_key
from memescope.datasets import workers as processes
from memescope.datasets.problems import Problems
from memescope.datasets.workers import Failed, Job, Value, apply_here, cores
from memescope.errors import PictureError
from memescope.meme import Meme
from memescope.perception.pictures import MAX_BYTES, open_picture

Progress = Callable[[str, int, int], None]
"""Called with (stage, done, total)."""
TIMEOUT = 300.0
"""Seconds one meme may take before its worker is stopped."""
_WINDOW = 256  # memes whose keys are looked up at once
_KEEP, _KEEP_SECONDS = 16, 2.0  # values are written this many at a time, or this often: what a kill may cost


class Transform(ABC):
    """One value for each meme, a function of what `content` names, `version` and `parameters` alone.

    `version` changes whenever values could; `parameters` are JSON values. Subclasses say how a value becomes bytes.
    """

    name: str
    version: str

    @property
    def parameters(self) -> Mapping[str, Any]:
        """What was asked for, as JSON values: part of the key."""
        return {}

    def content(self, meme: Meme) -> Any:
        """What of the meme the value depends on, as a JSON value: its picture's bytes. Raises `PictureError`."""
        return picture_digest(meme)

    def open(self) -> None:  # noqa: B027  # most need nothing
        """Load what `apply` needs, once in each process. Raises `MemescopeError` where it is not to be had."""

    @abstractmethod
    def apply(self, meme: Meme) -> Any:
        """The value. `PictureError` says that it cannot be had for this meme, now or later."""

    @abstractmethod
    def pack(self, value: Any) -> bytes:
        """A value of `apply` as bytes."""

    @abstractmethod
    def unpack(self, data: bytes, meme: Meme) -> Any:
        """The inverse of `pack`."""

    def key(self, meme: Meme) -> str:
        """What the value is kept under. Raises `PictureError` where the meme has not what the transform needs."""
        return content_key("transform", self.name, self.version, dict(self.parameters), self.content(meme))


class Lookup(ABC):
    """Values somebody else made, by the meme's id. `problems` says what is wrong with them."""

    name: str

    def __init__(self) -> None:
        self.problems = Problems()

    def check(self, memes: Sequence[Meme]) -> None:  # noqa: B027  # most are right whatever the memes
        """Note in `problems` what only shows beside the memes."""

    @abstractmethod
    def of(self, meme: Meme) -> Any:
        """The meme's value, or None. Raises `MemescopeError` for one that is there and broken."""


@dataclass(slots=True)
class Ran:
    """What came of `run_transform`: `computed + cached + len(errors) == total`; `errors` are (meme id, reason)."""

    name: str
    total: int = 0
    computed: int = 0
    cached: int = 0
    errors: list[tuple[str, str]] = field(default_factory=list)
    seconds: float = 0.0

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        errors = [{"id": name, "error": reason} for name, reason in self.errors]
        counts = {"name": self.name, "total": self.total, "computed": self.computed, "cached": self.cached}
        return {**counts, "seconds": round(self.seconds, 2), "errors": errors}


def picture_digest(meme: Meme) -> str:
    """SHA-256, in hex, of the picture's bytes: `Picture.key` without decoding. `PictureError` where there is none."""
    image = meme.image
    if image is None:
        raise PictureError("no picture")
    if isinstance(image, bytes | bytearray):
        return hashlib.sha256(image).hexdigest()
    if isinstance(image, str | Path):
        path = Path(image)
        try:
            if not path.is_file():
                raise PictureError(f"{str(path)!r}: no such file")
            if path.stat().st_size > MAX_BYTES:
                raise PictureError(f"{str(path)!r}: over the limit of {MAX_BYTES // 2**20} MiB")
            with path.open("rb") as file:
                return hashlib.file_digest(file, "sha256").hexdigest()
        except (OSError, ValueError) as error:
            raise PictureError(f"{str(path)!r}: cannot be read: {error}") from None
    return open_picture(image).key


def run_transform(
    transform: Transform,
    memes: Sequence[Meme],
    workers: int | None = None,
    progress: Progress = lambda stage, done, total: None,
    timeout: float = TIMEOUT,
) -> Ran:
    """Make what is missing and keep it; what was kept before is not done again, nor is one picture done twice.

    `workers` processes share the work, one for each core by default; 0 does it in this one. A picture that cannot be
    read is noted and skipped. A worker that dies is replaced and its meme tried once more, then noted; one that takes
    longer than `timeout` seconds for a meme is stopped and the meme noted.

    Raises `MemescopeError` where the transform cannot be opened at all.
    """
    begun = time.monotonic()
    run = _Run(transform, len(memes), progress)
    jobs = run.jobs(memes)
    try:
        if workers == 0:
            transform.open()
            run.settle(apply_here(transform, job) for job in jobs)
        else:
            with processes.workers(transform, workers or cores(), timeout) as pool:
                run.settle(pool.run(jobs))
    finally:
        run.keeper.flush()
    run.ran.seconds = time.monotonic() - begun
    progress(transform.name, len(memes), len(memes))
    return run.ran


def cache_of(transform: Transform) -> Cache:
    """Where the transform's values are kept: one file for each name."""
    return Cache(f"perceived-{transform.name}")


def error_key(key: str) -> str:
    """Beside a value that cannot be had there is its reason, under this key; the value itself is empty."""
    return f"{key}!"


class _Run:
    """One pass: which values are missing, and what came of them.

    Keys under way are remembered, at 100 bytes for each value that was missing.
    """

    def __init__(self, transform: Transform, total: int, progress: Progress) -> None:
        self.transform, self.progress = transform, progress
        self.ran = Ran(transform.name, total)
        self.keeper = _Keeper(cache_of(transform))
        self._asked: set[str] = set()
        self._twins: dict[str, list[str]] = {}
        self._failed: dict[str, str] = {}

    def jobs(self, memes: Sequence[Meme]) -> Iterator[Job]:
        """A job for each value that is not there yet; the other memes are counted."""
        for start in range(0, len(memes), _WINDOW):
            keyed = []
            for meme in memes[start : start + _WINDOW]:
                try:
                    keyed.append((self.transform.key(meme), meme))
                except PictureError as error:
                    self.ran.errors.append((meme.id, str(error)))
            there = self.keeper.cache.has(key for key, _ in keyed)
            reasons = self.keeper.cache.get(map(error_key, there)) if there else {}
            for key, meme in keyed:
                reason = reasons.get(error_key(key))
                if reason is not None:
                    self.ran.errors.append((meme.id, reason.decode()))
                elif key in self._asked:
                    self._again(key, meme.id)
                elif key in there:
                    self.ran.cached += 1
                else:
                    self._asked.add(key)
                    yield Job(key, meme)
            self._tell()

    def _again(self, key: str, name: str) -> None:
        """A meme whose value another one has been asked for already."""
        if key in self._failed:
            self.ran.errors.append((name, self._failed[key]))
        else:
            self.ran.cached += 1
            self._twins.setdefault(key, []).append(name)

    def settle(self, outcomes: Iterator[Value | Failed]) -> None:
        """Keep what comes."""
        for outcome in outcomes:
            key = outcome.job.key
            if isinstance(outcome, Value):
                self.keeper.keep({key: outcome.data})
                self.ran.computed += 1
            else:
                self._failed[key] = outcome.reason
                twins = self._twins.pop(key, [])
                self.ran.cached -= len(twins)
                self.ran.errors += [(name, outcome.reason) for name in (outcome.job.meme.id, *twins)]
                if outcome.lasting:
                    self.keeper.keep({key: b"", error_key(key): outcome.reason.encode(errors="backslashreplace")})
            self._tell()

    def _tell(self) -> None:
        done = self.ran.computed + self.ran.cached + len(self.ran.errors)
        self.progress(self.ran.name, done, self.ran.total)


class _Keeper:
    """Writes values some at a time."""

    def __init__(self, cache: Cache) -> None:
        self.cache = cache
        self._waiting: dict[str, bytes] = {}
        self._written = time.monotonic()

    def keep(self, entries: Mapping[str, bytes]) -> None:
        self._waiting |= entries
        if len(self._waiting) >= _KEEP or time.monotonic() - self._written > _KEEP_SECONDS:
            self.flush()

    def flush(self) -> None:
        if self._waiting:
            self.cache.put(self._waiting)
        self._waiting, self._written = {}, time.monotonic()
