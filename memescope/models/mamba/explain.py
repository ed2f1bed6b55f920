"""What mamba answers when parts of a meme are missing, for evidence by occlusion.

What Grad-CAM and hidden attention say is another view, `heat`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from memescope.explanation.occlusion import MemeVersions, Tables, check_tasks, explain_scene
from memescope.meme import Evidence, Meme
from memescope.models.mamba.model import question

if TYPE_CHECKING:
    from memescope.models.mamba.model import MambaMemes


def explain(model: MambaMemes, meme: Meme, tasks: Sequence[str]) -> dict[str, Evidence]:
    """Words, regions and the sentence for each task's answered label (for several labels: the most probable one)."""
    check_tasks(model.name, tasks, model.tasks)

    def ask(memes: Sequence[Meme]) -> list[Tables]:
        return [
            {task: np.array([*answer.probabilities.values()]) for task, answer in reading.answers.items()}
            for reading in model.answer(memes)
        ]

    config = model.config
    scene = MemeVersions(model.processor.prepared(meme), ask, config.text is not None, config.image is not None)
    return explain_scene(scene, {task: question(task).labels for task in tasks})
