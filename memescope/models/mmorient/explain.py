"""What mmorient answers when parts of a meme are missing, for evidence by occlusion.

Cells of the picture are filled with its mean colour. Every version goes the whole way, from encoders to heads, against
the support set: graph edges that a word makes are lost with the word.

What attention looks at is another thing, and drawn apart (`memescope.models.mmorient.inside`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from memescope.explanation.faithfulness import GRID, cell_versions
from memescope.explanation.occlusion import Tables, check_tasks, explain_scene
from memescope.meme import Evidence, Meme
from memescope.perception.pictures import open_picture

if TYPE_CHECKING:
    from memescope.models.mmorient.model import MmOrient


def explain(model: MmOrient, meme: Meme, tasks: Sequence[str]) -> dict[str, Evidence]:
    """Words, regions and the sentence for each task's answered label (for several labels: the most probable one)."""
    check_tasks(model.name, tasks, model.tasks)
    known = model.config.tasks or {}
    return explain_scene(_Scene(model, meme), {task: known[task]["labels"] for task in tasks})


class _Scene:
    def __init__(self, model: MmOrient, meme: Meme) -> None:
        self.model = model
        self.meme = replace(meme, image=None if meme.image is None else open_picture(meme.image))
        self.text = meme.text
        self.cells = 0 if meme.image is None else GRID

    def reading(self, texts: Sequence[str]) -> list[Tables]:
        return self._ask([replace(self.meme, text=text) for text in texts])

    def hiding(self, masks: np.ndarray) -> list[Tables]:
        return self._ask(cell_versions(self.meme, ~masks.reshape(len(masks), -1)))

    def blind(self) -> Tables:
        return self._ask([replace(self.meme, image=None)])[0]

    def _ask(self, memes: Sequence[Meme]) -> list[Tables]:
        tables = self.model.tables(self.model.making(memes), self.model.alone)
        found = {task: table.cpu().numpy() for task, table in tables.items()}
        return [{task: table[i] for task, table in found.items()} for i in range(len(memes))]
