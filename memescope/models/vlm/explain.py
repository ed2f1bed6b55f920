"""What a vision-language model answers when parts of a meme are missing, for evidence by occlusion.

A place of the picture is taken out by leaving its tokens out of what any other token attends to; whatever comes after
keeps its position. Large grids are looked at in at most 7 x 7 cells.

Shape letters: `n` tokens of the picture, `g` cells along one side of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from memescope.explanation.occlusion import Tables, check_tasks, explain_scene
from memescope.meme import Evidence, Meme
from memescope.perception.pictures import open_picture
from memescope.taxonomy.tasks import load_taxonomy

if TYPE_CHECKING:
    from memescope.models.vlm.model import VlmModel

CELLS = 7


def explain(model: VlmModel, meme: Meme, tasks: Sequence[str]) -> dict[str, Evidence]:
    """Words, regions and the sentence for each task's answered label (for several labels: the most probable one)."""
    check_tasks(model.name, tasks, model.tasks)
    return explain_scene(_Scene(model, meme), {task: load_taxonomy()[task].labels for task in tasks})


class _Scene:
    def __init__(self, model: VlmModel, meme: Meme) -> None:
        self.model = model
        self.meme = replace(meme, image=None if meme.image is None else open_picture(meme.image))
        self.text = meme.text
        self.sight = None if self.meme.image is None else model.look([self.meme.image])[0]
        self.cells = 0
        if self.sight is not None:
            places = model.vlm.places(self.sight.grid).numpy()
            self.cells = min(CELLS, *(len(np.unique(places[:, axis].round(4))) for axis in (0, 1)))
            # the cell of each token (n, 2)
            self.at = np.minimum((places * self.cells).astype(int), self.cells - 1)

    def reading(self, texts: Sequence[str]) -> list[Tables]:
        return self._ask([replace(self.meme, text=text) for text in texts])

    def hiding(self, masks: np.ndarray) -> list[Tables]:
        hidden = [torch.from_numpy(mask[self.at[:, 0], self.at[:, 1]]) for mask in masks]
        return self._ask([self.meme] * len(masks), hidden)

    def blind(self) -> Tables:
        return self._ask([replace(self.meme, image=None)])[0]

    def _ask(self, memes: Sequence[Meme], hidden: Sequence[Tensor] | None = None) -> list[Tables]:
        seen = [None if meme.image is None else self.sight for meme in memes]
        found = self.model.tables(memes, seen=seen, hidden=hidden)
        return [{task: table.cpu().numpy() for task, table in tables.items()} for tables in found]
