"""What an OpenAI-compatible server can do, found out by asking it: a handful of requests of a few tokens.

A server may refuse what it does not know, or ignore it without a word: an ability counts when its effect was seen.
"""

from __future__ import annotations

import base64
import io
import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from memescope.rationales.replies import schema_of
from memescope.rationales.retrying import Stop, TeacherError

if TYPE_CHECKING:
    from memescope.rationales.teacher import Abilities, Teacher

PICTURE_SIDE = 768
"""Longest side of pictures as they are sent, in pixels."""
_HELLO = [{"role": "user", "content": "Say hello."}]


async def probe(teacher: Teacher) -> Abilities:
    """Try a plain request, then a JSON schema, a JSON object and log-probabilities."""
    from memescope.rationales.teacher import Abilities

    abilities = await plain(teacher, Abilities())
    teacher.abilities = abilities
    # The prompt says nothing of JSON: where the reply is of the schema, the schema did it.
    wanted = {"type": "json_schema", "json_schema": {"name": "reply", "strict": True, "schema": schema_of("rationale")}}
    as_json = [{"role": "user", "content": "Say hello in a JSON object with one key, greeting."}]
    return replace(
        abilities,
        schema=re.match(r'\s*\{\s*"rationale"\s*:', await _text(teacher, _HELLO, wanted)) is not None,
        json_object=re.match(r"\s*\{", await _text(teacher, as_json, {"type": "json_object"})) is not None,
        logprobs=await _has_logprobs(teacher),
    )


async def plain(teacher: Teacher, abilities: Abilities) -> Abilities:
    """The least a server must do. Newer models want another name for the limit, or take no temperature."""
    for limit, temperature in (
        ("max_tokens", True),
        ("max_completion_tokens", True),
        ("max_completion_tokens", False),
        ("max_tokens", False),
    ):
        teacher.abilities = replace(abilities, limit=limit, temperature=temperature)
        try:
            await teacher.complete(_HELLO, _decoding())
            return teacher.abilities
        except Stop:
            teacher.abilities = None
            raise
        except TeacherError as error:
            refusal = error
            teacher.abilities = None
            if error.code != "refused":
                raise
    raise refusal


def _decoding() -> Any:
    from memescope.rationales.teacher import Decoding

    return Decoding(temperature=0.0, max_tokens=32)


async def _text(teacher: Teacher, messages: list[dict[str, Any]], response_format: dict[str, Any]) -> str:
    """The reply, or nothing where the server refuses."""
    try:
        return (await teacher.complete(messages, _decoding(), response_format)).text
    except Stop:
        raise
    except TeacherError:
        return ""


async def _has_logprobs(teacher: Teacher) -> bool:
    try:
        return (await teacher.complete(_HELLO, _decoding(), logprobs=True)).logprob is not None
    except Stop:
        raise
    except TeacherError:
        return False


async def probe_picture(teacher: Teacher) -> tuple[bool, int]:
    """Whether the model sees a plain red picture, and how many tokens the picture took at most."""
    from PIL import Image

    picture = as_address(Image.new("RGB", (PICTURE_SIDE, PICTURE_SIDE), (220, 20, 20)))
    content = [
        {"type": "image_url", "image_url": {"url": picture}},
        {"type": "text", "text": "Which colour is this picture? One word."},
    ]
    try:
        reply = await teacher.complete([{"role": "user", "content": content}], _decoding())
    except Stop:
        raise
    except TeacherError:
        return False, 0
    return "red" in reply.text.lower(), reply.tokens_in if reply.tokens_in is not None else teacher.picture_tokens


def as_address(picture: Any) -> str:
    """A PIL picture as a data address: JPEG, longest side at most `PICTURE_SIDE`."""
    picture = picture.convert("RGB")
    picture.thumbnail((PICTURE_SIDE, PICTURE_SIDE))
    file = io.BytesIO()
    picture.save(file, "JPEG", quality=88)
    return "data:image/jpeg;base64," + base64.b64encode(file.getvalue()).decode()
