"""Stored rationales: one JSON line for each, whoever wrote them. Trainers read them with `load_rationales`.

A file holds valid rationales only. What could not be had stands beside it, in `NAME.errors.jsonl`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from memescope.atomic import atomic
from memescope.errors import UsageError
from memescope.meme import Label, Meme


@dataclass(slots=True)
class Rationale:
    """Reasons for one label of one meme, and where they come from.

    `rationale` is the text to learn from; `parts` holds the fields of the reply where it has more than one (the five of
    a chain, `native_explanation`, `rewrites`). `origin`: `generated` with the label given or not used, `predicted` when
    the teacher found the label by itself, `explained` when it was told after a wrong one, `imported` for published
    ones. `logprob` is the mean log-probability of the reply's tokens where the server gave them.
    """

    id: str
    rationale: str
    dataset: str = ""
    split: str | None = None
    task: str | None = None
    label: Label | None = None
    prompt: str = ""
    prompt_version: str = ""
    model: str = ""
    origin: str = "generated"
    decoding: dict[str, Any] = field(default_factory=dict)
    tokens: dict[str, int] = field(default_factory=dict)
    created: str = ""
    parts: dict[str, Any] = field(default_factory=dict)
    logprob: float | None = None

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values, in the order of the fields."""
        return asdict(self)


@dataclass(slots=True)
class Failure:
    """A meme without a rationale: `error` names why."""

    id: str
    error: str
    message: str
    dataset: str = ""
    split: str | None = None
    replies: int = 0

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(slots=True)
class Coverage:
    """How many memes of a split have a rationale."""

    split: str
    memes: int
    covered: int


def load_rationales(path: str | Path, dataset: str | None = None, task: str | None = None) -> dict[str, Rationale]:
    """Rationales by the id of their meme, of one dataset and one task where the file holds several; those that name
    none are of every one.

    Raises `UsageError` naming file and line for what is not a rationale, and for two different ones of one meme.
    """
    path = Path(path)
    found: dict[str, Rationale] = {}
    for number, row in rows_of(path):
        one = _rationale(row, f"{path}:{number}")
        if (dataset and one.dataset and one.dataset != dataset) or (task and one.task and one.task != task):
            continue
        other = found.setdefault(one.id, one)
        if (other.rationale, other.dataset) != (one.rationale, one.dataset):
            raise UsageError(
                f"{path}:{number}: meme {one.id!r} has two different rationales; keep one prompt to a file, and "
                "name the dataset where ids of two of them meet"
            )
    return found


def rows_of(path: Path) -> list[tuple[int, dict[str, Any]]]:
    """The objects of a file of JSON lines with their line numbers; `UsageError` names a line that is none."""
    rows = []
    try:
        with path.open(encoding="utf-8-sig") as lines:
            for number, line in enumerate(lines, 1):
                if line.strip():
                    row = json.loads(line)
                    if not isinstance(row, dict):
                        raise UsageError(f"{path}:{number}: expected a JSON object, found {line.strip()[:40]!r}")
                    rows.append((number, row))
    except OSError as error:
        raise UsageError(f"{path}: cannot be read: {error.strerror or error}") from None
    except ValueError as error:
        raise UsageError(f"{path}: not JSON lines: {error}") from None
    return rows


def _rationale(row: Mapping[str, Any], where: str) -> Rationale:
    known = {one.name for one in fields(Rationale)}
    text, its_id = row.get("rationale"), row.get("id")
    if not isinstance(text, str) or not text.strip() or not isinstance(its_id, str) or not its_id:
        raise UsageError(f"{where}: expected an object with id and rationale, both text (see docs/rationales.md)")
    return Rationale(**{name: value for name, value in row.items() if name in known})


def save(path: str | Path, records: Iterable[Rationale | Failure | Mapping[str, Any]]) -> int:
    """Write JSON lines: all of them or, when killed, none. Returns how many."""
    count = 0
    try:
        with atomic(Path(path)) as file:
            for count, record in enumerate(records, 1):  # noqa: B007 - the number of records is what is returned
                row = record if isinstance(record, Mapping) else record.to_dict()
                # Lone surrogates, which JSON can hold and UTF-8 cannot, stay escapes.
                file.write((json.dumps(row, ensure_ascii=False) + "\n").encode("utf-8", "backslashreplace"))
    except OSError as error:
        raise UsageError(f"{path}: cannot be written: {error.strerror or error}") from None
    return count


def errors_beside(path: str | Path) -> Path:
    """Where the failures of a run are: `NAME.errors.jsonl` beside `NAME.jsonl`."""
    path = Path(path)
    return path.with_name(f"{path.stem}.errors.jsonl")


def coverage(memes: Sequence[Meme], rationales: Mapping[str, Rationale]) -> list[Coverage]:
    """For each split, in order of appearance, how many memes have a rationale."""
    counts: dict[str, Coverage] = {}
    for meme in memes:
        split = meme.split or "all"
        one = counts.setdefault(split, Coverage(split, 0, 0))
        one.memes += 1
        one.covered += meme.id in rationales
    return list(counts.values())


def load_captions(path: str | Path) -> dict[str, str]:
    """Captions by meme id: a JSON object of id -> text (of a list the first), or JSON lines with id and caption."""
    path = Path(path)
    try:
        content = json.loads(path.read_text("utf-8-sig"))
    except OSError as error:
        raise UsageError(f"{path}: cannot be read: {error.strerror or error}") from None
    except ValueError:
        content = {row.get("id"): row.get("caption") for _, row in rows_of(path)}
    if isinstance(content, dict) and set(content) == {"id", "caption"}:
        content = {content["id"]: content["caption"]}
    if not isinstance(content, dict):
        raise UsageError(f"{path}: expected an object of meme ids and captions, found {type(content).__name__}")
    first = {its: text[0] if isinstance(text, list) and text else text for its, text in content.items()}
    if wrong := [its for its, text in first.items() if not (isinstance(its, str) and isinstance(text, str))]:
        raise UsageError(f"{path}: expected a caption as text for each meme id, found another thing for {wrong[0]!r}")
    return first
