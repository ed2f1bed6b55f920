"""Evidence by occlusion: words taken out of the text, cells of the picture filled with its mean colour.

Every version of the meme is answered, so weights are measured log-odds, as in the other families. What Grad-CAM and
hidden attention say is another view, `heat`.

Shape letters: `n` versions of the meme, `g` cells along one side of the picture.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from memescope.errors import UsageError
from memescope.explanation import Effects, explain_words, log_odds, says, strongest, without
from memescope.explanation.faithfulness import GRID, cell_versions
from memescope.explanation.regions import rectangles
from memescope.explanation.words import Word
from memescope.meme import Evidence, Meme, Region
from memescope.models.mamba.model import question

if TYPE_CHECKING:
    from memescope.models.mamba.model import MambaMemes

LEAST = 0.05
"""A rectangle that costs the answer less log-odds is left out."""


def explain(model: MambaMemes, meme: Meme, tasks: Sequence[str]) -> dict[str, Evidence]:
    """Words, regions and the sentence for each task's answered label (for several labels: the most probable one)."""
    unknown = [task for task in tasks if task not in model.tasks]
    if unknown:
        raise UsageError(f"{model.name} does not answer {', '.join(unknown)}; it answers {', '.join(model.tasks)}")
    scene = _Scene(model, meme)
    return {task: scene.evidence(task) for task in tasks}


class _Scene:
    """One meme and what the model answers to its versions."""

    def __init__(self, model: MambaMemes, meme: Meme) -> None:
        self.model, self.meme = model, model.processor.prepared(meme)
        self.reads = model.config.text is not None
        self.looks = model.config.image is not None and meme.image is not None
        self._places: dict[str, np.ndarray] | None = None

    def ask(self, memes: Sequence[Meme]) -> dict[str, np.ndarray]:
        """Probabilities (n, k) by task."""
        readings = self.model.answer(memes)
        return {
            task: np.array(
                [[r.answers[task].probabilities[label] for label in question(task).labels] for r in readings]
            )
            for task in self.model.tasks
        }

    def evidence(self, task: str) -> Evidence:
        """What one task's answer rests on."""
        whole = self.ask([self.meme])[task][0]
        label = int(whole.argmax())

        def probability(meme: Meme) -> float:
            return float(self.ask([meme])[task][0, label])

        def score(texts: Sequence[str]) -> np.ndarray:
            return log_odds(self.ask([replace(self.meme, text=text) for text in texts])[task][:, label])

        spans = explain_words(self.meme.text, score) if self.reads else []
        best = strongest(spans)
        named = {span.text for span in best}
        rest = without(self.meme.text, [Word(s.text, s.start, s.end) for s in spans if s.text in named])
        regions, without_regions = self.regions(task, label, float(whole[label])) if self.looks else ([], None)
        effects = Effects(
            probability=float(whole[label]),
            words=best,
            without_words=probability(replace(self.meme, text=rest)) if best else None,
            regions=regions,
            without_regions=without_regions,
            without_text=probability(replace(self.meme, text="")) if self.reads and self.meme.text.strip() else None,
            without_picture=probability(replace(self.meme, image=None)) if self.looks else None,
        )
        return Evidence(spans, regions, says(question(task).labels[label], effects))

    def regions(self, task: str, label: int, whole: float) -> tuple[list[Region], float | None]:
        """The rectangles whose loss costs the label most, and its probability without all of them."""
        if self._places is None:  # every task asks about the same versions
            self._places = self.ask(cell_versions(self.meme, ~np.eye(GRID * GRID, dtype=bool)))
        before = log_odds(whole)
        weights = (before - log_odds(self._places[task][:, label])).reshape(GRID, GRID)
        found = []
        gone = np.zeros((GRID, GRID), bool)
        for top, left, bottom, right in rectangles(weights):
            mask = np.zeros((GRID, GRID), bool)
            mask[top:bottom, left:right] = True
            lost = float(before - log_odds(self._without(mask, task, label)))
            if lost >= LEAST:
                size = (right - left) / GRID, (bottom - top) / GRID
                found.append(Region(left / GRID, top / GRID, *size, lost))
                gone |= mask
        rest = self._without(gone, task, label) if found else None
        return sorted(found, key=lambda region: -region.weight), rest

    def _without(self, mask: np.ndarray, task: str, label: int) -> float:
        return float(self.ask(cell_versions(self.meme, ~mask.reshape(1, -1)))[task][0, label])
