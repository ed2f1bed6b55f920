"""What the model looks at and whom it hears, for one meme: attention to words and regions, nearest relations.

Attention says what goes into the meme's vectors, not what the answer rests on: for that there is `explain`. Relations
are the memes of the support set, by the cosine of either modality, and which graphs join them.

Shape letters: `t` tokens, `r` regions, `s` memes of the support set.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch.nn.functional import normalize

from memescope.errors import UsageError
from memescope.explanation.heat import Heat, painted
from memescope.explanation.words import pieces
from memescope.meme import Evidence, Meme, Region, Span
from memescope.models.mmorient.cmrl import edges_of
from memescope.models.mmorient.features import Features
from memescope.perception.pictures import open_picture

if TYPE_CHECKING:
    from memescope.explanation.relations import Card
    from memescope.models.mmorient.model import MmOrient

SHOWN = 5
"""Regions framed, and relations shown of either modality."""
ABOVE = 1.2
"""A region is framed where it has so many times the share it would have if attention were even."""


@dataclass(frozen=True, slots=True)
class Relation:
    """A meme of the support set: `source`, `id`, `labels`, the `cosine` and the `graphs` that join it to the meme."""

    source: str
    id: str
    labels: Mapping[str, Any]
    cosine: float
    graphs: tuple[str, ...]


@torch.no_grad()
def attention(model: MmOrient, meme: Meme) -> Evidence:
    """Level 1's shares as an `Evidence`: each word of the text as the model reads it, and the regions looked at most.

    A span's or region's `weight` is its share of the attention, between 0 and 1. Words past the last token that is read
    have 0. `UsageError` for a model without level 1.
    """
    text, words, regions = _shares(model, meme)
    spans = _spans(text, words, model.making.offsets(text)) if text.strip() else []
    entropies = [f"{name} {_entropy(shares):.2f}" for name, shares in (("words", words), ("regions", regions))]
    says = f"Entropy of attention as a share of the most it could be: {', '.join(entropies)} (1: even, a mean)."
    return Evidence(spans, _regions(regions, model.making.boxes(meme)), says)


@torch.no_grad()
def heat_map(model: MmOrient, meme: Meme, task: str, method: str) -> Heat:
    """Level 1's shares over every word and place. They are one for all tasks; `method` is "attention"."""
    text, words, regions = _shares(model, meme)
    spans = _spans(text, words, model.making.offsets(text)) if text.strip() else []
    if meme.image is None:
        return Heat(spans, text=text)
    boxes = model.making.boxes(meme).tolist()
    looked = [
        Region(left, top, right - left, bottom - top, float(share))
        for (left, top, right, bottom), share in zip(boxes, regions, strict=False)
    ]
    return Heat(spans, painted(looked), text=text)


def _shares(model: MmOrient, meme: Meme) -> tuple[str, np.ndarray, np.ndarray]:
    """The text as it is read, and the attention to its tokens (t,) and to the regions (r,)."""
    if model.hima is None or model.hima.text.one is None or model.hima.image.one is None:
        raise UsageError(f"{model.name} has no attention to words and regions: it is a baseline or an ablation")
    memes = model.making([meme]).to(model.dtype)
    words = model.hima.text.one.weights(memes.words, memes.word_mask)[0].double().numpy()
    regions = model.hima.image.one.weights(memes.regions, memes.region_mask)[0].double().numpy()
    return model.making.cleaned(meme), words, regions


def _spans(text: str, shares: np.ndarray, offsets: np.ndarray) -> list[Span]:
    """Each word with the summed shares of its tokens; what special tokens have is left out."""
    found = [Span(word.text, word.start, word.end, 0.0) for word in pieces(text)]
    for share, (start, end) in zip(shares, offsets, strict=False):
        for span in found:
            if start < end and start < span.end and end > span.start:
                span.weight += float(share)
                break
    return found


def _regions(shares: np.ndarray, boxes: np.ndarray) -> list[Region]:
    order = [i for i in np.argsort(-shares, kind="stable")[:SHOWN] if shares[i] >= ABOVE / len(shares)]
    found = []
    for i in order:
        left, top, right, bottom = boxes[i].tolist()
        found.append(Region(left, top, right - left, bottom - top, float(shares[i])))
    return found


def _entropy(shares: np.ndarray) -> float:
    some = shares[shares > 0]
    return float(-(some * np.log(some)).sum() / math.log(len(some))) if len(some) > 1 else math.nan


@torch.no_grad()
def relations(model: MmOrient, memes: Features) -> dict[str, list[Relation]]:
    """The nearest memes of the support set to the first of `memes`, by "text" and by "image", nearest first.

    `UsageError` for a model without graphs, or without a support set.
    """
    known = model.config.support_memes or []
    if model.cmrl is None or not known:
        raise UsageError(f"{model.name} has no graphs, or no support set, so no relations")
    found: dict[str, list[Relation]] = {}
    own = {"text": memes.text[0], "image": memes.image[0]}
    for modality, vectors in model.support.items():
        cosines = normalize(vectors.double(), dim=1) @ normalize(own[modality].double(), dim=0)
        passed = {name: at for name, at in model.thresholds.items() if edges_of(name) == modality}
        found[modality] = [
            Relation(
                **known[i],
                cosine=float(cosines[i]),
                graphs=tuple(name for name, at in passed.items() if cosines[i] > at),
            )
            for i in cosines.argsort(descending=True)[:SHOWN].tolist()
        ]
    return found


def write_inside(model: MmOrient, meme: Meme, folder: Path, data: Sequence[Path] = ()) -> list[str]:
    """`attention.png` and `relations.png` with `inside.json`, in a folder; the names of the files written.

    `data` are prepared sets in which the related memes' pictures are looked up by source and id; without them a
    relation is shown by its name and labels. `UsageError` for a model with neither attention nor relations.
    """
    from memescope.explanation.draw import draw_evidence
    from memescope.explanation.relations import draw_relations

    pixels = None if meme.image is None else open_picture(meme.image).pixels
    record: dict[str, Any] = {"model": model.version}
    if model.hima is not None and model.hima.levels[0]:
        seen = attention(model, meme)
        record["attention"] = asdict(seen)
        draw_evidence(pixels, "what attention looks at", seen, by="share of attention").save(folder / "attention.png")
    if model.cmrl is not None and model.config.support_memes:
        found = relations(model, model.making([meme]))
        record |= {"relations": {name: [asdict(one) for one in some] for name, some in found.items()}}
        record["thresholds"] = model.thresholds
        pictures = _pictures(data, {(one.source, one.id) for some in found.values() for one in some})
        rows = {_row(model, name): [_card(one, pictures) for one in some] for name, some in found.items()}
        draw_relations(pixels, "nearest memes of the support set", rows).save(folder / "relations.png")
    if len(record) == 1:
        raise UsageError(f"{model.name} has neither attention nor relations to show: it is a baseline")
    (folder / "inside.json").write_text(json.dumps(record, indent=2, ensure_ascii=False) + "\n", "utf-8")
    shown = {"attention.png": "attention", "relations.png": "relations"}
    return ["inside.json", *(name for name, key in shown.items() if key in record)]


def _row(model: MmOrient, modality: str) -> str:
    at = [f"{name} above {value:g}" for name, value in model.thresholds.items() if edges_of(name) == modality]
    what = {"text": "text", "image": "picture"}[modality]
    return f"alike by {what}" + (f" (graphs {', '.join(at)})" if at else " (no graph)")


def _card(one: Relation, pictures: Mapping[tuple[str, str], Any]) -> Card:
    from memescope.explanation.relations import Card

    says = ", ".join(label if isinstance(label, str) else "+".join(label) or "none" for label in one.labels.values())
    image = pictures.get((one.source, one.id))
    return Card(one.id, one.cosine, bool(one.graphs), says, None if image is None else open_picture(image).pixels)


def _pictures(data: Sequence[Path], wanted: set[tuple[str, str]]) -> dict[tuple[str, str], Any]:
    from memescope.datasets import read_split, splits_of

    memes = [meme for folder in data for split in splits_of(folder) for meme in read_split(folder, split)]
    return {(meme.source or "", meme.id): meme.image for meme in memes if (meme.source or "", meme.id) in wanted}
