"""What scenes and characters are drawn with: colours that vary, gradients, sky, rain, ground, trees."""

from __future__ import annotations

import math
from random import Random
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from PIL import ImageDraw

Mood = Literal["bright", "gloomy"]
Colour = tuple[int, int, int]


def vary(colour: Colour, rng: Random, by: int = 24) -> Colour:
    """A colour near this one."""
    red, green, blue = (min(255, max(0, part + rng.randint(-by, by))) for part in colour)
    return red, green, blue


def gradient(draw: ImageDraw.ImageDraw, box: tuple[int, int, int, int], top: Colour, bottom: Colour) -> None:
    """Fills a box from one colour to another."""
    left, upper, right, lower = box
    for y in range(upper, lower):
        part = (y - upper) / max(1, lower - upper - 1)
        draw.line((left, y, right, y), tuple(round(a + (b - a) * part) for a, b in zip(top, bottom, strict=True)))


def sky(draw: ImageDraw.ImageDraw, w: int, h: int, rng: Random, mood: Mood) -> None:
    """Blue with a sun, or grey with clouds and rain."""
    if mood == "bright":
        gradient(draw, (0, 0, w, h), vary((70, 150, 235), rng), vary((235, 240, 225), rng))
        x, y, r = rng.uniform(0.1, 0.9) * w, rng.uniform(0.1, 0.3) * h, rng.uniform(0.05, 0.1) * w
        for ray in range(12):
            angle = ray * math.pi / 6 + rng.random() * 0.1
            end = (x + 1.7 * r * math.cos(angle), y + 1.7 * r * math.sin(angle))
            draw.line((x, y, *end), (255, 225, 110), max(2, w // 150))
        draw.ellipse((x - r, y - r, x + r, y + r), (255, 214, 60))
    else:
        gradient(draw, (0, 0, w, h), vary((62, 70, 84), rng, 14), vary((136, 142, 150), rng, 14))
    for _ in range(rng.randint(2, 4) if mood == "bright" else rng.randint(5, 7)):
        colour = vary((250, 250, 250), rng, 5) if mood == "bright" else vary((96, 102, 112), rng, 12)
        _cloud(draw, rng.random() * w, rng.uniform(0.05, 0.35) * h, rng.uniform(0.06, 0.12) * w, colour, rng)


def rain(draw: ImageDraw.ImageDraw, w: int, h: int, rng: Random, mood: Mood) -> None:
    """Rain over all, in a gloomy picture only."""
    if mood == "gloomy":
        for _ in range(130):
            x, y, length = rng.random() * w, rng.random() * h, rng.uniform(0.02, 0.05) * h
            draw.line((x, y, x - length / 3, y + length), (175, 190, 210), max(1, w // 400))


def _cloud(draw: ImageDraw.ImageDraw, x: float, y: float, r: float, colour: Colour, rng: Random) -> None:
    for k in range(-2, 3):
        size = r * rng.uniform(0.6, 1.0) * (1 - abs(k) * 0.18)
        draw.ellipse((x + k * r * 0.7 - size, y - size, x + k * r * 0.7 + size, y + size * 0.7), colour)


def _waves(w: int, base: float, height: float, rng: Random) -> list[tuple[float, float]]:
    """A random smooth line across the picture."""
    phases = [(rng.uniform(1, 3), rng.random() * 6.3), (rng.uniform(3, 6), rng.random() * 6.3)]
    xs = [w * k / 60 for k in range(61)]
    return [(x, base + height * sum(math.sin(f * x / w * 6.3 + p) / f for f, p in phases)) for x in xs]


def ground(draw: ImageDraw.ImageDraw, w: int, h: int, base: float, height: float, colour: Colour, rng: Random) -> None:
    """Fills all below a random smooth line."""
    draw.polygon([*_waves(w, base, height, rng), (w, h), (0, h)], colour)


def tree(draw: ImageDraw.ImageDraw, x: float, y: float, s: float, rng: Random, mood: Mood) -> None:
    """A fir or a round tree of height about twice `s`, standing at a point."""
    draw.rectangle((x - s * 0.12, y - s * 0.6, x + s * 0.12, y), (104, 72, 46))
    leaf = vary((46, 130, 62) if mood == "bright" else (52, 70, 58), rng, 16)
    if rng.random() < 0.5:
        for k in range(3):
            top = y - s * (2 - 0.5 * k)
            draw.polygon([(x, top), (x - s * (0.4 + 0.15 * k), top + s), (x + s * (0.4 + 0.15 * k), top + s)], leaf)
    else:
        draw.ellipse((x - s * 0.6, y - s * 1.7, x + s * 0.6, y - s * 0.5), leaf)
