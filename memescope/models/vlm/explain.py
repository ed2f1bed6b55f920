"""Evidence by occlusion for vision-language models: words taken out of the text, places out of the picture.

A place of the picture is taken out by leaving its tokens out of what any other token attends to; whatever comes after
keeps its position. Large grids are looked at in at most 7 x 7 parts. Every version of the meme is answered by scoring,
so weights are measured log-odds.

Shape letters: `n` tokens of the picture, `g` parts along one side of it, `k` labels of a task.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from memescope.errors import UsageError
from memescope.explanation import Effects, explain_words, log_odds, says, single_places, strongest, without
from memescope.explanation.regions import rectangles
from memescope.explanation.words import Word
from memescope.meme import Evidence, Meme, Region
from memescope.perception.pictures import open_picture
from memescope.taxonomy.tasks import load_taxonomy

if TYPE_CHECKING:
    from memescope.models.vlm.model import VlmModel

PARTS = 7
LEAST = 0.05
"""A rectangle that costs the answer less log-odds is left out."""


def explain(model: VlmModel, meme: Meme, tasks: Sequence[str]) -> dict[str, Evidence]:
    """Words, regions and the sentence for each task's answered label (for several labels: the most probable one)."""
    unknown = [task for task in tasks if task not in model.tasks]
    if unknown:
        raise UsageError(f"{model.name} does not answer {', '.join(unknown)}; it answers {', '.join(model.tasks)}")
    scene = _Scene(model, meme)
    return {task: _evidence(scene, task) for task in tasks}


class _Scene:
    """One meme, its versions, and what the model answers to them; a version is answered once for all tasks."""

    def __init__(self, model: VlmModel, meme: Meme) -> None:
        self.model = model
        self.meme = replace(meme, image=None if meme.image is None else open_picture(meme.image))
        self.sight = None if self.meme.image is None else model.look([self.meme.image])[0]
        self.parts = np.zeros((0, 2), int)
        self.g = PARTS
        if self.sight is not None:
            places = model.vlm.places(self.sight.grid).numpy()
            self.g = min(PARTS, *(len(np.unique(places[:, axis].round(4))) for axis in (0, 1)))
            self.parts = np.minimum((places * self.g).astype(int), self.g - 1)
        self._words: dict[str, dict[str, np.ndarray]] = {}
        self._places: list[dict[str, np.ndarray]] | None = None
        self.whole = self.texts([meme.text])[0]

    def texts(self, texts: Sequence[str]) -> list[dict[str, np.ndarray]]:
        """Probabilities (k,) by task with each text in place of the meme's."""
        missing = [text for text in dict.fromkeys(texts) if text not in self._words]
        memes = [replace(self.meme, text=text) for text in missing]
        for text, table in zip(missing, self._ask(memes, None), strict=True):
            self._words[text] = table
        return [self._words[text] for text in texts]

    def hiding(self, masks: Sequence[np.ndarray]) -> list[dict[str, np.ndarray]]:
        """Probabilities (k,) by task with the parts of each bool (g, g) hidden."""
        hidden = [torch.from_numpy(mask[self.parts[:, 0], self.parts[:, 1]]) for mask in masks]
        return self._ask([self.meme] * len(masks), hidden)

    def places(self) -> list[dict[str, np.ndarray]]:
        """`hiding` each part alone, row by row."""
        if self._places is None:
            self._places = self.hiding(list(single_places(self.g)))
        return self._places

    def blind(self, text: str) -> dict[str, np.ndarray]:
        """Without the picture."""
        return self._ask([replace(self.meme, text=text, image=None)], None)[0]

    def _ask(self, memes: Sequence[Meme], hidden: Sequence[Tensor] | None) -> list[dict[str, np.ndarray]]:
        seen = [None if meme.image is None else self.sight for meme in memes]
        found = self.model.tables(memes, seen=seen, hidden=hidden)
        return [{task: table.cpu().numpy() for task, table in tables.items()} for tables in found]


def _evidence(scene: _Scene, task: str) -> Evidence:
    label = int(scene.whole[task].argmax())
    text = scene.meme.text
    spans = explain_words(text, lambda texts: log_odds(np.array([table[task][label] for table in scene.texts(texts)])))
    best = strongest(spans)
    named = {span.text for span in best}
    rest = without(text, [Word(span.text, span.start, span.end) for span in spans if span.text in named])
    regions, without_regions = _regions(scene, task, label)
    effects = Effects(
        probability=float(scene.whole[task][label]),
        words=best,
        without_words=_probability(scene, rest, task, label) if best else None,
        regions=regions,
        without_regions=without_regions,
        without_text=_probability(scene, "", task, label) if text.strip() else None,
        without_picture=None if scene.sight is None else float(scene.blind(text)[task][label]),
    )
    return Evidence(spans, regions, says(load_taxonomy()[task].labels[label], effects))


def _probability(scene: _Scene, text: str, task: str, label: int) -> float:
    return float(scene.texts([text])[0][task][label])


def _regions(scene: _Scene, task: str, label: int) -> tuple[list[Region], float | None]:
    """The rectangles whose loss costs the label most, and its probability without all of them."""
    if scene.sight is None:
        return [], None
    g = scene.g
    before = log_odds(scene.whole[task][label])
    weights = before - log_odds(np.array([table[task][label] for table in scene.places()])).reshape(g, g)
    found: list[Region] = []
    gone = np.zeros((g, g), bool)
    for top, left, bottom, right in rectangles(weights):
        mask = np.zeros((g, g), bool)
        mask[top:bottom, left:right] = True
        lost = float(before - log_odds(scene.hiding([mask])[0][task][label]))
        if lost >= LEAST:
            found.append(Region(left / g, top / g, (right - left) / g, (bottom - top) / g, lost))
            gone |= mask
    rest = float(scene.hiding([gone])[0][task][label]) if found else None
    return sorted(found, key=lambda region: -region.weight), rest
