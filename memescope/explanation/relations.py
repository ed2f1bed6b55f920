"""A meme and those that a model relates it to, as a picture: a row of cards for each way of being alike.

A card has the related meme's picture where there is one, its name, its cosine and a line of labels. What the model's
graphs join to the meme is framed in orange, what they do not is grey.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from memescope.explanation.draw import FAINT, FOR, INK, MARGIN, PAPER, wrapped, write

if TYPE_CHECKING:
    from PIL import Image

CARD, PICTURE, ROW = 170, 130, 20
LINES = 4


@dataclass(frozen=True, slots=True)
class Card:
    """One related meme: `name`, `cosine`, whether it is `joined`, `says` (its labels), `pixels` uint8 (h, w, 3)."""

    name: str
    cosine: float
    joined: bool
    says: str
    pixels: np.ndarray | None = None


def draw_relations(pixels: np.ndarray | None, title: str, rows: Mapping[str, Sequence[Card]]) -> Image.Image:
    """The meme at the left, a row of cards for each entry of `rows` (what it says, its cards) at the right."""
    from PIL import Image, ImageDraw

    most = max((len(cards) for cards in rows.values()), default=0)
    height = 2 * ROW + PICTURE + (1 + LINES) * ROW + MARGIN
    left = 2 * MARGIN + CARD + 2 * MARGIN
    page = Image.new("RGB", (left + max(most, 3) * (CARD + MARGIN), 3 * MARGIN + ROW + len(rows) * height), PAPER)
    draw = ImageDraw.Draw(page)
    write(page, MARGIN, MARGIN, title, 20, style="bold")
    top = 2 * MARGIN + ROW
    middle = top + max(len(rows) * height - CARD, 0) // 2
    _picture(page, pixels, MARGIN, middle, CARD, INK)
    for number, (says, cards) in enumerate(rows.items()):
        y = top + number * height
        write(page, left, y, says, 15, style="bold")
        for place, card in enumerate(cards):
            x = left + place * (CARD + MARGIN)
            colour = FOR if card.joined else (170, 170, 170)
            if place == 0:
                begin, end = (MARGIN + CARD, middle + CARD // 2), (x, y + 2 * ROW + PICTURE // 2)
                draw.line([begin, end], fill=colour, width=2)
            _picture(page, card.pixels, x, y + 2 * ROW - 8, PICTURE, colour)
            under = y + 2 * ROW + PICTURE
            joined = "joined" if card.joined else "not joined"
            write(page, x, under, f"{card.cosine:+.2f} {joined}", 14, colour if card.joined else (90, 90, 90))
            for line, text in enumerate(wrapped(f"{card.name}: {card.says}", CARD, 13)[:LINES]):
                write(page, x, under + (line + 1) * ROW, text, 13)
    return page


def _picture(
    page: Image.Image, pixels: np.ndarray | None, x: int, y: int, side: int, colour: tuple[int, int, int]
) -> None:
    """The picture in a square with a frame; an empty one where there is none."""
    from PIL import Image, ImageDraw

    draw = ImageDraw.Draw(page)
    draw.rectangle([x, y, x + side - 1, y + side - 1], fill=FAINT, outline=colour, width=3)
    if pixels is None:
        return
    picture = Image.fromarray(np.ascontiguousarray(pixels))
    picture.thumbnail((side - 6, side - 6))
    page.paste(picture, (x + (side - picture.width) // 2, y + (side - picture.height) // 2))
