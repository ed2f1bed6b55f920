"""The chains that MulCoT-RD learns from: the teacher's, read or asked for, and those that its assistant writes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

from memescope.cache import Cache, content_key
from memescope.datasets import spread
from memescope.errors import MemescopeError
from memescope.meme import Meme
from memescope.models.mulcot.chain import is_right, shortened, stated_label
from memescope.rationales.audit_input import check_ids, read_any
from memescope.rationales.store import Failure, Rationale, errors_beside, save
from memescope.taxonomy import load_taxonomy
from memescope.training.processes import by_the_first, found_by_the_first
from memescope.training.readable import with_pictures
from memescope.training.run import Progress
from memescope.training.staged.run import read_staged, usable

if TYPE_CHECKING:
    from memescope.models.mulcot.model import MulCot
    from memescope.training.mulcot import MulCotRecipe, TeacherPart

CHAINS = "chains.jsonl"
"""In the run folder: what the teacher wrote."""
_AT_ONCE = 32
VERSION = 1


def read_chained(recipe: MulCotRecipe, report: Progress) -> tuple[list[Meme], list[Meme], dict[str, Any]]:
    """Training memes with their teacher's chains, selection memes, and what there is to say of the chains; under
    `left_out` of memes whose picture cannot be read, which no teacher is asked about."""
    data = recipe.data
    read = read_staged(recipe.model_copy(update={"data": data.model_copy(update={"rationales": None})}))
    train, val = (usable(part, "label", data.tasks) for part in read)  # a chain alone has no label to end in
    train, val, left_out = with_pictures(train, spread(val, data.val_rows), report)
    task = data.tasks[0]
    told: dict[str, Any] = {"left_out": left_out} if left_out else {}
    chains: dict[str, Rationale] = {}
    if recipe.teacher is not None:
        teacher = recipe.teacher
        check_ids(train)
        found, told["teacher"] = found_by_the_first(lambda: ask_teacher(teacher, train, task, report))
        chains = {one.id: one for one in found if isinstance(one, Rationale)}
        failures = [one for one in found if isinstance(one, Failure)]
        by_the_first(lambda: save(recipe.out / CHAINS, chains.values()))
        by_the_first(lambda: save(errors_beside(recipe.out / CHAINS), failures))
    elif data.rationales is not None:
        chains = read_any(data.rationales, train, task)
    right = {its: _ends_right(one, task) for its, one in chains.items()}
    kept = {its: one for its, one in chains.items() if data.chains == "all" or right[its]}
    reasons = {its: one.rationale for its, one in kept.items()}
    if data.sentences:
        reasons = {its: shortened(text, data.sentences) for its, text in reasons.items()}
    train = [
        replace(meme, rationale=reasons[meme.id], meta=meme.meta | {"explains": [task]}) if meme.id in reasons else meme
        for meme in train
    ]
    if chains:
        told["chains"] = {
            "memes": len(train),
            "with_chain": sum(bool(meme.rationale) for meme in train),
            "ending_in_another_label": sum(not one for one in right.values()),
            "origins": _counts([one.origin for one in chains.values()]),
        }
    return train, val, told


def _ends_right(one: Rationale, task: str) -> bool:
    """Whether a teacher's chain ends in the label that it was to explain."""
    if one.label is None or "Prediction" not in one.parts:
        return True
    return stated_label(f"Prediction: {one.parts['Prediction']}", load_taxonomy()[task].labels) == one.label


def ask_teacher(
    part: TeacherPart, memes: Sequence[Meme], task: str, report: Progress
) -> tuple[list[Rationale | Failure], dict[str, Any]]:
    """Chains from an endpoint: it predicts first, and where it is wrong it is told the label to explain, within bounds.

    What was answered before comes from the cache. Raises `MemescopeError` where the teacher cannot be used.
    """
    from memescope.rationales.address import check_address, key_for
    from memescope.rationales.budget import Budget
    from memescope.rationales.generate import generate, subjects_of
    from memescope.rationales.prompts import load_prompt
    from memescope.rationales.teacher import Teacher

    address = check_address(part.url, part.allow_remote)
    teacher = Teacher(
        address, part.model, key_for(address, None), Budget(part.budget_tokens), concurrency=part.concurrency
    )
    prompt = load_prompt("chain")
    found, summary = generate(
        subjects_of(memes, prompt, load_taxonomy()[task]),
        prompt,
        teacher,
        tries=part.tries,
        pictures=part.pictures,
        concurrency=part.concurrency,
        progress=lambda done, total: report("teacher", done, total),
    )
    if summary.stopped:
        raise MemescopeError(
            f"the teacher stopped after {summary.rationales} of {len(memes)} chains, which are kept: {summary.stopped}"
        )
    told = {key: value for key, value in asdict(summary).items() if key in ("memes", "rationales", "errors", "origins")}
    return found, told


def add_sampled(
    assistant: MulCot, key: str, train: Sequence[Meme], recipe: MulCotRecipe, report: Progress
) -> tuple[list[Meme], dict[str, Any]]:
    """The training memes with, behind them, those for which the assistant wrote a chain of its own; and counts.

    Each chain is kept by the assistant's `key` and what it was written about as soon as its batch is done.
    """
    from memescope.models.mulcot.model import reasoning
    from memescope.training.mulcot import with_chain

    settings = recipe.augment
    if settings is None:
        return list(train), {}
    asked = spread([meme for meme in train if assistant.about(meme) in meme.labels], settings.rows)
    texts = found_by_the_first(lambda: sampled(assistant, key, asked, settings.temperature, settings.seed, report))
    more: list[Meme] = []
    right: list[str] = []
    ending = 0
    for meme, text in zip(asked, texts, strict=True):
        task = assistant.about(meme)
        labels = load_taxonomy()[task].labels
        stated, gold = stated_label(text, labels), str(meme.labels[task])
        fits = is_right(text, gold, labels)
        right += [gold] * fits
        ending += stated == gold
        if fits or (settings.wrong == "keep" and stated is not None):
            more.append(with_chain(meme, task, reasoning(text), stated or gold, 1))
    told = {
        "written": len(texts),
        "whole_and_right": len(right),
        "right_by_label": _counts(right),
        "ending_in_the_label": ending,
        "learnt_from": len(more),
        "wrong": settings.wrong,
    }
    return [*train, *more], told


def sampled(
    assistant: MulCot, key: str, memes: Sequence[Meme], temperature: float, seed: int, report: Progress
) -> list[str]:
    """A drawn chain for each meme, in order, from the cache where it was written before."""
    cache = Cache("mulcot-chains")
    keys = [
        content_key(VERSION, key, temperature, seed, assistant.config.max_rationale, m.source, m.id, m.text, m.aspect)
        for m in memes
    ]
    found = {its: value.decode() for its, value in cache.get(keys).items()}
    todo = [i for i, its in enumerate(keys) if its not in found]
    for start in range(0, len(todo), _AT_ONCE):
        some = todo[start : start + _AT_ONCE]
        written = assistant.chains([memes[i] for i in some], temperature, seed)
        fresh = {keys[i]: text for i, text in zip(some, written, strict=True)}
        cache.put({its: text.encode() for its, text in fresh.items()})
        found |= fresh
        report("augmentation", start + len(some), len(todo))
    return [found[its] for its in keys]


def _counts(values: Sequence[str]) -> dict[str, int]:
    return {value: values.count(value) for value in dict.fromkeys(values)}
