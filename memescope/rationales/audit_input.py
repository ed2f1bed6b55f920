"""Rationales for an audit, from whichever form they lie in: ours (JSON lines), or as others published them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from memescope.errors import UsageError
from memescope.meme import Meme
from memescope.rationales.published import import_rationales
from memescope.rationales.store import Rationale, load_rationales


def read_any(path: Path, memes: Sequence[Meme], task: str) -> dict[str, Rationale]:
    """Rationales by the id of their meme; of stored ones those that explain `task`, or say no task.

    Raises `UsageError` for a file that is neither form.
    """
    if _is_published(path):
        return {one.id: one for one in import_rationales(path, memes, task)}
    return {its: one for its, one in load_rationales(path).items() if one.task in (None, task)}


def _is_published(path: Path) -> bool:
    """Whether the file is one JSON value, and no single line of ours."""
    try:
        content = json.loads(path.read_text("utf-8-sig"))
    except OSError as error:
        raise UsageError(f"{path}: cannot be read: {error.strerror or error}") from None
    except ValueError:
        return False
    return not (isinstance(content, dict) and "rationale" in content)
