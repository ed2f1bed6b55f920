"""Training of the family `mmorient` (arXiv 2508.16300): its recipe, and what it gives to be trained in stages.

Features are made once for every meme, kept by content in the user's cache and held in memory, so that a row of a table
takes minutes. Batches are drawn at random: a batch is the graph's memes and the members of level 2.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from pydantic import Field

from memescope.errors import UsageError
from memescope.meme import Meme, Reading
from memescope.training.readable import with_pictures
from memescope.training.recipe import Part
from memescope.training.run import Progress
from memescope.training.staged.recipe import Objective, Stage, StagedRecipe

if TYPE_CHECKING:
    from torch import Tensor

    from memescope.models.mmorient.features import Features
    from memescope.models.mmorient.graph import Graph
    from memescope.training.staged.settle import Settled
    from memescope.training.staged.tricks import Tricks

CODE_VERSION = 1
"""Raise it when the same recipe would train another model."""
MOST_DIAGNOSED = 256
"""Memes of the selection split whose attention is looked at."""
STAGE_SUPPORT = 128
"""Training memes that checkpoints are compared against, whatever the finished model answers against."""


class MmOrientPart(Part):
    """The model. `words` to `columns`: `models.mmorient.MakingSettings`; the others: `models.mmorient.MmOrientConfig`.

    Each graph of `graphs` needs a threshold: `thresholds` by graph (cosines), or `quantiles` by graph (the share of the
    training memes' pairs that stays without an edge). The key `all` stands for every graph that is not named,
    and null takes an entry back.

    `fanout` 0 learns as published: a batch's graph has the batch's memes. Above 0 the graphs are those of all training
    memes, and each meme of a batch hears so many of its neighbours, drawn anew for each batch.
    """

    family: Literal["mmorient"] = "mmorient"
    words: str = "minilm"
    regions: str = "effnet-lite0"
    text: str = "minilm"
    image: str = "effnet-lite0"
    clean: Literal["own", "paper"] = "own"
    inpaint: bool = False
    max_words: int = Field(default=64, ge=1)
    most_regions: int = Field(default=100, ge=1)
    columns: tuple[str, ...] = ()
    variant: Literal["mmorient", "text", "image", "concatenation", "late", "cross-attention"] = "mmorient"
    level_one: bool = True
    level_two: bool = True
    graphs: tuple[str, ...] = ("image-image", "text-text", "image-text", "text-image")
    thresholds: dict[str, float | None] = Field(default_factory=dict)
    quantiles: dict[str, float | None] = Field(default_factory=dict)
    graph_width: int = Field(default=512, ge=1)
    normalise: bool = True
    fanout: int = Field(default=0, ge=0)
    hidden: tuple[int, ...] = (4618, 2048)
    dropout: float = Field(default=0.2, ge=0, lt=1)


class AugmentPart(Part):
    """Changed copies of the training memes, with their labels: `models.mmorient.copies.Copying`.

    As published: `copies` 5, `text` paraphrases, `pictures` mmorient, and a file of `paraphrases`.
    """

    copies: int = Field(default=0, ge=0, le=5)
    text: Literal["same", "noised", "paraphrases"] = "noised"
    pictures: Literal["same", "mild", "mmorient"] = "mmorient"
    paraphrases: Path | None = None


class AnsweringPart(Part):
    """How the finished model answers. Nothing of it changes what is learnt: rows that differ here share their stages.

    `mode`: against a stored support set of `support` training memes chosen by `choice` (`models.mmorient.support`), or
    `transductive`, as published: every batch by itself. `noise`: see `models.mmorient.making`; calibration does not
    know of it.
    """

    mode: Literal["support", "transductive"] = "support"
    support: int = Field(default=128, ge=1)
    choice: Literal["random", "stratified", "k-means", "coreset"] = "stratified"
    noise: dict[str, float] = Field(default_factory=dict)


class MmOrientRecipe(StagedRecipe):
    """One row of a table of MM-ORIENT models.

    `tune`: sparsities of which the selection split chooses one for all graphs, in place of `model.quantiles`: a model
    is trained with each, and the best one by the last stage's `select` is kept.

    `attention_rate`: HIMA's scores learn at so many times the learning rate. At 1, as published, they hardly move: a
    score is one dense layer with one number a state, and attention stays the mean that it begins as.
    """

    aspects: ClassVar[bool] = False

    model: MmOrientPart
    augment: AugmentPart = AugmentPart()
    answering: AnsweringPart = AnsweringPart()
    tune: tuple[Annotated[float, Field(gt=0, lt=1)], ...] = ()
    attention_rate: float = Field(default=1.0, gt=0)


def train_mmorient(recipe: MmOrientRecipe, report: Progress) -> dict[str, Any]:
    """Train an MM-ORIENT model and write its run folder; gives the content of `metrics.json`."""
    from memescope.training.staged.run import read_staged, train_staged

    train, val, left_out = with_pictures(*read_staged(recipe), report)
    tried: dict[str, Any] = {}
    if recipe.tune:
        recipe, tried["tuned"] = tuned(recipe, train, val, report)
    learner = MmOrientLearner(recipe, train, val, report)

    def told() -> dict[str, Any]:
        found = learner.diagnosis()
        return left_out | found | tried | {"warnings": [*left_out.get("warnings", []), *found["warnings"]]}

    return train_staged(recipe, learner, report, learner.train, val, learner.tricks, more=told)


def tuned(
    recipe: MmOrientRecipe, train: Sequence[Meme], val: Sequence[Meme], report: Progress
) -> tuple[MmOrientRecipe, dict[str, float]]:
    """The recipe with the best of the sparsities to `tune` by, and what the selection split gave each."""
    from memescope.training.staged.checkpoints import LOWER
    from memescope.training.staged.run import run_stages

    if recipe.model.variant != "mmorient" or not recipe.model.graphs:
        raise UsageError("tune: there is no graph whose sparsity could be chosen (model.variant, model.graphs)")
    found: dict[float, float] = {}
    recipes = {}
    for share in recipe.tune:
        part = recipe.model.model_copy(update={"quantiles": {"all": share}})
        recipes[share] = recipe.model_copy(update={"model": part, "tune": ()})
        learner = MmOrientLearner(recipes[share], train, val, report)
        stages, _ = run_stages(recipes[share], learner, report, learner.train, val, learner.tricks)
        found[share] = stages[-1]["chosen"]["value"]
    best = (min if recipe.stages[-1].select in LOWER else max)(found, key=found.__getitem__)
    return recipes[best], {f"{share:g}": round(value, 4) for share, value in found.items()}


class MmOrientLearner:
    """An MM-ORIENT model to be trained on memes whose features are held. The recipe's seed decides its weights."""

    def __init__(self, recipe: MmOrientRecipe, train: Sequence[Meme], val: Sequence[Meme], report: Progress) -> None:
        import torch

        from memescope.models.mmorient import Making, MakingSettings, create
        from memescope.models.mmorient.cmrl import relate
        from memescope.models.mmorient.relations import named
        from memescope.training.mmorient_held import Held

        torch.manual_seed(recipe.train.seed)
        part = recipe.model
        names = ("words", "regions", "text", "image", "clean", "inpaint", "max_words", "most_regions", "columns")
        making = Making(MakingSettings(**{name: getattr(part, name) for name in names}), keep=True)
        self._train, self._val, self._recipe = train, val, recipe
        self.train = [*train, *copied(recipe.augment, train)]
        self._held = Held(making, [*self.train, *val], report)
        thresholds = self._thresholds(part, range(len(train)))
        settings = ("variant", "level_one", "level_two", "graph_width", "normalise", "dropout")
        self.model: Any = create(
            recipe.data.tasks,
            making,
            name=recipe.name,
            graphs=list(part.graphs) if part.variant == "mmorient" else [],
            thresholds=thresholds,
            quantiles={name: at for name in thresholds if (at := named(part.quantiles, name)) is not None},
            hidden=list(part.hidden),
            **{name: getattr(part, name) for name in settings},
        )
        self.tasks = tuple(recipe.data.tasks)
        changed = recipe.augment.model_dump_json() if recipe.augment.copies else ""
        self.version = f"{CODE_VERSION} {' '.join(making.versions.values())}{changed}"
        if recipe.attention_rate != 1:
            self.version += f" attention {recipe.attention_rate:g}"
        self._graphs: dict[str, Graph] = {}
        if part.fanout and self.model.cmrl is not None:
            self._graphs = relate(self._held.pooled(self._held.rows(self.train)), thresholds)
            self._places = {id(meme): place for place, meme in enumerate(self.train)}
        self._finished = False

    def _thresholds(self, part: MmOrientPart, rows: Sequence[int]) -> dict[str, float]:
        from memescope.models.mmorient.relations import thresholds_of

        if part.variant != "mmorient":
            return {}
        return thresholds_of(self._held.pooled(rows), part.graphs, part.thresholds, part.quantiles)

    def tricks(self, stage: Stage) -> Tricks:
        """A learning rate of its own for attention, where it is wanted."""
        from memescope.training.staged.tricks import Tricks

        faster = self._recipe.attention_rate
        return Tricks() if faster == 1 else Tricks(groups=lambda rate: self._groups(rate, rate * faster, stage))

    def _groups(self, rate: float, attention: float, stage: Stage) -> list[dict[str, Any]]:
        found: dict[tuple[float, float], list[Any]] = {}
        for name, p in self.model.named_parameters():
            key = (attention if ".score." in name else rate, stage.weight_decay if p.ndim > 1 else 0.0)
            found.setdefault(key, []).append(p)
        return [{"params": some, "lr": lr, "weight_decay": decay} for (lr, decay), some in found.items()]

    def collate(self, memes: Sequence[Meme], objective: Objective) -> dict[str, Tensor]:
        """The features of some memes and their labels."""
        import torch

        from memescope.objectives.label import MISSING

        columns = []
        for meme in memes:
            row: list[int] = []
            for task, entry in self.model.config.tasks.items():
                label, labels = meme.labels.get(task), entry["labels"]
                if entry["kind"] == "multilabel":
                    row += [MISSING] * len(labels) if label is None else [int(name in label) for name in labels]
                else:
                    row.append(MISSING if label is None else labels.index(label))
            columns.append(row)
        return self._held.of(memes).tensors() | {"labels": torch.tensor(columns)} | self._around(memes)

    def _around(self, memes: Sequence[Meme]) -> dict[str, Any]:
        """Neighbours drawn for a batch of training memes, where they are wanted; drawn by the batch, so that a killed
        stage draws them again. Copies are among the graphs' memes."""
        import hashlib

        import torch

        from memescope.models.mmorient.sampling import gather

        if not self._graphs or any(id(meme) not in self._places for meme in memes):
            return {}
        places = torch.tensor([self._places[id(meme)] for meme in memes])
        seed = int.from_bytes(hashlib.sha256(places.numpy().tobytes()).digest()[:3], "big")
        others, edges = gather(self._graphs, places, self._recipe.model.fanout, seed)
        vectors = self._held.pooled(self._held.rows([self.train[i] for i in others.tolist()]))
        return {"edges": edges, "others_text": vectors["text"], "others_image": vectors["image"]}

    def length(self, meme: Meme, objective: Objective) -> int:
        """The same for every meme: batches are random."""
        return 1

    def answer(self, memes: Sequence[Meme]) -> list[Reading]:
        """Answers of the model as it is: against a fixed support set, and after `load` the way the recipe wants."""
        how = self._recipe.answering
        mode = how.mode if self._finished else "support"
        self.model.hold(self._support())
        size = self._recipe.stages[-1].batch_size if mode == "transductive" else 512
        found: list[Reading] = []
        for start in range(0, len(memes), size):
            found += self.model.read(self._held.of(memes[start : start + size]), mode)
        return found

    def _support(self) -> Features:
        from memescope.models.mmorient.support import choose_support

        how, seed = self._recipe.answering, self._recipe.train.seed
        size, choice = (how.support, how.choice) if self._finished else (STAGE_SUPPORT, "random")
        pooled = self._held.pooled(range(len(self._train)))
        strata = [str(meme.labels.get(self.tasks[0])) for meme in self._train]
        chosen = choose_support(pooled["text"], pooled["image"], strata, size, choice, seed)
        memes = [self._train[i] for i in chosen]
        self.model.config.support_memes = [
            {"source": m.source or "", "id": m.id, "labels": {t: m.labels[t] for t in self.tasks if t in m.labels}}
            for m in memes
        ]
        return self._held.of(memes)

    def save(self, folder: Path) -> None:
        """The model's folder, whole: configuration, weights, support set."""
        self.model.save_pretrained(folder)

    def load(self, folder: Path) -> None:
        """Weights that `save` wrote, not their support set. From here on answers are given the way the recipe wants."""
        from safetensors.torch import load_file

        weights = load_file(folder / "model.safetensors")
        own = {name: value for name, value in self.model.state_dict().items() if name.startswith("support_")}
        self.model.load_state_dict({name: own.get(name, value) for name, value in weights.items()})
        self._finished = True

    def settle(self, settled: dict[str, Settled], card: dict[str, dict[str, Any]]) -> None:
        """Calibration and thresholds into the model's configuration, and the way it answers."""
        from memescope.training.staged.settle import store

        config, how = self.model.config, self._recipe.answering
        store(config, settled, card)
        config.mode = how.mode
        config.features["settings"]["noise"] = dict(how.noise)

    def card(self, metrics: dict[str, Any]) -> str:
        """The run's MODEL_CARD.md."""
        from memescope.training.mmorient_card import write_card

        return write_card(self._recipe, self.model.config, metrics, self.diagnosis())

    def diagnosis(self) -> dict[str, Any]:
        """Statistics of the graphs over one random batch of training memes, entropies of attention on val, warnings."""
        import numpy as np

        from memescope.models.mmorient.diagnosis import diagnose

        size = min(self._recipe.stages[-1].batch_size, len(self._train))
        drawn = np.random.default_rng(self._recipe.train.seed).choice(len(self._train), size, replace=False)
        val = self._val[:MOST_DIAGNOSED]
        return diagnose(self.model, self._held.of([self._train[i] for i in drawn]), self._held.of(val))


def copied(part: AugmentPart, memes: Sequence[Meme]) -> list[Meme]:
    """The copies that a recipe asks for."""
    from memescope.datasets.stored import StoredParaphrases
    from memescope.models.mmorient.copies import Copying, copies_of

    if not part.copies:
        return []
    stored = None if part.paraphrases is None else StoredParaphrases(part.paraphrases)
    return copies_of(memes, Copying(part.copies, part.text, part.pictures), stored)
