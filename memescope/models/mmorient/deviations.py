"""What a model does otherwise than the paper or its released code: lines for its card, read off its configuration."""

from __future__ import annotations

from memescope.models.mmorient.config import GRAPHS, MmOrientConfig


def deviations(config: MmOrientConfig) -> list[str]:
    """One sentence for each; the wording is that of the configuration as it is, so a card cannot fall behind it."""
    settings = (config.features or {}).get("settings", {})
    found = []
    if config.variant != "mmorient":
        found.append(f"A baseline on the same features ({config.variant}), not the method.")
    if "bert" not in settings.get("words", "").lower():
        found.append(f"Token states are {settings.get('words')}'s; the paper's are BERT's.")
    if "x152" not in settings.get("regions", "").lower():
        found.append(f"Regions are {settings.get('regions')}'s; the paper's are 100 of Mask R-CNN ResNeXt-152.")
    if any("clip" not in settings.get(name, "").lower() for name in ("text", "image")):
        found.append(
            f"Pooled vectors are {settings.get('text')}'s and {settings.get('image')}'s; the paper's are CLIP's."
        )
    if config.extra_width != 784:
        found.append(
            f"{config.extra_width or 'No'} task-specific columns; the paper has 784 of toxicity, emotion and sentiment."
        )
    if not settings.get("inpaint"):
        found.append("The picture keeps its letters; the paper paints them over with DeepFillv2.")
    else:
        found.append("Letters are painted over by a classical method on the OCR's boxes; the paper's is DeepFillv2.")
    if settings.get("clean") != "paper":
        found.append("Texts keep digits, punctuation and case; the paper keeps lower-case letters alone.")
    if config.variant == "mmorient":
        found += _method(config)
    if config.hidden != [4618, 2048]:
        found.append(
            f"Dense layers of {', '.join(map(str, config.hidden or []))}; the released code's are 4618 and 2048."
        )
    found.append("A batch may be smaller than the others; the released code drops the last one, in training and test.")
    found.append("Loss is the sum over tasks of the mean over memes that are labelled; the paper labels all.")
    return found


def _method(config: MmOrientConfig) -> list[str]:
    found = []
    if not config.level_one:
        found.append("Ablation: no level 1 of HIMA; the mean of a meme's states stands in for it.")
    if not config.level_two:
        found.append("No level 2 of HIMA (so the released code; the paper has it).")
    else:
        found.append("The levels of HIMA have weights of their own; whether the paper's share them is not known.")
    gone = [name for name in GRAPHS if name not in (config.graphs or [])]
    if gone:
        found.append(f"Ablation: without the graphs {', '.join(gone)}.")
    if config.graphs:
        at = ", ".join(f"{name} {value:g}" for name, value in (config.thresholds or {}).items())
        by = " set by quantile on the training memes" if config.quantiles else ""
        found.append(f"Thresholds {at}{by}; the released code has 0.9 for all, the paper's by pair are not known.")
        if not config.normalise:
            found.append("Graph outputs keep their length; the released code scales them to 1.")
    if config.mode == "support":
        found.append(
            f"Answers are given against {config.support_size} stored training memes, one meme at a time; the paper's "
            "depend on the memes of the same batch."
        )
    return found
