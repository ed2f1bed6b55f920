"""Names of finished stages in the cache: all that a stage's weights depend on, of every family, and nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from memescope.cache import content_key
from memescope.datasets.transforms import picture_digest
from memescope.meme import Meme
from memescope.perception.pictures import PictureError
from memescope.training.staged.recipe import StagedRecipe


def stage_keys(recipe: StagedRecipe, version: str, train: Sequence[Meme], val: Sequence[Meme]) -> list[str]:
    """The folder of each stage in the cache, named by what it depends on. A new field of a recipe's model or stages
    changes them, and with them every stage that was trained: it must be left out of the dump where it is not used."""
    base: list[Any] = [version, list(recipe.data.tasks)]
    base += [recipe.train.seed, recipe.train.max_steps, recipe.train.precision]
    base += [content_of(memes, recipe.data.tasks) for memes in (train, val)]
    stages = [stage.model_dump(mode="json") for stage in recipe.stages]
    done = range(1, len(stages) + 1)
    return [content_key(recipe.model_matters(recipe.stages[:n]), *base, stages[:n])[:24] for n in done]


def content_of(memes: Sequence[Meme], tasks: Sequence[str]) -> str:
    """Names some memes, in order, by all that can be learnt of them: words, pictures, and labels for these tasks."""
    digests: dict[Any, str | None] = {}  # copies of a meme have one file
    rows = []
    for meme in memes:
        if meme.image not in digests:
            digests[meme.image] = _picture(meme)
        row = {
            "labels": {task: label for task, label in meme.labels.items() if task in tasks},
            "meta": {name: value for name, value in meme.meta.items() if name != "native_labels"},
            "picture": digests[meme.image],
        }
        rows.append(
            row | {name: getattr(meme, name) for name in ("id", "source", "text", "lang", "aspect", "rationale")}
        )
    return content_key(rows)


def _picture(meme: Meme) -> str | None:
    """The digest of its bytes; None where there is none, which a model of words can do without."""
    try:
        return picture_digest(meme)
    except PictureError:
        return None
