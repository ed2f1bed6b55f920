"""Pretraining at small scale for the family `mamba` and its peers, so that fine-tuning means something offline.

Text: the next token (Mamba, GPT) or masked tokens (BERT, Devlin et al. 2019: 15 %, of which 80 % masked, 10 % replaced,
10 % left), on the training texts of every data set at hand. Pictures: the features of a packaged encoder at each place
are told by a linear layer from the student's last map (distillation; Romero et al. 2015), on the training pictures.

Texts and pictures that stand in any other split of any of these sets are left out, whatever set they are read from.
Weights go to the user's cache under the recipe's `keep`, where `pretrained: NAME` of other recipes finds them.
"""

from __future__ import annotations

import hashlib
import json
import random
import time
import unicodedata
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self

from pydantic import Field, model_validator

from memescope.atomic import write_whole
from memescope.errors import UsageError
from memescope.meme import Meme, Reading
from memescope.training.mamba import ImagePart, MambaStage, TextPart, side, tricks
from memescope.training.recipe import Data, Part, Recipe
from memescope.training.run import Progress, write_recipe
from memescope.training.staged.recipe import Objective, StagedTraining

if TYPE_CHECKING:
    from torch import Tensor

CODE_VERSION = 2
"""Raise it when the same recipe would train other weights."""


class PretrainData(Data):
    """Which texts or pictures: folders under `root`, prepared sets or native files (`*`: any), each name once.

    The training splits are learnt from, but for the share `val`, on which the checkpoint is chosen.
    """

    train_splits: tuple[str, ...] = ("train",)
    val: float = Field(default=0.02, gt=0, lt=0.5)


class PretrainPart(Part):
    """The backbone: either `text` or `image`, with sizes as in `training.mamba`.

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
                f"objective {self.objective!r} with text.kind {self.text.kind!r}: mamba learns next, bert masked"
            )
        return self


class PretrainRecipe(Recipe):
    """Weights that other recipes start from, under the name `keep`."""

    keep: str = Field(pattern=r"^[a-z0-9][a-z0-9-]*$")
    data: PretrainData
    model: PretrainPart
    stages: tuple[MambaStage, ...] = Field(min_length=1, max_length=1)
    train: StagedTraining = StagedTraining()


def train_pretrain(recipe: PretrainRecipe, report: Progress) -> dict[str, Any]:
    """Pretrain, keep the weights in the cache and write the run folder; gives the content of `metrics.json`."""
    from memescope.cache import cache_folder, content_key
    from memescope.models.mamba.load import pretrained_folder
    from memescope.training.staged.stage import run_stage

    start = time.process_time()
    stage = recipe.stages[0]
    if recipe.model.image is not None:
        train, val = read_pictures(recipe)
    else:
        train, val = read_texts(recipe)
    if not train or not val:
        raise UsageError(f"{recipe.name}: nothing to learn from in {', '.join(recipe.data.sets)} of {recipe.data.root}")
    learner = PretrainLearner(recipe)
    parts = [recipe.model.model_dump(mode="json"), CODE_VERSION, learner.version, stage.model_dump(mode="json")]
    parts += [recipe.train.seed, recipe.train.max_steps, recipe.train.precision]
    parts += [[meme.text, str(meme.image or "")] for meme in [*train, *val]]
    folder = cache_folder() / "training" / content_key("mamba-pretrain", *parts)[:24]
    found = run_stage(learner, stage, train, val, recipe.train, folder, report, tricks(learner.model, stage))
    kept = pretrained_folder(recipe.keep)
    learner.keep(kept)
    sizes = sum(p.numel() for p in learner.backbone.parameters())
    metrics = {
        "recipe": recipe.name,
        "seed": recipe.train.seed,
        "rows": len(train),
        "val_rows": len(val),
        "parameters": sizes,
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


def folders(data: PretrainData) -> list[Path]:
    """The data folders that the patterns name, each once. `UsageError` for a pattern that finds none.

    Of two of one name, a set as prepared and as published, the first: published files may call all of a set `test`, and
    nothing that the prepared set learns from would be left.
    """
    found: dict[str, Path] = {}
    for pattern in data.sets:
        some = sorted(path for path in data.root.glob(pattern) if path.is_dir())
        if not some:
            raise UsageError(f"{data.root / pattern}: no such folder; say where the data is with data.root=FOLDER")
        for path in some:
            found.setdefault(path.name, path)
    return list(found.values())


def read_texts(recipe: PretrainRecipe) -> tuple[list[Meme], list[Meme]]:
    """Distinct training texts that no held-out split has, in (train, val); val by the hash of the text."""
    train, held = _memes(recipe.data)
    gone = {_words(meme.text) for meme in held}
    texts: dict[str, str] = {}
    for meme in train:
        words = _words(meme.text)
        if words and words not in gone:
            texts.setdefault(words, meme.text)
    return _split([Meme(text=text, id=_digest(text.encode())) for text in texts.values()], recipe.data)


def read_pictures(recipe: PretrainRecipe) -> tuple[list[Meme], list[Meme]]:
    """Distinct training pictures that no held-out split has, in (train, val)."""
    train, held = _memes(recipe.data)
    gone = {digest for meme in held if (digest := _picture(meme))}
    found: dict[str, Meme] = {}
    for meme in train:
        digest = _picture(meme)
        if digest and digest not in gone:
            found.setdefault(digest, Meme(image=meme.image, id=digest))
    return _split(list(found.values()), recipe.data)


def _memes(data: PretrainData) -> tuple[list[Meme], list[Meme]]:
    from memescope.datasets.opening import open_memes, recognise
    from memescope.datasets.prepared import splits_of

    train: list[Meme] = []
    held: list[Meme] = []
    for folder in folders(data):
        if splits_of(folder) or recognise(folder) is not None:  # others are no data sets: FORMATS.md and the like
            for meme in open_memes(folder):
                (train if meme.split in data.train_splits else held).append(meme)
    return train, held


def _split(memes: list[Meme], data: PretrainData) -> tuple[list[Meme], list[Meme]]:
    memes.sort(key=lambda meme: meme.id)  # by hash: chance that is the same on every machine
    if data.limit:
        memes = memes[: data.limit]
    count = max(1, round(len(memes) * data.val))
    return memes[count:], memes[:count]


def _words(text: str) -> str:
    """Letters and digits alone: punctuation and line ends differ between copies of one text. Else the text itself."""
    text = unicodedata.normalize("NFKC", text).casefold()
    return "".join(filter(str.isalnum, text)) or "".join(text.split())


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _picture(meme: Meme) -> str | None:
    if isinstance(meme.image, bytes):
        return _digest(meme.image)
    return _digest(Path(meme.image).read_bytes()) if meme.image is not None and Path(meme.image).is_file() else None


class PretrainLearner:
    """A backbone with what its objective needs beside it."""

    tasks: tuple[str, ...] = ()

    def __init__(self, recipe: PretrainRecipe) -> None:
        import torch

        from memescope.models.mamba import create
        from memescope.models.mamba.pretraining import Distil, Masked, NextToken
        from memescope.training.mamba_pixels import Kept

        torch.manual_seed(recipe.train.seed)
        part = recipe.model
        whole = create(side(part.text), side(part.image), tasks=())
        self._processor = whole.processor
        self._masks = random.Random(recipe.train.seed)
        self.version = "tokens"
        tower = whole.text if whole.text is not None else whole.picture
        assert tower is not None
        self.backbone: Any = tower.backbone
        if whole.picture is not None:
            teacher = {"kind": "frozen", "names": [part.teacher], "inpaint": part.image.inpaint, "size": 0}  # type: ignore[union-attr]
            frozen = create(None, teacher, tasks=())
            about = frozen.config.image
            assert about is not None
            assert whole.config.image is not None
            assert frozen.processor.see is not None
            self._teacher = Kept(frozen.processor.see, about, hold=False)
            self._see = Kept(whole.processor.see, whole.config.image)  # type: ignore[arg-type]
            self.version = about["versions"][0]
            self.model: Any = Distil(whole.picture, about["width"])
        elif part.objective == "next":
            self.model = NextToken(self.backbone)
        else:
            self.model = Masked(self.backbone)

    def collate(self, memes: Sequence[Meme], objective: Objective) -> dict[str, Tensor]:
        """Texts with what is to be told of them; pictures with the teacher's features."""
        import numpy as np
        import torch

        if self._processor.config.text is None:
            return {
                "pixels": torch.from_numpy(np.stack([self._see(meme.image) for meme in memes])),
                "labels": torch.from_numpy(np.stack([self._teacher(meme.image) for meme in memes])),
            }
        batch: dict[str, Tensor] = self._processor(memes)
        if hasattr(self.model, "hide"):
            tokenizer = self._processor.tokenizer
            batch |= self.model.hide(batch, tokenizer.mask_token_id, len(tokenizer), self._seed(memes))
        else:
            batch["labels"] = batch["input_ids"].masked_fill(batch["attention_mask"] == 0, -100)
        return batch

    def _seed(self, memes: Sequence[Meme]) -> int:
        # in evaluation the same tokens are hidden every time, so that losses can be compared
        return self._masks.randrange(1 << 30) if self.model.training else int(memes[0].id[:8], 16)

    def length(self, meme: Meme, objective: Objective) -> int:
        """Tokens of a text; 1 of a picture."""
        return 1 if self._processor.config.text is None else len(self._processor.ids(meme))

    def answer(self, memes: Sequence[Meme]) -> list[Reading]:
        """Never asked: nothing is answered while pretraining."""
        raise UsageError("a backbone that is being pretrained answers nothing")

    def save(self, folder: Path) -> None:
        """The weights, with those of the objective."""
        from safetensors.torch import save_model

        folder.mkdir(parents=True, exist_ok=True)
        save_model(self.model, str(folder / "model.safetensors"))

    def load(self, folder: Path) -> None:
        """Weights that `save` wrote."""
        from safetensors.torch import load_model

        load_model(self.model, str(folder / "model.safetensors"))

    def keep(self, folder: Path) -> None:
        """The backbone alone, in hub layout, with its tokenizer: what `pretrained: NAME` loads."""
        from memescope.backbones.language import Quiet
        from memescope.models.mamba.official import save_vmamba
        from memescope.models.mamba.vmamba import VMamba

        if isinstance(self.backbone, VMamba):
            save_vmamba(self.backbone, folder)
            return
        with Quiet():
            self.backbone.save_pretrained(folder)
        self._processor.save_pretrained(folder)


def card(recipe: PretrainRecipe, metrics: dict[str, Any]) -> str:
    """The run's MODEL_CARD.md."""
    what = "texts" if recipe.model.text is not None else "pictures"
    teacher = f", told by {recipe.model.teacher}" if recipe.model.image is not None else ""
    stage = recipe.stages[0]
    return f"""# Model card: {recipe.keep}

A small backbone of {metrics["parameters"]:,} parameters, pretrained by `{recipe.model.objective}`{teacher} on
{metrics["rows"]} {what} of {", ".join(recipe.data.sets)} (training splits; what another split has too is left out),
{stage.epochs:g} epochs, learning rate {stage.learning_rate:g}, batch {stage.batch_size}, seed {metrics["seed"]}.
Loss {metrics["loss"]:.4f} on {metrics["val_rows"]} held-out {what}; {metrics["cpu_seconds"] / 60:.1f} minutes of CPU
time in the run that wrote this card.

It is a beginning for small models on small machines, not a language model or an image model to be used by itself.
The {what} are of memes, hateful and offensive by nature.
"""
