"""Further instructions for MemeLens (arXiv 2601.12539), written by a teacher: each task's clauses said in other words.

The paper has its instructions paraphrased by two language models, ten times each. A paraphrase is taken where it reads
like a clause ("whether ...", "how ..."), keeps what is filled in ({label}, {aspect}), fits into a sentence, and is new;
what is taken is written as a file for `model.instructions`.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Sequence
from pathlib import Path

from memescope.errors import UsageError
from memescope.models.memelens.wording import load_wording
from memescope.rationales.retrying import Stop, TeacherError
from memescope.rationales.teacher import Decoding, Teacher
from memescope.taxonomy import load_taxonomy

_BEGINS = re.compile(r"(whether|how|which|what|who|whom|the) ", re.IGNORECASE)
_LONGEST = 200
_PLACES = ("{label}", "{aspect}")


def more_asks(teacher: Teacher, tasks: Sequence[str], count: int, seed: int | None = None) -> dict[str, list[str]]:
    """Task -> at most `count` new clauses. A task whose reply holds none is left out.

    Raises `UsageError` for a task without instructions, `Stop` where the teacher cannot be used.
    """
    from memescope.rationales.waiting import wait_for

    wording = load_wording()
    for task in tasks:
        wording.asks_of(task)

    async def run() -> list[list[str]]:
        async with teacher:
            await teacher.connect()
            return list(await asyncio.gather(*(_task(teacher, task, count, seed) for task in tasks)))

    return {task: found for task, found in zip(tasks, wait_for(run()), strict=True) if found}


async def _task(teacher: Teacher, task: str, count: int, seed: int | None) -> list[str]:
    known, ours = load_taxonomy()[task], load_wording().asks_of(task)
    wanted = (
        f"Write {count} further clauses that ask for exactly the same in other words, one a line, nothing else. Begin "
        "each like those above, with no full stop. Keep words in braces such as {label} as they are, once each."
    )
    told = f"Each clause below finishes the sentence 'Consider this meme and decide ...'. They ask: {known.definition}"
    said = [told, *(f"- {clause}" for clause in ours), wanted]
    messages = [{"role": "user", "content": "\n".join(said)}]
    try:
        reply = await teacher.complete(messages, Decoding(1.0, 60 * count + 100, seed))
    except Stop:
        raise
    except TeacherError:
        return []
    return taken(reply.text, ours)[:count]


def taken(reply: str, ours: Sequence[str]) -> list[str]:
    """The lines of a reply that can stand in the place of our clauses, each once."""
    needed = {place for place in _PLACES if place in ours[0]}
    known = {clause.casefold() for clause in ours}
    found = []
    for line in reply.splitlines():
        clause = re.sub(r"^\s*(?:[-*•]|\d+[.)])\s*", "", line).strip().strip("\"'").rstrip(".").strip()
        places = re.findall(r"\{[^{}]*\}", clause)
        if not _BEGINS.match(clause) or len(clause) > _LONGEST or sorted(places) != sorted(needed):
            continue
        clause = clause[0].lower() + clause[1:]
        if clause.casefold() not in known:
            known.add(clause.casefold())
            found.append(clause)
    return found


def write_asks(asks: dict[str, list[str]], out: Path) -> None:
    """A file for `model.instructions`. Raises `UsageError` where there is nothing to write."""
    if not asks:
        raise UsageError("no clause that the teacher wrote could be used: nothing is written")
    # JSON is YAML, and quotes whatever a teacher writes
    body = "".join(f"  {task}: {json.dumps(some, ensure_ascii=False)}\n" for task, some in asks.items())
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(f"# Clauses by a teacher, beside those of memescope; see docs/memelens.md.\nasks:\n{body}", "utf-8")
