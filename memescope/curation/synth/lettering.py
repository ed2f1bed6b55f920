"""Lettering with the package's own fonts: HarfBuzz shapes and rasterises, so every script comes out right everywhere.

Pillow's complex layout needs a system library (FriBidi) that may be absent; here nothing of the system is used.
Right-to-left lines are ordered by the part of the Unicode bidirectional algorithm (UAX #9) that captions need: one
level of left-to-right words and numbers inside, mirrored brackets.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from memescope.errors import MissingExtra

if TYPE_CHECKING:
    from PIL import Image

Style = Literal["impact", "plain", "bold", "hand"]
_SCRIPTS = ("devanagari-bold.ttf", "bengali-bold.ttf", "arabic-bold.ttf", "chinese-bold.otf")
_FONTS: dict[Style, tuple[str, ...]] = {
    "impact": ("anton.ttf", "anton-ext.ttf", "oswald-cyrillic.ttf", "sans-bold.ttf", *_SCRIPTS),
    "plain": ("sans.ttf", *_SCRIPTS),
    "bold": ("sans-bold.ttf", *_SCRIPTS),
    "hand": ("patrick-hand.ttf", "patrick-hand-ext.ttf", "sans.ttf", *_SCRIPTS),
}
"""For each style its fonts; a character is taken from the first that has it."""
_ASCENT, _DESCENT = 0.95, 0.32
"""Of every line, in units of the letter size; high enough for Devanagari signs and Arabic tails."""


@dataclass(frozen=True, slots=True)
class Glyph:
    """One shaped glyph: which font, which outline, and where in units of the letter size (y up)."""

    font: str
    id: int
    x: float
    y: float


def _harfbuzz() -> Any:
    try:
        import uharfbuzz
    except ImportError:
        raise MissingExtra("drawing memes", "data") from None
    return uharfbuzz


@cache
def _font(name: str) -> Any:
    harfbuzz = _harfbuzz()
    blob = resources.files("memescope.curation.synth").joinpath("fonts", name).read_bytes()
    return harfbuzz.Font(harfbuzz.Face(blob))


def _font_for(character: str, style: Style) -> str | None:
    for name in _FONTS[style]:
        if _font(name).get_nominal_glyph(ord(character)):
            return name
    return None


def missing_letters(text: str, style: Style = "impact") -> str:
    """The characters that none of the style's fonts can draw (sorted, each once)."""
    return "".join(sorted({c for c in text if not c.isspace() and not _invisible(c) and _font_for(c, style) is None}))


def _invisible(character: str) -> bool:
    return unicodedata.category(character) in ("Cf", "Cc")


def right_to_left(text: str) -> bool:
    """Whether the first letter with a direction runs from right to left."""
    for character in text:
        direction = unicodedata.bidirectional(character)
        if direction in ("L", "R", "AL"):
            return direction != "L"
    return False


def _direction_runs(line: str) -> list[tuple[str, bool]]:
    """The line in runs of one direction, in visual order from left to right: (text, right to left)."""
    base = right_to_left(line)
    levels: list[bool | None] = []
    for character in line:
        kind = unicodedata.bidirectional(character)
        levels.append({"L": False, "R": True, "AL": True, "EN": False, "AN": False}.get(kind))
    # Rules N1, N2, NSM: neutrals between two of one direction take it, others the line's; marks follow their letter.
    for i, character in enumerate(line):
        if levels[i] is None:
            before = levels[i - 1] if i else base
            if unicodedata.bidirectional(character) == "NSM":
                levels[i] = before
            else:
                after = next((level for level in levels[i + 1 :] if level is not None), base)
                levels[i] = before if before == after else base
    runs: list[tuple[str, bool]] = []
    for character, level in zip(line, levels, strict=True):
        right = bool(level)
        if runs and runs[-1][1] == right:
            runs[-1] = (runs[-1][0] + character, right)
        else:
            runs.append((character, right))
    return runs[::-1] if base else runs


def _font_runs(text: str, style: Style) -> list[tuple[str, str]]:
    """The text in runs of one font, in logical order. Spaces, marks and joiners stay with what they follow."""
    runs: list[tuple[str, str]] = []
    for character in text:
        follows = runs and (character.isspace() or _invisible(character) or unicodedata.combining(character))
        if follows and (_font(runs[-1][0]).get_nominal_glyph(ord(character)) or _invisible(character)):
            name = runs[-1][0]
        else:
            name = _font_for(character, style) or _FONTS[style][0]
        if runs and runs[-1][0] == name:
            runs[-1] = (name, runs[-1][1] + character)
        else:
            runs.append((name, character))
    return runs


def shape(line: str, style: Style) -> tuple[list[Glyph], float]:
    """The glyphs of one line from left to right, and its width, in units of the letter size."""
    harfbuzz = _harfbuzz()
    glyphs: list[Glyph] = []
    at = 0.0
    for text, right in _direction_runs(unicodedata.normalize("NFC", line)):
        parts = _font_runs(text, style)
        for name, part in parts[::-1] if right else parts:
            font = _font(name)
            em = font.face.upem
            buffer = harfbuzz.Buffer()
            buffer.add_str(part)
            buffer.guess_segment_properties()
            buffer.direction = "rtl" if right else "ltr"
            harfbuzz.shape(font, buffer)
            for info, position in zip(buffer.glyph_infos, buffer.glyph_positions, strict=True):
                x, y = at + position.x_offset / em, position.y_offset / em
                glyphs.append(Glyph(name, info.codepoint, x, y))
                at += position.x_advance / em
    return glyphs, at


def width(line: str, style: Style, size: float) -> float:
    """How wide a line is, in pixels."""
    return shape(line, style)[1] * size


def line_height(size: float) -> float:
    """How high a line is, in pixels."""
    return (_ASCENT + _DESCENT) * size


def mask(line: str, style: Style, size: float, margin: int = 0) -> np.ndarray:
    """One line as coverage: uint8 (h, w), h = `line_height`, w = `width`, both rounded up, with a margin all round."""
    harfbuzz = _harfbuzz()
    glyphs, wide = shape(line, style)
    rows, columns = int(np.ceil(line_height(size))) + 2 * margin, int(np.ceil(wide * size)) + 2 * margin
    if not glyphs or not columns:
        return np.zeros((rows, max(columns, 1)), np.uint8)
    draw = harfbuzz.RasterDraw()
    draw.extents = harfbuzz.RasterExtents(x_origin=0, y_origin=0, width=columns, height=rows, stride=0)
    for glyph in glyphs:
        font = _font(glyph.font)
        scale = size / font.face.upem
        left, bottom = margin + glyph.x * size, rows - margin - _ASCENT * size + glyph.y * size
        draw.transform = (scale, 0.0, 0.0, scale, left, bottom)
        draw.draw_glyph(font, glyph.id)
    image = draw.render()
    return np.frombuffer(image.buffer, np.uint8).reshape(rows, image.extents.stride)[::-1, :columns]


def wrap(text: str, style: Style, size: float, room: float) -> list[str]:
    """The text in lines no wider than `room` pixels, broken between words (between letters in Chinese)."""
    lines: list[str] = []
    for paragraph in text.split("\n"):
        line = ""
        for word in _words(paragraph):
            longer = line + word
            if line and width(longer.rstrip(), style, size) > room:
                lines.append(line.rstrip())
                line = word.lstrip()
            else:
                line = longer
        lines.append(line.rstrip())
    return [line for line in lines if line]


def _words(text: str) -> list[str]:
    """Pieces a line may be broken after: words with the space that follows, single Chinese characters."""
    return re.findall(r"[\u3400-\u9fff][^\w\u3400-\u9fff]*|[^\s\u3400-\u9fff]+\s*|\s+", text)


def fit(
    text: str, style: Style, room: tuple[float, float], largest: float, smallest: float = 14
) -> tuple[list[str], float]:
    """The lines and the largest letter size (pixels, at most `largest`) with which they fill `room` (width, height)."""
    size = largest
    while True:
        lines = wrap(text, style, size, room[0])
        wide = max((width(line, style, size) for line in lines), default=0.0)
        if size <= smallest or (wide <= room[0] and len(lines) * line_height(size) <= room[1]):
            break
        size = max(smallest, size * 0.93)
    # As narrow as the same number of lines allows: no single word is left over for the last line.
    narrow = room[0]
    while narrow > room[0] / 3 and len(tighter := wrap(text, style, size, narrow * 0.95)) == len(lines):
        narrow *= 0.95
        lines = tighter
    return lines, size


def letter(
    image: Image.Image,
    lines: list[str],
    style: Style,
    size: float,
    at: tuple[float, float],
    colour: tuple[int, int, int] = (0, 0, 0),
    outline: tuple[int, int, int] | None = None,
    align: Literal["left", "centre", "right"] = "centre",
) -> None:
    """Draws lines onto an RGB picture, with their left ends, middles or right ends at x of `at` (x, top).

    `outline` is the colour of a border around each letter.
    """
    x, top = at
    thick = max(1, round(size * 0.06)) if outline else 0
    for number, line in enumerate(lines):
        cover = mask(line, style, size, margin=thick + 1)
        part = {"left": 0.0, "centre": 0.5, "right": 1.0}[align]
        left = x - thick - 1 - part * (cover.shape[1] - 2 * thick - 2)
        place = (round(left), round(top + number * line_height(size)) - thick - 1)
        if outline:
            _paint(image, _thicker(cover, thick), place, outline)
        _paint(image, cover, place, colour)


def _thicker(cover: np.ndarray, by: int) -> np.ndarray:
    import cv2

    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * by + 1, 2 * by + 1))
    return cv2.dilate(cover, disc)


def _paint(image: Image.Image, cover: np.ndarray, place: tuple[int, int], colour: tuple[int, int, int]) -> None:
    from PIL import Image

    image.paste(colour, (*place, place[0] + cover.shape[1], place[1] + cover.shape[0]), Image.fromarray(cover))
