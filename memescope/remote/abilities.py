"""What a server can do to label a meme, found out by trying: an ability counts when its effect was seen.

| method | the server | a label's probability |
|---|---|---|
| exact | gives log-probabilities of the prompt's tokens, continues a begun reply (vLLM) | of the whole label, as here |
| top | gives the likeliest first tokens of a reply (OpenAI) | of what tells the labels apart, along the reply |
| choice | writes one of given strings (vLLM), or JSON of a schema | none: the label alone |
| reply | writes | none: the label alone, checked, asked again where it is none |
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Literal

from memescope.rationales.retrying import Stop, TeacherError
from memescope.rationales.teacher import Abilities, Completion, Decoding, Teacher

Method = Literal["exact", "top", "choice", "reply"]
TOP = 20
"""Most alternatives that OpenAI's interface gives for a token."""
ONE = Decoding(temperature=0.0, max_tokens=1)
FEW = Decoding(temperature=0.0, max_tokens=64)
_HELLO = {"role": "user", "content": "Say hello."}


@dataclass(frozen=True)
class Found:
    """How this server is asked for labels. `choice` names the field for strings to choose from, or "json_schema";
    `lead` says that a reply can be begun for it."""

    method: Method
    choice: str | None
    pictures: bool
    lead: bool


def choose(names: list[str], kind: str) -> tuple[dict[str, Any] | None, dict[str, Any] | None]:
    """(response_format, further fields) that allow these strings alone."""
    if kind == "structured_outputs":
        return None, {"structured_outputs": {"choice": names}}
    if kind == "guided_choice":
        return None, {"guided_choice": names}
    label = {"type": "object", "properties": {"label": {"type": "string", "enum": names}}, "required": ["label"]}
    schema = {"name": "label", "strict": True, "schema": label | {"additionalProperties": False}}
    return {"type": "json_schema", "json_schema": schema}, None


def begun(messages: list[dict[str, Any]], said: str, close: bool = False) -> tuple[list[dict[str, Any]], dict]:
    """Messages with a reply begun (or, closed, said), and the fields that make a server take it up."""
    fields = {"add_generation_prompt": False, "continue_final_message": not close}
    return [*messages, {"role": "assistant", "content": said}], fields


def prompt_tokens(reply: Completion) -> list[tuple[str, float]] | None:
    """(token id, log-probability) of the prompt's tokens after the first; None where the server did not give them.

    A server that names further likely tokens beside a prompt's token names the prompt's first.
    """
    entries = reply.prompt_logprobs
    if not isinstance(entries, list) or len(entries) < 2:
        return None
    found = []
    for entry in entries[1:]:
        if not isinstance(entry, dict) or not entry:
            return None
        name, value = next(iter(entry.items()))
        logprob = value.get("logprob") if isinstance(value, dict) else None
        if not isinstance(logprob, int | float):
            return None
        found.append((str(name), float(logprob)))
    return found


async def find_out(client: Teacher, picture: str | None) -> Found:
    """Try everything, cheaply; `picture` is a data address to send, to see whether one is taken.

    Raises `Stop` where the server cannot be used at all.
    """
    client.abilities = await _plain(client)
    lead = await _begins(client)
    kinds = ("structured_outputs", "guided_choice", "json_schema")
    choice = None
    for kind in kinds:
        choice = choice or (kind if await _chooses(client, kind) else None)
    method: Method = "exact" if lead else "top" if await _alternatives(client) else "choice" if choice else "reply"
    return Found(method, choice, picture is not None and await _looks(client, picture), lead)


async def _plain(client: Teacher) -> Abilities:
    """What the least request needs: how the limit is called, whether a temperature is taken."""
    from memescope.rationales.probing import plain

    try:
        return await plain(client, Abilities())
    except Stop:
        raise
    except TeacherError as error:
        raise Stop(error.code, f"the server cannot be used: {error}") from None


async def _begins(client: Teacher) -> bool:
    """Whether a begun reply is taken up, and its tokens' log-probabilities given: closing it must make it longer."""
    lengths = []
    for said, close in (("Label: hello", False), ("Label: hello", True), ("Label: hello there friend", False)):
        messages, fields = begun([_HELLO], said, close)
        reply = await _try(client, messages, ONE, extra=fields | {"prompt_logprobs": 0})
        tokens = prompt_tokens(reply) if reply is not None else None
        if tokens is None:
            return False
        lengths.append(len(tokens))
    short, closed, long = lengths
    return short < closed and short < long


async def _alternatives(client: Teacher) -> bool:
    """Whether a reply comes with the likeliest alternatives of its tokens."""
    reply = await _try(client, [_HELLO], FEW, logprobs=True, extra={"top_logprobs": TOP})
    return reply is not None and any(len(token.get("top_logprobs") or ()) > 1 for token in reply_tokens(reply))


async def _chooses(client: Teacher, kind: str) -> bool:
    """Whether a reply is one of given strings: the question asks for something else."""
    form, extra = choose(["blue", "green"], kind)
    reply = await _try(client, [_HELLO], FEW, form=form, extra=extra)
    return reply is not None and chosen(reply.text) in ("blue", "green")


async def _looks(client: Teacher, picture: str) -> bool:
    """Whether a picture makes the prompt longer. What the model makes of it is another question."""
    content = [{"type": "image_url", "image_url": {"url": picture}}, {"type": "text", "text": _HELLO["content"]}]
    without = await _try(client, [_HELLO], ONE)
    seeing = await _try(client, [{"role": "user", "content": content}], ONE)
    if without is None or seeing is None:
        return False
    return without.tokens_in is None or seeing.tokens_in is None or seeing.tokens_in > without.tokens_in


async def _try(
    client: Teacher,
    messages: list[dict[str, Any]],
    decoding: Decoding,
    form: dict[str, Any] | None = None,
    logprobs: bool = False,
    extra: dict[str, Any] | None = None,
) -> Completion | None:
    """The reply, or None where the server refuses."""
    try:
        return await client.complete(messages, decoding, form, logprobs, extra)
    except Stop:
        raise
    except TeacherError:
        return None


def reply_tokens(reply: Completion) -> list[dict[str, Any]]:
    """What the server said of each token of its reply."""
    content = reply.logprobs.get("content") if isinstance(reply.logprobs, dict) else None
    return [token for token in content or () if isinstance(token, dict)]


def chosen(text: str) -> str:
    """The string that a reply chose, written by itself or as the label of a JSON object."""
    try:
        found = json.loads(text)
    except ValueError:
        return text.strip()
    return str(found.get("label", "")) if isinstance(found, dict) else text.strip()
