"""Pretraining at small scale for the family `mamba` and its peers, so that fine-tuning means something offline.

Text: the next token (Mamba, Llama) or masked tokens (BERT, Devlin et al. 2019: 15 %, of which 80 % masked, 10 %
replaced, 10 % left), on the training texts of every data set at hand. Pictures: the features of a packaged encoder
at each place are told by a linear layer from the student's last map (distillation; Romero et al. 2015), on the training
pictures.

Weights go to the user's cache under the recipe's `keep`, where `pretrained: NAME` of other recipes finds them. Those of
a trial (`data.limit`, `train.max_steps`) stay in the run folder, as `weights`.
"""

from __future__ import annotations

import json
import time
from typing import Any, Literal, Self

from pydantic import Field, model_validator

from memescope.atomic import write_whole
from memescope.backbones.precision import trains_in
from memescope.errors import UsageError
from memescope.training.mamba import tricks
from memescope.training.mamba_pretrain_data import PretrainData, read_pictures, read_texts
from memescope.training.mamba_recipe import ImagePart, MambaStage, TextPart
from memescope.training.recipe import Part, Recipe
from memescope.training.run import Progress, write_recipe
from memescope.training.staged.recipe import StagedTraining

CODE_VERSION = 3
"""Raise it when the same recipe would train other weights."""


class PretrainPart(Part):
    """The backbone: either `text` or `image`, with sizes as in `training.mamba_recipe`.

    `objective`: next (token), masked (tokens), distil (a picture encoder's features). `teacher`: that encoder's name.
    """

    family: Literal["mamba-pretrain"] = "mamba-pretrain"
    text: TextPart | None = None
    image: ImagePart | None = None
    objective: Literal["next", "masked", "distil"]
    teacher: str = "effnet-lite0"

    @model_validator(mode="after")
    def _fits(self) -> Self:
        wanted = {"next": "text", "masked": "text", "distil": "image"}[self.objective]
        if (self.text is None) == (self.image is None) or getattr(self, wanted) is None:
            raise ValueError(f"objective {self.objective!r}: expected the part {wanted!r} and no other")
        if self.text is not None and (self.objective == "masked") != (self.text.kind == "bert"):
            raise ValueError(
                f"objective {self.objective!r} with text.kind {self.text.kind!r}: "
                "mamba and llama learn next, bert masked"
            )
        if self.text is not None and self.text.direction != "forward":
            raise ValueError(f"text.direction {self.text.direction!r}: a backbone is pretrained 'forward'")
        return self


class PretrainStage(MambaStage):
    """The only stage: there are no labels, so its checkpoint is chosen by the loss, or is the last."""

    objective: Literal["pretrain"]
    select: Literal["loss", "last"] = "loss"


class PretrainRecipe(Recipe):
    """Weights that other recipes start from, under the name `keep`."""

    keep: str = Field(pattern=r"^[a-z0-9][a-z0-9-]*$")
    data: PretrainData
    model: PretrainPart
    stages: tuple[PretrainStage, ...] = Field(min_length=1, max_length=1)
    train: StagedTraining = StagedTraining()

    @property
    def trial(self) -> bool:
        """Whether it is cut short, so that its weights are not worth the name `keep`."""
        return bool(self.data.limit or self.train.max_steps)


def train_pretrain(recipe: PretrainRecipe, report: Progress) -> dict[str, Any]:
    """Pretrain, keep the weights and write the run folder; gives the content of `metrics.json`."""
    from memescope.cache import cache_folder, content_key
    from memescope.models.mamba.load import pretrained_folder
    from memescope.training.mamba_pretrain_learner import PretrainLearner
    from memescope.training.staged.stage import run_stage

    start = time.process_time()
    stage = recipe.stages[0]
    train, val = read_texts(recipe.data) if recipe.model.image is None else read_pictures(recipe.data)
    if not train or not val:
        raise UsageError(f"{recipe.name}: nothing to learn from in {', '.join(recipe.data.sets)} of {recipe.data.root}")
    learner = PretrainLearner(recipe)
    parts = [recipe.model.model_dump(mode="json"), CODE_VERSION, learner.version, stage.model_dump(mode="json")]
    parts += [recipe.train.seed, recipe.train.max_steps, recipe.train.precision]
    parts += [[meme.id for meme in part] for part in (train, val)]  # ids are digests of texts or pictures
    folder = cache_folder() / "training" / content_key("mamba-pretrain", *parts)[:24]
    found = run_stage(learner, stage, train, val, recipe.train, folder, report, tricks(learner.model, stage))
    kept = recipe.out / "weights" if recipe.trial else pretrained_folder(recipe.keep)
    learner.keep(kept)
    metrics = {
        "recipe": recipe.name,
        "seed": recipe.train.seed,
        "precision": trains_in(recipe.train.precision),
        "rows": len(train),
        "val_rows": len(val),
        "parameters": sum(p.numel() for p in learner.backbone.parameters()),
        "cpu_seconds": round(time.process_time() - start, 1),
        "pretrained": str(kept),
        "loss": found["chosen"]["loss"],
        "stages": [found],
    }
    recipe.out.mkdir(parents=True, exist_ok=True)
    write_recipe(recipe)
    write_whole(recipe.out / "log.jsonl", (folder / "log.jsonl").read_bytes())
    write_whole(recipe.out / "MODEL_CARD.md", card(recipe, metrics))
    write_whole(recipe.out / "metrics.json", json.dumps(metrics, indent=1) + "\n")
    return metrics


def card(recipe: PretrainRecipe, metrics: dict[str, Any]) -> str:
    """The run's MODEL_CARD.md."""
    what = "texts" if recipe.model.text is not None else "pictures"
    teacher = f", told by {recipe.model.teacher}" if recipe.model.image is not None else ""
    stage = recipe.stages[0]
    trial = "\nCut short, to try the recipe: its weights are in this folder alone.\n" if recipe.trial else ""
    return f"""# Model card: {recipe.keep}

A small backbone of {metrics["parameters"]:,} parameters, pretrained by `{recipe.model.objective}`{teacher} on
{metrics["rows"]} {what} of {", ".join(recipe.data.sets)} (training splits; what another split has too is left out),
{stage.epochs:g} epochs, learning rate {stage.learning_rate:g}, batch {stage.batch_size}, seed {metrics["seed"]},
precision {metrics["precision"]}.
Loss {metrics["loss"]:.4f} on {metrics["val_rows"]} held-out {what}; {metrics["cpu_seconds"] / 60:.1f} minutes of CPU
time in the run that wrote this card.
{trial}
It is a beginning for small models on small machines, not a language model or an image model to be used by itself.
The {what} are of memes, hateful and offensive by nature.
"""
