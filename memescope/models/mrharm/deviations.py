"""What a model does otherwise than the paper or its released code: lines for its card, read off its configuration."""

from __future__ import annotations

from memescope.models.mrharm.config import MrHarmConfig


def deviations(config: MrHarmConfig) -> list[str]:
    """One sentence for each; the wording is that of the configuration as it is, so a card cannot fall behind it."""
    found = []
    if config.kind == "decoder":
        found.append(
            f"The language model is decoder-only ({config.language_version or config.language}) and fused behind each "
            "of its blocks; the paper fuses behind the blocks of T5's encoder, and once more behind the encoder."
        )
    elif not config.final_fusion:
        found.append("No fusion behind the encoder's output; the released code has one, which the paper does not name.")
    if config.vision is None:
        found.append("The model does not see the picture.")
    elif "clip" not in config.vision.lower():
        found.append(f"The picture encoder is {config.vision_version or config.vision}; the paper's is CLIP ViT-B/32.")
    if config.fusion == "concatenation":
        found.append("The picture's tokens stand before the text, projected; the paper fuses them by cross-attention.")
    if config.fusion == "cross-attention" and (config.fusion_layers != "every" or config.fusion_heads != 1):
        found.append(
            f"Fusion with {config.fusion_heads} head(s) behind blocks {config.fusion_layers!r}; the paper has one head "
            "behind every block."
        )
    if config.lora:
        found.append("The language model is frozen but for low-rank adapters; the paper trains all of it.")
    if (config.max_text, config.max_rationale) != (40, 40):
        found.append(
            f"Texts are cut at {config.max_text} tokens and rationales at {config.max_rationale}; the released code "
            "cuts both at 40, which loses about two thirds of a rationale."
        )
    if not config.learn_lead:
        found.append(
            f'The words before an answer ("{config.rationale_lead}" and the like) are given; the released code learns '
            "to write them."
        )
    settings = config.vision_settings or {}
    if config.vision is not None and "clip" in config.vision.lower() and settings.get("statistics", "own") == "own":
        found.append("Pictures are normalised with CLIP's own statistics; the released code used 0.5 and 0.5.")
    if settings.get("crop") == "whole":
        found.append("Pictures are squeezed to a square; the released code cuts the middle.")
    if config.vision is not None:
        found.append("Pictures are not augmented, so that their features can be kept; the released code distorts them.")
    found.append(
        "Answers are scored label strings with probabilities; the released code writes an answer and compares strings."
    )
    return found
