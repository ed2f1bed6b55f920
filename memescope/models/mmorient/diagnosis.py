"""Whether graphs and attention can do their work: statistics, and warnings about those that say nothing.

A graph without edges passes nothing on, a complete one gives every meme the same mean. Attention that is even is a
mean, and attention on one point hides everything else. The entropy of attention is given as a share of the most it
could be, ln of the number of places, over memes with at least two.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from memescope.models.mmorient.features import Features
from memescope.models.mmorient.relations import described

if TYPE_CHECKING:
    from memescope.models.mmorient.model import MmOrient

EVEN, POINTED = 0.98, 0.02
"""Mean entropies from which attention counts as even, and at which as pointed."""


def diagnose(model: MmOrient, batch: Features, memes: Features) -> dict[str, Any]:
    """`graphs` over one batch, `attention` entropies over some memes, and `warnings`, one sentence each."""
    pooled = {"text": batch.text, "image": batch.image}
    graphs = described(pooled, model.thresholds) if model.cmrl is not None else {}
    attention = attention_entropies(model, memes)
    warnings = [f"graph {name}: {line}" for name, its in graphs.items() for line in its["warnings"]]
    return {"graphs": graphs, "attention": attention, "warnings": warnings + collapsed(attention)}


@torch.no_grad()
def attention_entropies(model: MmOrient, memes: Features) -> dict[str, dict[str, float]]:
    """Mean entropy by level and modality, and over how many sets of places it is a mean; empty for a baseline."""
    found: dict[str, dict[str, float]] = {}
    if model.hima is None:
        return found
    parts = {
        "words": (model.hima.text, memes.words, memes.word_mask),
        "regions": (model.hima.image, memes.regions, memes.region_mask),
    }
    for name, (hima, states, mask) in parts.items():
        states = states.to(model.dtype)
        if hima.one is not None:
            found[name] = relative_entropy(hima.one.weights(states, mask), mask)
        if hima.two is not None:
            there = mask.any(1)
            first = hima.first(states, mask)
            found[f"{name}, level 2"] = relative_entropy(hima.two.weights(first, there)[None], there[None])
    return found


def relative_entropy(weights: Tensor, mask: Tensor) -> dict[str, float]:
    """`entropy`: the mean over rows (b, t) of entropy / ln(places), of rows with at least two (`rows`); 1 if none."""
    places = mask.sum(1)
    some = places > 1
    if not some.any():
        return {"entropy": 1.0, "rows": 0}
    entropy = -torch.xlogy(weights, weights).sum(1)
    return {"entropy": float((entropy[some] / places[some].log()).mean()), "rows": int(some.sum())}


def collapsed(attention: Mapping[str, Mapping[str, float]]) -> list[str]:
    """A sentence for each attention that has collapsed."""
    found = []
    for name, its in attention.items():
        if not its["rows"]:
            continue
        if its["entropy"] >= EVEN:
            found.append(f"attention to {name} is even (entropy {its['entropy']:.3f} of 1): it is a mean")
        elif its["entropy"] <= POINTED:
            found.append(f"attention to {name} rests on one point (entropy {its['entropy']:.3f} of 1)")
    return found
