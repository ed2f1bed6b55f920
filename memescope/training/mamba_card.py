"""The model card of a Mamba run: what it learnt from, what was trained, where it leaves the source, its figures."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from memescope.training.card_tables import figures_table, listed, stages_table, warned

if TYPE_CHECKING:
    from memescope.models.mamba import MambaMemesConfig
    from memescope.training.mamba_recipe import MambaRecipe

SOURCE = "Liu, Mohan Kumar, Mittal, Yeon, Mamba-Based Approaches to the Hateful Memes Challenge (Georgia Tech report)"
RATE, GAMMA, EPOCHS, BATCH, DECAY = 1e-3, 0.8, 20, 32, 1e-4


def leaves(recipe: MambaRecipe, config: MambaMemesConfig) -> list[str]:
    """Where this run leaves the source, one sentence each: the model, then its training."""
    from memescope.models.mamba.deviations import deviations

    found = deviations(config)
    for stage in recipe.stages:
        theirs = (RATE, GAMMA, EPOCHS, BATCH, DECAY)
        ours = (stage.learning_rate, stage.gamma, stage.epochs, stage.batch_size * stage.accumulate, stage.weight_decay)
        if ours != theirs:
            found.append(
                f"Stage {stage.name!r}: learning rate {ours[0]:g}, "
                f"{'schedule ' + stage.schedule if ours[1] is None else f'times {ours[1]:g} each epoch'}, {ours[2]:g} "
                f"epochs, batch {ours[3]}, weight decay {ours[4]:g}; the source's are 0.001, times 0.8, 20, 32, 0.0001."
            )
        if stage.select != "accuracy":
            found.append(f"Stage {stage.name!r}: the checkpoint is chosen by {stage.select}; there by accuracy.")
        rates = (stage.rate_a, stage.rate_b, stage.rate_backbone)
        if stage.average or stage.patience or set(rates) != {1}:
            found.append(
                f"Stage {stage.name!r}: averaged weights {stage.average or 'no'}, early end after "
                f"{stage.patience or 'no'} looks, rates of A, B and what is pretrained times {rates[0]:g}, "
                f"{rates[1]:g} and {rates[2]:g}; none of it there."
            )
    found.append("The optimiser is AdamW, the loss cross-entropy (of the sigmoid for two labels); neither is stated.")
    found.append("Calibration and thresholds come from the split that chose the checkpoint; the source does neither.")
    return found


def write_card(recipe: MambaRecipe, model: Any, metrics: dict[str, Any]) -> str:
    """The run's MODEL_CARD.md. Test figures are not in it: `memescope eval` makes them."""
    config = model.config
    stages = [(stage.name, stage, found) for stage, found in zip(recipe.stages, metrics["stages"], strict=True)]
    total = sum(p.numel() for p in model.parameters())
    trained = sum(p.numel() for p in model.parameters() if p.requires_grad)
    return f"""# Model card: {recipe.name}

Family: mamba, after {SOURCE}.
Trained on {metrics["rows"]} memes of {", ".join(recipe.data.sets)} (splits {", ".join(recipe.data.train_splits)}; rows
{metrics["split_hash"]}), chosen on {metrics["val_rows"]} of {recipe.data.val_split}; seed {metrics["seed"]}, precision
{metrics["precision"]}. {total:,} parameters, of which {trained:,} ({trained / total:.2%}) were
trained.{warned(metrics)}

{stages_table(stages)}

Figures on the selection split, after calibration on it: they flatter.

{figures_table(metrics["val"], config.abstain)}

Where it leaves the source:

{listed(leaves(recipe, config))}

Content warning: the training memes are hateful and offensive by nature. For research and to help people who review
memes; it must not decide about people on its own.
"""
