"""Evidence by occlusion for any model that answers versions of a meme: words taken out, cells of the picture taken out.

Every version is answered as the model answers memes, so weights are measured log-odds. A family brings a `Scene`: one
meme as it takes it, and what it answers when parts are missing. Which parts to try, and what they say, is here.

Shape letters: `m` versions of a meme, `g` cells along one side of the picture, `k` labels of a task.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Protocol

import numpy as np

from memescope.errors import UsageError
from memescope.explanation.faithfulness import GRID, cell_versions
from memescope.explanation.regions import mask_of, strong_regions
from memescope.explanation.says import Effects, says
from memescope.explanation.words import Word, explain_words, log_odds, strongest, without
from memescope.meme import Evidence, Meme

Tables = Mapping[str, np.ndarray]
"""Task -> probabilities (k,) of its labels."""


class Scene(Protocol):
    """One meme as a model takes it, and the model's answers to versions of it."""

    text: str
    """What words are taken out of; empty for a model that reads none."""
    cells: int
    """`g`, along one side of the picture; 0 without a picture, and for a model that looks at none."""

    def reading(self, texts: Sequence[str]) -> Sequence[Tables]:
        """The answers with each text in place of the meme's."""
        ...

    def hiding(self, masks: np.ndarray) -> Sequence[Tables]:
        """The answers without the cells of each mask, bool (m, g, g): True is taken out."""
        ...

    def blind(self) -> Tables:
        """The answers without the picture."""
        ...


class MemeVersions:
    """The scene of a model that is asked whole memes: hidden cells are filled with the picture's mean colour.

    `ask` answers versions of the meme, in order. A model that does not `read`, or does not `look`, is not shown what it
    would ignore.
    """

    def __init__(
        self, meme: Meme, ask: Callable[[Sequence[Meme]], Sequence[Tables]], reads: bool = True, looks: bool = True
    ) -> None:
        self.meme, self.ask = meme, ask
        self.text = meme.text if reads else ""
        self.cells = GRID if looks and meme.image is not None else 0

    def reading(self, texts: Sequence[str]) -> Sequence[Tables]:
        """See `Scene`."""
        return self.ask([replace(self.meme, text=text) for text in texts])

    def hiding(self, masks: np.ndarray) -> Sequence[Tables]:
        """See `Scene`."""
        return self.ask(cell_versions(self.meme, ~masks.reshape(len(masks), -1)))

    def blind(self) -> Tables:
        """See `Scene`."""
        return self.ask([replace(self.meme, image=None)])[0]


def check_tasks(name: str, asked: Sequence[str], known: Sequence[str]) -> None:
    """`UsageError` for a task that the model called `name` does not answer."""
    unknown = [task for task in asked if task not in known]
    if unknown:
        raise UsageError(f"{name} does not answer {', '.join(unknown)}; it answers {', '.join(known)}")


def explain_scene(scene: Scene, labels: Mapping[str, Sequence[str]]) -> dict[str, Evidence]:
    """Words, regions and the sentence of each task's likeliest label; `labels` names those of each task asked.

    A version is answered once for all tasks.
    """
    asked = _Asked(scene)
    return {task: _evidence(asked, task, names) for task, names in labels.items()}


class _Asked:
    """What the scene has answered so far."""

    def __init__(self, scene: Scene) -> None:
        self.scene = scene
        self._texts: dict[str, Tables] = {}
        self._masks: dict[bytes, Tables] = {}
        self._blind: Tables | None = None

    def reading(self, texts: Sequence[str], task: str, label: int) -> np.ndarray:
        """Probabilities (m,) of a label with each text."""
        missing = [text for text in dict.fromkeys(texts) if text not in self._texts]
        if missing:
            self._texts.update(zip(missing, self.scene.reading(missing), strict=True))
        return np.array([self._texts[text][task][label] for text in texts])

    def hiding(self, masks: np.ndarray, task: str, label: int) -> np.ndarray:
        """Probabilities (m,) of a label without the cells of each mask."""
        keys = [mask.tobytes() for mask in masks]
        missing = {key: mask for key, mask in zip(keys, masks, strict=True) if key not in self._masks}
        if missing:
            self._masks.update(zip(missing, self.scene.hiding(np.stack([*missing.values()])), strict=True))
        return np.array([self._masks[key][task][label] for key in keys])

    def whole(self, task: str) -> np.ndarray:
        """Probabilities (k,) of the meme as it is."""
        self.reading([self.scene.text], task, 0)
        return self._texts[self.scene.text][task]

    def blind(self, task: str, label: int) -> float:
        """The probability of a label without the picture."""
        if self._blind is None:
            self._blind = self.scene.blind()
        return float(self._blind[task][label])


def _evidence(asked: _Asked, task: str, labels: Sequence[str]) -> Evidence:
    whole = asked.whole(task)
    label = int(whole.argmax())
    text, g = asked.scene.text, asked.scene.cells

    def read(version: str) -> float:
        return float(asked.reading([version], task, label)[0])

    spans = explain_words(text, lambda texts: log_odds(asked.reading(texts, task, label)))
    best = strongest(spans)
    named = {span.text for span in best}
    rest = without(text, [Word(span.text, span.start, span.end) for span in spans if span.text in named])
    before = log_odds(whole[label])
    regions = strong_regions(g, lambda masks: before - log_odds(asked.hiding(masks, task, label)))[1] if g else []
    gone = mask_of(regions, g)[None]
    effects = Effects(
        probability=float(whole[label]),
        words=best,
        without_words=read(rest) if best else None,
        regions=regions,
        without_regions=float(asked.hiding(gone, task, label)[0]) if regions else None,
        without_text=read("") if text.strip() else None,
        without_picture=asked.blind(task, label) if g else None,
    )
    return Evidence(spans, regions, says(labels[label], effects))
