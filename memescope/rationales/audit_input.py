"""Rationales to learn from or to audit, from whichever form they lie in: ours (JSON lines), as published, or written by
a model that was measured (`predictions.jsonl` of `memescope eval --rationales`)."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from memescope.errors import UsageError
from memescope.evaluation.predictions import MODEL, read_rows
from memescope.meme import Meme
from memescope.rationales.published import import_rationales
from memescope.rationales.store import Rationale, load_rationales


def read_any(path: Path, memes: Sequence[Meme], task: str) -> dict[str, Rationale]:
    """Rationales by the id of their meme; of stored ones those of `task` and of the memes' dataset, and those that say
    none.

    Those of a measured model explain the label that it answered, right or wrong.

    Raises `UsageError` for a file that is none of these, for one whose rationales are all of something else, and for
    memes of several sets that have an id in common.
    """
    check_ids(memes)
    if _is_predictions(path):
        return _of_a_model(path, task)
    if _is_published(path):
        return {one.id: one for one in import_rationales(path, memes, task)}
    sources = {meme.source or "" for meme in memes}
    found = load_rationales(path, next(iter(sources)) if len(sources) == 1 else None, task)
    found = {its: one for its, one in found.items() if one.dataset in ("", *sources)}
    if not found:
        of = ", ".join(sorted(sources)) or "these memes"
        raise UsageError(
            f"{path}: holds no rationale that explains {task} of {of}: see the `task` and `dataset` of its lines"
        )
    return found


def check_ids(memes: Sequence[Meme]) -> None:
    """`UsageError` where memes of two sets have one id: a rationale, which names an id, would go to both."""
    first: dict[str, str] = {}
    for meme in memes:
        source = meme.source or ""
        if (known := first.setdefault(meme.id, source)) != source:
            raise UsageError(
                f"{meme.id!r} is a meme of {known} and of {source}, and a rationale goes to whichever meme has its id: "
                "train on one of the sets, or give their memes ids of their own"
            )


def _is_published(path: Path) -> bool:
    """Whether the file is one JSON value, and no single line of ours."""
    try:
        content = json.loads(path.read_text("utf-8-sig"))
    except OSError as error:
        raise UsageError(f"{path}: cannot be read: {error.strerror or error}") from None
    except ValueError:
        return False
    return not (isinstance(content, dict) and "rationale" in content)


def _is_predictions(path: Path) -> bool:
    """Whether its first line is a row that `memescope eval` predicted."""
    try:
        with path.open(encoding="utf-8-sig") as lines:
            row = json.loads(next(lines, ""))
    except (OSError, ValueError):
        return False
    return isinstance(row, dict) and {"truth", "answers"} <= set(row)


def _of_a_model(path: Path, task: str) -> dict[str, Rationale]:
    found: dict[str, Rationale] = {}
    for row in read_rows(path):
        answer = row.answers.get(MODEL, {}).get(task)
        if row.written and row.written.strip() and answer is not None:
            found[row.id] = Rationale(
                row.id, row.written, row.source or "", task=task, label=answer.label, origin="predicted"
            )
    if not found:
        raise UsageError(
            f"{path}: holds no answer to {task} with a text that the model wrote: measure it with "
            "memescope eval --rationales"
        )
    return found
