"""Worker processes for a scan: one a core, one thread each, killed and replaced when a picture takes them down."""

from __future__ import annotations

from dataclasses import dataclass
from typing import IO, Any

from memescope.children import Child, ChildLost, Crew, command_of
from memescope.errors import MemescopeError
from memescope.models import is_served
from memescope.models.reasons import Reasons
from memescope.scanning import frames
from memescope.scanning.policy import Policy
from memescope.store.journal import Stored

COMMAND = command_of("memescope.scanning.worker")
"""What a worker runs."""
START_SECONDS = 120.0
"""How long a worker may take to load its models."""
MEME_SECONDS = 60.0
"""How long one meme may take."""
SERVED_SECONDS = 900.0
"""How long either may take where a server answers: longer than the pauses that it may ask for."""
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
        self,
        model: str,
        policy: Policy,
        timeout: float | None = None,
        log: IO[bytes] | None = None,
        reasons: Reasons = "acted-on",
    ) -> None:
        """`timeout`: the most seconds one meme may take; None: as many as its kind of model needs."""
        self._start_message = {"model": model, "policy": policy.model_dump(), "reasons": reasons}
        self._served = is_served(model)
        self._timeout = timeout or (SERVED_SECONDS if self._served else MEME_SECONDS)
        self._child = Child(COMMAND, log)

    def start(self) -> dict[str, Any]:
        """Start the process and wait until its models are loaded; returns its settings, card and tasks."""
        self._child.start()
        try:
            reply, _ = self._exchange(self._start_message, {}, SERVED_SECONDS if self._served else START_SECONDS)
        except ChildLost as lost:
            if lost.late and self._served:
                raise MemescopeError(
                    f"the server of {self._start_message['model']!r} did not say in {SERVED_SECONDS:g} s what it "
                    "can do: see whether it runs, and how long one request takes"
                ) from None
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
    timeout: float | None = None,
    log: IO[bytes] | None = None,
    reasons: Reasons = "acted-on",
) -> Crew[Job, Outcome]:
    """So many readers; `start` of it gives settings, model card and tasks. `log` takes their standard error."""
    return Crew([Reader(model, policy, timeout, log, reasons) for _ in range(workers)])
