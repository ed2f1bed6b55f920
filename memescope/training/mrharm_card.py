"""The model card of a Mr.Harm run: what it learnt from, where it leaves the paper, its figures while being chosen."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from memescope.models.mrharm import MrHarmConfig
    from memescope.training.mrharm import MrHarmRecipe

PAPER = "Lin et al., Beneath the Surface, Findings of EMNLP 2023 (arXiv 2312.05434)"


def deviations(recipe: MrHarmRecipe, config: MrHarmConfig) -> list[str]:
    """Where this model leaves the paper, one sentence each."""
    found = []
    if config.kind == "decoder":
        found.append(
            f"language model {config.language}, decoder-only, in place of Flan-T5: the fusion stands behind each of "
            "its blocks, and there is no encoder output to fuse once more"
        )
        found.append("the fusion's last layer starts at zero, so that training starts from the language model as it is")
    if config.vision and "clip" not in config.vision.lower():
        found.append(f"picture encoder {config.vision} in place of CLIP ViT-B/32, its grid as visual tokens")
    if not recipe.model.as_released:
        found.append(f"rationales are learnt up to {config.max_rationale} tokens; the released code cuts them at 40")
        found.append("pictures are normalised with the encoder's own statistics; the released code uses 0.5 and 0.5")
        found.append("the words before an answer are given, not written; answers are scored labels, never parsed text")
    if recipe.model.label_loss == "scores":
        found.append("labels are learnt by the cross-entropy of their scores, not of their tokens")
    if config.fusion != "cross-attention":
        found.append(f"ablation: fusion is {config.fusion}")
    found.append("no RandAugment: picture features are computed once")
    found.append("calibration and thresholds come from the split that chose the checkpoint, not from folds")
    return found


def write_card(recipe: MrHarmRecipe, config: MrHarmConfig, metrics: dict[str, Any]) -> str:
    """The run's MODEL_CARD.md. Test figures are not in it: `memescope eval` makes them."""
    stages = "\n".join(
        f"| {found['stage']} | {stage.objective} | {found['rows']} | {stage.epochs:g} | {stage.learning_rate:g} | "
        f"{stage.batch_size * stage.accumulate} | {stage.select} {found['chosen']['value']:.4g} at step "
        f"{found['chosen']['step']} |"
        for stage, found in zip(recipe.stages, metrics["stages"], strict=True)
    )
    figures = "\n".join(
        f"| {task} | {its['n']} | {its['accuracy']:.3f} | {its['macro_f1']:.3f} | {its['ece']:.3f} | "
        f"{its['calibration']} | {_abstains(config, task)} |"
        for task, its in metrics["val"].items()
    )
    leaves = "\n".join(f"- {line}" for line in deviations(recipe, config))
    return f"""# Model card: {recipe.name}

Family: mrharm, after {PAPER}.
Trained on {metrics["rows"]} memes of {", ".join(recipe.data.sets)} (splits {", ".join(recipe.data.train_splits)}; rows
{metrics["split_hash"]}), chosen on {metrics["val_rows"]} of {recipe.data.val_split}; seed {metrics["seed"]}, precision
{recipe.train.precision}.

| stage | learns | memes | epochs | learning rate | batch | chosen by |
|---|---|---|---|---|---|---|
{stages}

Figures on the selection split, after calibration on it: they flatter.

| task | n | accuracy | macro-F1 | ECE | calibration | abstains |
|---|---|---|---|---|---|---|
{figures}

Where it leaves the paper:

{leaves}

Content warning: the training memes are hateful and offensive by nature, and so may be the reasons the model writes.
They are written by a small model and may be wrong where the label is right. For research and to help people who review
memes; it must not decide about people on its own.
"""


def _abstains(config: MrHarmConfig, task: str) -> str:
    least = (config.abstain or {}).get(task)
    return "always" if least is None else f"below {least:.2f}"
