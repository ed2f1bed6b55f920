"""Rationales as others have published them, brought into our form.

Mr.Harm (arXiv 2312.05434): `{id: text}`, ChatGPT, abductive. MulCoT-RD (arXiv 2508.05234): a list of rows with `cot`,
five quoted parts by Qwen2.5-VL-72B; rows are matched with memes by tweet and aspect.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from memescope.errors import UsageError
from memescope.meme import Meme
from memescope.models.mulcot.chain import chain_text
from memescope.rationales.replies import Invalid, parse, read_label
from memescope.rationales.store import Rationale
from memescope.taxonomy import load_taxonomy


def import_rationales(path: str | Path, memes: Sequence[Meme], task: str, model: str = "") -> list[Rationale]:
    """The published rationales that belong to `memes`, in the memes' order; others of the file are left out.

    `task` is the one whose label they explain. Raises `UsageError` for a file of another form.
    """
    path = Path(path)
    try:
        content = json.loads(path.read_text("utf-8-sig"))
    except OSError as error:
        raise UsageError(f"{path}: cannot be read: {error.strerror or error}") from None
    except ValueError as error:
        raise UsageError(f"{path}: not JSON: {error}") from None
    load_taxonomy()[task]
    if isinstance(content, dict) and all(isinstance(text, str) for text in content.values()):
        return _texts(content, memes, task, model)
    if isinstance(content, list) and all(isinstance(row, dict) and isinstance(row.get("cot"), str) for row in content):
        return _chains(content, memes, task, model)
    raise UsageError(f"{path}: expected an object of id and text, or a list of rows with text, aspect and cot")


def _stored(meme: Meme, task: str, prompt: str, model: str) -> Rationale:
    return Rationale(
        id=meme.id,
        rationale="",
        dataset=meme.source or "",
        split=meme.split,
        task=task,
        label=meme.labels.get(task),
        prompt=prompt,
        prompt_version="published",
        model=model,
        origin="imported",
    )


def _texts(content: dict[str, str], memes: Sequence[Meme], task: str, model: str) -> list[Rationale]:
    found = []
    for meme in memes:
        if text := content.get(meme.id, "").strip():
            one = _stored(meme, task, "abductive", model)
            one.rationale = text
            found.append(one)
    return found


def _chains(content: list[dict[str, Any]], memes: Sequence[Meme], task: str, model: str) -> list[Rationale]:
    labels = load_taxonomy()[task].labels
    # A tweet may stand in a split twice with one aspect and two pictures: the rows of one key are taken in order.
    by_key: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for row in content:
        by_key.setdefault(_key(row.get("text"), row.get("aspect")), []).append(row)
    found = []
    for meme in memes:
        rows = by_key.get(_key(meme.text, meme.aspect))
        if not rows:
            continue
        parts = parse(rows.pop(0)["cot"], "chain")
        if isinstance(parts, Invalid):
            continue
        one = _stored(meme, task, "chain", model)
        stated = read_label(parts["Prediction"], labels)
        one.parts = {**parts, "Prediction": stated} if stated else parts
        one.rationale = chain_text(parts)
        found.append(one)
    return found


def _key(text: object, aspect: object) -> tuple[str, str]:
    return _squeezed(text), _squeezed(aspect)


def _squeezed(value: object) -> str:
    return re.sub(r"\W+", "", str(value or "").lower())
