"""An answer's evidence as a picture: the meme under its heat map, its words with bars, the sentence below.

Orange speaks for the answer, blue against it (Okabe and Ito's colours, told apart by colour-blind readers too).
Lettering uses the package's fonts; a word they lack letters for is drawn as its number in the text.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from memescope.explanation.regions import heat
from memescope.meme import Evidence, Region, Span

if TYPE_CHECKING:
    from PIL import Image

FOR, AGAINST = (213, 94, 0), (0, 114, 178)
INK, PAPER, FAINT = (30, 30, 30), (255, 255, 255), (225, 225, 225)
MARGIN, SIDE, PANEL = 20, 520, 400
ROW = 26
MOST_WORDS = 14


def draw_evidence(
    pixels: np.ndarray | None, title: str, evidence: Evidence, by: str = "the log-odds lost without them"
) -> Image.Image:
    """One answer's evidence on a white page 980 pixels wide; `pixels` is the meme, uint8 RGB (h, w, 3), or None.

    `by` says what the words' weights are.
    """
    from PIL import Image

    words = shown_words(evidence.spans)
    sentence = wrapped(evidence.says, 2 * MARGIN + SIDE + PANEL - MARGIN)
    meme = None if pixels is None else overlaid(pixels, evidence.regions)
    body = max(meme.height if meme else 0, 2 * ROW + ROW * max(len(words), 1))
    page = Image.new("RGB", (3 * MARGIN + SIDE + PANEL, 4 * MARGIN + ROW + body + ROW * len(sentence)), PAPER)
    write(page, MARGIN, MARGIN, title, 20, style="bold")
    top = 2 * MARGIN + ROW
    if meme is not None:
        page.paste(meme, (MARGIN, top))
    _bars(page, 2 * MARGIN + SIDE, top, words, by)
    for i, line in enumerate(sentence):
        write(page, MARGIN, top + body + MARGIN + i * ROW, line, 16)
    return page


def shown_words(spans: Sequence[Span]) -> list[tuple[int, Span]]:
    """The words that move the answer most, either way, in the order of the text: (number in the text from 1, span)."""
    numbered = list(enumerate(spans, 1))
    most = sorted(numbered, key=lambda pair: -abs(pair[1].weight))[:MOST_WORDS]
    return sorted(most, key=lambda pair: pair[0])


def overlaid(pixels: np.ndarray, regions: Sequence[Region]) -> Image.Image:
    """The meme in grey at most 520 pixels a side, orange where the regions are, each framed with its weight."""
    from PIL import Image, ImageDraw

    scale = min(SIDE / pixels.shape[0], SIDE / pixels.shape[1])
    size = max(round(pixels.shape[1] * scale), 1), max(round(pixels.shape[0] * scale), 1)
    grey = Image.fromarray(pixels).resize(size, Image.Resampling.BICUBIC).convert("L").convert("RGB")
    alpha = heat(list(regions), size[1], size[0]) * 0.6
    glow = Image.fromarray((alpha * 255).astype(np.uint8))
    grey.paste(Image.new("RGB", size, FOR), (0, 0), glow)
    draw = ImageDraw.Draw(grey)
    for region in regions:
        left, top = region.x * size[0], region.y * size[1]
        right, bottom = left + region.width * size[0] - 1, top + region.height * size[1] - 1
        draw.rectangle([left, top, right, bottom], outline=FOR if region.weight > 0 else AGAINST, width=3)
        write(grey, round(left) + 6, round(top) + 4, f"{region.weight:+.2f}", 16, PAPER, "bold", halo=INK)
    return grey


def _bars(page: Image.Image, left: int, top: int, words: Sequence[tuple[int, Span]], by: str) -> None:
    from PIL import ImageDraw

    write(page, left, top, f"words, by {by}" if words else "no words", 14, (90, 90, 90))
    draw = ImageDraw.Draw(page)
    middle, reach = left + 230, 110
    widest = max((abs(span.weight) for _, span in words), default=0) or 1.0
    for i, (number, span) in enumerate(words):
        y = top + ROW * (i + 1)
        write(page, left, y, label(number, span.text), 16)
        length = round(reach * abs(span.weight) / widest / 2)
        ends = (middle, middle + length) if span.weight > 0 else (middle - length, middle)
        draw.rectangle([ends[0], y + 3, ends[1], y + ROW - 6], fill=FOR if span.weight > 0 else AGAINST)
        draw.line([middle, y, middle, y + ROW - 2], fill=FAINT)
        write(page, middle + reach // 2 + 12, y, f"{span.weight:+.2f}", 14, (90, 90, 90))


def label(number: int, text: str) -> str:
    """A word as it is drawn: cut to 22 letters; "word 5" where the package's fonts lack one of its letters."""
    from memescope.curation.synth.lettering import missing_letters

    short = " ".join(text.split())
    short = short if len(short) <= 22 else f"{short[:21]}…"
    return f"word {number}" if missing_letters(short, "plain") else short


def wrapped(text: str, room: float, size: float = 16) -> list[str]:
    """The text in lines no wider than `room` pixels; letters the fonts lack become "?"."""
    from memescope.curation.synth.lettering import missing_letters, wrap

    absent = set(missing_letters(text, "plain"))
    return wrap("".join("?" if c in absent else c for c in text), "plain", size, room)


def write(
    page: Image.Image,
    x: int,
    y: int,
    text: str,
    size: int,
    colour: tuple[int, int, int] = INK,
    style: str = "plain",
    halo: tuple[int, int, int] | None = None,
) -> None:
    """Letter one line with its top left corner at (x, y), over a dark halo where one is asked for."""
    from PIL import Image, ImageFilter

    from memescope.curation.synth.lettering import mask

    coverage = Image.fromarray(mask(text, "bold" if style == "bold" else "plain", size, margin=2))
    if halo is not None:
        page.paste(halo, (x - 2, y - 2), coverage.filter(ImageFilter.MaxFilter(5)))
    page.paste(colour, (x - 2, y - 2), coverage)
