"""Does a converted model work? A wrong tensor order or tokenizer gives a model that loads and talks nonsense."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from memescope.errors import MemescopeError

SENTENCE = "The cat slept on the warm window sill while the rain fell outside, and nobody wanted to wake her up."
ROUND_TRIPS = (SENTENCE, "Größe: 1,234.50 €\n\ttab", "हिन्दी 中文 😀", "  two  spaces ")


def language_model(folder: Path) -> dict[str, float]:
    """Perplexity of an English sentence and of its words in reverse order; texts must survive the tokenizer.

    Raises `MemescopeError` where the sentence is not at least five times likelier a word, or a text comes back changed.
    """
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder)
    for text in ROUND_TRIPS:
        back = tokenizer.decode(tokenizer(text)["input_ids"])
        if back != text:
            raise MemescopeError(f"the converted tokenizer turns {text!r} into {back!r}")
    model = AutoModelForCausalLM.from_pretrained(folder).eval()

    def perplexity(text: str) -> float:
        ids = tokenizer(text, return_tensors="pt")["input_ids"]
        with torch.inference_mode():
            return float(model(input_ids=ids, labels=ids).loss.exp())

    found = {"perplexity": perplexity(SENTENCE), "reversed": perplexity(" ".join(SENTENCE.split()[::-1]))}
    if not found["perplexity"] * 5 < found["reversed"]:
        raise MemescopeError(
            f"converted model: an English sentence has perplexity {found['perplexity']:.1f}, its words in reverse "
            f"order {found['reversed']:.1f}; expected a fifth of that or less: the weights were not read rightly"
        )
    return found


def picture_network(folder: Path) -> dict[str, float]:
    """The converted network gives finite answers that tell two drawn pictures apart."""
    import torch

    from memescope.backbones.efficientnet import load_folder

    pictures = torch.stack([torch.linspace(-1, 1, 224).expand(3, 224, 224), torch.zeros(3, 224, 224)])
    with torch.inference_mode():
        logits = load_folder(folder)(pictures)
    distance = float((logits[0] - logits[1]).abs().max())
    if not (bool(torch.isfinite(logits).all()) and distance > 1):
        raise MemescopeError(
            "converted model: two unlike pictures get the same answer, so the weights were not read rightly"
        )
    return {"distance": distance}


CHECK: dict[str, Callable[[Path], dict[str, Any]]] = {"gguf_llama": language_model, "effnet_lite0": picture_network}
