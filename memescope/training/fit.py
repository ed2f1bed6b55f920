"""Training the starter: experts, fusions, decisions and abstain thresholds, all from folds of the training memes.

Nothing here sees a test row. The result is what `memescope.models.starter` loads: tensors and a JSON config.

Shape letters: n rows (a meme may come with given and with OCR text), b rows of a task, k labels.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from memescope.evaluation.abstention import Threshold, choose_threshold
from memescope.evaluation.reliability import ece, events
from memescope.meme import Meme
from memescope.models.starter.features import Features
from memescope.models.starter.heads import INPUTS, Fusion, TaskHead, in_order
from memescope.taxonomy import Task, load_taxonomy
from memescope.training.decide import Decision, choose_decision, confidence_and_correct, decided_f1
from memescope.training.experts import Fitted, Targets, fit_expert, log_loss, targets_of
from memescope.training.familiar import fit_familiarity
from memescope.training.fusion import fit_fusion
from memescope.training.inputs import make_inputs
from memescope.training.recipe import Recipe

Floats = NDArray[np.float64]
Progress = Callable[[str, int, int], None]

USES = {
    "ngrams": frozenset({"text"}),
    "text": frozenset({"text"}),
    "picture": frozenset({"picture"}),
    "pair": frozenset({"text", "picture"}),
}
"""The parts of a meme each expert needs."""


@dataclass
class Fit:
    """A fitted model: `tensors` by name, `config` as JSON; `figures` and `trials` by task, for metrics and log.

    `out_of_fold` holds for each task its rows (b,), fused probabilities (b, k) and truth (b, k).
    """

    tensors: dict[str, NDArray[Any]]
    config: dict[str, Any]
    figures: dict[str, dict[str, float]] = field(default_factory=dict)
    trials: dict[str, dict[str, Any]] = field(default_factory=dict)
    out_of_fold: dict[str, tuple[NDArray[np.int64], Floats, Floats]] = field(default_factory=dict)


def fit(
    memes: Sequence[Meme],
    features: Features,
    folds: NDArray[np.int64],
    groups: NDArray[np.int64],
    recipe: Recipe,
    progress: Progress,
) -> Fit:
    """The starter fitted to n rows: memes, their features, folds (n,) and near-duplicate groups (n,), in one order."""
    taxonomy = load_taxonomy()
    sources = [meme.source or "memes" for meme in memes]
    inputs = make_inputs(features, sources, recipe.model, recipe.train.seed)
    there = {"text": features.has_text, "picture": features.has_picture}
    names = [name for name in taxonomy.tasks if any(name in meme.labels for meme in memes)]
    found = Fit(dict(inputs.tensors), {})
    heads: list[TaskHead] = []
    truths: dict[str, Targets] = {}
    logits: dict[str, dict[str, Floats]] = {}
    layers: dict[str, list[Fitted]] = {expert: [] for expert in USES}
    width = 0
    for number, name in enumerate(names):
        targets = truths[name] = targets_of(memes, taxonomy[name])
        fitted = {
            expert: fit_expert(inputs.x[expert], targets, folds, recipe.model.strengths[expert], recipe.train.max_steps)
            for expert in USES
        }
        for expert, one in fitted.items():
            layers[expert].append(one)
        # an expert whose part of the meme is not there says nothing
        logits[name] = {
            expert: one.out_of_fold * np.all([there[part] for part in USES[expert]], axis=0)[targets.rows][:, None]
            for expert, one in fitted.items()
        }
        fusions = {
            have: fit_fusion({expert: logits[name][expert] for expert in _usable(have)}, targets) for have in INPUTS
        }
        columns = slice(width, width + targets.target.shape[1])
        width = columns.stop
        heads.append(_head(taxonomy[name], columns, fusions, targets, memes, names))
        found.trials[name] = {
            expert: {"strength": one.strength, "log_loss": {str(s): round(x, 5) for s, x in one.losses.items()}}
            for expert, one in fitted.items()
        }
        progress("fit tasks", number + 1, len(names))
    for expert, parts in layers.items():
        stored = [inputs.stored[expert](part.layer) for part in parts]
        weight = np.concatenate([layer.weight for layer in stored], axis=1)
        found.tensors[f"{expert}.weight"] = weight.astype(np.float16 if expert == "ngrams" else np.float32)
        found.tensors[f"{expert}.bias"] = np.concatenate([layer.bias for layer in stored]).astype(np.float32)
    answered = _answers(heads, logits, truths, len(memes))
    tasks: dict[str, Any] = {}
    for head in heads:
        probabilities, truth = answered[head.name][truths[head.name].rows], onehot(truths[head.name])
        mine = groups[truths[head.name].rows]
        settled, decision, threshold = settle(head, probabilities, truth, mine, recipe)
        tasks[head.name] = _entry(settled, decision, threshold, recipe)
        found.trials[head.name] |= {"fusion": tasks[head.name]["fusions"], "f1_by_tau": decision.scores}
        found.figures[head.name] = _figures(settled, probabilities, truth, logits[head.name], truths[head.name])
        found.out_of_fold[head.name] = (truths[head.name].rows, probabilities, truth)
    progress("familiarity", 0, 1)
    familiar, order = fit_familiarity(features, sources, folds, recipe.train.seed, recipe.train.max_steps)
    found.tensors |= familiar
    found.config = {
        "sources": order,
        "tasks": tasks,
        "ngram_bits": recipe.model.ngram_bits,
        "experts": {expert: sorted(parts) for expert, parts in USES.items()},
    }
    return found


def settle(
    head: TaskHead, probabilities: Floats, truth: Floats, groups: NDArray[np.int64], recipe: Recipe
) -> tuple[TaskHead, Decision, Threshold | None]:
    """The head with its decision and abstain threshold, chosen on out-of-fold probabilities (b, k)."""
    decision = choose_decision(head.kind, probabilities, truth, head.prior)
    settled = replace(head, decision=decision.factors)
    sure, right = confidence_and_correct(settled, probabilities, truth)
    target = recipe.abstain.target_error.get(head.name, recipe.abstain.default)
    threshold = choose_threshold(sure, right, target, delta=recipe.abstain.delta, groups=groups)
    return replace(settled, abstain=None if threshold is None else threshold.threshold), decision, threshold


def onehot(targets: Targets) -> Floats:
    """The truth with a column for each label, (b, k)."""
    return np.eye(2)[targets.truth] if targets.task.kind == "binary" else targets.target


def _usable(have: str) -> list[str]:
    parts = {"text", "picture"} if have == "both" else {have}
    return [expert for expert, needs in USES.items() if needs <= parts]


def _head(
    task: Task,
    columns: slice,
    fusions: Mapping[str, Fusion],
    targets: Targets,
    memes: Sequence[Meme],
    names: Sequence[str],
) -> TaskHead:
    prior = targets.row_weights @ onehot(targets) / targets.row_weights.sum()
    parent = task.coarse_task if task.coarse_task in names else None
    return TaskHead(
        name=task.name,
        kind=task.kind,
        labels=task.labels,
        columns=columns,
        fusions=fusions,
        prior=tuple(map(float, prior)),
        decision=(1.0,) * len(task.labels),
        abstain=None,
        parent=parent,
        within=task.coarse_labels if parent else {},
        sources=tuple(sorted({memes[i].source or "memes" for i in targets.rows})),
    )


def _answers(
    heads: Sequence[TaskHead],
    logits: Mapping[str, Mapping[str, Floats]],
    truths: Mapping[str, Targets],
    n: int,
) -> dict[str, Floats]:
    """Fused out-of-fold probabilities (n, k) of every task; rows without the task's label stay 0."""
    answered: dict[str, Floats] = {}
    labels = {head.name: head.labels for head in heads}
    for head in in_order(heads):
        rows = truths[head.name].rows
        above = {name: (labels[name], table[rows]) for name, table in answered.items()}
        found = head.probabilities(head.fusions["both"].logits(logits[head.name]), above)
        answered[head.name] = np.zeros((n, found.shape[1]))
        answered[head.name][rows] = found
    return answered


def _figures(
    head: TaskHead, probabilities: Floats, truth: Floats, logits: Mapping[str, Floats], targets: Targets
) -> dict[str, float]:
    clipped = np.clip(probabilities, 1e-12, 1)
    if head.kind == "multilabel":
        loss = -(truth * np.log(clipped) + (1 - truth) * np.log(np.clip(1 - probabilities, 1e-12, 1))).mean()
    else:
        loss = -(truth * np.log(clipped)).sum(axis=1).mean()
    return {
        "n": len(truth),
        "macro_f1": round(decided_f1(head, probabilities, truth), 4),
        "log_loss": round(float(loss), 4),
        "ece": round(ece(*events(head.kind, probabilities, truth)), 4),
        **{f"log_loss_{expert}": round(log_loss(z, targets), 4) for expert, z in logits.items()},
    }


def _entry(head: TaskHead, decision: Decision, threshold: Threshold | None, recipe: Recipe) -> dict[str, Any]:
    return {
        "kind": head.kind,
        "labels": list(head.labels),
        "columns": [head.columns.start, head.columns.stop],
        "fusions": {key: {"weights": dict(f.weights), "bias": list(f.bias)} for key, f in head.fusions.items()},
        "prior": list(head.prior),
        "decision": list(head.decision),
        "tau": decision.tau,
        "abstain": head.abstain,
        "target_error": recipe.abstain.target_error.get(head.name, recipe.abstain.default),
        "threshold": None if threshold is None else threshold.to_dict(),
        "parent": head.parent,
        "within": dict(head.within),
        "sources": list(head.sources),
    }
