"""One question put to a server: a score for each label, by the best method it is capable of.

Scores are log-probabilities up to a constant, so that their softmax, after calibration, is the answer, as it is for a
model on this machine (`models.scoring`). Glossary: `called` label -> its name in the reply.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any

from memescope.errors import MemescopeError
from memescope.models.memelens.prompting import LABEL, read_reply
from memescope.rationales.retrying import TeacherError
from memescope.rationales.teacher import Completion, Decoding, Teacher
from memescope.remote.abilities import FEW, ONE, TOP, Found, begun, choose, chosen, prompt_tokens, reply_tokens

TRIES = 3
REPLY = Decoding(temperature=0.0, max_tokens=160)
_JSON = re.compile(r'\s*\{\s*"label"\s*:\s*"')
"""What a reply of `abilities.choose`'s schema has before the label."""
_UNSEEN = math.log(1e-6)
"""Of a label none of whose beginnings was among the likeliest tokens."""


@dataclass(frozen=True)
class Scored:
    """label -> score. `measured` is False where the server names a label and gives no probabilities."""

    scores: dict[str, float]
    measured: bool


async def score(
    client: Teacher,
    found: Found,
    messages: list[dict[str, Any]],
    called: dict[str, str],
    length: str = "sum",
    before: str = "",
    then: str = "",
) -> Scored:
    """The score of each label after `messages` and a reply begun with `before` (an explanation) and the label's lead;
    `then` is what follows a label, where that is not the end.

    Raises `MemescopeError` when no reply named a label, `TeacherError` when the server failed.
    """
    if found.method == "exact":
        return Scored(await _exact(client, messages, called, length, before, then), True)
    # A reply that does not get to a label leaves the one that is written when asked again.
    if found.method == "top" and (scores := await _top(client, found, messages, called)):
        return Scored(scores, True)
    label = await _named(client, found, messages, called)
    # What is known is the label alone: it gets twice the probability of any other, as one vote and one for each would.
    return Scored({name: math.log(2.0) if name == label else 0.0 for name in called}, False)


async def _exact(
    client: Teacher, messages: list[dict[str, Any]], called: dict[str, str], length: str, before: str, then: str
) -> dict[str, float]:
    """Log-probabilities of whole labels, each sent as a reply begun with it."""
    lead = f"{before}{LABEL}"
    tokens = {label: await _tokens(client, messages, f"{lead} {name}") for label, name in called.items()}
    ids = {label: [name for name, _ in its] for label, its in tokens.items()}
    ends = {label: len(its) for label, its in ids.items()}
    if any(a != b and ids[b][: len(ids[a])] == ids[a] for a in ids for b in ids):
        # one label begins another: each is told apart by the token behind it
        tokens = {
            label: await _tokens(client, messages, f"{lead} {name}{then}", close=not then)
            for label, name in called.items()
        }
        ends = {label: end + 1 for label, end in ends.items()}
    if length == "mean":
        start = len(await _tokens(client, messages, lead))
    else:  # what all labels have before them is not summed: a server computes it anew, and not always alike
        start = next(i for i, some in enumerate(zip_longest(*ids.values())) if len(set(some)) > 1)
    sums = {label: math.fsum(value for _, value in its[start : ends[label]]) for label, its in tokens.items()}
    return {label: value / (ends[label] - start) if length == "mean" else value for label, value in sums.items()}


async def _tokens(
    client: Teacher, messages: list[dict[str, Any]], said: str, close: bool = False
) -> list[tuple[str, float]]:
    asked, fields = begun(messages, said, close)
    found = prompt_tokens(await client.complete(asked, ONE, extra=fields | {"prompt_logprobs": 0}))
    if found is None:
        raise TeacherError("bad-answer", "the server gave no log-probabilities of a prompt, though it can")
    return found


async def _top(
    client: Teacher, found: Found, messages: list[dict[str, Any]], called: dict[str, str]
) -> dict[str, float] | None:
    """Log-probabilities from the likeliest tokens where a written label begins; None where no label was written."""
    form, extra = choose(list(called.values()), found.choice) if found.choice else (None, None)
    reply = await client.complete(messages, FEW, form, True, {**(extra or {}), "top_logprobs": TOP})
    tokens = reply_tokens(reply)
    start = _label_starts(tokens, called)
    if start is None:
        return None
    masses = dict.fromkeys(called, 0.0)
    _share(tokens, start, "", 1.0, called, masses)
    return {label: math.log(mass) if mass > 0 else _UNSEEN for label, mass in masses.items()}


def _label_starts(tokens: list[dict[str, Any]], called: dict[str, str]) -> int | None:
    """The first token of the label: behind the lead where it was written, or the first whose beginning is a label's."""
    said = [str(token.get("token", "")) for token in tokens]
    whole = "".join(said)
    at = whole.find(LABEL)
    start = at + len(LABEL) if at >= 0 else 0
    if of_schema := _JSON.match(whole):
        start = of_schema.end()
    while start < len(whole) and not whole[start].isalnum():
        start += 1
    if not any(whole[start:].casefold().startswith(name.casefold()) for name in called.values()):
        return None
    passed = 0
    for i, token in enumerate(said):
        passed += len(token)
        if passed > start:
            return i
    return None


def _share(
    tokens: list[dict[str, Any]],
    at: int,
    begun_with: str,
    mass: float,
    called: dict[str, str],
    masses: dict[str, float],
) -> None:
    """Share out `mass`, the probability of having written `begun_with`, over the labels that may go on from there.

    Where labels share a token, those behind it are told apart by the next token if that is what was written, and get
    equal parts otherwise.
    """
    written = str(tokens[at].get("token", ""))
    for one in tokens[at].get("top_logprobs") or ():
        piece, logprob = str(one.get("token", "")), one.get("logprob")
        if not isinstance(logprob, int | float):
            continue
        said = (begun_with + piece).lstrip(" '\"`{:").casefold() if not begun_with else (begun_with + piece).casefold()
        possible = [label for label, name in called.items() if said and name.casefold().startswith(said)]
        its = mass * math.exp(min(logprob, 0.0))
        if len(possible) > 1 and piece == written and at + 1 < len(tokens):
            _share(tokens, at + 1, said, its, called, masses)
        else:
            for label in possible:
                masses[label] += its / len(possible)


async def _named(client: Teacher, found: Found, messages: list[dict[str, Any]], called: dict[str, str]) -> str:
    """The label that the server writes: chosen from those there are, or read from a reply and asked again."""
    of = {name: label for label, name in called.items()}
    if found.choice:
        form, extra = choose(list(called.values()), found.choice)
        reply = await client.complete(messages, REPLY, form, extra=extra)
        if chosen(reply.text) in of:
            return of[chosen(reply.text)]
    said: Completion | None = None
    for turn in range(TRIES):
        asked = messages
        if said is not None:
            told = f"That was none of: {', '.join(called.values())}. Reply with '{LABEL} ' and one of them alone."
            if turn > 1:
                told += f" This is try {turn + 1}."  # the same request would bring the same reply
            asked = [*messages, {"role": "assistant", "content": said.text}, {"role": "user", "content": told}]
        said = await client.complete(asked, REPLY)
        label, _ = read_reply(said.text, called)
        if label is not None:
            return label
    raise MemescopeError(f"the server's replies named none of {', '.join(called.values())}, in {TRIES} tries")
