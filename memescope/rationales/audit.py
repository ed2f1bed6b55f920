"""Stored rationales checked before anyone learns from them: scores and flags for each, rates for all, and a filter.

Flags look for faults that words alone can show (`FLAGS`); how far to trust each was measured on hand-read rationales
(docs/lab.md, Rationale audit). Sufficiency and necessity are scores of the whole set, and of each rationale.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from memescope.curation.conflicts import wilson
from memescope.curation.identity import normal_text
from memescope.curation.neartext import near_texts
from memescope.curation.sametext import FEWEST, SAME, letter_groups
from memescope.errors import UsageError
from memescope.evaluation.intervals import clusters
from memescope.meme import Label, Meme
from memescope.models import Model
from memescope.perception.language import detect
from memescope.rationales.matching import content_words, stem
from memescope.rationales.naming import named_labels
from memescope.rationales.necessity import Necessity, necessity
from memescope.rationales.quotes import check_quotes
from memescope.rationales.replies import read_label
from memescope.rationales.rules import Rules, broken_rule, words_in
from memescope.rationales.sameness import Sameness, sameness
from memescope.rationales.store import Rationale
from memescope.rationales.sufficiency import Sufficiency, sufficiency
from memescope.rationales.things import Ground, invented_details, unaccounted_names, unaccounted_things
from memescope.rationales.verdicts import concluded, degree_words
from memescope.taxonomy.tasks import Task

FLAGS = {
    "names-label": "says a label of the task, or a word made of it",
    "names-degree": "says how much of it: somewhat harmful",
    "misquotes": "quotes words that the meme does not say",
    "quotes-caption": "quotes the machine's caption, which nobody sees on the meme",
    "ungrounded": "sees people or things in the picture that neither text, caption nor tags know of",
    "brings-in": "names people, places or events found in neither text, caption nor tags: knowledge or invention",
    "invents-detail": "describes the picture beyond what is known of it",
    "contradicts": "argues for another label than the one it explains",
    "generic": "could stand under any meme: formulas, next to nothing of this one",
    "repeated": "says nearly the same as another rationale",
    "too-short": "fewer than 20 words",
    "refusal": "the teacher declined",
    "repetition": "goes round in circles",
    "copied": "is the meme's own text",
    "language": "in another language than the others",
}
"""Every flag and what it means."""
DROPPED = tuple(flag for flag in FLAGS if flag not in ("names-label", "names-degree", "quotes-caption", "brings-in"))
"""What the filter drops by default. Naming the label or quoting the caption is for the teacher's prompt to stop: of
published rationales hardly any would be left. Names brought in are right more often than not."""
RULES = Rules(min_words=20)
USUAL = 0.05
"""Words in more than this share of all rationales are the vocabulary of judging."""
_GENERIC = ((0, 0.65, 10_000), (2, 0.7, 6))
"""(own words at most, share of formulas at least, telling words at most) that make a rationale generic: either."""
_UNLIKELY, _DOUBTED = 0.1, 0.5
Progress = Callable[[str, int, int], None]


@dataclass(slots=True)
class Audited:
    """One rationale: its flags, the scores behind them and the words that raised them."""

    id: str
    dataset: str
    split: str | None
    label: Label | None
    flags: list[str]
    words: int
    formula: float
    own_words: int
    sufficiency: float | None = None
    sufficiency_masked: float | None = None
    necessity: float | None = None
    found: dict[str, Any] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """One line of `audit.jsonl`."""
        return asdict(self)


@dataclass(frozen=True)
class Audit:
    """All rationales of a set, and what holds for the set as a whole."""

    task: str
    rows: list[Audited]
    sufficiency: Sufficiency | None
    necessity: Necessity | None
    model: str

    def rates(self, rows: Sequence[Audited] | None = None) -> dict[str, dict[str, float]]:
        """How many have each flag, their share and its 95 % Wilson interval; of some rows only, where given."""
        rows = self.rows if rows is None else rows
        found = {}
        for flag in FLAGS:
            count = sum(flag in row.flags for row in rows)
            low, high = wilson(count, len(rows))
            found[flag] = {"count": count, "rate": count / max(len(rows), 1), "low": low, "high": high}
        return found


def audit(
    memes: Sequence[Meme],
    rationales: Mapping[str, Rationale],
    task: Task,
    *,
    captions: Mapping[str, str] | None = None,
    model: Model | None = None,
    seed: int = 0,
    learn: bool = True,
    progress: Progress = lambda stage, done, total: None,
) -> Audit:
    """Every rationale of one of `memes`, in their order. Necessity is left out without a `model`, and sufficiency where
    not asked to `learn`.

    Raises `UsageError` where no rationale belongs to a meme, or the model does not answer the task.
    """
    memes = [meme for meme in memes if meme.id in rationales]
    if not memes:
        raise UsageError("rationales audit: no rationale belongs to a meme of this data")
    if model is not None and task.name not in model.tasks:
        raise UsageError(f"model {model.name!r} does not answer {task.name!r}; its tasks: {', '.join(model.tasks)}")
    stored = [rationales[meme.id] for meme in memes]
    texts = [one.rationale for one in stored]
    said = [[(captions or {}).get(meme.id) or str(meme.meta.get("caption") or "")] for meme in memes]
    grounds = [
        Ground([meme.text, meme.aspect or "", *its, *_tags(meme)]) for meme, its in zip(memes, said, strict=True)
    ]
    labels = [
        one.label if one.label is not None else meme.labels.get(task.name)
        for one, meme in zip(stored, memes, strict=True)
    ]
    progress("comparing", 0, len(memes))
    same = sameness(texts, grounds)
    cluster = groups_of(memes, same)
    enough = None
    if learn:
        single = [label if isinstance(label, str) else None for label in labels]
        enough = sufficiency(texts, [meme.text for meme in memes], single, task, cluster, seed)
    needed = None
    if model is not None:
        needed = necessity(memes, texts, model, task.name, cluster, seed, lambda d, t: progress("masking", d, t))
    usual = _usual(texts)
    languages = [detect(text) for text in texts]
    lang = next((code for code, _ in Counter(languages).most_common() if code != "und"), "und")
    rows = []
    for i, meme in enumerate(memes):
        row = _check(meme, stored[i], task, labels[i], said[i][0], grounds[i], usual)
        row.formula, row.own_words = round(same[i].formula, 3), same[i].own
        if enough is not None:
            row.sufficiency, row.sufficiency_masked = _rounded(enough.own[i]), _rounded(enough.own_masked[i])
        if needed is not None:
            row.necessity = _rounded(needed.moved[i])
        if same[i].twin is not None:
            row.flags.append("repeated")
            row.found["like"] = memes[same[i].twin].id  # type: ignore[index]
        if _generic(same[i], grounds[i]):
            row.flags.append("generic")
        if languages[i] not in (lang, "und"):
            row.flags.append("language")
            row.found["language"] = languages[i]
        if _contradicts(stored[i], row, task):
            row.flags.append("contradicts")
        row.flags.sort(key=list(FLAGS).index)
        rows.append(row)
        progress("reading", i + 1, len(memes))
    return Audit(task.name, rows, enough, needed, model.version if model is not None and needed is not None else "")


def keep(rows: Sequence[Audited], without: Sequence[str] = DROPPED, least: float | None = None) -> list[str]:
    """Ids of the rationales that have none of the flags in `without` and, where `least` is given, whose label a reader
    finds in them (masked sufficiency) with at least that probability. `UsageError` names an unknown flag."""
    if unknown := [flag for flag in without if flag not in FLAGS]:
        raise UsageError(f"no flag {unknown[0]!r}; the flags: {', '.join(FLAGS)}")
    return [
        row.id
        for row in rows
        if not set(row.flags) & set(without)
        and (least is None or row.sufficiency_masked is None or row.sufficiency_masked >= least)
    ]


def groups_of(memes: Sequence[Meme], same: Sequence[Sameness]) -> NDArray[np.int64]:
    """Cluster numbers (n,): memes with the same or nearly the same text, or with nearly the same rationale, are one."""
    keys: list[list[tuple[str, Any]]] = [[("text", text)] if (text := normal_text(meme.text)) else [] for meme in memes]
    letters = [letter_groups(meme.text) for meme in memes]
    long = [i for i, its in enumerate(letters) if len(its) >= FEWEST]
    for a, b, _ in near_texts([letters[i] for i in long], SAME):
        keys[long[a]].append(("near", long[a]))
        keys[long[b]].append(("near", long[a]))
    for i, one in enumerate(same):
        if one.twin is not None:
            keys[i].append(("twin", min(i, one.twin)))
            keys[one.twin].append(("twin", min(i, one.twin)))
    return clusters(keys)


def _check(
    meme: Meme, one: Rationale, task: Task, label: Label | None, caption: str, ground: Ground, usual: frozenset[str]
) -> Audited:
    """What a rationale shows by itself beside its meme."""
    text, flags = one.rationale, []
    found: dict[str, Any] = {}
    if named := named_labels(text, task, label):
        flags.append("names-label")
        found["named"] = named
    if degrees := degree_words(text, task):
        flags.append("names-degree")
        found["degrees"] = degrees
    quotes = check_quotes(text, meme.text, caption, [meme.aspect or "", *_tags(meme)], task)
    if absent := [quote.text for quote in quotes if quote.where in ("absent", "misplaced")]:
        flags.append("misquotes")
        found["misquotes"] = absent
    if of_caption := [quote.text for quote in quotes if quote.where in ("caption", "misplaced")]:
        flags.append("quotes-caption")
        found["quotes_caption"] = of_caption
    # Of a picture that nobody has described nothing is known, so nothing said of it can be called invented.
    described = bool(caption or _tags(meme))
    if described and (things := unaccounted_things(text, ground)):
        flags.append("ungrounded")
        found["ungrounded"] = things
    if described and (names := unaccounted_names(text, ground)):
        flags.append("brings-in")
        found["brings_in"] = names
    if described and (details := invented_details(text, ground, usual)):
        flags.append("invents-detail")
        found["details"] = details
    if fault := broken_rule(text, RULES, meme_text=meme.text):
        flags.append(fault.code)
    return Audited(
        meme.id, one.dataset or meme.source or "", meme.split, label, flags, words_in(text), 0.0, 0, found=found
    )


def _contradicts(one: Rationale, row: Audited, task: Task) -> bool:
    """A stated prediction or conclusion of another label that a reader of the words does not doubt, or no conclusion
    and words that are nearly always said for another label."""
    if not isinstance(row.label, str):
        return False
    predicted = read_label(str(one.parts.get("Prediction", "")), task.labels)
    stated = predicted or concluded(one.rationale, task)
    if stated:
        row.found["concluded"] = stated
        doubted = row.sufficiency is not None and row.sufficiency >= _DOUBTED and not predicted
        return stated != row.label and not doubted
    return row.sufficiency is not None and row.sufficiency < _UNLIKELY


def _generic(same: Sameness, ground: Ground) -> bool:
    if not ground.stems:
        return False
    return any(
        same.own <= own and same.formula >= share and same.telling <= telling for own, share, telling in _GENERIC
    )


def _usual(texts: Sequence[str]) -> frozenset[str]:
    known = Counter(one for text in texts for one in {stem(word) for word in content_words(text)})
    return frozenset(one for one, count in known.items() if count > max(1, USUAL * len(texts)))


def _tags(meme: Meme) -> list[str]:
    """Tags and entities that a dataset gives, whatever form they have."""
    found: list[str] = []
    for name in ("tags", "entities", "caption"):
        value = meme.meta.get(name)
        found += [str(one) for one in value] if isinstance(value, list | tuple) else [str(value)] if value else []
    return found


def _rounded(value: float) -> float | None:
    return None if np.isnan(value) else round(float(value), 4)
