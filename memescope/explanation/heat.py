"""Heat: a weight for every word and for every place of the picture, by a method that looks inside a model.

Unlike evidence it is not measured by taking parts out; `faithfulness` tells whether it points at what moves the answer.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from memescope.explanation.draw import FOR, INK, MARGIN, PAPER, ROW, SIDE, label, wrapped, write
from memescope.meme import Region, Span

if TYPE_CHECKING:
    from PIL import Image

WORDS = 340


@dataclass(slots=True)
class Heat:
    """`words`: every word of the text with its weight; `places`: weights (h, w) over the picture, row by row from the
    top left, or None. Weights are not negative; only their order and their shares mean something. `picture` and `text`
    are the meme's as the model takes them (say without its caption, in small letters), None where they are its own."""

    words: list[Span] = field(default_factory=list)
    places: np.ndarray | None = None
    picture: Any = None
    text: str | None = None


def painted(regions: Sequence[Region], side: int = 28) -> np.ndarray:
    """Weights (side, side) over the picture: each region's spread evenly over it, added where regions overlap."""
    edges = np.arange(side + 1) / side
    found = np.zeros((side, side))
    for one in regions:
        across = np.minimum(edges[1:], one.x + one.width) - np.maximum(edges[:-1], one.x)
        down = np.minimum(edges[1:], one.y + one.height) - np.maximum(edges[:-1], one.y)
        if one.width > 0 and one.height > 0:
            share = one.weight / (one.width * one.height)
            found += share * np.outer(np.clip(down, 0, None), np.clip(across, 0, None))
    return found


def draw_heat(pixels: np.ndarray | None, title: str, heat: Heat, method: str) -> Image.Image:
    """The meme in grey under its heat, its words on grounds as dark as their weight; `pixels` uint8 RGB (h, w, 3)."""
    from PIL import Image, ImageDraw

    picture = None if pixels is None or heat.places is None else _under(pixels, heat.places)
    left = 2 * MARGIN + (picture.width if picture is not None else 0)
    most = max((span.weight for span in heat.words), default=0.0) or 1.0
    lines = _rows(heat.words)
    below = wrapped(f"by {method}: darker means more; whether it moves the answer is another question", left + WORDS)
    body = max(picture.height if picture is not None else 0, ROW * max(len(lines), 1))
    page = Image.new("RGB", (left + WORDS + MARGIN, 4 * MARGIN + ROW + body + ROW * len(below)), PAPER)
    write(page, MARGIN, MARGIN, title, 20, style="bold")
    top = 2 * MARGIN + ROW
    if picture is not None:
        page.paste(picture, (MARGIN, top))
    draw = ImageDraw.Draw(page)
    for i, line in enumerate(lines):
        for x, number, span in line:
            share = max(span.weight, 0.0) / most
            ground = tuple(round(p + (f - p) * 0.75 * share) for p, f in zip(PAPER, FOR, strict=True))
            text = label(number, span.text)
            draw.rectangle([left + x - 2, top + ROW * i, left + x + _wide(text), top + ROW * (i + 1) - 4], fill=ground)
            write(page, left + x, top + ROW * i, text, 16, INK)
    for i, told in enumerate(below):
        write(page, MARGIN, top + body + MARGIN + i * ROW, told, 16)
    return page


def _under(pixels: np.ndarray, places: np.ndarray) -> Image.Image:
    from PIL import Image

    scale = min(SIDE / pixels.shape[0], SIDE / pixels.shape[1])
    size = max(round(pixels.shape[1] * scale), 1), max(round(pixels.shape[0] * scale), 1)
    grey = Image.fromarray(pixels).resize(size, Image.Resampling.BICUBIC).convert("L").convert("RGB")
    shares = np.clip(places, 0, None) / max(float(places.max()), 1e-12)
    glow = Image.fromarray((shares * 165).astype(np.uint8)).resize(size, Image.Resampling.BICUBIC)
    grey.paste(Image.new("RGB", size, FOR), (0, 0), glow)
    return grey


def _rows(words: list[Span]) -> list[list[tuple[int, int, Span]]]:
    rows: list[list[tuple[int, int, Span]]] = [[]]
    x = 0
    for number, span in enumerate(words, 1):
        wide = _wide(label(number, span.text)) + 8
        if rows[-1] and x + wide > WORDS:
            rows.append([])
            x = 0
        rows[-1].append((x, number, span))
        x += wide
    return rows if rows[0] else []


def _wide(text: str) -> int:
    from memescope.curation.synth.lettering import mask

    return int(mask(text, "plain", 16, margin=0).shape[1])
