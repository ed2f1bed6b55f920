"""Verdicts as the compact JSON that the report's script reads, safe inside an HTML `<script>` element.

A row is what the list needs (filter, sort, search, first glance) and is parsed at once; a detail (evidence, rationale)
and the picture are parsed when a meme is drawn. Short keys keep 5,000 rows small; `assets/data.js` reads them.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from memescope.errors import MemescopeError
from memescope.meme import ACTIONS, Answer, Evidence, Verdict
from memescope.taxonomy import Taxonomy

_SURROGATE = re.compile("[\ud800-\udfff]")
# `<` would let text end the script element; U+2028 and U+2029 end a line in JavaScript older than ES2019.
_UNSAFE = {"<": "\\u003c", ">": "\\u003e", "&": "\\u0026", "\u2028": "\\u2028", "\u2029": "\\u2029"}
_UNSAFE_PATTERN = re.compile("[<>&\u2028\u2029]")
_PICTURE_TYPES = ((b"RIFF", "image/webp"), (b"\xff\xd8\xff", "image/jpeg"), (b"\x89PNG", "image/png"))


def dumps(value: Any, name: str) -> str:
    """One line of JSON that UTF-8 can hold: lone surrogates (undecodable file names) stay escaped.

    A number that is not finite has no JSON form: `MemescopeError` naming `name`.
    """
    try:
        text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    except ValueError as error:
        raise MemescopeError(f"{name}: cannot be written as JSON ({error}); probabilities must be finite") from None
    return _SURROGATE.sub(lambda match: f"\\u{ord(match[0]):04x}", text)


def script_json(value: Any, name: str) -> str:
    """JSON that cannot end or escape the `<script type="application/json">` it stands in."""
    return _UNSAFE_PATTERN.sub(lambda match: _UNSAFE[match[0]], dumps(value, name))


@dataclass
class Vocabulary:
    """Tasks and labels as small numbers, in the order of the taxonomy; what it does not know follows as it comes."""

    taxonomy: Taxonomy
    labels: dict[str, list[str]] = field(default_factory=dict)
    multilabel: set[str] = field(default_factory=set)

    def answer(self, task: str, answer: Answer) -> list[Any]:
        """`[label number(s), abstain 0 or 1, probabilities in ten-thousandths in the order of the labels]`."""
        if task not in self.labels:
            known = self.taxonomy.tasks.get(task)
            self.labels[task] = list(known.labels if known else answer.probabilities)
        labels = self.labels[task]
        several = isinstance(answer.label, list)
        if several:
            self.multilabel.add(task)
        chosen = answer.label if isinstance(answer.label, list) else [answer.label]
        labels += [label for label in dict.fromkeys([*answer.probabilities, *chosen]) if label not in labels]
        numbers = [labels.index(label) for label in chosen]
        return [numbers if several else numbers[0], int(answer.abstain), _ten_thousandths(answer.probabilities, labels)]

    def tasks(self) -> list[dict[str, Any]]:
        """Every task met, for the report's script: name, kind, labels, category and definition."""
        order = list(self.taxonomy.tasks)
        met = sorted(self.labels, key=lambda task: order.index(task) if task in order else len(order))
        return [self._task(name) for name in met]

    def _task(self, name: str) -> dict[str, Any]:
        known = self.taxonomy.tasks.get(name)
        kind = known.kind if known else "multilabel" if name in self.multilabel else "multiclass"
        return {
            "name": name,
            "kind": kind,
            "labels": self.labels[name],
            "category": known.category if known else "other",
            "definition": known.definition if known else "",
        }


def _ten_thousandths(probabilities: Mapping[str, float], labels: list[str]) -> list[int | None]:
    return [
        None if label not in probabilities else min(10_000, max(0, round(probabilities[label] * 10_000)))
        for label in labels
    ]


def row(verdict: Verdict, vocabulary: Vocabulary) -> dict[str, Any]:
    """What the list needs of one verdict; empty fields are left out."""
    try:
        answers = {task: vocabulary.answer(task, answer) for task, answer in verdict.answers.items()}
    except (ValueError, OverflowError) as error:  # round() of NaN or infinity
        raise MemescopeError(f"verdict {verdict.id!r}: a probability is not a finite number ({error})") from None
    full = {
        "i": verdict.id,
        "p": verdict.path,
        "a": ACTIONS.index(verdict.action),
        "t": verdict.text,
        # one copy where the text is what was read from the picture
        "o": True if verdict.ocr_text == verdict.text else verdict.ocr_text,
        "l": "" if verdict.lang == "und" else verdict.lang,
        "r": answers,
        "d": verdict.duplicate_of,
        "b": verdict.because,
        "e": verdict.error,
    }
    return {key: value for key, value in full.items() if value or key in "ia" or (key in "oe" and value is not None)}


def detail(verdict: Verdict) -> dict[str, Any]:
    """What only the page of one meme shows: evidence by task, rationale, versions, kinds of repetition."""
    full = {
        "v": {task: _evidence(evidence) for task, evidence in verdict.evidence.items()},
        "n": verdict.rationale,
        "m": verdict.model,
        "x": verdict.taxonomy,
        "k": verdict.duplicate_kind,
        "s": verdict.same_picture_as,
    }
    return {key: value for key, value in full.items() if value}


def _evidence(evidence: Evidence) -> dict[str, Any]:
    return {
        "s": [[span.text, span.start, span.end, round(span.weight, 3)] for span in evidence.spans],
        "g": [[round(v, 4) for v in (r.x, r.y, r.width, r.height, r.weight)] for r in evidence.regions],
        "w": evidence.says,
    }


def data_uri(picture: bytes | None, name: str) -> str | None:
    """A WebP, JPEG or PNG file as a `data:` address; any other content is a `MemescopeError` naming `name`."""
    if not picture:
        return None
    for start, kind in _PICTURE_TYPES:
        if picture.startswith(start):
            return f"data:{kind};base64,{base64.b64encode(picture).decode('ascii')}"
    raise MemescopeError(f"thumbnail of {name!r}: expected WebP, JPEG or PNG, found bytes starting {picture[:4]!r}")
