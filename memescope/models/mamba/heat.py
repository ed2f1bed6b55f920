"""Heat maps of a Mamba meme model: Grad-CAM over the picture, hidden attention over words and patches.

Grad-CAM (Selvaraju et al. 2017): channels of a map weighted by the answer's mean gradient, added, the positive part.
Taken at the last stage of a VMamba whose map is at least 7 x 7 (or the largest one there is). Hidden attention:
`attention`; over words through all blocks, over patches summed over the blocks of that stage and its four directions.

Shape letters: `t` tokens, `d` width, `h` `w` a map.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from memescope.errors import UsageError
from memescope.explanation.heat import Heat
from memescope.explanation.words import split_words
from memescope.meme import Meme, Span
from memescope.models.mamba.attention import rolled_out, towards
from memescope.models.mamba.mixer import Scanned, recorded
from memescope.models.mamba.model import question

if TYPE_CHECKING:
    from memescope.models.mamba.model import MambaMemes

METHODS = ("gradcam", "hidden-attention")
LEAST_SIDE = 7


def heat_map(model: MambaMemes, meme: Meme, task: str, method: str) -> Heat:
    """Weights of words and places for the answer to one task. `UsageError` for a method the model does not have."""
    image, text = model.config.image, model.config.text
    if method not in METHODS:
        raise UsageError(f"method {method!r}: expected one of {', '.join(METHODS)}")
    trained = image is not None and image["kind"] != "frozen"
    scans = (text is not None and text["kind"] == "mamba") or (image is not None and image["kind"] == "vmamba")
    if method == "gradcam" and not trained:
        raise UsageError(f"{model.name} has no picture encoder that learns: Grad-CAM has no map to look at")
    if method == "hidden-attention" and not scans:
        raise UsageError(f"{model.name} has no selective scan: there is no hidden attention in it")
    meme = model.processor.prepared(meme)
    was = model.training
    model.eval()
    try:
        with torch.enable_grad(), recorded() as found:
            embeds, maps = _pass(model, meme, task)
    finally:
        model.train(was)
        model.zero_grad()
    if method == "gradcam":
        places = None if maps is None or meme.image is None else gradcam(_largest_enough(maps))
        return Heat(places=places, picture=meme.image)
    heat = Heat(picture=meme.image)
    if embeds is not None and text is not None and text["kind"] == "mamba":
        heat.words = _words(model, meme, _token_weights(model, found, embeds.shape[1]))
    if meme.image is not None and maps is not None and image is not None and image["kind"] == "vmamba":
        size = _largest_enough(maps).shape[-2:]
        heat.places = patch_weights([one for one in found if one.size == tuple(size)])
    return heat


def _pass(model: MambaMemes, meme: Meme, task: str) -> tuple[Tensor | None, list[Tensor] | None]:
    """Forward and backward from the log-odds of the answer; embeddings and maps, with their gradients."""
    batch = model.processor([meme])
    maps: list[Tensor] | None = None
    states = embeds = None
    seen = batch.get("seen")
    if model.picture is not None and model.picture.kind != "frozen":
        maps = model.picture.stages(model.picture.prepared(batch["pixels"]).requires_grad_())
        for one in maps:
            one.retain_grad()
        states = model.picture.from_stage(maps[-1])
    elif model.picture is not None:
        states = model.picture(batch["pixels"])
    if model.text is not None and model.config.fusion == "token":
        embeds = model.text.embed(batch["input_ids"], model.vector(states, seen))
    elif model.text is not None:
        # gradients flow from here on also where everything before is frozen
        embeds = model.text.embed(batch["input_ids"]).detach().requires_grad_()
    scores = model.scores(model.joined(embeds, batch.get("attention_mask"), states, seen))
    table = model.calibrated(scores)[task][0]
    label = int(table.argmax())
    score = scores[task][0]
    if question(task).multilabel:
        target = score[label]
    else:
        others = torch.cat([score[:label], score[label + 1 :]])
        target = score[label] - others.logsumexp(0)
    target.backward()
    return embeds, maps


def gradcam(one: Tensor) -> np.ndarray:
    """float64 (h, w) from a map (1, d, h, w) that has its gradient."""
    assert one.grad is not None
    weights = one.grad.mean((2, 3), keepdim=True)
    found: np.ndarray = (weights * one.detach()).sum(1)[0].clamp(min=0).double().numpy()
    return found


def _largest_enough(maps: Sequence[Tensor]) -> Tensor:
    """The last map of at least 7 x 7 places, or the one with most."""
    enough = [one for one in maps if min(one.shape[-2:]) >= LEAST_SIDE]
    return enough[-1] if enough else max(maps, key=lambda one: one.shape[-1])


def _token_weights(model: MambaMemes, scans: Sequence[Scanned], tokens: int) -> Tensor:
    """(t,): what the pooled vector owes to each token of the row (prompt included), both directions together."""
    assert model.text is not None
    total = torch.zeros(tokens)
    for prefix in ("text.", "back."):
        mine = [one for one in scans if one.place.startswith(prefix)]
        if not mine:
            continue
        layers: dict[str, Tensor] = {}
        for one in mine:
            matrix = towards(one)[0]
            matrix = matrix.flip(0, 1) if one.backward else matrix  # a block's second copy reads from the end
            layers[one.place] = layers.get(one.place, 0) + matrix
        flow = rolled_out(list(layers.values()))
        pool = model.text.about["pool"]
        weights = flow.mean(0) if pool == "mean" else flow[-1]
        weights = weights[:-1] if pool == "cls" else weights
        if prefix == "back.":
            weights = weights.flip(0)
        # visual tokens stand before the text
        total += weights[-tokens:].float()
    return total


def _words(model: MambaMemes, meme: Meme, weights: Tensor) -> list[Span]:
    """Every word with the weight of its tokens; a token over two words gives to both by the letters it shares."""
    prompt, offsets = model.processor.offsets(meme)
    found = []
    for word in split_words(meme.text):
        weight = 0.0
        for (start, end), value in zip(offsets, weights[prompt:].tolist(), strict=False):
            shared = min(end, word.end) - max(start, word.start)
            weight += value * max(shared, 0) / max(end - start, 1)
        found.append(Span(word.text, word.start, word.end, weight))
    return found


def patch_weights(scans: Sequence[Scanned]) -> np.ndarray | None:
    """float64 (h, w): what all places owe to each, summed over blocks and directions, each scaled to 1."""
    total: Any = None
    for one in scans:
        assert one.size is not None
        h, w = one.size
        rows, columns, rows_back, columns_back = (matrix.sum(0) for matrix in towards(one))
        by_rows = (rows + rows_back.flip(0)).reshape(h, w)
        by_columns = (columns + columns_back.flip(0)).reshape(w, h).T
        both = by_rows + by_columns
        total = (0 if total is None else total) + both / both.sum().clamp(min=1e-12)
    return None if total is None else np.asarray(total.double().numpy())
