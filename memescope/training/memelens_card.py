"""The model card of a MemeLens run: what it learnt from, where it leaves the paper, its figures while being chosen."""

from __future__ import annotations

from typing import TYPE_CHECKING

from memescope.training.card_tables import figures_table, listed, stages_table, warned
from memescope.training.vlm import softened

if TYPE_CHECKING:
    from typing import Any

    from memescope.models.memelens.model import MemeLens
    from memescope.training.memelens import MemeLensRecipe

PAPER = "MemeLens: Multilingual Multitask VLMs for Memes (arXiv 2601.12539)"


def deviations(recipe: MemeLensRecipe) -> list[str]:
    """Where this run leaves the paper, one sentence each, read off the recipe."""
    part, data = recipe.model, recipe.data
    found = []
    if "qwen3-vl-8b" not in part.vlm.lower():
        found.append(f"The vision-language model is {part.vlm}; the paper's is Qwen3-VL-8B-Instruct.")
    if part.vlm == "tinyvlm":
        layers = part.tiny.layers if part.tiny else None
        found.append(
            f"Its language model has {layers or 'all of its'} layers and never saw a picture before: the projector is "
            "learnt here, on memes alone."
        )
    found += softened(part)
    found.append("The picture encoder rests, so that its features can be kept; the paper has adapters in all layers.")
    if part.lora is None:
        found.append("The language model is trained in full; the paper trains adapters.")
    if part.head:
        found.append("Labels come from linear heads: the paper's multimodal baseline, not its method.")
    else:
        found.append(
            "Instructions and label names are our own: the paper's are not published. One wording is used for answers."
        )
        found.append(
            "Labels are answered by scoring every label; the paper parses what is written, and draws a label at random "
            "where it cannot."
        )
        found.append("A task with several labels is asked one label at a time; the paper has them written in a row.")
        if part.layout == "meme-first":
            found.append("The meme's text stands before the instruction, and the system message names no task.")
        if part.setting == "hybrid":
            found.append(
                "Labels are named in the meme's language where the task was learnt in it, else in English; the "
                "released code trains its final model in English."
            )
    if not part.text or not part.image:
        found.append(f"Ablation: it is not shown the {'picture' if part.text else 'text'}.")
    if data.sampling != "proportional":
        found.append(f"Sets are mixed {data.sampling}; the paper joins them as they are.")
    if data.rows:
        found.append(f"The mixture has {data.rows} rows; the paper learns from every row of its sets.")
    objectives = [stage.objective for stage in recipe.stages]
    if "explain" in objectives:
        found.append(
            "Explanations are learnt where there are any, labels alone elsewhere; the paper has one for every row."
        )
    elif "both" not in objectives:
        found.append("Stage I alone: labels, no explanations.")
    found.append("Calibration and thresholds come from the split that chose the checkpoint, not from folds.")
    return found


def write_card(recipe: MemeLensRecipe, model: MemeLens, metrics: dict[str, Any]) -> str:
    """The run's MODEL_CARD.md. Test figures are not in it: `memescope eval` makes them."""
    stages = [(stage.name, stage, found) for stage, found in zip(recipe.stages, metrics["stages"], strict=True)]
    explained = {task: its["explanations"] for task, its in model.card.items()}
    return f"""# Model card: {recipe.name}

Family: memelens, after {PAPER}.
A mixture of {metrics["rows"]} memes (rows {metrics["split_hash"]}), chosen on {metrics["val_rows"]}; seed
{metrics["seed"]}, precision {metrics["precision"]}.{warned(metrics)}

{stages_table(stages)}

Figures on the selection split, after calibration on it: they flatter.

{figures_table(metrics["val"], model.config.abstain, {"explanations": explained})}

What each task learnt from:

{listed(f"{task}: {its['trained_on']}" for task, its in model.card.items())}

Where it leaves the paper:

{listed(deviations(recipe))}

Content warning: the training memes are hateful and offensive by nature, and so may be the explanations that the model
writes. They repeat what a teacher's explanations were like and may be wrong where the label is right; of tasks marked
`untrained` the model never saw one. For research and to help people who review memes; it must not decide about people
on its own.
"""
