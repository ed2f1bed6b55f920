"""Whether pictures can be decoded: each file once by content, in worker processes that may die without harm.

What was found is kept by content (`memescope.cache`), a few hundred pictures at a time: a second run decodes nothing,
and one that was killed goes on where it stopped. `python -m memescope.datasets.checking` is the worker: a path a line
in, a JSON object a line out.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import queue
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from memescope.cache import Cache, content_key
from memescope.errors import PictureError

Progress = Callable[[str, int, int], None]
COMMAND = [sys.executable, "-m", "memescope.datasets.checking"]
"""What a worker runs."""
SECONDS = 60.0
"""How long one picture may take."""
START_SECONDS = 120.0
"""How long a worker may take to say that it is ready, with an empty line."""
MEMORY = 4 << 30
"""Address space of a worker; a picture within the limits of `perception.pictures` loads in half a GiB."""
_VERSION = "1"
_KEPT_AT_ONCE = 256
_TOGETHER = 8
"""Files a worker is given at a time, so that it never waits for the next."""
_LOOK_SECONDS = 0.5
_ENOUGH_SIDE = 64
"""A JPEG is read to its end at any scale; the smallest shows as well whether it is whole, and sooner."""


@dataclass(frozen=True, slots=True)
class Checked:
    """A file's content by SHA-256 (empty where it could not be read at all), and the picture in it or what is wrong."""

    sha256: str
    error: str | None = None
    width: int = 0
    height: int = 0
    format: str = ""


def check_pictures(
    paths: Iterable[Path], workers: int | None = None, progress: Progress = lambda stage, done, total: None
) -> dict[Path, Checked]:
    """What each of these files holds. A file that is not there has the error `no such file`."""
    wanted = list(dict.fromkeys(paths))
    workers = workers or os.cpu_count() or 1
    found: dict[Path, Checked] = {}
    example: dict[str, Path] = {}
    with ThreadPoolExecutor(workers) as pool:  # hashing leaves Python's lock
        for done, (path, digest) in enumerate(zip(wanted, pool.map(_digest, wanted), strict=True), 1):
            found[path] = digest
            if digest.error is None:
                example.setdefault(digest.sha256, path)
            progress("hash pictures", done, len(wanted))
    known = _known(example, workers, progress)
    return {path: known.get(checked.sha256, checked) for path, checked in found.items()}


def _digest(path: Path) -> Checked:
    try:
        # O_NONBLOCK: opening a named pipe must not wait for a writer.
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
        with open(descriptor, "rb") as file:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                return Checked("", "not a regular file")
            return Checked(hashlib.file_digest(file, "sha256").hexdigest())
    except FileNotFoundError:
        return Checked("", "no such file")
    except (OSError, ValueError) as error:
        return Checked("", f"cannot be read: {getattr(error, 'strerror', None) or error}")


def _known(example: dict[str, Path], workers: int, progress: Progress) -> dict[str, Checked]:
    """By content; `example` has one file for each."""
    from PIL import __version__ as pillow

    cache = Cache("checked-pictures")
    keys = {digest: content_key("checked", _VERSION, pillow, digest) for digest in example}
    stored = cache.get(keys.values())
    known = {digest: Checked(**json.loads(stored[key])) for digest, key in keys.items() if key in stored}
    waiting = [(digest, path) for digest, path in example.items() if digest not in known]
    fresh: dict[str, bytes] = {}
    for done, (checked, lasting) in enumerate(_decode(waiting, workers), 1):
        known[checked.sha256] = checked
        if lasting:
            fresh[keys[checked.sha256]] = json.dumps(asdict(checked)).encode()
        if len(fresh) >= _KEPT_AT_ONCE or done == len(waiting):
            cache.put(fresh)
            fresh.clear()
        progress("check pictures", done, len(waiting))
    return known


def _decode(waiting: Sequence[tuple[str, Path]], workers: int) -> Iterator[tuple[Checked, bool]]:
    """What is in each file, as it becomes known, and whether that will be so again."""
    jobs: queue.SimpleQueue[list[tuple[str, Path]]] = queue.SimpleQueue()
    results: queue.SimpleQueue[tuple[Checked, bool]] = queue.SimpleQueue()
    for start in range(0, len(waiting), _TOGETHER):
        jobs.put(list(waiting[start : start + _TOGETHER]))
    hands = [_Hand(jobs, results) for _ in range(min(workers, -(-len(waiting) // _TOGETHER)))]
    for hand in hands:
        jobs.put([])  # the end
        hand.start()
    known = 0
    try:
        while known < len(waiting):
            with suppress(queue.Empty):
                yield results.get(timeout=_LOOK_SECONDS)
                known += 1
            for hand in hands:
                hand.kill_if_late()
    finally:
        for hand in hands:
            hand.stop()


class _Hand(threading.Thread):
    """Gives files to one worker process and replaces it when a picture takes it down or holds it up."""

    def __init__(
        self,
        jobs: queue.SimpleQueue[list[tuple[str, Path]]],
        results: queue.SimpleQueue[tuple[Checked, bool]],
    ) -> None:
        super().__init__(daemon=True)
        self.jobs, self.results = jobs, results
        self.process: subprocess.Popen[bytes] | None = None
        self.deadline = math.inf
        self.late = self.stopped = False

    def run(self) -> None:
        try:
            while not self.stopped and (some := self.jobs.get()):
                while some and not self.stopped:
                    some = self._ask(some)
        finally:
            self._end_process()

    def _ask(self, some: list[tuple[str, Path]]) -> list[tuple[str, Path]]:
        """Have these files decoded; returns those that must be asked again, as the one before them ended the worker."""
        if self.process is None:
            self.process = subprocess.Popen(
                COMMAND, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
            )
            self._answer(self.process, START_SECONDS)
        process = self.process
        assert process.stdin is not None
        asked = b"".join(json.dumps(os.fsdecode(path.absolute())).encode() + b"\n" for _, path in some)
        with suppress(OSError):  # that it died shows when its answer does not come
            process.stdin.write(asked)
            process.stdin.flush()
        for number, (digest, _) in enumerate(some):
            answer = self._answer(process, SECONDS)
            if not answer.endswith(b"\n"):
                self._end_process()
                cause = f"took over {SECONDS:.0f} seconds" if self.late else "died"
                self.results.put((Checked(digest, f"the decoder {cause} on it: save the picture anew"), False))
                return some[number + 1 :]
            self.results.put((Checked(digest, **json.loads(answer)), True))
        return []

    def _answer(self, process: subprocess.Popen[bytes], seconds: float) -> bytes:
        assert process.stdout is not None
        self.late, self.deadline = False, time.monotonic() + seconds
        answer = process.stdout.readline()
        self.deadline = math.inf
        return answer

    def kill_if_late(self) -> None:
        """End a worker that has been at one picture for too long; called from the main thread."""
        if time.monotonic() > self.deadline and (process := self.process) is not None:
            self.late = True
            process.kill()

    def _end_process(self) -> None:
        process, self.process = self.process, None
        if process is not None:
            process.kill()
            process.communicate()

    def stop(self) -> None:
        """No further files; the thread itself cleans up, as nobody else may touch its pipes."""
        self.stopped = True
        if (process := self.process) is not None:
            process.kill()
        self.join()


def main() -> None:
    """The worker."""
    from memescope.perception.pictures import open_picture

    try:
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    except (ImportError, ValueError, OSError):
        pass  # not on this system: the time limit still holds
    print(flush=True)
    for line in sys.stdin.buffer:
        path = Path(json.loads(line))
        try:
            picture = open_picture(path.read_bytes(), enough_side=_ENOUGH_SIDE)
            answer = {"width": picture.width, "height": picture.height, "format": picture.format}
        except (PictureError, OSError, MemoryError) as error:
            answer = {"error": str(error) or type(error).__name__}
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
