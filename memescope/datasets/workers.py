"""Processes that apply a transform: one meme at a time each, replaced when a picture takes one down or takes too long.

They are spoken to in pickles. The transform's class must be importable.
"""

from __future__ import annotations

import os
import pickle
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from memescope.children import Child, ChildLost, Crew, command_of
from memescope.errors import MemescopeError, PictureError, UsageError
from memescope.meme import Meme

if TYPE_CHECKING:
    from memescope.datasets.transforms import Transform

START_SECONDS = 600.0
"""How long opening a transform may take: a hub model may be fetched first."""
TRIES = 2
"""How often a meme that ends its worker is tried: it may not have been the picture."""


@dataclass(slots=True)
class Job:
    """One value to be made, and what it is kept under."""

    key: str
    meme: Meme


@dataclass(slots=True)
class Value:
    """A value that was made, packed."""

    job: Job
    data: bytes


@dataclass(slots=True)
class Failed:
    """A value that was not; `lasting` reasons belong to the content and are not tried again."""

    job: Job
    reason: str
    lasting: bool = False


def cores() -> int:
    """Cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def apply_here(transform: Transform, job: Job) -> Value | Failed:
    """The value, made in this process."""
    try:
        return Value(job, transform.pack(transform.apply(job.meme)))
    except PictureError as error:
        return Failed(job, str(error), lasting=True)
    except MemoryError:
        return Failed(job, "needs more memory than there is")
    except Exception as error:  # one bad meme never stops a run, whatever it breaks; its type is told
        return Failed(job, f"{type(error).__name__}: {error}")


class Maker:
    """A worker that applies a transform; `ask` gives it one job and waits."""

    def __init__(self, transform: bytes, timeout: float) -> None:
        self._transform, self._timeout = transform, timeout
        self._child = Child(command_of("memescope.datasets.worker"))
        self._killed = False

    def start(self) -> None:
        """Start the process and open the transform in it. `MemescopeError` where that fails."""
        self._child.start()
        try:
            fatal = self._exchange(self._transform, START_SECONDS)
        except ChildLost as lost:
            raise MemescopeError(f"opening the transform {lost}") from None
        if fatal is not None:
            self._child.stop()
            raise MemescopeError(fatal)

    def ask(self, job: Job) -> Value | Failed:
        """One job's outcome. A worker that dies is replaced and asked once more."""
        try:
            message = pickle.dumps(job.meme)
        except Exception as error:  # whatever a user put into meta
            return Failed(job, f"the meme cannot be sent to a worker: {error}")
        reason = "stopped"
        for _ in range(TRIES):
            if self._killed:
                break
            if not self._child.running:
                self.start()
            try:
                kind, *rest = self._exchange(message, self._timeout)
            except ChildLost as lost:
                reason = f"this meme {lost}"
                if lost.late:
                    break
            else:
                return Value(job, rest[0]) if kind == "value" else Failed(job, rest[0], lasting=rest[1])
        return Failed(job, reason)

    def _exchange(self, message: bytes, timeout: float) -> Any:
        def send(pipe: Any) -> None:
            pipe.write(message)
            pipe.flush()

        return self._child.exchange(send, pickle.load, timeout)

    def kill(self) -> None:
        """End the process at once, from any thread, and start no other."""
        self._killed = True
        self._child.kill()

    def stop(self) -> None:
        """End the process."""
        self._child.stop()


def workers(transform: Transform, count: int, timeout: float) -> Crew[Job, Value | Failed]:
    """So many workers. They start with the first jobs, so that no job costs nothing."""
    try:
        packed = pickle.dumps(transform)
    except Exception as error:  # pickle raises nearly anything
        raise UsageError(
            f"transform {transform.name!r} cannot be sent to a worker ({error}): its class must be at the top "
            "level of a module and hold plain values; workers=0 runs it in this process"
        ) from None
    return Crew([Maker(packed, timeout) for _ in range(count)])
