"""What a MulCoT-RD model does otherwise than the paper or its released code: lines for its card."""

from __future__ import annotations

from memescope.models.vlm import VlmConfig


def deviations(config: VlmConfig) -> list[str]:
    """One sentence for each, by the configuration as it is."""
    found = []
    if config.vlm == "tinyvlm":
        found.append(
            "The language model is SmolLM2-135M, or its first layers, and the picture a small grid of "
            "EfficientNet-lite0 features; the paper's assistant and student are Qwen2.5-VL-7B and -3B."
        )
    if config.lora is None:
        found.append("All of the language model is trained; the paper trains low-rank adapters.")
    if (config.settings or {}).get("label_weight", 1.0) != 1:
        found.append("The losses of reasoning and label do not count the same; in the paper they do.")
    found += [
        "Prompts are our own, in the paper's order, and shorter.",
        "Answers are scored labels; the paper reads the label off a written chain, which `eval` tells beside.",
        "Reasoning and label are learnt in one pass whose two means are added; the paper has a pass for each.",
        "The learning rate falls by a schedule; the paper halves it when accuracy on the selection split stands still.",
    ]
    return found
