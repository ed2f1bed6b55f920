"""The model card of an MM-ORIENT run: what it learnt from, its graphs and attention, where it leaves the paper."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from memescope.training.card_tables import figures_table, listed

if TYPE_CHECKING:
    from memescope.models.mmorient import MmOrientConfig
    from memescope.training.mmorient import MmOrientRecipe

PAPER = "MM-ORIENT (arXiv 2508.16300, Information Fusion 2025)"


def leaves(recipe: MmOrientRecipe, config: MmOrientConfig) -> list[str]:
    """Where this run leaves the paper, one sentence each: the model, then its training."""
    from memescope.models.mmorient.deviations import deviations

    stage = recipe.stages[-1]
    found = deviations(config)
    if stage.learning_rate != 5e-6:
        found.append(f"Learning rate {stage.learning_rate:g}; the released code's is 5e-06.")
    if recipe.attention_rate != 1:
        found.append(
            f"HIMA's scores learn at {recipe.attention_rate:g} times the rate of the rest, the paper's at the same."
        )
    if stage.batch_size != 120:
        found.append(f"Batches, and so graphs, of {stage.batch_size} memes; the released code's have 120.")
    if not recipe.augment.copies:
        found.append("No augmentation; the paper adds five paraphrases of each meme, each with a changed picture.")
    elif recipe.augment.text != "paraphrases":
        found.append(f"Texts of copies are {recipe.augment.text}, no paraphrases; the paper's are GPT-3.5's.")
    if recipe.model.fanout:
        found.append(f"Graphs are those of all training memes, {recipe.model.fanout} neighbours drawn for each meme.")
    found.append("Calibration and thresholds come from the split that chose the checkpoint, not from folds.")
    if any(recipe.answering.noise.values()):
        found.append(f"Experiment: answers are given with noise ({recipe.answering.noise}).")
    return found


def write_card(recipe: MmOrientRecipe, config: MmOrientConfig, metrics: dict[str, Any], seen: dict[str, Any]) -> str:
    """The run's MODEL_CARD.md; `seen` is what `models.mmorient.diagnosis` found. Test figures come from `eval`."""
    [stage, found] = recipe.stages[-1], metrics["stages"][-1]
    graphs = "\n".join(
        f"| {name} | {its['threshold']:g} | {its['nodes']} | {its['sparsity']:.4f} | {its['degree']['mean']:.1f} | "
        f"{its['isolated']} | {its['components']} |"
        for name, its in seen["graphs"].items()
    )
    attention = listed(
        f"{name}: entropy {its['entropy']:.2f} of its maximum (0: one point, 1: even)"
        for name, its in seen["attention"].items()
    )
    around = "A baseline: no graphs and no attention of the method."
    if seen["graphs"] or seen["attention"]:
        around = f"""Graphs over one batch of training memes:

| graph | threshold | memes | sparsity | mean degree | isolated | pieces |
|---|---|---|---|---|---|---|
{graphs}

Attention on the selection split:

{attention or "- none"}"""
    return f"""# Model card: {recipe.name}

Family: mmorient, after {PAPER}.
Trained on {metrics["rows"]} memes of {", ".join(recipe.data.sets)} (splits {", ".join(recipe.data.train_splits)}; rows
{metrics["split_hash"]}), chosen on {metrics["val_rows"]} of {recipe.data.val_split}; seed {metrics["seed"]}. Stage
{found["stage"]}: {stage.epochs:g} epochs, learning rate {stage.learning_rate:g}, batches of {stage.batch_size}, by
{stage.select} {found["chosen"]["value"]:.4g} at step {found["chosen"]["step"]}.

Figures on the selection split, after calibration on it: they flatter.

{figures_table(metrics["val"], config.abstain)}

{around}

Warnings:

{listed(metrics["warnings"]) or "- none"}

Where it leaves the paper:

{listed(leaves(recipe, config))}

Content warning: the training memes are hateful and offensive by nature. The support set holds vectors of training
memes, neither texts nor pictures. For research and to help people who review memes; it must not decide about people on
its own.
"""
