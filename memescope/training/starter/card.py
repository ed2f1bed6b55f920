"""What a trained starter says of itself: a note for each task, and the model card."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from memescope.meme import Meme
from memescope.training.starter.fit import Fit
from memescope.training.starter.recipe import StarterRecipe

SOURCES = {
    "harmc": "COVID-19 memes in English (Harm-C)",
    "memotion7k": "general English memes, 128-pixel pictures (Memotion 7k)",
    "multi3hate": "memes on a few dozen templates in English, German, Spanish, Hindi and Chinese (Multi3Hate)",
    "propaganda_memes": "political memes in English from public Facebook groups (SemEval-2021 task 6)",
    "mvsa_single": "English tweets with a photo (MVSA-Single)",
}
"""What each source is, in the words the report shows; a set that is not here is shown by its name."""


def trained_on(task: str, memes: Sequence[Meme]) -> str:
    """For example "3190 COVID-19 memes in English (Harm-C)"."""
    counts: dict[str, int] = {}
    for meme in memes:
        if task in meme.labels:
            counts[meme.source or "memes"] = counts.get(meme.source or "memes", 0) + 1
    return "; ".join(f"{n} {SOURCES.get(source, f'memes of {source}')}" for source, n in counts.items())


def describe(found: Fit, memes: Sequence[Meme]) -> dict[str, dict[str, Any]]:
    """`model.card`: for each task what it was trained on, when it abstains, and its out-of-fold figures."""
    card: dict[str, dict[str, Any]] = {}
    for task, entry in found.config["tasks"].items():
        card[task] = {
            "trained_on": trained_on(task, memes),
            "abstains": abstains(entry),
            "out_of_fold": found.figures[task],
        }
    return card


def abstains(entry: Mapping[str, Any]) -> str:
    """One sentence on when a task says that it is not sure."""
    threshold = entry["threshold"]
    if threshold is None:
        return (
            f"always: no confidence keeps the error among answered training memes provably at or below "
            f"{entry['target_error']:.0%}"
        )
    return (
        f"below a confidence of {threshold['threshold']:.3f}; above it {threshold['errors']} of "
        f"{threshold['answered']} held-out training memes were wrong, {threshold['coverage']:.0%} were answered "
        f"(target: at most {entry['target_error']:.0%} wrong)"
    )


def write_card(found: Fit, metrics: Mapping[str, Any], recipe: StarterRecipe, memes: Sequence[Meme]) -> str:
    """The run's MODEL_CARD.md. Test figures are not in it: `memescope eval` makes them."""
    rows = "\n".join(
        f"| {task} | {note['out_of_fold']['n']} | {note['out_of_fold']['macro_f1']:.3f} | "
        f"{note['out_of_fold']['ece']:.3f} | {note['trained_on']} | {note['abstains']} |"
        for task, note in describe(found, memes).items()
    )
    return f"""# Model card: {recipe.name}

Family: starter (linear and kernel experts on frozen packaged encoders, late fusion).
Trained on {metrics["rows"]} memes of {", ".join(recipe.data.sets)} (splits {", ".join(recipe.data.train_splits)}), seed
{metrics["seed"]}, rows {metrics["split_hash"]}. Figures are out of fold, on those memes; near-duplicates share a fold.

| task | memes | macro-F1 | ECE | trained on | abstains |
|---|---|---|---|---|---|
{rows}

Content warning: the training memes are hateful and offensive by nature. The model is for research and to help people
who review memes; it must not decide about people on its own. It judges memes unlike the ones above badly, says so by
abstaining, and knows nothing of who posted a meme or why.
"""
