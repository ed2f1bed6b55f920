"""A teacher: any (M)LLM behind an OpenAI-compatible endpoint (OpenAI, Azure, vLLM, Ollama, llama.cpp, our own `serve`).

Every request is booked with the budget, sent, read up to a size and a time, and retried where its failure may pass.
What the server can do is tried out on connection, since servers ignore what they do not know as often as refuse it.
"""

from __future__ import annotations

import asyncio
import json
import random
import time
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import BaseModel, Field, ValidationError

from memescope.errors import MissingExtra, UsageError
from memescope.rationales.address import Address
from memescope.rationales.budget import Budget, most_tokens_in
from memescope.rationales.retrying import Passing, Stop, TeacherError, from_status, wait_seconds

MOST_BYTES = 4 * 2**20
"""Of an answer; a server that sends more is broken or hostile."""
PICTURE_TOKENS = 2000
"""Booked for a picture until the probe has shown what one costs."""
_SHOWN = 200


class _Usage(BaseModel):
    prompt_tokens: Annotated[int, Field(ge=0, le=10**9)]
    completion_tokens: Annotated[int, Field(ge=0, le=10**9)]


class _Message(BaseModel):
    content: str | None = None
    refusal: str | None = None


class _Choice(BaseModel):
    message: _Message
    finish_reason: str | None = None
    logprobs: Any = None


class _Answer(BaseModel):
    choices: Annotated[list[_Choice], Field(min_length=1)]
    usage: Any = None
    prompt_logprobs: Any = None


@dataclass(frozen=True)
class Completion:
    """One reply. `logprob` is the mean log-probability of its tokens, where the server gives them; `logprobs` and
    `prompt_logprobs` are what it said of the reply's and the prompt's tokens, unchecked."""

    text: str
    finish: str
    tokens_in: int | None
    tokens_out: int | None
    logprob: float | None = None
    logprobs: Any = None
    prompt_logprobs: Any = None


@dataclass(frozen=True)
class Decoding:
    """How a reply is drawn. `seed` other than None asks for another reply to the same question."""

    temperature: float
    max_tokens: int
    seed: int | None = None

    def to_dict(self) -> dict[str, Any]:
        return {"temperature": self.temperature, "max_tokens": self.max_tokens, "seed": self.seed}


@dataclass
class Abilities:
    """What a server turned out to do. `limit` is its name for the most tokens of a reply."""

    schema: bool = False
    json_object: bool = False
    logprobs: bool = False
    pictures: bool = False
    temperature: bool = True
    limit: str = "max_tokens"


class Teacher:
    """A client for one model at one address. Use within `async with`; one event loop at a time.

    `timeout` is for a whole request in seconds, `tries` how often one is sent at most, `patience` the longest pause
    a server may ask for before the run stops, `first_wait` the first pause of ours.
    """

    def __init__(
        self,
        address: Address,
        model: str,
        key: str | None = None,
        budget: Budget | None = None,
        *,
        timeout: float = 120.0,
        tries: int = 6,
        patience: float = 120.0,
        first_wait: float = 0.5,
        concurrency: int = 8,
    ) -> None:
        self.address, self.model, self.budget = address, model, budget or Budget()
        self.abilities: Abilities | None = None
        self.picture_tokens = PICTURE_TOKENS
        self._key = key
        self._timeout, self._tries, self._patience, self._first_wait = timeout, tries, patience, first_wait
        self._concurrency = concurrency
        self._not_before = 0.0
        self._failures = 0
        self._under_way = 0
        self._settled = asyncio.Condition()
        self._client: Any = None

    async def __aenter__(self) -> Teacher:
        try:
            import openai
        except ImportError:
            raise MissingExtra("a teacher", "teacher") from None

        azure = self.address.host.endswith(".azure.com") and self._key
        self._client = openai.AsyncOpenAI(
            api_key=self._key or "none",
            base_url=self.address.url,
            max_retries=0,
            timeout=self._timeout,
            default_query=dict(self.address.query) or None,
            default_headers={"api-key": str(self._key)} if azure else None,
            # A redirect or a proxy could carry what was meant for this machine off it.
            http_client=openai.DefaultAsyncHttpxClient(
                follow_redirects=False, trust_env=not self.address.local, timeout=self._timeout
            ),
        )
        return self

    async def __aexit__(self, *ended: object) -> None:
        await self._client.close()

    async def complete(
        self,
        messages: list[dict[str, Any]],
        decoding: Decoding,
        response_format: dict[str, Any] | None = None,
        logprobs: bool = False,
        extra: Mapping[str, Any] | None = None,
    ) -> Completion:
        """The reply to `messages`; `extra` goes with the request as it is. Raises `TeacherError` with the failure's
        name when every try has failed, `Stop` when no further request would do better, code `budget` when there is not
        enough left of it."""
        import tenacity

        abilities = self.abilities or Abilities()
        options: dict[str, Any] = {abilities.limit: decoding.max_tokens}
        if abilities.temperature:
            options["temperature"] = decoding.temperature
        if decoding.seed is not None:
            options["seed"] = decoding.seed
        if response_format:
            options["response_format"] = response_format
        if logprobs:
            options["logprobs"] = True
        if extra:
            options["extra_body"] = dict(extra)
        try:
            async for attempt in tenacity.AsyncRetrying(
                stop=tenacity.stop_after_attempt(self._tries),
                retry=tenacity.retry_if_exception_type(Passing),
                wait=self._wait,
                reraise=True,
            ):
                with attempt:
                    reply = await self._paid(messages, options, decoding.max_tokens)
                    self._failures = 0
        except Passing as error:
            self._failures += 1
            if self._failures >= max(10, 2 * self._concurrency):
                raise Stop(error.code, f"{self._failures} requests failed in a row, the last one: {error}") from None
            raise TeacherError(error.code, f"{error}; tried {self._tries} times") from None
        return reply

    def _wait(self, state: Any) -> float:
        error = state.outcome.exception()
        asked = error.retry_after if isinstance(error, Passing) else None
        return wait_seconds(state.attempt_number, asked, self._first_wait)

    async def _paid(self, messages: list[dict[str, Any]], options: dict[str, Any], most_out: int) -> Completion:
        """One try: booked, sent, settled. Waits while the server has asked everybody to."""
        while (pause := self._not_before - time.monotonic()) > 0:
            await asyncio.sleep(pause + random.random() * self._first_wait)
        texts, pictures = _contents(messages)
        most_in = most_tokens_in(texts, pictures, self.picture_tokens) + len(json.dumps(options))
        async with self._settled:
            while (booking := self.budget.book(most_in, most_out)) is None:
                if not self._under_way:
                    raise Stop("budget", "the budget has not enough left for one more request")
                await self._settled.wait()
            self._under_way += 1
        charge = "unknown"
        reply = None
        try:
            reply = await self._send(messages, options)
        except Passing as error:
            charge = error.charge
            if error.retry_after is not None:
                self._hold(error.code, error.retry_after)
            raise
        except TeacherError:
            charge = "none"
            raise
        finally:
            self._under_way -= 1
            if reply is not None:
                self.budget.settle(booking, reply.tokens_in, reply.tokens_out)
            elif charge == "none":
                self.budget.release(booking)
            else:
                self.budget.forfeit(booking)
            async with self._settled:
                self._settled.notify_all()
        return reply

    def _hold(self, code: str, seconds: float) -> None:
        """The server wants a pause: everybody waits, not only the one it told."""
        if seconds > self._patience:
            raise Stop(
                code,
                f"the teacher asks for a pause of {seconds:.0f} s, over {self._patience:.0f} s; run again later, what "
                "is finished is kept",
            )
        self._not_before = max(self._not_before, time.monotonic() + seconds)

    async def _send(self, messages: list[dict[str, Any]], options: dict[str, Any]) -> Completion:
        import openai

        try:
            async with asyncio.timeout(self._timeout):
                call = self._client.chat.completions.with_streaming_response.create(
                    model=self.model, messages=messages, **options
                )
                async with call as response:
                    body = await _read(response)
        except (TimeoutError, openai.APITimeoutError):
            raise Passing("timeout", f"no answer within {self._timeout:g} s", "unknown") from None
        except openai.APIStatusError as error:
            said = error.body.get("message") if isinstance(error.body, dict) else error.body
            raise from_status(error.status_code, error.response.headers, error.body, self._safe(said)) from None
        except openai.APIConnectionError as error:
            if type(error.__cause__).__name__ in ("ConnectError", "ConnectTimeout"):
                raise Passing("unreachable", f"nobody answers at {self.address.url}", "none") from None
            raise Passing("cut-off", "the connection broke before the answer was there", "unknown") from None
        except TeacherError:
            raise
        except Exception as error:  # whatever the HTTP library raises while the answer is read
            raise Passing("cut-off", f"the answer broke off ({type(error).__name__})", "unknown") from None
        return self._completion(body)

    def _completion(self, body: bytes) -> Completion:
        try:
            answer = _Answer.model_validate_json(body)
            choice = answer.choices[0]
            text = choice.message.content or choice.message.refusal or ""
        except (ValidationError, UnicodeDecodeError):
            raise Passing("bad-answer", "the answer was not a chat completion", "unknown") from None
        try:
            usage = _Usage.model_validate(answer.usage)
            counts = (usage.prompt_tokens, usage.completion_tokens)
        except ValidationError:
            counts = None
        if choice.finish_reason == "content_filter":
            text = ""
        return Completion(
            text=self._without_key(text),
            finish=choice.finish_reason or "",
            tokens_in=counts[0] if counts else None,
            tokens_out=counts[1] if counts else None,
            logprob=_mean_logprob(choice.logprobs),
            logprobs=choice.logprobs,
            prompt_logprobs=answer.prompt_logprobs,
        )

    def _without_key(self, text: str) -> str:
        return text.replace(self._key, "[key]") if self._key else text

    def _safe(self, said: object) -> str:
        """What a server said, fit for a message: without the key, without control characters, short."""
        text = self._without_key(said if isinstance(said, str) else "")
        text = " ".join("".join(c if unicodedata.category(c)[0] != "C" else " " for c in text).split())
        return text if len(text) <= _SHOWN else text[: _SHOWN - 1] + "…"

    async def served(self) -> list[str]:
        """The names of the models behind the address; none where the server does not list them."""
        import openai

        try:
            async with asyncio.timeout(self._timeout):
                page = await self._client.models.list()
            return [str(one.id) for one in page.data]
        except (TimeoutError, openai.APITimeoutError, openai.APIConnectionError):
            raise Stop("unreachable", f"nobody answers at {self.address.url}") from None
        except openai.APIStatusError as error:
            if error.status_code in (401, 403):
                raise from_status(error.status_code, error.response.headers, error.body, "") from None
            return []
        except (openai.OpenAIError, AttributeError, TypeError, ValueError):  # an answer that is no list of models
            return []

    async def connect(self, pictures: bool = False) -> Abilities:
        """Find out what the server can do, once. Raises `Stop` where it does not answer, `UsageError` where it cannot
        look at pictures and was to."""
        from memescope.rationales.probing import probe, probe_picture

        if self.abilities is None:
            try:
                self.abilities = await probe(self)
            except Stop:
                raise
            except TeacherError as error:
                raise Stop(error.code, f"the teacher cannot be used: {error}") from None
        if pictures and not self.abilities.pictures:
            seen, cost = await probe_picture(self)
            if not seen:
                raise UsageError(
                    f"--with-pictures: {self.model} at {self.address.host} did not see a plain red picture; give "
                    "captions instead (--captions), or a model that takes pictures"
                )
            self.abilities.pictures = True
            self.picture_tokens = max(cost, 1)
        return self.abilities


def _contents(messages: list[dict[str, Any]]) -> tuple[str, int]:
    """All text of the messages, and the number of pictures."""
    texts, pictures = [], 0
    for message in messages:
        content = message["content"]
        for part in [{"type": "text", "text": content}] if isinstance(content, str) else content:
            if part["type"] == "text":
                texts.append(part["text"])
            else:
                pictures += 1
    return "\n".join(texts), pictures


async def _read(response: Any) -> bytes:
    parts, size = [], 0
    async for chunk in response.iter_bytes():
        size += len(chunk)
        if size > MOST_BYTES:
            raise Passing("bad-answer", f"the answer is over {MOST_BYTES // 2**20} MiB", "unknown")
        parts.append(chunk)
    return b"".join(parts)


def _mean_logprob(logprobs: Any) -> float | None:
    tokens = logprobs.get("content") if isinstance(logprobs, Mapping) else None
    values = [one.get("logprob") for one in tokens or [] if isinstance(one, Mapping)]
    numbers = [float(value) for value in values if isinstance(value, int | float) and -1e4 < value <= 0]
    return sum(numbers) / len(numbers) if numbers else None
