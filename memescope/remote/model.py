"""`RemoteModel`: a vision-language model behind an OpenAI-compatible server, as a model like any other.

The meme is shown and asked as the family `memelens` asks it, so that a model which was trained here, merged and served
elsewhere answers as it does here: to the last digit where the server gives log-probabilities of a prompt.

Nothing is sent to a host outside this machine that the user has not named.
"""

from __future__ import annotations

import asyncio
import base64
import io
import math
import re
from collections.abc import Coroutine, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, TypeVar, cast

from memescope.cache import content_key
from memescope.errors import MemescopeError, ModelLost, UsageError
from memescope.explanation.says import Effects, says
from memescope.meme import Answer, Evidence, Meme, Reading
from memescope.models.memelens.prompting import EXPLANATION as EXPLAINED
from memescope.models.memelens.prompting import LABEL, Asked, asked, can_ask, read_reply
from memescope.rationales.address import check_address, key_for
from memescope.rationales.retrying import Stop, TeacherError
from memescope.rationales.teacher import Decoding, Teacher
from memescope.remote.abilities import Found, find_out
from memescope.remote.loop import Loop
from memescope.remote.scoring import Scored, score
from memescope.remote.spec import PREFIX, Spec, parse
from memescope.taxonomy import load_taxonomy

CONCURRENCY = 8
_MARK = re.compile(r"<(?=/?[^<>\s\d=/-][^<>\s]*>)|\[(?=/?[A-Z_]{3,}\])")
T = TypeVar("T")
EXPLANATION = Decoding(temperature=0.0, max_tokens=512)


def open_remote(name: str) -> RemoteModel:
    """The model that `openai:URL#...` names. Asks the server what it can do.

    Raises `UsageError` for a host that may not be sent memes, and for a server that takes no pictures where the model
    is to see them; `MemescopeError` where it does not answer.
    """
    spec = parse(name)
    address = check_address(spec.url, spec.allow, "--model openai:URL")
    return RemoteModel(spec, address, key_for(address, spec.key))


class RemoteModel:
    """Follows the `Model` protocol. `found` says how the server is asked for labels."""

    def __init__(self, spec: Spec, address: Any, key: str | None, timeout: float = 120.0) -> None:
        self._spec, self._loop = spec, Loop()
        self._wanted: tuple[str, ...] | None = None
        self._answered: dict[tuple[Any, ...], Reading] = {}
        self._client = Teacher(address, spec.model or "", key, timeout=timeout, concurrency=CONCURRENCY)
        self.found: Found = self._wait(self._connect())
        if spec.manner.image and not self.found.pictures:
            raise UsageError(
                f"{self._client.model} at {address.host} takes no pictures; say image=no behind the address's # to "
                "send texts alone"
            )
        self.name = f"{PREFIX}{self._client.model}"
        self.tasks = spec.tasks
        manner = spec.manner
        digest = content_key(
            address.url, self._client.model, spec.tasks, manner.wording.version, manner.to_dict(), spec.calibration,
            spec.abstain, spec.length, self.found.method,
        )  # fmt: skip
        self.version = f"{self.found.method}-{digest[:12]}"
        where = "this machine" if address.local else address.host
        told = f"not known: {self._client.model}, served by {where}, asked by the method '{self.found.method}'"
        self.card = {task: spec.card.get(task) or {"trained_on": told} for task in self.tasks}

    def answer(self, memes: Sequence[Meme]) -> list[Reading]:
        """One Reading a meme, in order. Raises `MemescopeError` where the server fails or names no label."""
        return self._wait(self._answer(memes))

    @contextmanager
    def asked_for(self, tasks: Sequence[str]) -> Iterator[None]:
        """Answer these tasks alone inside: every task is a request."""
        before, self._wanted = self._wanted, tuple(task for task in self.tasks if task in tasks)
        try:
            yield
        finally:
            self._wanted = before

    def explain(self, meme: Meme, tasks: Sequence[str]) -> dict[str, Evidence]:
        """Effects of the whole text and the whole picture, measured by asking without them; no words or regions."""
        unknown = [task for task in tasks if task not in self.tasks]
        if unknown:
            raise UsageError(f"{self.name} does not answer {', '.join(unknown)}; it answers {', '.join(self.tasks)}")
        pictured = self._spec.manner.image and meme.image is not None
        versions = {"whole": meme}
        if meme.text.strip():
            versions["text"] = replace(meme, text="")
        if pictured:
            versions["picture"] = replace(meme, image=None)
        readings = dict(zip(versions, self._wait(self._answer(list(versions.values()), tasks)), strict=True))
        return {task: _evidence(task, readings) for task in tasks}

    def write(self, meme: Meme, task: str) -> str:
        """The explanation that the model writes for a task, in free text: its words, not measured evidence."""
        (question,) = asked(_harmless(meme), task, self._spec.manner, explain=True)[:1]
        reply = self._wait(self._client.complete(self._messages(meme, question, picture(meme)), EXPLANATION))
        return read_reply(reply.text, question.names)[1] or reply.text.strip()

    def _wait(self, work: Any) -> Any:
        try:
            return self._loop.run(work)
        except TeacherError as error:
            kind = ModelLost if isinstance(error, Stop) else MemescopeError
            raise kind(f"{PREFIX}{self._spec.url}: {error}") from None

    async def _connect(self) -> Found:
        await self._client.__aenter__()
        if not self._client.model:
            self._client.model = await self._only_model()
        from PIL import Image

        square = io.BytesIO()
        Image.new("RGB", (64, 64), (220, 20, 20)).save(square, "PNG")
        shown = _address(square.getvalue()) if self._spec.manner.image else None
        return await find_out(self._client, shown)

    async def _only_model(self) -> str:
        names = await self._client.served()
        if len(names) != 1:
            listed = ", ".join(names) or "none that it names"
            raise UsageError(f"{PREFIX}{self._spec.url} serves {listed}: say which behind a #, for example #model=NAME")
        return names[0]

    async def _answer(self, memes: Sequence[Meme], tasks: Sequence[str] | None = None) -> list[Reading]:
        """All readings, or the first failure when every request has ended. What was answered beside a failure is kept
        for when the memes are asked for again, one by one."""
        gate = asyncio.Semaphore(CONCURRENCY)
        asked_now = tuple(tasks or self._wanted or self.tasks)

        async def one(meme: Meme) -> Reading:
            known = self._answered.pop((_name(meme), asked_now), None)
            if known is not None:
                return known
            shown = await asyncio.to_thread(picture, meme) if self._spec.manner.image else None
            wanted = [task for task in asked_now if can_ask(meme, task)]
            found = await _all([self._task(meme, task, shown, gate) for task in wanted])
            return Reading(dict(zip(wanted, found, strict=True)), model=f"{self.name} {self.version}")

        found = await asyncio.gather(*(one(meme) for meme in memes), return_exceptions=True)
        failures = [one for one in found if isinstance(one, BaseException)]
        readings = [one for one in found if isinstance(one, Reading)]
        if not failures:
            return readings
        if len(memes) > 1:
            self._answered = {
                (_name(meme), asked_now): one
                for meme, one in zip(memes, found, strict=True)
                if isinstance(one, Reading)
            }
        raise next((one for one in failures if isinstance(one, Stop)), failures[0])

    async def _task(self, meme: Meme, task: str, shown: str | None, gate: asyncio.Semaphore) -> Answer:
        questions = asked(_harmless(meme), task, self._spec.manner)
        found = await _all([self._question(meme, one, shown, gate) for one in questions])
        return to_answer(task, questions, found, self._spec)

    async def _question(self, meme: Meme, question: Asked, shown: str | None, gate: asyncio.Semaphore) -> Scored:
        async with gate:
            manner = self._spec.manner
            messages, before = self._messages(meme, question, shown), ""
            explained, first = question.task in manner.explained, manner.order == "explain-first"
            then = f"\n{EXPLAINED}" if explained and not first else ""
            if explained and first and self.found.method == "exact":  # others write an explanation with their label
                reply = await self._client.complete(messages, EXPLANATION)
                before = reply.text.partition(LABEL)[0].rstrip() + "\n"
            return await score(self._client, self.found, messages, question.names, self._spec.length, before, then)

    def _messages(self, meme: Meme, question: Asked, shown: str | None) -> list[dict[str, Any]]:
        text = {"type": "text", "text": question.user}
        content = [{"type": "image_url", "image_url": {"url": shown}}, text] if shown else question.user
        return [
            {"role": "system", "content": self._spec.manner.wording.system},
            {"role": "user", "content": content},
        ]


def to_answer(task: str, questions: Sequence[Asked], found: Sequence[Scored], spec: Spec) -> Answer:
    """Calibrated probabilities from scores; not sure where the server gave none, or below the run's threshold."""
    known = load_taxonomy()[task]
    several = known.kind == "multilabel"
    raw = [one.scores["yes"] - one.scores["no"] for one in found] if several else list(found[0].scores.values())
    measured = all(one.measured for one in found)
    entry = (spec.calibration.get(task) or {}) if measured else {}  # a label that was named stays that label
    scale, bias = (_each(entry.get(name, usual), len(raw)) for name, usual in (("temperature", 1.0), ("bias", 0.0)))
    scores = [score / t + b for score, t, b in zip(raw, scale, bias, strict=True)]
    if several:
        table = [1 / (1 + math.exp(-score)) if score > -700 else 0.0 for score in scores]
    else:
        weights = [math.exp(score - max(scores)) for score in scores]
        table = [weight / math.fsum(weights) for weight in weights]
    held = dict(zip(known.labels, table, strict=True))
    label = [name for name, p in held.items() if p >= 0.5] if several else max(held, key=held.__getitem__)
    answer = Answer(label, held)
    least = spec.abstain.get(task, 0.0)
    answer.abstain = not measured or least is None or answer.confidence < least
    return answer


def unmarked(text: str) -> str:
    """The text with a space inside whatever a server's tokenizer may take for a mark of its own (`<end_of_turn>`,
    `</s>`, `[/INST]`): which ones it knows is not known here, so inside all that is shaped like one."""
    return _MARK.sub(lambda match: f"{match[0]} ", text)


def _harmless(meme: Meme) -> Meme:
    return replace(meme, text=unmarked(meme.text), aspect=None if meme.aspect is None else unmarked(meme.aspect))


def picture(meme: Meme) -> str | None:
    """A meme's picture as a data address, to the last pixel (PNG); None where it has none."""
    from PIL import Image

    from memescope.perception.pictures import open_picture

    if meme.image is None:
        return None
    opened = open_picture(meme.image)
    file = io.BytesIO()
    Image.fromarray(opened.pixels).save(file, "PNG", compress_level=1)
    return _address(file.getvalue())


def _address(png: bytes) -> str:
    return "data:image/png;base64," + base64.b64encode(png).decode()


async def _all(work: Sequence[Coroutine[Any, Any, T]]) -> list[T]:
    """What all give, or the first failure: no request is still under way then."""
    found = await asyncio.gather(*work, return_exceptions=True)
    for one in found:
        if isinstance(one, BaseException):
            raise one
    return cast(list[T], found)


def _name(meme: Meme) -> tuple[Any, ...]:
    """Tells memes of one batch apart."""
    return meme.id, meme.source, meme.text, meme.aspect, meme.lang, id(meme.image)


def _each(value: Any, count: int) -> list[float]:
    return [float(one) for one in value] if isinstance(value, list | tuple) else [float(value)] * count


def _evidence(task: str, readings: dict[str, Reading]) -> Evidence:
    whole = readings["whole"].answers[task]
    label = (
        whole.label if isinstance(whole.label, str) else max(whole.probabilities, key=whole.probabilities.__getitem__)
    )
    without = {name: one.answers[task].probabilities[label] for name, one in readings.items()}
    effects = Effects(without["whole"], without_text=without.get("text"), without_picture=without.get("picture"))
    return Evidence(says=says(label, effects))
