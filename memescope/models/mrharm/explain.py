"""What mrharm answers when parts of a meme are missing, for evidence by occlusion.

A place of the picture is taken out by leaving its token out of what the fusion attends to, so the softmax runs over the
others as if it had not been there.

Shape letters: `v` visual tokens, `g` places along one side of the picture, `m` versions of the meme.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from math import isqrt
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from memescope.explanation.occlusion import Tables, check_tasks, explain_scene
from memescope.meme import Evidence, Meme
from memescope.perception.pictures import open_picture

if TYPE_CHECKING:
    from memescope.models.mrharm.model import MrHarm

VERSIONS_AT_ONCE = 32


def explain(model: MrHarm, meme: Meme, tasks: Sequence[str]) -> dict[str, Evidence]:
    """Words, regions and the sentence for each task's answered label (for several labels: the most probable one)."""
    check_tasks(model.name, tasks, model.tasks)
    labels = {question.task: question.labels for question in model.processor.questions}
    return explain_scene(_Scene(model, meme), {task: labels[task] for task in tasks})


class _Scene:
    def __init__(self, model: MrHarm, meme: Meme) -> None:
        self.model = model
        self.meme = replace(meme, image=None if meme.image is None else open_picture(meme.image))
        self.text = meme.text
        self.seen = model.processor.see([self.meme])
        self.cells = 0 if self.seen is None or meme.image is None else isqrt(self.seen.shape[1])

    def reading(self, texts: Sequence[str]) -> list[Tables]:
        seen = None if self.seen is None else self.seen.expand(len(texts), -1, -1)
        return self._ask([replace(self.meme, text=text) for text in texts], seen)

    def hiding(self, masks: np.ndarray) -> list[Tables]:
        assert self.seen is not None
        first = self.seen.shape[1] - self.cells**2  # CLIP's [CLS] comes before the patches and always stays
        # versions of like size go together: how many tokens are left differs from mask to mask
        found: dict[int, Tables] = {}
        counts = masks.reshape(len(masks), -1).sum(1)
        for count in np.unique(counts):
            some = np.flatnonzero(counts == count)
            kept = [[*range(first), *(first + np.flatnonzero(~masks[i].ravel())).tolist()] for i in some]
            tables = self._ask([self.meme] * len(some), self.seen[0, torch.tensor(kept)])
            found.update(zip(some.tolist(), tables, strict=True))
        return [found[i] for i in range(len(masks))]

    def blind(self) -> Tables:
        assert self.seen is not None
        return self._ask([self.meme], torch.zeros_like(self.seen))[0]

    def _ask(self, memes: Sequence[Meme], visual: Tensor | None) -> list[Tables]:
        found: list[Tables] = []
        for start in range(0, len(memes), VERSIONS_AT_ONCE):
            some = slice(start, start + VERSIONS_AT_ONCE)
            batch = self.model.processor(memes[some], None if visual is None else visual[some])
            tables = {task: table.cpu().numpy() for task, table in self.model.tables(self.model.read(batch)).items()}
            found += [{task: table[i] for task, table in tables.items()} for i in range(len(memes[some]))]
        return found
