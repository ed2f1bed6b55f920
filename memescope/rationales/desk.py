"""Questions go over the desk: what was answered before comes from the cache, everything else from the teacher, once.

An answer is kept by its content (model, prompt and its version, decoding, what the meme says and shows, label, try) as
soon as it has come, before anything is done with it: a killed run loses what was under way and nothing else.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeVar

from memescope.cache import Cache, content_key
from memescope.errors import PictureError
from memescope.rationales.prompts import Prompt, Subject, fill, messages
from memescope.rationales.replies import schema_of
from memescope.rationales.retrying import Stop
from memescope.rationales.teacher import Abilities, Decoding, Teacher
from memescope.rationales.waiting import wait_for

VERSION = 1
"""Of what an entry of the cache holds."""
T = TypeVar("T")
R = TypeVar("R")


@dataclass(frozen=True)
class Answered:
    """A reply, new or kept. `word` is the delimiter it was asked with."""

    text: str
    finish: str
    tokens_in: int
    tokens_out: int
    logprob: float | None
    created: str
    word: str


@dataclass(frozen=True)
class Question:
    """One thing to ask: a prompt filled with a subject. `hint` says what was wrong with the reply before."""

    prompt: Prompt
    subject: Subject
    explain: bool = False
    turn: int = 0
    hint: str = ""
    several: bool = False


class Desk:
    """Answers questions with a cache before a teacher. `pictures` sends the memes' pictures along."""

    def __init__(self, teacher: Teacher, seed: int | None = None, pictures: bool = False) -> None:
        self.teacher, self.seed, self.pictures = teacher, seed, pictures
        self.cache = Cache("rationales")
        self.kept = 0
        self.asked = 0
        self.stopped: Stop | None = None
        self._connecting = asyncio.Lock()
        self._under_way: dict[str, asyncio.Future[Answered]] = {}

    def decoding(self, prompt: Prompt) -> Decoding:
        """How replies to this prompt are drawn."""
        return Decoding(prompt.temperature, prompt.max_tokens, self.seed)

    def key(self, question: Question) -> str:
        """What the answer hangs on, and nothing else: not the delimiter, the address, or how the form was asked for."""
        prompt, subject = question.prompt, question.subject
        task = subject.task and [subject.task.name, subject.task.definition, subject.task.labels]
        return content_key(
            "rationales", VERSION, self.teacher.model, prompt.name, prompt.version, prompt.digest,
            self.decoding(prompt).to_dict(), task, subject.label, subject.fields,
            subject.meme.aspect, subject.meme.lang, picture_key(subject.meme.image) if self.pictures else None,
            question.explain, question.turn, question.hint,
        )  # fmt: skip

    async def ask(self, question: Question) -> Answered:
        """The answer. Raises `TeacherError`; once that was a `Stop`, every further question raises it at once."""
        key = self.key(question)
        if kept := self.cache.get([key]):
            self.kept += 1
            return Answered(**json.loads(kept[key]))
        if key in self._under_way:  # the same meme twice in one set
            answered = await asyncio.shield(self._under_way[key])
            self.kept += 1
            return answered
        future: asyncio.Future[Answered] = asyncio.get_running_loop().create_future()
        self._under_way[key] = future
        try:
            answered = await self._new(question)
            self.cache.put({key: json.dumps(asdict(answered)).encode()})
            future.set_result(answered)
        except BaseException as error:
            future.set_exception(error)
            future.exception()  # seen: nobody else may be waiting for it
            raise
        finally:
            del self._under_way[key]
        self.asked += 1
        return answered

    async def _new(self, question: Question) -> Answered:
        if self.stopped:
            raise self.stopped
        try:
            async with self._connecting:
                abilities = await self.teacher.connect(self.pictures)
            picture = await asyncio.to_thread(as_sent, question.subject.meme.image) if self.pictures else None
            filled = fill(question.prompt, question.subject, question.explain, question.hint)
            task = question.subject.task
            labels = task.labels if task else ()
            wanted = form_of(filled.kind, abilities, labels, question.several)
            reply = await self.teacher.complete(
                messages(filled, wanted is None or wanted["type"] == "json_object", picture),
                self.decoding(question.prompt),
                wanted,
                abilities.logprobs,
            )
        except Stop as error:
            self.stopped = self.stopped or error
            raise
        return Answered(
            text=reply.text,
            finish=reply.finish,
            tokens_in=reply.tokens_in or 0,
            tokens_out=reply.tokens_out or 0,
            logprob=reply.logprob,
            created=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            word=filled.word,
        )


def form_of(kind: str, abilities: Abilities, labels: Sequence[str], several: bool = False) -> dict[str, Any] | None:
    """`response_format` for a reply of this kind; None where the form is asked for in words."""
    if abilities.schema:
        schema = schema_of(kind, labels, several)
        return {"type": "json_schema", "json_schema": {"name": "reply", "strict": True, "schema": schema}}
    if abilities.json_object and kind != "rationale":
        return {"type": "json_object"}
    return None


def picture_key(image: Any) -> str | None:
    """SHA-256 of a picture's bytes, in hex; None where there is none or it cannot be read."""
    if isinstance(image, bytes):
        return hashlib.sha256(image).hexdigest()
    try:
        return hashlib.sha256(Path(image).read_bytes()).hexdigest() if image else None
    except (OSError, TypeError, ValueError):
        return None


def as_sent(image: Any) -> str:
    """A meme's picture as a data address, scaled down. Raises `PictureError`."""
    from PIL import Image

    from memescope.perception.pictures import open_picture
    from memescope.rationales.probing import as_address

    if image is None:
        raise PictureError("the meme has no picture; leave out --with-pictures for a set of texts")
    return as_address(Image.fromarray(open_picture(image).pixels))


def at_desk(
    desk: Desk,
    items: Sequence[T],
    work: Callable[[T], Awaitable[R]],
    concurrency: int,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> list[R]:
    """`work` of every item, in the items' order, so many at a time, with the desk's teacher at hand.

    `progress` is told (done, all). Raises the `Stop` that ended a run in which nothing at all was answered.
    """

    async def run() -> list[R]:
        async with desk.teacher:
            return await _each(items, work, concurrency, lambda done: progress(done, len(items)))

    try:
        found = wait_for(run())
    except BaseExceptionGroup as group:  # one error that no item can answer for, out of the group of workers
        raise group.exceptions[0] from None
    if desk.stopped and not desk.asked and not desk.kept:
        raise desk.stopped
    return found


async def _each(
    items: Sequence[T], work: Callable[[T], Awaitable[R]], concurrency: int, done: Callable[[int], None]
) -> list[R]:
    """`work` of every item, in the items' order, so many at a time. `done` is told how many are finished."""
    results: list[R | None] = [None] * len(items)
    remaining: Iterator[tuple[int, T]] = iter(enumerate(items))
    finished = 0

    async def worker() -> None:
        nonlocal finished
        for index, item in remaining:
            results[index] = await work(item)
            finished += 1
            done(finished)

    async with asyncio.TaskGroup() as group:
        for _ in range(min(concurrency, len(items))):
            group.create_task(worker())
    return results  # type: ignore[return-value]
