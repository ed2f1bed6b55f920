"""What mamba answers when parts of a meme are missing, for evidence by occlusion.

Cells of the picture are filled with its mean colour. What Grad-CAM and hidden attention say is another view, `heat`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from memescope.explanation.faithfulness import GRID, cell_versions
from memescope.explanation.occlusion import Tables, check_tasks, explain_scene
from memescope.meme import Evidence, Meme
from memescope.models.mamba.model import question

if TYPE_CHECKING:
    from memescope.models.mamba.model import MambaMemes


def explain(model: MambaMemes, meme: Meme, tasks: Sequence[str]) -> dict[str, Evidence]:
    """Words, regions and the sentence for each task's answered label (for several labels: the most probable one)."""
    check_tasks(model.name, tasks, model.tasks)
    return explain_scene(_Scene(model, meme), {task: question(task).labels for task in tasks})


class _Scene:
    def __init__(self, model: MambaMemes, meme: Meme) -> None:
        self.model, self.meme = model, model.processor.prepared(meme)
        self.text = self.meme.text if model.config.text is not None else ""
        self.cells = GRID if model.config.image is not None and meme.image is not None else 0

    def reading(self, texts: Sequence[str]) -> list[Tables]:
        return self._ask([replace(self.meme, text=text) for text in texts])

    def hiding(self, masks: np.ndarray) -> list[Tables]:
        return self._ask(cell_versions(self.meme, ~masks.reshape(len(masks), -1)))

    def blind(self) -> Tables:
        return self._ask([replace(self.meme, image=None)])[0]

    def _ask(self, memes: Sequence[Meme]) -> list[Tables]:
        return [
            {task: np.array([*answer.probabilities.values()]) for task, answer in reading.answers.items()}
            for reading in self.model.answer(memes)
        ]
