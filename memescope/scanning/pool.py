"""Worker processes for a scan: one a core, one thread each, killed and replaced when a picture takes them down."""

from __future__ import annotations

import os
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from types import TracebackType
from typing import IO, Any

from memescope.errors import MemescopeError
from memescope.scanning import frames
from memescope.scanning.policy import Policy
from memescope.store.journal import Stored

COMMAND = [sys.executable, "-m", "memescope.scanning.worker"]
"""What a worker runs."""
START_SECONDS = 120.0
"""How long a worker may take to load its models."""
ENVIRONMENT = {
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    # glibc would give a picture's memory back to the system after each meme and ask for it again: about 4 ms a meme.
    "MALLOC_TRIM_THRESHOLD_": str(256 << 20),
    "MALLOC_MMAP_THRESHOLD_": str(64 << 20),
}
"""What is set for every worker."""


@dataclass(slots=True)
class Job:
    """One meme on its way to a worker: `seq` and `key` name it, `data` is the file's content."""

    seq: int
    key: str
    data: bytes
    text: str | None
    lang: str | None


@dataclass(slots=True)
class Outcome:
    """What came back: a reading, or an error; `lasting` errors belong to the content and are not tried again."""

    job: Job
    stored: Stored | None
    error: str | None = None
    lasting: bool = False


class Worker:
    """One child process; `ask` gives it one job and waits."""

    def __init__(self, model: str, policy: Policy, timeout: float, log: IO[bytes] | None = None) -> None:
        self._start_message = {"model": model, "policy": policy.model_dump()}
        self._timeout = timeout
        self._log = log
        self._process: subprocess.Popen[bytes] | None = None
        self._timed_out = False

    def start(self) -> dict[str, Any]:
        """Start the process and wait until its models are loaded; returns its settings, card and tasks."""
        self._process = subprocess.Popen(
            COMMAND,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            env=os.environ | ENVIRONMENT,
            start_new_session=True,  # Ctrl-C reaches the scan alone, which then lets its workers finish
        )
        reply, _ = self._exchange(self._start_message, {}, START_SECONDS)
        if "fatal" in reply:
            raise MemescopeError(f"a scan worker could not start: {reply['fatal']}")
        return reply

    def ask(self, job: Job) -> Outcome:
        """One meme's outcome; a worker that dies or hangs is killed and will be replaced for the next job."""
        if self._process is None:
            self.start()
        try:
            reply, blobs = self._exchange({"text": job.text, "lang": job.lang}, {"picture": job.data}, self._timeout)
        except (EOFError, OSError, ValueError, KeyError):
            return Outcome(job, None, self._cause_of_death())
        if "error" in reply:
            return Outcome(job, None, reply["error"], reply["lasting"])
        return Outcome(job, Stored(reply["record"], **{name: blobs.get(name) for name in _BLOBS}))

    def _exchange(
        self, header: dict[str, Any], blobs: dict[str, bytes], timeout: float
    ) -> tuple[dict[str, Any], dict[str, bytes]]:
        process = self._process
        assert process is not None
        assert process.stdin is not None
        assert process.stdout is not None
        self._timed_out = False
        watchdog = threading.Timer(timeout, self._expire, [process])
        watchdog.start()
        try:
            frames.send(process.stdin, header, blobs)
            return frames.receive(process.stdout)
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
            return f"reading this picture took longer than {self._timeout:g} s; the worker was stopped"
        if code < 0:
            return f"reading this picture killed the worker ({signal.Signals(-code).name})"
        return f"reading this picture ended the worker (exit status {code})"

    def kill(self) -> None:
        """End the process at once, from any thread; what it was reading is lost."""
        if self._process is not None:
            self._process.kill()

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


_BLOBS = ("thumbnail", "fingerprint", "embedding")


def _close(process: subprocess.Popen[bytes]) -> None:
    for stream in (process.stdin, process.stdout):
        try:
            if stream is not None:
                stream.close()
        except OSError:
            pass


class Pool:
    """A few workers behind one bounded queue; a context manager. `log` takes their standard error."""

    def __init__(self, workers: int, model: str, policy: Policy, timeout: float, log: IO[bytes] | None = None) -> None:
        self._todo: queue.Queue[Job | None] = queue.Queue()
        self._done: queue.Queue[Outcome | MemescopeError] = queue.Queue()
        self._closing = threading.Event()
        self._window = 3 * workers
        self._greeting: queue.Queue[dict[str, Any] | MemescopeError] = queue.Queue()
        self._workers = [Worker(model, policy, timeout, log) for _ in range(workers)]
        self._threads = [threading.Thread(target=self._serve, args=[worker], daemon=True) for worker in self._workers]
        for thread in self._threads:
            thread.start()

    def _serve(self, worker: Worker) -> None:
        try:
            self._greeting.put(worker.start())
        except (MemescopeError, EOFError, OSError) as error:
            self._greeting.put(error if isinstance(error, MemescopeError) else MemescopeError(_DIED_AT_START))
            return
        while (job := self._todo.get()) is not None and not self._closing.is_set():
            try:
                self._done.put(worker.ask(job))
            except (MemescopeError, EOFError, OSError) as error:
                self._done.put(error if isinstance(error, MemescopeError) else MemescopeError(_DIED_AT_START))
                break
        worker.stop()

    def greeting(self) -> dict[str, Any]:
        """Settings, model card and tasks, from the first worker that is ready; `MemescopeError` when none can start."""
        first = self._greeting.get()
        if isinstance(first, MemescopeError):
            raise first
        return first

    def run(self, jobs: Iterator[Job]) -> Iterator[Outcome]:
        """Outcomes as they come, in any order; holds no more than a few jobs at a time."""
        waiting = 0
        for job in jobs:
            self._todo.put(job)
            waiting += 1
            while waiting >= self._window:
                yield self._next()
                waiting -= 1
        while waiting:
            yield self._next()
            waiting -= 1

    def _next(self) -> Outcome:
        outcome = self._done.get()
        if isinstance(outcome, MemescopeError):
            raise outcome
        return outcome

    def __enter__(self) -> Pool:
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


_DIED_AT_START = "a scan worker ended while it was starting; run 'memescope doctor' to see what is missing"
