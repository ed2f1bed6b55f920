"""The model card of a Mr.Harm run: what it learnt from, where it leaves the paper, its figures while being chosen."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from memescope.training.card_tables import figures_table, listed, stages_table, warned

if TYPE_CHECKING:
    from memescope.models.mrharm import MrHarmConfig
    from memescope.training.mrharm import MrHarmRecipe

PAPER = "Lin et al., Beneath the Surface, Findings of EMNLP 2023 (arXiv 2312.05434)"


def leaves(recipe: MrHarmRecipe, config: MrHarmConfig) -> list[str]:
    """Where this run leaves the paper, one sentence each: the model, then its training."""
    from memescope.models.mrharm.deviations import deviations

    found = deviations(config)
    if recipe.model.label_loss == "scores":
        found.append("Labels are learnt by the cross-entropy of their scores; the paper's by that of their tokens.")
    if "fhm" in recipe.data.sets:
        found.append("The text of FHM stands alone; the paper appends a caption, entities and demographics to it.")
    if [stage.objective for stage in recipe.stages] != ["rationale", "label"]:
        found.append("Ablation: not the paper's two stages.")
    found.append("Calibration and thresholds come from the split that chose the checkpoint, not from folds.")
    return found


def write_card(recipe: MrHarmRecipe, config: MrHarmConfig, metrics: dict[str, Any]) -> str:
    """The run's MODEL_CARD.md. Test figures are not in it: `memescope eval` makes them."""
    stages = [(stage.name, stage, found) for stage, found in zip(recipe.stages, metrics["stages"], strict=True)]
    return f"""# Model card: {recipe.name}

Family: mrharm, after {PAPER}.
Trained on {metrics["rows"]} memes of {", ".join(recipe.data.sets)} (splits {", ".join(recipe.data.train_splits)}; rows
{metrics["split_hash"]}), chosen on {metrics["val_rows"]} of {recipe.data.val_split}; seed {metrics["seed"]}, precision
{metrics["precision"]}.{warned(metrics)}

{stages_table(stages)}

Figures on the selection split, after calibration on it: they flatter.

{figures_table(metrics["val"], config.abstain)}

Where it leaves the paper:

{listed(leaves(recipe, config))}

Content warning: the training memes are hateful and offensive by nature, and so may be the reasons the model writes.
They are written by a small model and may be wrong where the label is right. For research and to help people who review
memes; it must not decide about people on its own.
"""
