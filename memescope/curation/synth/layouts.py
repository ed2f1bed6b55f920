"""How picture and text are put together: capitals over the picture, a caption bar, a post, a speech bubble, and so on.

A `Design` says all that a meme's picture depends on; the same design always gives the same pixels. Shapes are drawn at
twice the size and scaled down, letters are rasterised at their size.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from random import Random
from typing import TYPE_CHECKING, Literal

from memescope.curation.synth.brush import Colour, Mood, vary
from memescope.curation.synth.characters import CHARACTERS, INK, Feeling
from memescope.curation.synth.lettering import Style, fit, letter, line_height, right_to_left
from memescope.curation.synth.scenes import SCENES

if TYPE_CHECKING:
    from PIL import Image

WHITE: Colour = (255, 255, 255)
PAPER: Colour = (252, 252, 250)
_SHARP = 2


@dataclass(frozen=True, slots=True)
class Design:
    """All that a drawn picture depends on. `width` and `height` are those of the finished meme, in pixels."""

    layout: str
    scene: str
    character: str
    mood: Mood
    feeling: Feeling
    seed: str
    width: int
    height: int

    @property
    def template(self) -> str:
        """Scene, character and layout: what people would call the meme's template."""
        return f"{self.scene}-{self.character}-{self.layout}"


def design(seed: str, size: tuple[int, int], mood: Mood | None = None, layout: str | None = None) -> Design:
    """A random design of `size` (width, height); a mood or layout that is given stays fixed."""
    rng = Random(f"design {seed}")
    chosen: Mood = rng.choice(("bright", "gloomy"))
    mood = mood or chosen
    feeling: Feeling = rng.choice(("happy", "happy", "calm") if mood == "bright" else ("sad", "sad", "surprised"))
    some, scene, who = rng.choice(list(LAYOUTS)), rng.choice(list(SCENES)), rng.choice(list(CHARACTERS))
    width, height = size
    return Design(layout or some, scene, who, mood, feeling, seed, width, height)


def draw(plan: Design, top: str, bottom: str) -> tuple[Image.Image, str]:
    """The meme as an RGB picture, and its text as lettered: upper part, newline, lower part (either may be empty)."""
    parts = [part.upper() if plan.layout in _CAPITALS else part for part in (top, bottom)]
    image = LAYOUTS[plan.layout](plan, *parts)
    return image, "\n".join(part for part in parts if part)


def _style(text: str, wanted: Style) -> Style:
    """Every letter and digit of a text in one look: there is no handwriting beyond Latin, no plain beyond Cyrillic."""
    last = max((c for c in text if c.isalpha()), default="")
    if wanted == "hand" and last > "\u024f":
        wanted = "plain"
    return "bold" if wanted == "plain" and last > "\u0590" else wanted


def _stage(plan: Design, width: int, height: int, x: float = 0.5, y: float = 0.45, size: float = 0.14) -> Image.Image:
    """Scene and character. `x`, `y` is the middle of the head and `size` its radius, as parts of width and height."""
    from PIL import Image, ImageDraw

    rng = Random(f"stage {plan.seed}")
    w, h = width * _SHARP, height * _SHARP
    image = Image.new("RGB", (w, h))
    pen = ImageDraw.Draw(image)
    SCENES[plan.scene](pen, w, h, rng, plan.mood)
    radius = min(size * rng.uniform(0.85, 1.1) * h, 0.2 * w)
    middle = (x + rng.uniform(-0.1, 0.1)) * w, (y + rng.uniform(-0.04, 0.04)) * h
    CHARACTERS[plan.character](pen, *middle, radius, Random(f"who {plan.seed.partition('#')[0]}"), plan.feeling)
    return image.reduce(_SHARP)


def _text(
    image: Image.Image,
    text: str,
    style: Style,
    box: tuple[float, float, float, float],
    largest: float,
    colour: Colour = INK,
    outline: Colour | None = None,
    place: str = "middle",
) -> None:
    """Letters a text into a box (left, top, right, bottom) as large as fits, centred; `place` top, middle or bottom."""
    style = _style(text, style)
    left, top, right, bottom = box
    lines, size = fit(text, style, (right - left, bottom - top), largest)
    free = bottom - top - len(lines) * line_height(size)
    start = top + {"top": 0.0, "middle": free / 2, "bottom": free}[place]
    letter(image, lines, style, size, ((left + right) / 2, start), colour, outline)


def impact(plan: Design, top: str, bottom: str) -> Image.Image:
    """White capitals with a black outline at the top and the bottom of the picture."""
    w, h = plan.width, plan.height
    image = _stage(plan, w, h, y=0.46)
    largest = min(w, h) * 0.115
    _text(image, top, "impact", (w * 0.04, h * 0.015, w * 0.96, h * 0.27), largest, WHITE, (0, 0, 0), "top")
    _text(image, bottom, "impact", (w * 0.04, h * 0.73, w * 0.96, h * 0.985), largest, WHITE, (0, 0, 0), "bottom")
    return image


def bar(plan: Design, top: str, bottom: str) -> Image.Image:
    """A white bar with black text above the picture."""
    from PIL import Image

    w, h = plan.width, plan.height
    high = round(h * 0.22)
    image = Image.new("RGB", (w, h), WHITE)
    image.paste(_stage(plan, w, h - high), (0, high))
    text = "\n".join(part for part in (top, bottom) if part)
    style: Style = "bold" if Random(f"bar {plan.seed}").random() < 0.5 else "plain"
    _text(image, text, style, (w * 0.04, h * 0.01, w * 0.96, high - h * 0.01), h * 0.06)
    return image


def post(plan: Design, top: str, bottom: str) -> Image.Image:
    """Like a post: a round portrait, the text from the start of the line, the picture below with round corners."""
    from PIL import Image, ImageDraw

    w, h = plan.width, plan.height
    dark = Random(f"post {plan.seed}").random() < 0.4
    ground, ink = ((22, 28, 36), (236, 238, 240)) if dark else (WHITE, (20, 22, 26))
    image = Image.new("RGB", (w, h), ground)
    pen = ImageDraw.Draw(image)
    face = round(h * 0.1)
    portrait = _stage(replace(plan, scene="rays"), face * 3, face * 3, y=0.5, size=0.3).resize((face, face))
    image.paste(portrait, (round(w * 0.05), round(h * 0.03)), _disc(face))
    for k, part in enumerate((0.22, 0.14)):
        left = w * 0.07 + face
        pen.rounded_rectangle(
            (left, h * (0.052 + 0.035 * k), left + w * part, h * (0.07 + 0.035 * k)), 6, (140, 150, 160)
        )
    text = "\n".join(part for part in (top, bottom) if part)
    style = _style(text, "plain")
    lines, size = fit(text, style, (w * 0.9, h * 0.19), h * 0.052)
    side: Literal["left", "right"] = "right" if right_to_left(text) else "left"
    letter(image, lines, style, size, (w * (0.05 if side == "left" else 0.95), h * 0.15), ink, align=side)
    frame = (round(w * 0.05), round(h * 0.37), round(w * 0.95), round(h * 0.97))
    picture = _stage(plan, frame[2] - frame[0], frame[3] - frame[1])
    corners = Image.new("L", picture.size, 0)
    ImageDraw.Draw(corners).rounded_rectangle((0, 0, picture.width - 1, picture.height - 1), 18, 255)
    image.paste(picture, frame[:2], corners)
    return image


def _disc(side: int) -> Image.Image:
    from PIL import Image, ImageDraw

    disc = Image.new("L", (side * 4, side * 4), 0)
    ImageDraw.Draw(disc).ellipse((0, 0, side * 4 - 1, side * 4 - 1), 255)
    return disc.reduce(4)


def bubble(plan: Design, top: str, bottom: str) -> Image.Image:
    """The character says the text in a speech bubble."""
    from PIL import ImageDraw

    w, h = plan.width, plan.height
    rng = Random(f"bubble {plan.seed}")
    left = rng.random() < 0.5
    image = _stage(plan, w, h, x=0.3 if left else 0.7, y=0.58, size=0.12)
    box = (w * 0.05, h * 0.04, w * 0.95, h * 0.36)
    large = image.resize((w * _SHARP, h * _SHARP))
    pen = ImageDraw.Draw(large)
    tip = (w * (0.33 if left else 0.67), h * 0.44)
    foot = (w * (0.38 if left else 0.54), w * (0.46 if left else 0.62))
    pen.polygon(
        [(_SHARP * x, _SHARP * y) for x, y in ((foot[0], box[3] - 4), (foot[1], box[3] - 4), tip)], PAPER, INK, 4
    )
    pen.rounded_rectangle(tuple(_SHARP * part for part in box), 60, PAPER, INK, 6)
    pen.polygon(
        [
            (_SHARP * x, _SHARP * y)
            for x, y in ((foot[0] + 4, box[3] - 8), (foot[1] - 4, box[3] - 8), (foot[0] + 4, box[3] + 2))
        ],
        PAPER,
    )
    image = large.reduce(_SHARP)
    text = "\n".join(part for part in (top, bottom) if part)
    _text(image, text, "hand", (box[0] + w * 0.04, box[1] + h * 0.02, box[2] - w * 0.04, box[3] - h * 0.02), h * 0.085)
    return image


def panels(plan: Design, top: str, bottom: str) -> Image.Image:
    """Two panels one above the other, each with the character on the left and its part of the text on the right."""
    from PIL import Image, ImageDraw

    w, h = plan.width, plan.height
    image = Image.new("RGB", (w, h), PAPER)
    half = h // 2
    first: Feeling = "sad" if plan.feeling == "happy" else "calm"
    for number, (text, feeling) in enumerate(((top, first), (bottom, plan.feeling))):
        part = replace(plan, feeling=feeling, seed=f"{plan.seed}#{number}")
        image.paste(_stage(part, w // 2, half, y=0.4, size=0.2), (0, number * half))
        box = (w * 0.53, number * half + h * 0.02, w * 0.97, (number + 1) * half - h * 0.02)
        _text(image, text, "bold", box, h * 0.08)
    pen = ImageDraw.Draw(image)
    pen.rectangle((0, half - 2, w, half + 2), INK)
    pen.rectangle((w // 2 - 2, 0, w // 2 + 2, h), INK)
    return image


def sign(plan: Design, top: str, bottom: str) -> Image.Image:
    """The character holds up a board with the text."""
    from PIL import ImageDraw

    w, h = plan.width, plan.height
    rng = Random(f"sign {plan.seed}")
    image = _stage(plan, w, h, y=0.24, size=0.12)
    box = (w * 0.1, h * 0.52, w * 0.9, h * 0.88)
    large = image.resize((w * _SHARP, h * _SHARP))
    pen = ImageDraw.Draw(large)
    board = vary((246, 232, 196), rng, 12)
    pen.rounded_rectangle(tuple(_SHARP * part for part in box), 16, board, (110, 80, 50), 12)
    for x in (0.2, 0.8):
        u, v, r = w * x * _SHARP, box[1] * _SHARP, w * 0.03 * _SHARP
        pen.ellipse((u - r, v - r, u + r, v + r), vary((226, 180, 150), rng, 10), INK, 4)
    image = large.reduce(_SHARP)
    text = "\n".join(part for part in (top, bottom) if part)
    _text(image, text, "hand", (box[0] + w * 0.04, box[1] + h * 0.03, box[2] - w * 0.04, box[3] - h * 0.02), h * 0.095)
    return image


def poster(plan: Design, top: str, bottom: str) -> Image.Image:
    """A framed picture on black with a large first and a smaller second line."""
    from PIL import Image, ImageDraw

    w, h = plan.width, plan.height
    image = Image.new("RGB", (w, h), (12, 12, 14))
    frame = (round(w * 0.09), round(h * 0.07), round(w * 0.91), round(h * 0.68))
    ImageDraw.Draw(image).rectangle((frame[0] - 6, frame[1] - 6, frame[2] + 5, frame[3] + 5), None, WHITE, 2)
    image.paste(_stage(plan, frame[2] - frame[0], frame[3] - frame[1]), frame[:2])
    _text(image, top, "impact", (w * 0.05, h * 0.71, w * 0.95, h * 0.85), h * 0.1, WHITE)
    _text(image, bottom, "plain", (w * 0.05, h * 0.86, w * 0.95, h * 0.98), h * 0.055, (224, 224, 220))
    return image


LAYOUTS: dict[str, Callable[[Design, str, str], Image.Image]] = {
    layout.__name__: layout for layout in (impact, bar, post, bubble, panels, sign, poster)
}
_CAPITALS = ("impact",)
