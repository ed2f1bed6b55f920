"""Child processes that do dangerous or slow work: spoken to over their standard streams, under a time limit, replaced
when they die. One thread of the parent serves each.

A child is a `python -m` of ours: scripts need no `__main__` guard, and nothing of the caller's threads and models is
inherited.
"""

from __future__ import annotations

import os
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from types import TracebackType
from typing import IO, Any, BinaryIO, Generic, Protocol, TypeVar

from memescope.errors import MemescopeError

ENVIRONMENT = {
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "TOKENIZERS_PARALLELISM": "false",
    # glibc would give a picture's memory back to the system after each meme and ask for it again: about 4 ms a meme.
    "MALLOC_TRIM_THRESHOLD_": str(256 << 20),
    "MALLOC_MMAP_THRESHOLD_": str(64 << 20),
}
"""What is set for every child: one thread each."""
JOBS_AHEAD = 3
"""Jobs held for each worker: one at work, the next ones waiting."""

Reply = TypeVar("Reply")
Job = TypeVar("Job")
Outcome = TypeVar("Outcome")
Given = TypeVar("Given", contravariant=True)
Made = TypeVar("Made", covariant=True)


def command_of(module: str) -> list[str]:
    """What runs a module of ours as a child."""
    return [sys.executable, "-m", module]


class ChildLost(Exception):
    """A child died or was stopped; the message says how, and follows what it was doing. `late`: it took too long."""

    def __init__(self, how: str, late: bool) -> None:
        super().__init__(how)
        self.late = late


class Child:
    """One process, started with `start`, spoken to with `exchange`."""

    def __init__(self, command: Sequence[str], log: IO[bytes] | None = None) -> None:
        """`command` is what runs; `log` takes its standard error."""
        self._command, self._log = list(command), log
        self._process: subprocess.Popen[bytes] | None = None
        self._timed_out = False

    @property
    def running(self) -> bool:
        """Whether it was started, and nothing is known to have ended it."""
        return self._process is not None

    def start(self) -> None:
        """Start the process; it may not be ready yet."""
        path = os.pathsep.join(place or os.getcwd() for place in sys.path)
        self._process = subprocess.Popen(
            self._command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            env=os.environ | ENVIRONMENT | {"PYTHONPATH": path},
            start_new_session=True,  # Ctrl-C reaches the caller alone, which then lets its children finish
        )

    def exchange(
        self, send: Callable[[IO[bytes]], Any], receive: Callable[[IO[bytes]], Reply], seconds: float
    ) -> Reply:
        """Send something and wait for the answer. Raises `ChildLost`, the process gone, where none comes in time."""
        process = self._process
        assert process is not None
        assert process.stdin is not None
        assert process.stdout is not None
        self._timed_out = False
        watchdog = threading.Timer(seconds, self._expire, [process])
        watchdog.daemon = True
        watchdog.start()
        try:
            send(process.stdin)
            return receive(process.stdout)
        except Exception:  # half an answer breaks whatever reads it
            watchdog.cancel()
            raise self._lost(seconds) from None
        finally:
            watchdog.cancel()

    def _expire(self, process: subprocess.Popen[bytes]) -> None:
        self._timed_out = True
        process.kill()

    def _lost(self, seconds: float) -> ChildLost:
        process, self._process = self._process, None
        assert process is not None
        process.kill()
        code = process.wait()
        _close(process)
        if self._timed_out:
            return ChildLost(f"took longer than {seconds:g} s; the worker was stopped", late=True)
        if code < 0:
            return ChildLost(f"killed the worker ({signal.Signals(-code).name})", late=False)
        return ChildLost(f"ended the worker (exit status {code})", late=False)

    def kill(self) -> None:
        """End the process at once, from any thread; what it was doing is lost."""
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


def private_streams() -> tuple[BinaryIO, BinaryIO]:
    """In a child: the pipes to the parent, out of reach of libraries that print: these write to standard error."""
    inbox, outbox = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    devnull = os.open(os.devnull, os.O_RDONLY)
    os.dup2(devnull, 0)
    os.dup2(2, 1)
    return inbox, outbox


class Worker(Protocol[Given, Made]):
    """A child that does one kind of job."""

    def start(self) -> Any:
        """Start and wait until it is ready; what it says of itself. `MemescopeError` where it cannot start."""
        ...

    def ask(self, job: Given) -> Made:
        """One job's outcome, whatever happens to the child. `MemescopeError` where it cannot be replaced."""
        ...

    def kill(self) -> None:
        """End it at once, from any thread."""
        ...

    def stop(self) -> None:
        """End it, from the thread that serves it."""
        ...


class Crew(Generic[Job, Outcome]):
    """Some workers behind one bounded queue; a context manager. Workers start with the first jobs, or at `start`."""

    def __init__(self, workers: Sequence[Worker[Job, Outcome]]) -> None:
        self._workers = list(workers)
        self._todo: queue.Queue[Job | None] = queue.Queue()
        self._done: queue.Queue[Outcome | MemescopeError] = queue.Queue()
        self._greetings: queue.Queue[Any] = queue.Queue()
        self._threads: list[threading.Thread] = []
        self._closing = threading.Event()
        self._lock = threading.Lock()
        self._fallen = 0

    def start(self) -> Any:
        """Start all workers; what the first that is ready says of itself. `MemescopeError` where it cannot start."""
        while len(self._threads) < len(self._workers):
            self._serve_next()
        first = self._greetings.get()
        if isinstance(first, MemescopeError):
            raise first
        return first

    def run(self, jobs: Iterator[Job]) -> Iterator[Outcome]:
        """Outcomes as they come, in any order; holds no more than a few jobs at a time.

        Raises `MemescopeError` when no worker is left that could be started.
        """
        waiting = 0
        for job in jobs:
            self._todo.put(job)
            waiting += 1
            if len(self._threads) < len(self._workers):
                self._serve_next()
            while waiting >= JOBS_AHEAD * len(self._workers):
                yield self._next()
                waiting -= 1
        for _ in range(waiting):
            yield self._next()

    def _serve_next(self) -> None:
        worker = self._workers[len(self._threads)]
        thread = threading.Thread(target=self._serve, args=[worker], daemon=True)
        self._threads.append(thread)
        thread.start()

    def _serve(self, worker: Worker[Job, Outcome]) -> None:
        try:
            self._greetings.put(worker.start())
            while (job := self._todo.get()) is not None and not self._closing.is_set():
                try:
                    self._done.put(worker.ask(job))
                except MemescopeError:
                    self._todo.put(job)  # another worker may still do it
                    raise
        except (MemescopeError, OSError) as error:
            told = error if isinstance(error, MemescopeError) else MemescopeError(f"a worker could not start: {error}")
            self._greetings.put(told)
            with self._lock:
                self._fallen += 1
                if self._fallen == len(self._threads):
                    self._done.put(told)
        worker.stop()

    def _next(self) -> Outcome:
        outcome = self._done.get()
        if isinstance(outcome, MemescopeError):
            raise outcome
        return outcome

    def __enter__(self) -> Crew[Job, Outcome]:
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
