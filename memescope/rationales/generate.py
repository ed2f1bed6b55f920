"""Rationales for memes: ask, check the reply's form and what it says, ask again within bounds, keep what is valid.

Every meme ends with a valid rationale or with an error that has a name; nothing invalid is ever stored.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from memescope.errors import PictureError, UsageError
from memescope.meme import Label, Meme
from memescope.models.mulcot.chain import chain_text
from memescope.rationales.asking import Unusable, Used, agree, until_valid
from memescope.rationales.budget import Budget, most_tokens_in, usual_tokens
from memescope.rationales.desk import Answered, Desk, Question, at_desk
from memescope.rationales.prompts import Prompt, Subject, fill
from memescope.rationales.replies import LABEL_FIELDS
from memescope.rationales.retrying import TeacherError
from memescope.rationales.store import Failure, Rationale
from memescope.rationales.teacher import PICTURE_TOKENS, Teacher
from memescope.taxonomy import load_taxonomy
from memescope.taxonomy.tasks import Task

_TEXT_FIELD = {
    "rationale": "rationale",
    "explanation": "en_explanation",
    "english-explanation": "en_explanation",
    "verdict": "reason",
}
"""The field of a reply that is the text to learn from."""


@dataclass
class Summary:
    """What a run did and used. `stopped` says why it ended before its memes did."""

    memes: int = 0
    rationales: int = 0
    errors: dict[str, int] = field(default_factory=dict)
    origins: dict[str, int] = field(default_factory=dict)
    asked: int = 0
    from_cache: int = 0
    tokens_in: int = 0
    tokens_out: int = 0
    tokens_uncertain: int = 0
    usd: float = 0.0
    seconds: float = 0.0
    abilities: dict[str, Any] | None = None
    stopped: str | None = None

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True)
class Estimate:
    """A dry run's figures: requests that would be sent (the cache answers the rest), and what they would use."""

    memes: int
    requests: int
    from_cache: int
    tokens_in: int
    tokens_out: int
    usd: float
    most_tokens: int
    most_usd: float

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


def choose_task(memes: Sequence[Meme], name: str | None = None) -> Task:
    """The task to explain: by name, or the only one (or the only binary one) that the memes are labelled for."""
    taxonomy = load_taxonomy()
    present = list(dict.fromkeys(task for meme in memes for task in meme.labels))
    if name is not None:
        task = taxonomy[name]
        if name not in present:
            raise UsageError(f"--task {name}: no meme is labelled for it; there is: {', '.join(present) or 'none'}")
        return task
    binary = [task for task in present if taxonomy[task].kind == "binary"]
    choice = present if len(present) == 1 else binary
    if len(choice) != 1:
        raise UsageError(f"--task: say which label to explain, one of: {', '.join(present) or 'none there'}")
    return taxonomy[choice[0]]


def subjects_of(
    memes: Sequence[Meme], prompt: Prompt, task: Task | None, captions: Mapping[str, str] | None = None
) -> list[Subject]:
    """What to ask about: memes with the label where the prompt needs one."""
    captions = captions or {}
    return [
        Subject(
            meme,
            task=task,
            label=meme.labels.get(task.name) if task and prompt.label != "none" else None,
            caption=captions.get(meme.id) or meme.meta.get("caption"),
        )
        for meme in memes
        if prompt.label != "given" or (task and task.name in meme.labels)
    ]


def generate(
    subjects: Sequence[Subject],
    prompt: Prompt,
    teacher: Teacher,
    *,
    seed: int | None = None,
    tries: int = 3,
    pictures: bool = False,
    concurrency: int = 8,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> tuple[list[Rationale | Failure], Summary]:
    """A rationale or a named failure for each subject, in order. `tries` bounds the replies asked for at each step.

    Raises `TeacherError` where the teacher could not be used at all: nothing was asked and nothing was kept.
    """
    started = time.perf_counter()
    desk = Desk(teacher, seed, pictures)
    found = at_desk(desk, subjects, lambda subject: _one(subject, prompt, desk, tries), concurrency, progress)
    return found, summarise(found, desk, teacher.budget, time.perf_counter() - started)


def summarise(found: Sequence[object], desk: Desk, budget: Budget, seconds: float) -> Summary:
    """Counts of a run."""
    abilities = desk.teacher.abilities
    return Summary(
        memes=len(found),
        rationales=sum(isinstance(one, Rationale) for one in found),
        errors=dict(Counter(one.error for one in found if isinstance(one, Failure)).most_common()),
        origins=dict(Counter(one.origin for one in found if isinstance(one, Rationale)).most_common()),
        asked=desk.asked,
        from_cache=desk.kept,
        tokens_in=budget.tokens_in,
        tokens_out=budget.tokens_out,
        tokens_uncertain=budget.uncertain,
        usd=round(budget.usd, 6),
        seconds=round(seconds, 2),
        abilities=asdict(abilities) if abilities else None,
        stopped=str(desk.stopped) if desk.stopped else None,
    )


def estimate(
    subjects: Sequence[Subject],
    prompt: Prompt,
    teacher: Teacher,
    *,
    seed: int | None = None,
    tries: int = 3,
    pictures: bool = False,
) -> Estimate:
    """What a run would send, from the cache's and the texts' own sizes; nothing is sent.

    The usual figures take one reply a meme (for a checked prompt, one in three memes needs a second); the most takes
    every reply asked for at its longest.
    """
    desk = Desk(teacher, seed, pictures)
    questions = [Question(prompt, subject) for subject in subjects]
    keys = [desk.key(question) for question in questions]
    there = desk.cache.get(keys)
    requests = tokens_in = most = 0
    most_in = 0
    more = 4 / 3 if prompt.label == "checked" else 1.0
    steps = 2 if prompt.label == "checked" else 1
    for question, key in zip(questions, keys, strict=True):
        if key in there:
            continue
        filled = fill(prompt, question.subject)
        text = filled.text
        requests += 1
        tokens_in += usual_tokens(text) + (PICTURE_TOKENS if pictures else 0)
        most_in += steps * tries * most_tokens_in(text, int(pictures), PICTURE_TOKENS)
        most += steps * tries * prompt.max_tokens
    tokens_in, tokens_out = round(more * tokens_in), round(more * requests * prompt.usual_tokens)
    prices = teacher.budget.prices
    return Estimate(
        memes=len(subjects),
        requests=round(more * requests),
        from_cache=len(there),
        tokens_in=tokens_in,
        tokens_out=tokens_out,
        usd=round(prices.cost(tokens_in, tokens_out), 4),
        most_tokens=most_in + most,
        most_usd=round(prices.cost(most_in, most), 4),
    )


async def _one(subject: Subject, prompt: Prompt, desk: Desk, tries: int) -> Rationale | Failure:
    """Ask about one meme until a reply holds, or until there is a reason to stop."""
    used = Used()
    gold = subject.label
    try:
        fields, answer = await until_valid(subject, prompt, desk, tries, used)
        origin = "predicted" if prompt.label == "checked" else "generated"
        if origin == "predicted" and gold is not None and not agree(fields["Prediction"], gold):
            origin = "explained"
            fields, answer = await until_valid(subject, prompt, desk, tries, used, explain=True)
    except Unusable as error:
        return _failure(subject, error.fault.code, f"{tries} replies, the last: {error.fault.hint}", used)
    except (TeacherError, PictureError) as error:
        return _failure(subject, error.code if isinstance(error, TeacherError) else "picture", str(error), used)
    return _stored(subject, prompt, desk, fields, answer, origin, used)


def _failure(subject: Subject, code: str, message: str, used: Used) -> Failure:
    meme = subject.meme
    return Failure(meme.id, code, message, meme.source or "", meme.split, used.replies)


def _stored(
    subject: Subject,
    prompt: Prompt,
    desk: Desk,
    fields: dict[str, Any],
    answer: Answered,
    origin: str,
    used: Used,
) -> Rationale:
    meme = subject.meme
    stated = next((fields[name] for name in LABEL_FIELDS if name in fields), None)
    label: Label | None = subject.label if subject.label is not None else stated
    if prompt.kind == "chain":
        text = chain_text(fields)
    elif prompt.kind == "paraphrases":
        text = "\n".join(fields["rewrites"])
    else:
        text = fields[_TEXT_FIELD[prompt.kind]]
    return Rationale(
        id=meme.id,
        rationale=text,
        dataset=meme.source or "",
        split=meme.split,
        task=subject.task.name if subject.task else None,
        label=label,
        prompt=prompt.name,
        prompt_version=prompt.version,
        model=desk.teacher.model,
        origin=origin,
        decoding=desk.decoding(prompt).to_dict(),
        tokens={"in": used.tokens_in, "out": used.tokens_out},
        created=answer.created,
        parts=fields if len(fields) > 1 or prompt.kind == "paraphrases" else {},
        logprob=answer.logprob,
    )
