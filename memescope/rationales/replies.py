"""From what a language model wrote to fields that can be relied on: parsed, checked against a schema, or refused.

A reply is untrusted. `parse` takes JSON (bare, in a code fence, or with talk around it) or lines of `Key: value`, and
gives every field that the kind of reply asks for, or `Invalid` that says why not; it raises for nothing a server can
send, guesses nothing, and never makes up a label: one that is not word for word among those allowed is no label.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from memescope.meme import Label

LONGEST = 100_000
"""Characters of a reply; more is not read."""
_BRACES = 20
"""Places where an object may begin that are tried."""
Text = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=20_000)]
Score = Annotated[int, Field(ge=1, le=5)]


class Reply(BaseModel):
    """Common to all kinds: exactly these fields, none of another type."""

    model_config = ConfigDict(extra="ignore", strict=True)


class RationaleReply(Reply):
    """Reasons in one text."""

    rationale: Text


class ExplanationReply(Reply):
    """MemeLens (arXiv 2601.12539): in English and in the meme's own language."""

    en_explanation: Text
    native_explanation: Text


class EnglishExplanationReply(Reply):
    """The same for a meme in English, or in a language that is not known."""

    en_explanation: Text


class ChainReply(Reply):
    """MulCoT-RD (arXiv 2508.05234): the five parts of a reasoning chain, under its names."""

    Text_analysis: Text
    Image_analysis: Text
    Conflict_resolution: Text
    Final_conclusion: Text
    Prediction: Text


class VerdictReply(Reply):
    """A label with one sentence of reasons."""

    reason: Text
    label: Text


class ScoresReply(Reply):
    """The four scores of a judge (MemeLens), 1 to 5."""

    informativeness: Score
    clarity: Score
    plausibility: Score
    faithfulness: Score


class ParaphrasesReply(Reply):
    """Five rewrites of the meme's text (mmorient)."""

    rewrites: Annotated[list[Text], Field(min_length=5, max_length=5)]


KINDS: dict[str, type[Reply]] = {
    "rationale": RationaleReply,
    "explanation": ExplanationReply,
    "english-explanation": EnglishExplanationReply,
    "chain": ChainReply,
    "verdict": VerdictReply,
    "scores": ScoresReply,
    "paraphrases": ParaphrasesReply,
}
LABEL_FIELDS = ("Prediction", "label")
"""Fields that hold a label."""


@dataclass(frozen=True)
class Invalid:
    """Why a reply cannot be used. `code` names the error; `hint` is told to the model on the next try.

    Neither holds a word of the reply: what was written once must not steer the next request.
    """

    code: str
    hint: str


NOT_PARSED = Invalid("not-parsed", "the reply did not have the form asked for")
TRUNCATED = Invalid("truncated", "the reply was cut off before its end; write less")


def schema_of(kind: str, labels: Sequence[str] = (), several: bool = False) -> dict[str, Any]:
    """JSON schema for the kind's reply, in the strict form servers ask for; label fields allow `labels` only."""
    properties: dict[str, Any] = {}
    for name, info in KINDS[kind].model_fields.items():
        if name in LABEL_FIELDS and labels and not several:
            properties[name] = {"type": "string", "enum": list(labels)}
        elif info.annotation is int:
            properties[name] = {"type": "integer", "enum": [1, 2, 3, 4, 5]}
        elif name == "rewrites":
            properties[name] = {"type": "array", "items": {"type": "string"}}
        else:
            properties[name] = {"type": "string"}
    return {"type": "object", "properties": properties, "required": list(properties), "additionalProperties": False}


def parse(text: object, kind: str) -> dict[str, Any] | Invalid:
    """The fields of a reply of this kind, or why there are none. Never raises."""
    if not isinstance(text, str) or not text.strip():
        return Invalid("empty", "the reply was empty")
    if len(text) > LONGEST:
        return Invalid("too-long", "the reply was far too long")
    model = KINDS[kind]
    names = list(model.model_fields)
    try:
        found = _from_json(text)
    except _Broken:
        return NOT_PARSED
    if found is None:
        found = _from_lines(text, names)
    if found is None and kind == "rationale":
        found = _whole(text)
    if found is None:
        return NOT_PARSED
    try:
        fields = {name: _as_asked(name, value, model) for name, value in found.items() if name in names}
        return model.model_validate(fields).model_dump()
    except (ValidationError, UnicodeError):
        missing = [name for name in names if name not in found]
        return Invalid(
            "wrong-fields", f"fields missing: {', '.join(missing)}" if missing else "a field was not as asked"
        )


def read_label(value: object, labels: Sequence[str], several: bool = False) -> Label | None:
    """The allowed label that `value` states, word for word but for case, quotes and hyphens; None for anything else.

    With `several`, labels divided by commas; none twice.
    """
    if not isinstance(value, str):
        return None
    known = {_plain(label): label for label in labels}
    if not several:
        return known.get(_plain(value))
    parts = [known.get(_plain(part)) for part in value.split(",")]
    if not parts or None in parts or len(set(parts)) != len(parts):
        return None
    return [part for part in parts if part is not None]


def _plain(label: str) -> str:
    return re.sub(r"[\s_-]+", "-", label.strip().strip("\"'`*.“”‘’[]() \t\r\n").lower())


class _Twice(ValueError):
    """A key that stands in an object twice: no telling which is meant."""


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in pairs:
        if found.setdefault(name, value) != value:
            raise _Twice(name)
    return found


class _Broken(ValueError):
    """The reply has the looks of JSON and cannot be read as one object: nothing else shall be read into it."""


def _from_json(text: str) -> dict[str, Any] | None:
    """The one JSON object in a text, bare, in a code fence or in a sentence; None where there is none.

    Raises `_Broken` for an object that begins a line and does not end, and for two that differ.
    """
    # strict=False: models put line breaks into strings
    decoder = json.JSONDecoder(object_pairs_hook=_once, strict=False)
    objects: list[dict[str, Any]] = []
    position = text.find("{")
    for _ in range(_BRACES):
        if position < 0:
            break
        try:
            value, end = decoder.raw_decode(text, position)
            objects.append(value)
        except (ValueError, RecursionError):
            if not text[:position].rpartition("\n")[2].strip(" \t`"):
                raise _Broken from None
            end = position + 1
        position = text.find("{", end)
    if any(one != objects[0] for one in objects):
        raise _Broken
    return objects[0] if objects else None


def _from_lines(text: str, names: Sequence[str]) -> dict[str, Any] | None:
    """Fields from `Name: value` or `## Name`, at the start of a line, up to the next; None when one comes twice."""
    alternatives = "|".join(re.escape(name).replace("_", "[ _]") for name in names)
    line = rf"^[ \t\"'*#{{,-]*({alternatives})[\"'* \t]*[:=][\"'* \t]*"
    heading = rf"^[ \t]*#+[ \t*\"]*({alternatives})[* \t\"]*$"
    heads = list(re.finditer(f"{line}|{heading}", text, re.IGNORECASE | re.MULTILINE))
    by_name = {name.lower(): name for name in names}
    found: dict[str, Any] = {}
    for index, head in enumerate(heads):
        name = by_name[(head[1] or head[2]).replace(" ", "_").lower()]
        end = heads[index + 1].start() if index + 1 < len(heads) else len(text)
        if name in found:
            return None
        found[name] = text[head.end() : end].strip().strip("\"'*`,}").strip()
    if "rewrites" in names and not found:
        return _numbered(text)
    return found or None


def _numbered(text: str) -> dict[str, Any] | None:
    """Rewrites as a list: exactly five lines, with or without numbers before them."""
    lines = [re.sub(r"^\s*(?:\d+[.):]|[-*•])\s*", "", line).strip() for line in text.strip().splitlines()]
    lines = [line for line in lines if line]
    return {"rewrites": lines} if len(lines) == 5 else None


def _whole(text: str) -> dict[str, Any] | None:
    """A text without form is its own rationale, unless it looks like a form that broke."""
    text = text.strip().strip("`").strip()
    return None if text.startswith(("{", "[", "<")) else {"rationale": text.strip('"').strip()}


def _as_asked(name: str, value: Any, model: type[Reply]) -> Any:
    """Scores may come as text ("4", "4/5") or as whole floats."""
    if model.model_fields[name].annotation is not int or isinstance(value, bool):
        return value
    if isinstance(value, float) and value in (1.0, 2.0, 3.0, 4.0, 5.0):
        return int(value)
    if isinstance(value, str) and (match := re.fullmatch(r"\s*([1-5])(?:\.0)?(?:\s*/\s*5)?\s*\.?\s*", value)):
        return int(match[1])
    return value
