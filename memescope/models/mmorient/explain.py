"""Evidence by occlusion: words taken out of the text, squares of the picture painted over with its mean colour.

Every version of the meme goes the whole way, from encoders to heads, against the support set, so weights are measured
log-odds of the model as it answers: graph edges that a word makes are lost with the word.

What attention looks at is another thing, and drawn apart (`memescope.models.mmorient.inside`).

Shape letters: `g` squares along one side of the picture, `n` versions of the meme, `k` labels of a task.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from memescope.errors import UsageError
from memescope.explanation import Effects, explain_words, log_odds, says, single_places, strongest, without
from memescope.explanation.regions import rectangles
from memescope.explanation.words import Word
from memescope.meme import Evidence, Meme, Region, Span
from memescope.perception.pictures import Picture, open_picture

if TYPE_CHECKING:
    from memescope.models.mmorient.model import MmOrient

SQUARES = 7
"""Along one side of the picture: as many as the packaged encoder's grid has places."""
LEAST = 0.05
"""A rectangle that costs the answer less log-odds is left out."""


def explain(model: MmOrient, meme: Meme, tasks: Sequence[str]) -> dict[str, Evidence]:
    """Words, regions and the sentence for each task's answered label (for several labels: the most probable one)."""
    unknown = [task for task in tasks if task not in model.tasks]
    if unknown:
        raise UsageError(f"{model.name} does not answer {', '.join(unknown)}; it answers {', '.join(model.tasks)}")
    scene = _Scene(model, meme)
    return {task: _evidence(scene, task) for task in tasks}


def covered(picture: Picture, mask: np.ndarray) -> Picture:
    """The picture with the squares of a mask, bool (g, g), painted over with its mean colour."""
    pixels = picture.pixels.copy()
    height, width = pixels.shape[:2]
    rows = np.linspace(0, height, mask.shape[0] + 1).round().astype(int)
    columns = np.linspace(0, width, mask.shape[1] + 1).round().astype(int)
    colour = picture.pixels.reshape(-1, 3).mean(0).round().astype(np.uint8)
    for row, column in np.argwhere(mask):
        pixels[rows[row] : rows[row + 1], columns[column] : columns[column + 1]] = colour
    return replace(picture, pixels=pixels, key=f"{picture.key}-without-{np.packbits(mask).tobytes().hex()}")


class _Scene:
    """One meme, its versions and what the model answers to them, each version once."""

    def __init__(self, model: MmOrient, meme: Meme) -> None:
        self.model = model
        self.picture = None if meme.image is None else open_picture(meme.image)
        self.meme = replace(meme, image=self.picture)
        self._answers: dict[tuple[str, str | None], dict[str, np.ndarray]] = {}

    def ask(self, versions: Sequence[tuple[str, Picture | None]], task: str) -> np.ndarray:
        """Probabilities (n, k) of some versions, each a text and a picture."""
        keys = [(text, picture.key if picture else None) for text, picture in versions]
        missing = {key: version for key, version in zip(keys, versions, strict=True) if key not in self._answers}
        if missing:
            memes = [replace(self.meme, text=text, image=picture) for text, picture in missing.values()]
            tables = self.model.tables(self.model.making(memes), self.model.alone)
            for i, key in enumerate(missing):
                self._answers[key] = {name: table[i].cpu().numpy() for name, table in tables.items()}
        return np.stack([self._answers[key][task] for key in keys])

    def words(self, task: str, label: int) -> list[Span]:
        """The words of the text with the log-odds that the label loses without each."""

        def score(texts: Sequence[str]) -> np.ndarray:
            return log_odds(self.ask([(text, self.picture) for text in texts], task)[:, label])

        return explain_words(self.meme.text, score)

    def regions(self, task: str, label: int) -> tuple[list[Region], float | None]:
        """The rectangles whose loss costs the label most, and its probability without all of them."""
        if self.picture is None:
            return [], None
        text, picture, g = self.meme.text, self.picture, SQUARES

        def lost(masks: Sequence[np.ndarray]) -> np.ndarray:
            p = self.ask([(text, picture), *((text, covered(picture, mask)) for mask in masks)], task)[:, label]
            return log_odds(p[0]) - log_odds(p[1:])

        found, gone = [], np.zeros((g, g), bool)
        for top, left, bottom, right in rectangles(lost(list(single_places(g))).reshape(g, g)):
            mask = np.zeros((g, g), bool)
            mask[top:bottom, left:right] = True
            weight = float(lost([mask])[0])
            if weight >= LEAST:
                found.append(Region(left / g, top / g, (right - left) / g, (bottom - top) / g, weight))
                gone |= mask
        rest = float(self.ask([(text, covered(picture, gone))], task)[0, label]) if found else None
        return sorted(found, key=lambda region: -region.weight), rest


def _evidence(scene: _Scene, task: str) -> Evidence:
    text, picture = scene.meme.text, scene.picture
    whole = scene.ask([(text, picture)], task)[0]
    label = int(whole.argmax())

    def probability(version: str, shown: Picture | None) -> float:
        return float(scene.ask([(version, shown)], task)[0, label])

    spans = scene.words(task, label)
    best = strongest(spans)
    named = {span.text for span in best}
    rest = without(text, [Word(span.text, span.start, span.end) for span in spans if span.text in named])
    regions, without_regions = scene.regions(task, label)
    effects = Effects(
        probability=float(whole[label]),
        words=best,
        without_words=probability(rest, picture) if best else None,
        regions=regions,
        without_regions=without_regions,
        without_text=probability("", picture) if text.strip() else None,
        without_picture=probability(text, None) if picture is not None else None,
    )
    return Evidence(spans, regions, says((scene.model.config.tasks or {})[task]["labels"][label], effects))
