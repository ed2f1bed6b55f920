"""The model card of a MulCoT-RD run: its roles, the chains they learnt from, where it leaves the paper, its figures."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from memescope.training.card_tables import figures_table, listed, stages_table, warned
from memescope.training.vlm import softened

if TYPE_CHECKING:
    from memescope.models.mulcot.model import MulCot
    from memescope.training.mulcot import MulCotRecipe

PAPER = "Shangguan et al., MulCoT-RD (arXiv 2508.05234)"


def leaves(recipe: MulCotRecipe, model: MulCot) -> list[str]:
    """Where this run leaves the paper, one sentence each: the model, then its training."""
    from memescope.models.mulcot.deviations import deviations

    found = deviations(model.config)
    its = recipe.distil
    if recipe.assistant is None:
        found.append("Ablation: no assistant; the model learns from the data and the teacher's chains alone.")
    if recipe.assistant is not None and (its is None or not its.weight):
        found.append("Ablation: the assistant's probabilities are not learnt from.")
    if its is not None and its.weight and its.squared:
        found.append(
            "The distillation loss is multiplied by T squared (Hinton et al. 2015); the released code's is not."
        )
    if its is not None and its.weight and its.mask == "answers":
        found.append(
            "The assistant is listened to where answers are learnt; the released code's mask lets prompt, picture and "
            "padding in as well."
        )
    if recipe.augment is not None and recipe.augment.wrong == "keep":
        found.append("Ablation: the assistant's wrong chains are learnt from, too.")
    if recipe.augment is not None and recipe.augment.wrong == "drop":
        found.append(
            "A sampled chain is kept where all five parts are there and its label is right; the paper asks for "
            "the label alone."
        )
    if recipe.data.sentences:
        found.append(
            f"Of each part of a teacher's chain the first sentences are learnt, at most {recipe.data.sentences}."
        )
    found += softened(recipe.model)
    if recipe.data.train_splits != ("train",):
        found.append(f"Learnt from the split {', '.join(recipe.data.train_splits)}, the one whose chains are at hand.")
    found.append("Calibration and thresholds come from the split that chose the checkpoint, not from folds.")
    return found


def write_card(recipe: MulCotRecipe, model: MulCot, roles: dict[str, Any], metrics: dict[str, Any]) -> str:
    """The run's MODEL_CARD.md. Test figures are not in it: `memescope eval` makes them."""
    learnt = [("student", recipe.stages, metrics["stages"])]
    if recipe.assistant is not None:
        learnt.insert(0, ("assistant", recipe.assistant.stages, roles["assistant"]["stages"]))
    stages = [(f"{role}, {s.name}", s, found) for role, some, its in learnt for s, found in zip(some, its, strict=True)]
    sizes = ", ".join(f"{role} {its['parameters'] / 1e6:.0f} M" for role, its in roles.items() if "parameters" in its)
    return f"""# Model card: {recipe.name}

Family: mulcot, after {PAPER}. Parameters: {sizes}.
Trained on {metrics["rows"]} rows of {", ".join(recipe.data.sets)} (splits {", ".join(recipe.data.train_splits)}; rows
{metrics["split_hash"]}), chosen on {metrics["val_rows"]} of {recipe.data.val_split}; seed {metrics["seed"]}, precision
{metrics["precision"]}.{warned(metrics)}

{_chains(roles)}

{stages_table(stages)}

Figures on the selection split, after calibration on it: they flatter.

{figures_table(metrics["val"], model.config.abstain)}

Where it leaves the paper:

{listed(leaves(recipe, model))}

The reasons are written by a small model after a large one's: they read well and may be wrong, also where the label is
right, and say nothing of how the label was found. For research and to help people who review posts; it must not decide
about people on its own.
"""


def _chains(roles: dict[str, Any]) -> str:
    """What the chains are that were learnt from."""
    lines = []
    if its := roles.get("chains"):
        lines.append(
            f"{its['with_chain']} of {its['memes']} training memes have a teacher's chain; "
            f"{its['ending_in_another_label']} chains end in another label than the meme's."
        )
    if its := roles.get("augmentation"):
        lines.append(
            f"The assistant wrote {its['written']} chains, {its['whole_and_right']} of them whole and right "
            f"({', '.join(f'{n} {label}' for label, n in its['right_by_label'].items()) or 'none'}); "
            f"{its['learnt_from']} were learnt from."
        )
    return "\n".join(lines) or "No chains were learnt from."
