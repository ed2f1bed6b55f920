"""Processes that apply a transform: one meme at a time each, replaced when a picture takes one down or takes too long.

A worker is `python -m memescope.datasets.worker`, spoken to in pickles over its standard streams: so scripts need no
`__main__` guard, and nothing of the caller's threads and models is inherited. The transform's class must be importable.
"""

from __future__ import annotations

import os
import pickle
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Any

from memescope.errors import MemescopeError, PictureError, UsageError
from memescope.meme import Meme

if TYPE_CHECKING:
    from memescope.datasets.transforms import Transform

START_SECONDS = 600.0
"""How long opening a transform may take: a hub model may be fetched first."""
ENVIRONMENT = {
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "TOKENIZERS_PARALLELISM": "false",
    # glibc would give a picture's memory back to the system after each meme and ask for it again.
    "MALLOC_TRIM_THRESHOLD_": str(256 << 20),
    "MALLOC_MMAP_THRESHOLD_": str(64 << 20),
}


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


class Worker:
    """One child process; `ask` gives it one job and waits."""

    def __init__(self, transform: bytes, timeout: float) -> None:
        self._transform, self._timeout = transform, timeout
        self._process: subprocess.Popen[bytes] | None = None
        self._timed_out = self._closed = False

    def start(self) -> None:
        """Start the process and open the transform in it. `MemescopeError` where that fails."""
        path = os.pathsep.join(place or os.getcwd() for place in sys.path)
        self._process = subprocess.Popen(
            [sys.executable, "-m", "memescope.datasets.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=os.environ | ENVIRONMENT | {"PYTHONPATH": path},
            start_new_session=True,  # Ctrl-C reaches the caller alone
        )
        try:
            fatal = self._exchange(self._transform, START_SECONDS)
        except (EOFError, OSError, pickle.UnpicklingError):
            raise MemescopeError(f"a worker ended while it was starting: {self._cause_of_death()}") from None
        if fatal is not None:
            self.stop()
            raise MemescopeError(fatal)

    def ask(self, job: Job) -> Value | Failed:
        """One job's outcome. A worker that dies is replaced and asked once more: it may not have been the picture."""
        try:
            message = pickle.dumps(job.meme)
        except Exception as error:  # whatever a user put into meta
            return Failed(job, f"the meme cannot be sent to a worker: {error}")
        reason = "stopped"
        for _ in range(2):
            if self._closed:
                break
            if self._process is None:
                self.start()
            try:
                kind, *rest = self._exchange(message, self._timeout)
            except (EOFError, OSError, pickle.UnpicklingError):
                late = self._timed_out
                reason = self._cause_of_death()
                if late:
                    break
            else:
                return Value(job, rest[0]) if kind == "value" else Failed(job, rest[0], lasting=rest[1])
        return Failed(job, reason)

    def _exchange(self, message: bytes, timeout: float) -> Any:
        process = self._process
        assert process is not None
        assert process.stdin is not None
        assert process.stdout is not None
        self._timed_out = False
        watchdog = threading.Timer(timeout, self._expire, [process])
        watchdog.daemon = True
        watchdog.start()
        try:
            process.stdin.write(message)
            process.stdin.flush()
            return pickle.load(process.stdout)
        finally:
            watchdog.cancel()

    def _expire(self, process: subprocess.Popen[bytes]) -> None:
        self._timed_out = True
        process.kill()

    def _cause_of_death(self) -> str:
        process, self._process = self._process, None
        assert process is not None
        process.kill()
        code = process.wait()
        _close(process)
        if self._timed_out:
            return f"took longer than {self._timeout:g} s; the worker was stopped"
        if code < 0:
            return f"the worker was killed ({signal.Signals(-code).name})"
        return f"the worker ended (exit status {code})"

    def kill(self) -> None:
        """End the process at once, from any thread, and start no other."""
        self._closed = True
        process = self._process
        if process is not None:
            process.kill()

    def stop(self) -> None:
        """End the process; it leaves by itself when its input closes."""
        if self._process is None:
            return
        process, self._process = self._process, None
        _close(process)
        try:
            process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _close(process: subprocess.Popen[bytes]) -> None:
    for stream in (process.stdin, process.stdout):
        try:
            if stream is not None:
                stream.close()
        except OSError:
            pass


class Workers:
    """Some workers behind one queue; a context manager. They start with the first job, so that no job costs nothing."""

    def __init__(self, transform: Transform, count: int, timeout: float) -> None:
        try:
            packed = pickle.dumps(transform)
        except Exception as error:  # pickle raises nearly anything
            raise UsageError(
                f"transform {transform.name!r} cannot be sent to a worker ({error}): its class must be at the top "
                "level of a module and hold plain values; workers=0 runs it in this process"
            ) from None
        self._workers = [Worker(packed, timeout) for _ in range(count)]
        self._todo: queue.Queue[Job | None] = queue.Queue()
        self._done: queue.Queue[Value | Failed | MemescopeError] = queue.Queue()
        self._threads: list[threading.Thread] = []
        self._closing = threading.Event()

    def run(self, jobs: Iterator[Job]) -> Iterator[Value | Failed]:
        """Outcomes as they come, in any order; holds no more than a few jobs for each worker at a time."""
        waiting = 0
        for job in jobs:
            self._todo.put(job)
            waiting += 1
            if len(self._threads) < len(self._workers):
                self._start(self._workers[len(self._threads)])
            while waiting >= 3 * len(self._workers):
                yield self._next()
                waiting -= 1
        for _ in range(waiting):
            yield self._next()

    def _start(self, worker: Worker) -> None:
        thread = threading.Thread(target=self._serve, args=[worker], daemon=True)
        self._threads.append(thread)
        thread.start()

    def _serve(self, worker: Worker) -> None:
        while (job := self._todo.get()) is not None and not self._closing.is_set():
            try:
                self._done.put(worker.ask(job))
            except (MemescopeError, OSError) as error:
                self._done.put(error if isinstance(error, MemescopeError) else MemescopeError(f"worker: {error}"))
                break
        worker.stop()

    def _next(self) -> Value | Failed:
        outcome = self._done.get()
        if isinstance(outcome, MemescopeError):
            raise outcome
        return outcome

    def __enter__(self) -> Workers:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None:
            self._closing.set()
            for worker in self._workers:
                worker.kill()
        for _ in self._threads:
            self._todo.put(None)
        for thread in self._threads:
            thread.join()
