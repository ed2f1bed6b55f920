"""Evidence by occlusion for models that read and look: words taken out of the text, visual tokens out of the picture.

A place of the picture is taken out by leaving its token out of what the fusion attends to, so the softmax runs over the
others as if it had not been there. Every version of the meme is answered by scoring, so weights are measured log-odds.

Shape letters: `v` visual tokens, `e` their width, `g` places along one side of the picture, `n` versions of the meme.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from math import isqrt
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from memescope.errors import UsageError
from memescope.explanation import Effects, explain_words, log_odds, says, strongest, without
from memescope.explanation.regions import rectangles
from memescope.explanation.words import Word
from memescope.meme import Evidence, Meme, Region, Span
from memescope.perception.pictures import open_picture

if TYPE_CHECKING:
    from memescope.models.mrharm.model import MrHarm

VERSIONS_AT_ONCE = 32
LEAST = 0.05
"""A rectangle that costs the answer less log-odds is left out."""


def explain(model: MrHarm, meme: Meme, tasks: Sequence[str]) -> dict[str, Evidence]:
    """Words, regions and the sentence for each task's answered label (for several labels: the most probable one)."""
    unknown = [task for task in tasks if task not in model.tasks]
    if unknown:
        raise UsageError(f"{model.name} does not answer {', '.join(unknown)}; it answers {', '.join(model.tasks)}")
    scene = _Scene(model, meme)
    return {task: _evidence(scene, task) for task in tasks}


class _Scene:
    """One meme, its versions and what the model answers to them."""

    def __init__(self, model: MrHarm, meme: Meme) -> None:
        self.model = model
        self.meme = replace(meme, image=None if meme.image is None else open_picture(meme.image))
        self.seen = model.processor.see([self.meme])
        self.whole = self.ask([meme.text], self.seen)
        # every task asks about the same versions: they are answered once
        self._words: dict[str, dict[str, np.ndarray]] = {}
        self._places: dict[str, np.ndarray] | None = None

    def ask(self, texts: Sequence[str], visual: Tensor | None) -> dict[str, np.ndarray]:
        """Probabilities (n, k) by task of n texts, with visual tokens (1, v, e) for all of them or (n, v, e)."""
        found: dict[str, list[np.ndarray]] = {}
        for start in range(0, len(texts), VERSIONS_AT_ONCE):
            memes = [replace(self.meme, text=text) for text in texts[start : start + VERSIONS_AT_ONCE]]
            some = visual
            if visual is not None:
                some = visual[start : start + len(memes)] if len(visual) > 1 else visual.expand(len(memes), -1, -1)
            for task, table in self.model.tables(self.model.read(self.model.processor(memes, some))).items():
                found.setdefault(task, []).append(table.cpu().numpy())
        return {task: np.concatenate(parts) for task, parts in found.items()}

    def words(self, task: str, label: int) -> list[Span]:
        """The words of the text with the log-odds that the label loses without each."""

        def score(texts: Sequence[str]) -> np.ndarray:
            missing = [text for text in dict.fromkeys(texts) if text not in self._words]
            if missing:
                tables = self.ask(missing, self.seen)
                for i, text in enumerate(missing):
                    self._words[text] = {name: table[i] for name, table in tables.items()}
            return log_odds(np.array([self._words[text][task][label] for text in texts]))

        return explain_words(self.meme.text, score)

    def regions(self, task: str, label: int) -> tuple[list[Region], float | None]:
        """The rectangles whose loss costs the label most, and its probability without all of them."""
        if self.seen is None or self.meme.image is None:
            return [], None
        v = self.seen.shape[1]
        g = isqrt(v)
        first = v - g * g  # CLIP's [CLS] comes before the patches and always stays
        if self._places is None:
            kept = [[i for i in range(v) if i != first + place] for place in range(g * g)]
            self._places = self.ask([self.meme.text] * (g * g), self.seen[0, torch.tensor(kept)])
        before = log_odds(self.whole[task][0, label])
        weights = (before - log_odds(self._places[task][:, label])).reshape(g, g)
        found = []
        gone = np.zeros((g, g), bool)
        for top, left, bottom, right in rectangles(weights):
            mask = np.zeros((g, g), bool)
            mask[top:bottom, left:right] = True
            lost = float(before - log_odds(self._without(mask)[task][0, label]))
            if lost >= LEAST:
                found.append(Region(left / g, top / g, (right - left) / g, (bottom - top) / g, lost))
                gone |= mask
        rest = float(self._without(gone)[task][0, label]) if found else None
        return sorted(found, key=lambda region: -region.weight), rest

    def _without(self, mask: np.ndarray) -> dict[str, np.ndarray]:
        assert self.seen is not None
        first = self.seen.shape[1] - mask.size
        kept = [*range(first), *(first + np.flatnonzero(~mask.ravel())).tolist()]
        return self.ask([self.meme.text], self.seen[:, kept])


def _evidence(scene: _Scene, task: str) -> Evidence:
    question = next(one for one in scene.model.processor.questions if one.task == task)
    label = int(scene.whole[task][0].argmax())
    text = scene.meme.text

    def probability(version: str, visual: Tensor | None) -> float:
        return float(scene.ask([version], visual)[task][0, label])

    spans = scene.words(task, label)
    best = strongest(spans)
    named = {span.text for span in best}
    rest = without(text, [Word(span.text, span.start, span.end) for span in spans if span.text in named])
    regions, without_regions = scene.regions(task, label)
    blind = None if scene.seen is None or scene.meme.image is None else torch.zeros_like(scene.seen)
    effects = Effects(
        probability=float(scene.whole[task][0, label]),
        words=best,
        without_words=probability(rest, scene.seen) if best else None,
        regions=regions,
        without_regions=without_regions,
        without_text=probability("", scene.seen) if text.strip() else None,
        without_picture=None if blind is None else probability(text, blind),
    )
    return Evidence(spans, regions, says(question.labels[label], effects))
