"""The nouns: `Meme` goes in, a `Reading` comes out of a model, a `Verdict` out of a scan. Imports nothing of ours."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Literal, get_args

Action = Literal["pass", "review", "flag"]
ACTIONS: tuple[Action, ...] = get_args(Action)
Label = str | list[str]
"""One label, or for a multilabel task the list of those that hold."""


@dataclass(slots=True)
class Meme:
    """One picture with its text.

    `image` is a path, the file's bytes, a PIL picture, a `perception.pictures.Picture`, or None for text alone.
    `labels` maps a task's name to its canonical label (a list for multilabel tasks); unlabelled tasks are left out.
    `lang` is an ISO 639-1 code, two of them where a text mixes languages ("hi-en"), or "und" where unknown. `aspect` is
    the phrase an aspect-level task asks about.
    `meta` keeps what has no field of its own: native labels, template names, ids of parallel versions.
    """

    image: Any = None
    text: str = ""
    id: str = ""
    lang: str = "und"
    labels: dict[str, Label] = field(default_factory=dict)
    aspect: str | None = None
    rationale: str | None = None
    source: str | None = None
    split: str | None = None
    meta: dict[str, Any] = field(default_factory=dict)


@dataclass(slots=True)
class Answer:
    """One task's outcome for one meme.

    `probabilities` are calibrated and hold every canonical label: they sum to 1 for binary, multiclass and ordinal
    tasks; for a multilabel task each is the probability that this label holds. `label` is what the model answers even
    where `abstain` says that it is not sure enough to be believed.
    """

    label: Label
    probabilities: dict[str, float]
    abstain: bool = False

    @property
    def confidence(self) -> float:
        """The probability of the answered label; for several labels the least sure decision, yes or no."""
        if isinstance(self.label, str):
            return self.probabilities[self.label]
        return min((max(p, 1 - p) for p in self.probabilities.values()), default=1.0)


@dataclass(slots=True)
class Span:
    """A word of the meme's text and how much it moved the answer (difference in log-odds; above 0: towards it)."""

    text: str
    start: int
    end: int
    weight: float


@dataclass(slots=True)
class Region:
    """A rectangle of the picture, as fractions of its width and height, and how much it moved the answer."""

    x: float
    y: float
    width: float
    height: float
    weight: float


@dataclass(slots=True)
class Evidence:
    """What an answer rests on: words, picture regions and one plain sentence. Measured, never written by a model."""

    spans: list[Span] = field(default_factory=list)
    regions: list[Region] = field(default_factory=list)
    says: str = ""


@dataclass(slots=True)
class Reading:
    """What a model knows of one meme. `evidence` has an entry for each task that was asked to be explained."""

    answers: dict[str, Answer] = field(default_factory=dict)
    rationale: str | None = None
    evidence: dict[str, Evidence] = field(default_factory=dict)
    model: str = ""


@dataclass(slots=True)
class Verdict:
    """What a scan says of one meme: one line of `results.jsonl`. Every entry of the input gets one, errors included.

    `duplicate_of` is the id of the first entry that is the same meme, `duplicate_kind` how this one was changed (exact,
    re-encoded, mirrored, cropped or overlaid); `same_picture_as` is the first with the same picture and another text.
    `because` says what led to `action`.
    """

    id: str
    path: str
    text: str = ""
    ocr_text: str | None = None
    lang: str = "und"
    answers: dict[str, Answer] = field(default_factory=dict)
    rationale: str | None = None
    evidence: dict[str, Evidence] = field(default_factory=dict)
    duplicate_of: str | None = None
    duplicate_kind: str | None = None
    same_picture_as: str | None = None
    action: Action = "pass"
    because: list[str] = field(default_factory=list)
    error: str | None = None
    model: str = ""
    taxonomy: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values, in the order of the fields."""
        return asdict(self)

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> Verdict:
        """The inverse of `to_dict`; unknown keys are an error (`TypeError`)."""
        values = dict(record)
        values["answers"] = {task: Answer(**answer) for task, answer in values.get("answers", {}).items()}
        values["evidence"] = evidence_from_dict(values.get("evidence", {}))
        return cls(**values)


def evidence_from_dict(record: Mapping[str, Mapping[str, Any]]) -> dict[str, Evidence]:
    """Evidence by task from its JSON form."""
    return {
        task: Evidence(
            spans=[Span(**span) for span in entry.get("spans", [])],
            regions=[Region(**region) for region in entry.get("regions", [])],
            says=entry.get("says", ""),
        )
        for task, entry in record.items()
    }


def reading_from_dict(record: Mapping[str, Any]) -> Reading:
    """A Reading from `dataclasses.asdict` of one."""
    known = {f.name for f in fields(Reading)}
    values = {key: value for key, value in record.items() if key in known}
    values["answers"] = {task: Answer(**answer) for task, answer in record.get("answers", {}).items()}
    values["evidence"] = evidence_from_dict(record.get("evidence", {}))
    return Reading(**values)


def worst(actions: Sequence[Action]) -> Action:
    """The most severe of some actions; `pass` when there are none."""
    return max(actions, key=ACTIONS.index, default="pass")
