"""What mmorient answers when parts of a meme are missing, for evidence by occlusion.

Every version goes the whole way, from encoders to heads, against the support set: graph edges that a word makes are
lost with the word.

What attention looks at is another thing, and drawn apart (`memescope.models.mmorient.inside`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from memescope.explanation.occlusion import MemeVersions, Tables, check_tasks, explain_scene
from memescope.meme import Evidence, Meme
from memescope.perception.pictures import open_picture

if TYPE_CHECKING:
    from memescope.models.mmorient.model import MmOrient


def explain(model: MmOrient, meme: Meme, tasks: Sequence[str]) -> dict[str, Evidence]:
    """Words, regions and the sentence for each task's answered label (for several labels: the most probable one)."""
    check_tasks(model.name, tasks, model.tasks)
    known = model.config.tasks or {}

    def ask(memes: Sequence[Meme]) -> list[Tables]:
        tables = model.tables(model.making(memes), model.alone)
        found = {task: table.cpu().numpy() for task, table in tables.items()}
        return [{task: table[i] for task, table in found.items()} for i in range(len(memes))]

    opened = replace(meme, image=None if meme.image is None else open_picture(meme.image))
    return explain_scene(MemeVersions(opened, ask), {task: known[task]["labels"] for task in tasks})
