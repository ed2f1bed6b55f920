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
from memescope.models.starter.heads import INPUTS, Member, TaskHead
from memescope.taxonomy import Task, load_taxonomy
from memescope.training.starter.decide import Decision, choose_decision, confidence_and_correct, decided_f1
from memescope.training.starter.experts import Fitted, Targets, fit_expert, like_validation, targets_of
from memescope.training.starter.familiar import fit_familiarity
from memescope.training.starter.fusion import fit_fusion
from memescope.training.starter.inputs import make_inputs
from memescope.training.starter.recipe import StarterRecipe

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
    recipe: StarterRecipe,
    progress: Progress,
) -> Fit:
    """The starter fitted to n rows: memes, their features, folds (n,) and near-duplicate groups (n,), in one order."""
    taxonomy = load_taxonomy()
    sources = [meme.source or "memes" for meme in memes]
    inputs = make_inputs(features, sources, recipe.model, recipe.train.seed)
    there = {"text": features.has_text, "picture": features.has_picture}
    names = [name for name in taxonomy.tasks if any(name in meme.labels for meme in memes)]
    found = Fit(dict(inputs.tensors), {})
    idf = inputs.tensors["idf"].astype(np.float64)
    familiar, looks = fit_familiarity(features, idf, sources, folds, recipe.train.seed, recipe.train.max_steps)
    found.tensors |= familiar
    alike = like_validation(memes, recipe.data.match)
    layers: dict[str, list[Fitted]] = {expert: [] for expert in USES}
    answered: dict[str, tuple[tuple[str, ...], Floats]] = {}
    tasks: dict[str, Any] = {}
    width = 0
    ordered = sorted(names, key=lambda name: taxonomy[name].coarse_task in names)  # parents first
    for number, name in enumerate(ordered):
        task, logits, members = taxonomy[name], {}, {}
        found.trials[name] = {}
        for source in sorted({sources[i] for i, meme in enumerate(memes) if name in meme.labels}):
            targets = targets_of(memes, task, source)
            fitted = {
                expert: fit_expert(x, targets, folds, recipe.model.strengths[expert], recipe.train.max_steps)
                for expert, x in inputs.x.items()
            }
            for expert, one in fitted.items():
                layers[expert].append(one)
            # an expert whose part of the meme is not there says nothing
            columns = {
                expert: one.out_of_fold * np.all([there[part] for part in USES[expert]], axis=0)[targets.rows][:, None]
                for expert, one in fitted.items()
            }
            matched = replace(targets, row_weights=_rescaled(targets.row_weights * alike[targets.rows]))
            fusions = {have: fit_fusion({e: columns[e] for e in _usable(have)}, matched) for have in INPUTS}
            members[source] = Member(slice(width, width + targets.target.shape[1]), fusions)
            width += targets.target.shape[1]
            # the stored layers never saw the memes of other sources
            logits[source] = _everywhere(members[source], fitted, inputs.x, features)
            logits[source][targets.rows] = fusions["both"].logits(columns)
            found.trials[name][source] = {
                expert: {"strength": one.strength, "log_loss": {str(s): round(v, 5) for s, v in one.losses.items()}}
                for expert, one in fitted.items()
            } | {"fusion": {have: dict(fusion.weights) for have, fusion in fusions.items()}}
        every = targets_of(memes, task)
        every = replace(every, row_weights=_rescaled(every.row_weights * alike[every.rows]))
        head = _head(task, members, every, names)
        mixed = head.shared_out(head.mixed(logits, looks), answered)
        answered[name] = (task.labels, mixed)
        probabilities, truth = mixed[every.rows], onehot(every)
        settled, decision, threshold = settle(head, probabilities, truth, every.row_weights, groups[every.rows], recipe)
        tasks[name] = _entry(settled, decision, threshold, recipe)
        found.trials[name]["f1_by_tau"] = {str(tau): round(f1, 4) for tau, f1 in decision.scores.items()}
        found.figures[name] = _figures(settled, probabilities, truth)
        found.out_of_fold[name] = (every.rows, probabilities, truth)
        progress("fit tasks", number + 1, len(names))
    for expert, parts in layers.items():
        stored = [inputs.stored[expert](part.layer) for part in parts]
        weight = np.concatenate([layer.weight for layer in stored], axis=1)
        found.tensors[f"{expert}.weight"] = weight.astype(np.float16 if expert == "ngrams" else np.float32)
        found.tensors[f"{expert}.bias"] = np.concatenate([layer.bias for layer in stored]).astype(np.float32)
    found.config = {
        "sources": list(looks),
        "tasks": {name: tasks[name] for name in names},
        "ngram_bits": recipe.model.ngram_bits,
        "experts": {expert: sorted(parts) for expert, parts in USES.items()},
    }
    return found


def settle(
    head: TaskHead,
    probabilities: Floats,
    truth: Floats,
    weights: Floats,
    groups: NDArray[np.int64],
    recipe: StarterRecipe,
) -> tuple[TaskHead, Decision, Threshold | None]:
    """The head with its decision and abstain threshold, chosen on out-of-fold probabilities (b, k) of weighted rows."""
    decision = choose_decision(head.kind, probabilities, truth, weights)
    settled = replace(head, decision=decision.factors)
    sure, right = confidence_and_correct(settled, probabilities, truth)
    target = recipe.abstain.target_error.get(head.name, recipe.abstain.default)
    threshold = choose_threshold(sure, right, target, delta=recipe.abstain.delta, groups=groups)
    return replace(settled, abstain=None if threshold is None else threshold.threshold), decision, threshold


def _rescaled(weights: Floats) -> Floats:
    """The same weights with a mean of 1."""
    return weights * len(weights) / weights.sum() if len(weights) else weights


def onehot(targets: Targets) -> Floats:
    """The truth with a column for each label, (b, k)."""
    return np.eye(2)[targets.truth] if targets.task.kind == "binary" else targets.target


def _usable(have: str) -> list[str]:
    parts = {"text", "picture"} if have == "both" else {have}
    return [expert for expert, needs in USES.items() if needs <= parts]


def _head(task: Task, members: Mapping[str, Member], targets: Targets, names: Sequence[str]) -> TaskHead:
    prior = targets.row_weights @ onehot(targets) / targets.row_weights.sum()
    parent = task.coarse_task if task.coarse_task in names else None
    return TaskHead(
        name=task.name,
        kind=task.kind,
        labels=task.labels,
        members=members,
        prior=tuple(map(float, prior)),
        decision=(1.0,) * len(task.labels),
        abstain=None,
        parent=parent,
        within=task.coarse_labels if parent else {},
    )


def _everywhere(member: Member, fitted: Mapping[str, Fitted], x: Mapping[str, Any], features: Features) -> Floats:
    """Fused logits (n, k) of the stored layers for every row."""
    there = {"text": features.has_text, "picture": features.has_picture}
    columns = {
        expert: one.layer.logits(x[expert]) * np.all([there[part] for part in USES[expert]], axis=0)[:, None]
        for expert, one in fitted.items()
    }
    return member.fusions["both"].logits(columns)


def _figures(head: TaskHead, probabilities: Floats, truth: Floats) -> dict[str, float]:
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
    }


def _entry(head: TaskHead, decision: Decision, threshold: Threshold | None, recipe: StarterRecipe) -> dict[str, Any]:
    return {
        "kind": head.kind,
        "labels": list(head.labels),
        "members": {
            source: {
                "columns": [member.columns.start, member.columns.stop],
                "fusions": {
                    have: {"weights": dict(f.weights), "bias": list(f.bias)} for have, f in member.fusions.items()
                },
            }
            for source, member in head.members.items()
        },
        "prior": list(head.prior),
        "decision": list(head.decision),
        "tau": decision.tau,
        "abstain": head.abstain,
        "target_error": recipe.abstain.target_error.get(head.name, recipe.abstain.default),
        "threshold": None if threshold is None else threshold.to_dict(),
        "parent": head.parent,
        "within": dict(head.within),
    }
