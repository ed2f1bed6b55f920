"""Worker processes for a scan: one a core, one thread each, killed and replaced when a picture takes them down."""

from __future__ import annotations

from dataclasses import dataclass
from typing import IO, Any

from memescope.children import Child, ChildLost, Crew, command_of
from memescope.errors import MemescopeError
from memescope.models.reasons import Reasons
from memescope.scanning import frames
from memescope.scanning.policy import Policy
from memescope.store.journal import Stored

COMMAND = command_of("memescope.scanning.worker")
"""What a worker runs."""
START_SECONDS = 120.0
"""How long a worker may take to load its models."""
_BLOBS = ("thumbnail", "fingerprint", "embedding")


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


class Reader:
    """A worker that reads memes; `ask` gives it one and waits."""

    def __init__(
        self, model: str, policy: Policy, timeout: float, log: IO[bytes] | None = None, reasons: Reasons = "acted-on"
    ) -> None:
        self._start_message = {"model": model, "policy": policy.model_dump(), "reasons": reasons}
        self._timeout = timeout
        self._child = Child(COMMAND, log)

    def start(self) -> dict[str, Any]:
        """Start the process and wait until its models are loaded; returns its settings, card and tasks."""
        self._child.start()
        try:
            reply, _ = self._exchange(self._start_message, {}, START_SECONDS)
        except ChildLost:
            raise MemescopeError(
                "a scan worker ended while it was starting; run 'memescope doctor' to see what is missing"
            ) from None
        if "fatal" in reply:
            self._child.stop()
            raise MemescopeError(f"a scan worker could not start: {reply['fatal']}")
        return reply

    def ask(self, job: Job) -> Outcome:
        """One meme's outcome; a worker that dies or hangs is killed and will be replaced for the next job."""
        if not self._child.running:
            self.start()
        try:
            reply, blobs = self._exchange({"text": job.text, "lang": job.lang}, {"picture": job.data}, self._timeout)
        except ChildLost as lost:
            return Outcome(job, None, f"reading this picture {lost}")
        if "error" in reply:
            return Outcome(job, None, reply["error"], reply["lasting"])
        return Outcome(job, Stored(reply["record"], **{name: blobs.get(name) for name in _BLOBS}))

    def _exchange(
        self, header: dict[str, Any], blobs: dict[str, bytes], timeout: float
    ) -> tuple[dict[str, Any], dict[str, bytes]]:
        return self._child.exchange(lambda pipe: frames.send(pipe, header, blobs), frames.receive, timeout)

    def kill(self) -> None:
        """End the process at once, from any thread; what it was reading is lost."""
        self._child.kill()

    def stop(self) -> None:
        """End the process."""
        self._child.stop()


def pool(
    workers: int,
    model: str,
    policy: Policy,
    timeout: float,
    log: IO[bytes] | None = None,
    reasons: Reasons = "acted-on",
) -> Crew[Job, Outcome]:
    """So many readers; `start` of it gives settings, model card and tasks. `log` takes their standard error."""
    return Crew([Reader(model, policy, timeout, log, reasons) for _ in range(workers)])
