"""Who stands in a drawn meme: animals, a robot and stick people, whose faces show a feeling."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import TYPE_CHECKING, Literal

from memescope.curation.synth.brush import Colour, vary

if TYPE_CHECKING:
    from PIL import ImageDraw

Feeling = Literal["happy", "sad", "calm", "surprised"]
Character = Callable[["ImageDraw.ImageDraw", float, float, float, Random, Feeling], None]
INK: Colour = (36, 30, 34)


def _oval(draw: ImageDraw.ImageDraw, x: float, y: float, rx: float, ry: float, colour: Colour, line: float = 0) -> None:
    draw.ellipse((x - rx, y - ry, x + rx, y + ry), colour, INK if line else None, max(1, round(line)) if line else 1)


def _face(draw: ImageDraw.ImageDraw, x: float, y: float, s: float, feeling: Feeling, eye: float = 0.13) -> None:
    """Eyes and a mouth around a point, for a head of radius `s`."""
    thick = max(2, round(s * 0.07))
    for side in (-1, 1):
        u, v, r = x + side * s * 0.36, y - s * 0.14, s * eye * (1.5 if feeling == "surprised" else 1.15)
        _oval(draw, u, v, r * 1.25, r * 1.25, (252, 252, 250), 2)
        look = r * 0.35 if feeling == "sad" else 0
        _oval(draw, u, v + look, r * 0.65, r * 0.65, INK)
        if feeling == "sad":
            draw.line((u - r * 1.5, v - r * (1.6 + side * 0.6), u + r * 1.5, v - r * (1.6 - side * 0.6)), INK, thick)
    mouth = y + s * 0.42
    if feeling == "happy":
        draw.chord((x - s * 0.36, mouth - s * 0.34, x + s * 0.36, mouth + s * 0.22), 10, 170, (190, 60, 70), INK, thick)
    elif feeling == "sad":
        draw.arc((x - s * 0.3, mouth, x + s * 0.3, mouth + s * 0.36), 200, 340, INK, thick)
        _oval(draw, x + s * 0.46, y + s * 0.18, s * 0.06, s * 0.12, (110, 180, 240))
    elif feeling == "surprised":
        _oval(draw, x, mouth + s * 0.06, s * 0.13, s * 0.19, (120, 40, 50), thick)
    else:
        draw.line((x - s * 0.22, mouth + s * 0.06, x + s * 0.22, mouth + s * 0.06), INK, thick)


def _body(draw: ImageDraw.ImageDraw, x: float, y: float, s: float, colour: Colour) -> None:
    _oval(draw, x, y + s * 1.75, s * 0.85, s * 1.1, colour, s * 0.05)
    for side in (-1, 1):
        _oval(draw, x + side * s * 0.5, y + s * 2.75, s * 0.36, s * 0.2, colour, s * 0.05)
        _oval(draw, x + side * s * 0.95, y + s * 1.6, s * 0.2, s * 0.55, colour, s * 0.05)


def cat(draw: ImageDraw.ImageDraw, x: float, y: float, s: float, rng: Random, feeling: Feeling) -> None:
    """Pointed ears, whiskers, a tail."""
    fur = vary(rng.choice([(226, 150, 80), (150, 150, 158), (70, 66, 72), (238, 226, 206)]), rng, 14)
    draw.arc((x + s * 0.3, y + s * 1.2, x + s * 1.7, y + s * 2.9), 250, 110, fur, max(4, round(s * 0.24)))
    _body(draw, x, y, s, fur)
    for side in (-1, 1):
        ear = [
            (x + side * s * 0.95, y - s * 1.15),
            (x + side * s * 0.2, y - s * 0.85),
            (x + side * s * 0.95, y - s * 0.2),
        ]
        draw.polygon(ear, fur, INK, max(2, round(s * 0.05)))
    _oval(draw, x, y, s, s * 0.92, fur, s * 0.05)
    for side in (-1, 1):
        for k in (-1, 0, 1):
            draw.line((x + side * s * 0.4, y + s * 0.25, x + side * s * 1.25, y + s * (0.22 + 0.15 * k)), INK, 2)
    draw.polygon([(x - s * 0.1, y + s * 0.14), (x + s * 0.1, y + s * 0.14), (x, y + s * 0.26)], (230, 130, 140))
    _face(draw, x, y, s, feeling)


def dog(draw: ImageDraw.ImageDraw, x: float, y: float, s: float, rng: Random, feeling: Feeling) -> None:
    """Hanging ears, a muzzle, a collar."""
    fur = vary(rng.choice([(190, 140, 90), (236, 220, 190), (110, 84, 66)]), rng, 14)
    _body(draw, x, y, s, fur)
    draw.rectangle((x - s * 0.6, y + s * 0.85, x + s * 0.6, y + s * 1.02), (200, 50, 60))
    _oval(draw, x, y, s * 0.95, s, fur, s * 0.05)
    dark: Colour = (max(0, fur[0] - 60), max(0, fur[1] - 60), max(0, fur[2] - 50))
    for side in (-1, 1):
        _oval(draw, x + side * s * 0.95, y + s * 0.1, s * 0.28, s * 0.7, dark, s * 0.05)
    _oval(draw, x, y + s * 0.42, s * 0.5, s * 0.42, (248, 240, 226))
    _face(draw, x, y, s, feeling)
    _oval(draw, x, y + s * 0.2, s * 0.15, s * 0.1, INK)


def owl(draw: ImageDraw.ImageDraw, x: float, y: float, s: float, rng: Random, feeling: Feeling) -> None:
    """Large eyes and a beak."""
    plumage = vary(rng.choice([(150, 110, 76), (120, 124, 150), (196, 170, 130)]), rng, 16)
    _body(draw, x, y, s, plumage)
    for row in range(3):
        for column in range(-2, 3):
            u, v = x + column * s * 0.28, y + s * (1.2 + 0.35 * row)
            draw.arc((u - s * 0.14, v, u + s * 0.14, v + s * 0.28), 0, 180, INK, max(2, round(s * 0.04)))
    _oval(draw, x, y, s, s * 0.9, plumage, s * 0.05)
    for side in (-1, 1):
        _oval(draw, x + side * s * 0.38, y - s * 0.14, s * 0.38, s * 0.38, (240, 226, 190))
    _face(draw, x, y, s, feeling, eye=0.2)
    draw.polygon([(x - s * 0.12, y + s * 0.08), (x + s * 0.12, y + s * 0.08), (x, y + s * 0.34)], (240, 160, 50), INK)


def robot(draw: ImageDraw.ImageDraw, x: float, y: float, s: float, rng: Random, feeling: Feeling) -> None:
    """A box with an aerial and buttons."""
    metal = vary(rng.choice([(160, 176, 190), (206, 150, 90), (120, 170, 160)]), rng, 16)
    line = max(2, round(s * 0.06))
    draw.line((x, y - s * 0.8, x, y - s * 1.5), INK, line)
    _oval(draw, x, y - s * 1.5, s * 0.15, s * 0.15, (230, 70, 60), 2)
    for side in (-1, 1):
        draw.line((x + side * s * 0.8, y + s * 1.3, x + side * s * 1.5, y + s * rng.uniform(0.9, 2.0)), INK, line * 3)
        draw.line((x + side * s * 0.4, y + s * 2.3, x + side * s * 0.4, y + s * 2.9), INK, line * 3)
    draw.rounded_rectangle((x - s * 0.85, y + s, x + s * 0.85, y + s * 2.4), round(s * 0.12), metal, INK, line)
    draw.rounded_rectangle((x - s, y - s * 0.8, x + s, y + s * 0.85), round(s * 0.15), metal, INK, line)
    for k in range(3):
        _oval(draw, x - s * 0.4 + k * s * 0.4, y + s * 1.5, s * 0.12, s * 0.12, vary((200, 120, 80), rng, 80), 2)
    _face(draw, x, y, s, feeling)


def frog(draw: ImageDraw.ImageDraw, x: float, y: float, s: float, rng: Random, feeling: Feeling) -> None:
    """Eyes on top and a pale belly."""
    skin = vary((96, 170, 84), rng, 26)
    _body(draw, x, y, s, skin)
    _oval(draw, x, y + s * 1.8, s * 0.55, s * 0.8, (226, 236, 186))
    for side in (-1, 1):
        _oval(draw, x + side * s * 0.5, y - s * 0.65, s * 0.36, s * 0.36, skin, s * 0.05)
    _oval(draw, x, y, s * 1.1, s * 0.8, skin, s * 0.05)
    _face(draw, x, y - s * 0.1, s * 1.1, feeling)


def penguin(draw: ImageDraw.ImageDraw, x: float, y: float, s: float, rng: Random, feeling: Feeling) -> None:
    """Black back, white front, orange feet, a scarf."""
    coat = vary((46, 52, 70), rng, 12)
    for side in (-1, 1):
        _oval(draw, x + side * s * 0.45, y + s * 2.8, s * 0.36, s * 0.14, (240, 160, 50), 2)
        _oval(draw, x + side * s * 1.0, y + s * 1.6, s * 0.22, s * 0.8, coat, s * 0.04)
    _oval(draw, x, y + s * 1.4, s, s * 1.45, coat, s * 0.04)
    _oval(draw, x, y + s * 1.7, s * 0.68, s * 1.05, (248, 248, 244))
    _oval(draw, x, y, s * 0.95, s * 0.9, coat, s * 0.04)
    _oval(draw, x, y + s * 0.12, s * 0.72, s * 0.66, (248, 248, 244))
    draw.rectangle((x - s * 0.7, y + s * 0.75, x + s * 0.7, y + s * 1.0), vary((210, 60, 70), rng, 40))
    _face(draw, x, y, s * 0.95, feeling)
    draw.polygon([(x - s * 0.16, y + s * 0.1), (x + s * 0.16, y + s * 0.1), (x, y + s * 0.32)], (244, 166, 50))


def bear(draw: ImageDraw.ImageDraw, x: float, y: float, s: float, rng: Random, feeling: Feeling) -> None:
    """Round ears and a bow tie."""
    fur = vary(rng.choice([(140, 96, 66), (240, 240, 240), (96, 76, 70)]), rng, 12)
    _body(draw, x, y, s, fur)
    for side in (-1, 1):
        _oval(draw, x + side * s * 0.72, y - s * 0.72, s * 0.34, s * 0.34, fur, s * 0.05)
    _oval(draw, x, y, s, s * 0.95, fur, s * 0.05)
    _oval(draw, x, y + s * 0.4, s * 0.46, s * 0.4, (226, 200, 170))
    _face(draw, x, y, s, feeling)
    _oval(draw, x, y + s * 0.18, s * 0.14, s * 0.1, INK)
    tie = vary((60, 110, 190), rng, 50)
    for side in (-1, 1):
        draw.polygon(
            [(x, y + s * 1.1), (x + side * s * 0.4, y + s * 0.92), (x + side * s * 0.4, y + s * 1.28)], tie, INK
        )


def stick(draw: ImageDraw.ImageDraw, x: float, y: float, s: float, rng: Random, feeling: Feeling) -> None:
    """A stick person; happy ones throw up their arms."""
    line = max(4, round(s * 0.12))
    draw.line((x, y + s * 0.9, x, y + s * 2.1), INK, line)
    for side in (-1, 1):
        draw.line((x, y + s * 2.1, x + side * s * 0.6, y + s * 2.9), INK, line)
        lift = {"happy": -0.1, "surprised": 0.4, "calm": 1.5, "sad": 1.9}[feeling] + rng.uniform(-0.1, 0.1)
        draw.line((x, y + s * 1.2, x + side * s * 0.9, y + s * lift), INK, line)
    _oval(draw, x, y, s * 0.9, s * 0.9, vary((252, 248, 240), rng, 5), line)
    _face(draw, x, y, s * 0.9, feeling)
    if rng.random() < 0.5:
        draw.polygon(
            [(x - s * 0.5, y - s * 0.7), (x + s * 0.5, y - s * 0.7), (x, y - s * 1.6)], vary((200, 80, 120), rng, 60)
        )


def potato(draw: ImageDraw.ImageDraw, x: float, y: float, s: float, rng: Random, feeling: Feeling) -> None:
    """A potato with thin legs."""
    skin = vary((196, 156, 100), rng, 20)
    line = max(4, round(s * 0.1))
    for side in (-1, 1):
        draw.line((x + side * s * 0.4, y + s * 1.6, x + side * s * 0.5, y + s * 2.8), INK, line)
        draw.line((x + side * s * 0.9, y + s * 0.7, x + side * s * 1.5, y + s * rng.uniform(0.2, 1.4)), INK, line)
    _oval(draw, x, y + s * 0.5, s * 1.05, s * 1.45, skin, s * 0.05)
    for _ in range(9):
        u, v = x + rng.uniform(-0.7, 0.7) * s, y + rng.uniform(-0.5, 1.6) * s
        _oval(draw, u, v, s * 0.05, s * 0.035, (150, 114, 70))
    _face(draw, x, y + s * 0.2, s, feeling)


CHARACTERS: dict[str, Character] = {c.__name__: c for c in (cat, dog, owl, robot, frog, penguin, bear, stick, potato)}
