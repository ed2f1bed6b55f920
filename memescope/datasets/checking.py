"""Whether pictures can be decoded: each file once by content, in worker processes that may die without harm.

What was found is kept by content (`memescope.cache`), a few hundred pictures at a time: a second run decodes nothing,
and one that was killed goes on where it stopped. `python -m memescope.datasets.checking` is the worker: a path a line
in, a JSON object a line out.
"""

from __future__ import annotations

import hashlib
import json
import os
import queue
import stat
import subprocess
import sys
import threading
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path

from memescope.cache import Cache, content_key
from memescope.errors import PictureError

Progress = Callable[[str, int, int], None]
COMMAND = [sys.executable, "-m", "memescope.datasets.checking"]
"""What a worker runs."""
SECONDS = 60.0
"""How long one picture may take."""
MEMORY = 4 << 30
"""Address space of a worker; a picture within the limits of `perception.pictures` loads in half a GiB."""
_VERSION = "1"
_KEPT_AT_ONCE = 256


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


def _decode(waiting: Sequence[tuple[str, Path]], workers: int) -> Iterable[tuple[Checked, bool]]:
    """What is in each file, as it becomes known, and whether that will be so again."""
    jobs: queue.SimpleQueue[tuple[str, Path] | None] = queue.SimpleQueue()
    results: queue.SimpleQueue[tuple[Checked, bool]] = queue.SimpleQueue()
    for job in waiting:
        jobs.put(job)
    hands = [_Hand(jobs, results) for _ in range(min(workers, len(waiting)))]
    for hand in hands:
        jobs.put(None)
        hand.start()
    try:
        for _ in waiting:
            yield results.get()
    finally:
        for hand in hands:
            hand.stop()


class _Hand(threading.Thread):
    """Gives files to one worker process and replaces it when a picture takes it down or holds it up."""

    def __init__(
        self,
        jobs: queue.SimpleQueue[tuple[str, Path] | None],
        results: queue.SimpleQueue[tuple[Checked, bool]],
    ) -> None:
        super().__init__(daemon=True)
        self.jobs, self.results = jobs, results
        self.process: subprocess.Popen[bytes] | None = None
        self.stopped = False

    def run(self) -> None:
        try:
            while not self.stopped and (job := self.jobs.get()) is not None:
                digest, path = job
                answer, cause = self._ask(path)
                if answer is None:
                    self.results.put((Checked(digest, f"the decoder {cause} on it: save the picture anew"), False))
                else:
                    self.results.put((Checked(digest, **json.loads(answer)), True))
        finally:
            self._end_process()

    def _ask(self, path: Path) -> tuple[bytes | None, str]:
        if self.process is None:
            self.process = subprocess.Popen(
                COMMAND, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
            )
        process, late = self.process, threading.Event()
        assert process.stdin is not None
        assert process.stdout is not None
        timer = threading.Timer(SECONDS, _end, (process, late))
        timer.start()
        try:
            process.stdin.write(json.dumps(os.fsdecode(path.absolute())).encode() + b"\n")
            process.stdin.flush()
            answer = process.stdout.readline()
        except OSError:
            answer = b""
        finally:
            timer.cancel()
        if answer.endswith(b"\n"):
            return answer, ""
        self._end_process()
        return None, f"took over {SECONDS:.0f} seconds" if late.is_set() else "died"

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


def _end(process: subprocess.Popen[bytes], late: threading.Event) -> None:
    late.set()
    process.kill()


def main() -> None:
    """The worker."""
    from memescope.perception.pictures import open_picture

    try:
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    except (ImportError, ValueError, OSError):
        pass  # not on this system: the time limit still holds
    for line in sys.stdin.buffer:
        path = Path(json.loads(line))
        try:
            picture = open_picture(path.read_bytes())
            answer = {"width": picture.width, "height": picture.height, "format": picture.format}
        except (PictureError, OSError, MemoryError) as error:
            answer = {"error": str(error) or type(error).__name__}
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
