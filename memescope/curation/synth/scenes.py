"""Backgrounds of drawn memes: each is drawn from shapes, differs with the random state, and is bright or gloomy."""

from __future__ import annotations

import math
from collections.abc import Callable
from random import Random
from typing import TYPE_CHECKING

from memescope.curation.synth.brush import Colour, Mood, gradient, ground, rain, sky, tree, vary

if TYPE_CHECKING:
    from PIL import ImageDraw

Scene = Callable[["ImageDraw.ImageDraw", int, int, Random, Mood], None]


def hills(draw: ImageDraw.ImageDraw, w: int, h: int, rng: Random, mood: Mood) -> None:
    """Rolling hills with trees."""
    sky(draw, w, h, rng, mood)
    green = (96, 170, 80) if mood == "bright" else (74, 94, 78)
    for step in range(3):
        shade: Colour = (green[0] - 18 * step, green[1] - 22 * step, green[2] - 12 * step)
        ground(draw, w, h, h * (0.5 + 0.13 * step), h * 0.07, vary(shade, rng, 10), rng)
    for _ in range(rng.randint(3, 8)):
        tree(draw, rng.random() * w, rng.uniform(0.62, 0.8) * h, rng.uniform(0.05, 0.1) * h, rng, mood)
    rain(draw, w, h, rng, mood)


def forest(draw: ImageDraw.ImageDraw, w: int, h: int, rng: Random, mood: Mood) -> None:
    """Rows of trees and a tent."""
    sky(draw, w, h, rng, mood)
    ground(draw, w, h, h * 0.6, h * 0.03, vary((120, 150, 84) if mood == "bright" else (70, 80, 70), rng), rng)
    for row in range(4):
        for _ in range(7):
            tree(draw, rng.random() * w, h * (0.62 + 0.06 * row), h * (0.1 + 0.03 * row), rng, mood)
    x, y, s = rng.uniform(0.15, 0.85) * w, h * 0.9, h * 0.16
    draw.polygon([(x, y - s), (x - s, y), (x + s, y)], vary((214, 96, 60), rng))
    draw.polygon([(x, y - s), (x - s * 0.25, y), (x + s * 0.25, y)], (66, 44, 40))
    rain(draw, w, h, rng, mood)


def city(draw: ImageDraw.ImageDraw, w: int, h: int, rng: Random, mood: Mood) -> None:
    """A skyline with windows and a street."""
    sky(draw, w, h, rng, mood)
    x = -rng.random() * w * 0.05
    while x < w:
        wide, top = rng.uniform(0.07, 0.16) * w, rng.uniform(0.2, 0.55) * h
        wall = vary((176, 140, 120) if mood == "bright" else (70, 74, 86), rng, 30)
        draw.rectangle((x, top, x + wide, h), wall)
        step = w * 0.028
        for row in range(int((h * 0.85 - top) / (step * 1.4))):
            for column in range(int(wide / step) - 1):
                lit = rng.random() < 0.5
                pane = ((255, 232, 150) if lit else (50, 62, 84)) if mood == "gloomy" else (206, 232, 248)
                left, upper = x + step * (column + 0.6), top + step * (1.4 * row + 0.6)
                draw.rectangle((left, upper, left + step * 0.55, upper + step * 0.8), pane)
        x += wide * rng.uniform(1.0, 1.1)
    draw.rectangle((0, h * 0.88, w, h), (72, 74, 80))
    for k in range(8):
        draw.rectangle((w * (k + 0.2) / 8, h * 0.935, w * (k + 0.65) / 8, h * 0.945), (230, 226, 190))
    rain(draw, w, h, rng, mood)


def sea(draw: ImageDraw.ImageDraw, w: int, h: int, rng: Random, mood: Mood) -> None:
    """Waves, a boat and an island."""
    sky(draw, w, h, rng, mood)
    x, s = rng.uniform(0.15, 0.85) * w, rng.uniform(0.12, 0.2) * h
    draw.ellipse((x - 2 * s, h * 0.55 - s * 0.5, x + 2 * s, h * 0.55 + s * 0.7), vary((222, 196, 140), rng))
    water = (30, 130, 190) if mood == "bright" else (52, 74, 92)
    for step in range(5):
        shade: Colour = (water[0], max(0, water[1] - 14 * step), max(0, water[2] - 16 * step))
        ground(draw, w, h, h * (0.57 + 0.085 * step), h * (0.012 + 0.008 * step), vary(shade, rng, 6), rng)
        if step == 1:
            x, y, s = rng.uniform(0.15, 0.85) * w, h * 0.66, h * 0.11
            draw.polygon(
                [(x - s, y - s * 0.3), (x + s, y - s * 0.3), (x + s * 0.6, y + s * 0.3), (x - s * 0.6, y + s * 0.3)],
                vary((168, 70, 54), rng),
            )
            draw.polygon([(x, y - s * 1.8), (x, y - s * 0.4), (x + s * 0.9, y - s * 0.4)], (246, 244, 236))
            draw.line((x, y - s * 1.9, x, y - s * 0.3), (80, 60, 50), max(2, w // 200))
    rain(draw, w, h, rng, mood)


def room(draw: ImageDraw.ImageDraw, w: int, h: int, rng: Random, mood: Mood) -> None:
    """A living room with a window, a picture and a sofa."""
    wall = vary((240, 214, 160) if mood == "bright" else (104, 106, 122), rng, 30)
    draw.rectangle((0, 0, w, h), wall)
    for k in range(0, 24, 2):
        draw.rectangle((w * k / 24, 0, w * (k + 1) / 24, h), vary(wall, rng, 5))
    gradient(draw, (0, round(h * 0.74), w, h), vary((170, 120, 80), rng), vary((130, 88, 58), rng))
    x, y, s = rng.uniform(0.05, 0.5) * w, h * 0.12, min(w * 0.3, h * 0.45)
    draw.rectangle((x - 8, y - 8, x + s + 8, y + s * 0.9 + 8), (250, 248, 240))
    gradient(
        draw,
        (round(x), round(y), round(x + s), round(y + s * 0.9)),
        (96, 166, 236) if mood == "bright" else (56, 62, 80),
        (226, 236, 240) if mood == "bright" else (120, 124, 134),
    )
    draw.rectangle((x + s / 2 - 5, y, x + s / 2 + 5, y + s * 0.9), (250, 248, 240))
    draw.rectangle((x, y + s * 0.42, x + s, y + s * 0.45), (250, 248, 240))
    x = (x + s * 1.3) if x + s * 1.9 < w else max(10.0, x - s * 0.8)
    draw.rectangle((x, y + s * 0.1, x + s * 0.5, y + s * 0.6), vary((120, 70, 50), rng), (70, 44, 30), 6)
    draw.polygon(
        [(x + s * 0.08, y + s * 0.5), (x + s * 0.25, y + s * 0.2), (x + s * 0.42, y + s * 0.5)],
        vary((90, 160, 110), rng),
    )
    fabric = vary((190, 80, 80) if rng.random() < 0.5 else (70, 120, 150), rng)
    x = rng.uniform(0.02, 0.4) * w
    draw.rounded_rectangle((x, h * 0.56, x + w * 0.55, h * 0.84), 24, fabric)
    draw.rounded_rectangle((x - w * 0.04, h * 0.66, x + w * 0.06, h * 0.9), 18, vary(fabric, rng, 12))
    draw.rounded_rectangle((x + w * 0.49, h * 0.66, x + w * 0.59, h * 0.9), 18, vary(fabric, rng, 12))


def office(draw: ImageDraw.ImageDraw, w: int, h: int, rng: Random, mood: Mood) -> None:
    """A desk with a screen, a cup and a pile of paper."""
    draw.rectangle((0, 0, w, h), vary((206, 222, 226) if mood == "bright" else (96, 100, 108), rng))
    for row in range(3):
        draw.rectangle((0, h * (0.14 + 0.15 * row), w, h * (0.16 + 0.15 * row)), vary((176, 130, 90), rng, 10))
        x = rng.random() * w * 0.1
        while x < w * 0.95:
            thick, tall = rng.uniform(0.012, 0.035) * w, rng.uniform(0.07, 0.12) * h
            draw.rectangle(
                (x, h * (0.14 + 0.15 * row) - tall, x + thick, h * (0.14 + 0.15 * row)), vary((140, 110, 110), rng, 90)
            )
            x += thick * rng.choice((1.05, 1.05, 1.05, 3.0))
    draw.rectangle((0, h * 0.78, w, h), vary((186, 142, 96), rng))
    x, y, s = rng.uniform(0.1, 0.55) * w, h * 0.5, min(w * 0.3, h * 0.42)
    draw.rounded_rectangle((x, y, x + s, y + s * 0.62), 10, (40, 42, 48))
    draw.rectangle(
        (x + 10, y + 10, x + s - 10, y + s * 0.62 - 10), (206, 232, 246) if mood == "bright" else (40, 70, 130)
    )
    for k in range(5):
        draw.rectangle(
            (x + 24, y + s * (0.08 + 0.1 * k), x + s * rng.uniform(0.4, 0.85), y + s * (0.11 + 0.1 * k)),
            vary((80, 120, 150), rng, 60),
        )
    draw.rectangle((x + s * 0.45, y + s * 0.62, x + s * 0.55, h * 0.8), (40, 42, 48))
    x = (x + s * 1.25) if x + s * 1.6 < w else x - s * 0.4
    draw.rounded_rectangle((x, h * 0.7, x + s * 0.2, h * 0.82), 6, vary((220, 90, 70), rng, 50))
    for k in range(rng.randint(4, 12)):
        shift = rng.uniform(-5, 5)
        draw.rectangle(
            (w * 0.03 + shift, h * 0.8 - 8 * k, w * 0.2 + shift, h * 0.8 - 8 * k + 6), vary((248, 246, 238), rng, 7)
        )


def kitchen(draw: ImageDraw.ImageDraw, w: int, h: int, rng: Random, mood: Mood) -> None:
    """Tiles, a table and things to eat."""
    tile = vary((224, 236, 238) if mood == "bright" else (116, 120, 122), rng, 16)
    step = w / rng.randint(8, 12)
    for row in range(math.ceil(h / step)):
        for column in range(math.ceil(w / step)):
            draw.rectangle(
                (column * step, row * step, (column + 1) * step - 3, (row + 1) * step - 3), vary(tile, rng, 7)
            )
    draw.rectangle((0, h * 0.72, w, h), vary((206, 150, 100), rng))
    draw.rectangle((0, h * 0.72, w, h * 0.745), (150, 100, 64))
    for place in range(4):
        x, y, s = w * (0.14 + 0.24 * place + rng.uniform(-0.03, 0.03)), h * 0.74, w * 0.07
        kind = rng.randrange(4)
        if kind == 0:
            draw.ellipse((x - s, y - s * 1.6, x + s, y), vary((214, 50, 50), rng))
            draw.line((x, y - s * 1.5, x + s * 0.3, y - s * 2), (90, 60, 40), 6)
        elif kind == 1:
            draw.rectangle((x - s, y - s, x + s, y), vary((240, 200, 170), rng))
            draw.rectangle((x - s, y - s * 1.25, x + s, y - s * 0.8), vary((236, 120, 150), rng))
            draw.rectangle((x - 4, y - s * 1.9, x + 4, y - s * 1.25), (250, 240, 120))
        elif kind == 2:
            draw.rectangle((x - s * 0.4, y - s * 2, x + s * 0.4, y), vary((60, 130, 90), rng))
            draw.rectangle((x - s * 0.15, y - s * 2.7, x + s * 0.15, y - s * 2), vary((60, 130, 90), rng))
        else:
            draw.chord((x - s * 1.2, y - s * 1.5, x + s * 1.2, y + s * 0.4), 0, 180, vary((90, 130, 190), rng))
            draw.ellipse((x - s * 1.2, y - s * 0.75, x + s * 1.2, y - s * 0.35), vary((240, 190, 90), rng))


def space(draw: ImageDraw.ImageDraw, w: int, h: int, rng: Random, mood: Mood) -> None:
    """Stars and planets."""
    gradient(
        draw,
        (0, 0, w, h),
        vary((44, 24, 96) if mood == "bright" else (10, 12, 26), rng, 12),
        vary((120, 60, 140) if mood == "bright" else (30, 32, 50), rng, 12),
    )
    for _ in range(200):
        x, y, r = rng.random() * w, rng.random() * h, rng.uniform(0.5, 3)
        draw.ellipse((x - r, y - r, x + r, y + r), vary((250, 246, 226), rng, 9))
    for _ in range(rng.randint(2, 4)):
        x, y, r = rng.random() * w, rng.random() * h * 0.7, rng.uniform(0.05, 0.15) * w
        colour = vary((200, 140, 90) if mood == "bright" else (90, 96, 110), rng, 50)
        draw.ellipse((x - r, y - r, x + r, y + r), colour)
        for _ in range(3):
            u, v, s = x + rng.uniform(-0.5, 0.5) * r, y + rng.uniform(-0.5, 0.5) * r, r * rng.uniform(0.1, 0.25)
            draw.ellipse((u - s, v - s, u + s, v + s), vary(colour, rng, 30))
        if rng.random() < 0.5:
            draw.arc((x - r * 1.7, y - r * 0.5, x + r * 1.7, y + r * 0.5), 0, 180, (226, 206, 160), max(4, int(r / 10)))
    ground(draw, w, h, h * 0.85, h * 0.03, vary((150, 146, 150), rng, 20), rng)


def desert(draw: ImageDraw.ImageDraw, w: int, h: int, rng: Random, mood: Mood) -> None:
    """Dunes and cacti."""
    sky(draw, w, h, rng, mood)
    sand = (236, 190, 110) if mood == "bright" else (130, 118, 104)
    for step in range(3):
        shade: Colour = (sand[0] - 12 * step, sand[1] - 18 * step, sand[2] - 14 * step)
        ground(draw, w, h, h * (0.55 + 0.13 * step), h * 0.05, vary(shade, rng, 8), rng)
    for _ in range(rng.randint(2, 6)):
        x, y, s = rng.random() * w, rng.uniform(0.65, 0.85) * h, rng.uniform(0.1, 0.2) * h
        green = vary((60, 130, 74), rng)
        draw.rounded_rectangle((x - s * 0.13, y - s, x + s * 0.13, y), int(s * 0.12), green)
        for side in (-1, 1):
            arm = sorted((x, x + side * s * 0.42))
            draw.rounded_rectangle((arm[0], y - s * 0.55, arm[1], y - s * 0.38), int(s * 0.08), green)
            tip = x + side * s * 0.36
            draw.rounded_rectangle((tip - s * 0.08, y - s * 0.8, tip + s * 0.08, y - s * 0.4), int(s * 0.07), green)
    rain(draw, w, h, rng, mood)


def mountain(draw: ImageDraw.ImageDraw, w: int, h: int, rng: Random, mood: Mood) -> None:
    """Peaks with snow."""
    sky(draw, w, h, rng, mood)
    for step in range(5):
        x, top, half = rng.random() * w, h * (0.2 + 0.07 * step + rng.uniform(0, 0.1)), rng.uniform(0.2, 0.38) * w
        rock = vary((120, 124, 150) if mood == "bright" else (70, 74, 84), rng, 20)
        draw.polygon([(x, top), (x - half, h), (x + half, h)], rock)
        snow = (h - top) * 0.25
        part = half * 0.25
        draw.polygon(
            [
                (x, top),
                (x - part, top + snow),
                (x - part / 2, top + snow * 0.8),
                (x, top + snow * 1.15),
                (x + part / 2, top + snow * 0.75),
                (x + part, top + snow),
            ],
            (244, 246, 250),
        )
    ground(draw, w, h, h * 0.82, h * 0.03, vary((230, 236, 244) if mood == "bright" else (140, 146, 154), rng, 8), rng)
    rain(draw, w, h, rng, mood)


def road(draw: ImageDraw.ImageDraw, w: int, h: int, rng: Random, mood: Mood) -> None:
    """A road to the horizon and a car."""
    sky(draw, w, h, rng, mood)
    ground(draw, w, h, h * 0.52, h * 0.02, vary((140, 180, 90) if mood == "bright" else (84, 92, 80), rng), rng)
    x = rng.uniform(0.3, 0.7) * w
    draw.polygon([(x - w * 0.02, h * 0.52), (x + w * 0.02, h * 0.52), (w * 0.85, h), (w * 0.15, h)], (84, 86, 92))
    for k in range(6):
        a, b = (k / 6) ** 2, ((k + 0.5) / 6) ** 2
        ends = [(x + (w / 2 - x) * part, h * (0.52 + 0.48 * part)) for part in (a, b)]
        draw.line((*ends[0], *ends[1]), (240, 236, 210), 3 + 3 * k)
    for _ in range(5):
        tree(
            draw,
            rng.choice((rng.uniform(0, 0.2), rng.uniform(0.8, 1))) * w,
            rng.uniform(0.58, 0.8) * h,
            rng.uniform(0.06, 0.12) * h,
            rng,
            mood,
        )
    x, y, s = rng.uniform(0.1, 0.6) * w, h * 0.72, min(w * 0.22, h * 0.4)
    body = vary((200, 60, 60) if rng.random() < 0.5 else (60, 110, 200), rng)
    draw.rounded_rectangle((x, y, x + s, y + s * 0.28), 16, body)
    draw.rounded_rectangle((x + s * 0.2, y - s * 0.2, x + s * 0.75, y + s * 0.1), 16, body)
    draw.rectangle((x + s * 0.26, y - s * 0.14, x + s * 0.7, y + s * 0.02), (206, 230, 244))
    for part in (0.22, 0.78):
        draw.ellipse((x + s * (part - 0.11), y + s * 0.17, x + s * (part + 0.11), y + s * 0.39), (30, 30, 34))
    rain(draw, w, h, rng, mood)


def rays(draw: ImageDraw.ImageDraw, w: int, h: int, rng: Random, mood: Mood) -> None:
    """A wheel of coloured rays."""
    first = vary((240, 170, 60) if mood == "bright" else (70, 80, 100), rng, 40)
    second = vary((250, 220, 120) if mood == "bright" else (110, 116, 130), rng, 30)
    third = vary(first, rng, 60)
    x, y, reach = w * rng.uniform(0.35, 0.65), h * rng.uniform(0.35, 0.65), w + h
    count = rng.choice((12, 15, 18, 21))
    turn = rng.random()
    for k in range(count):
        angles = ((k + turn) * 360 / count, (k + 1 + turn) * 360 / count)
        draw.pieslice((x - reach, y - reach, x + reach, y + reach), *angles, (first, second, third)[k % 3])


def mosaic(draw: ImageDraw.ImageDraw, w: int, h: int, rng: Random, mood: Mood) -> None:
    """Triangles in shades of a few colours."""
    base = [vary((230, 160, 110) if mood == "bright" else (80, 88, 104), rng, 60) for _ in range(3)]
    columns = rng.randint(4, 8)
    rows = max(2, round(columns * h / w))
    points = {
        (i, j): (
            w * (i + (rng.uniform(-0.3, 0.3) if 0 < i < columns else 0)) / columns,
            h * (j + (rng.uniform(-0.3, 0.3) if 0 < j < rows else 0)) / rows,
        )
        for i in range(columns + 1)
        for j in range(rows + 1)
    }
    for i in range(columns):
        for j in range(rows):
            a, b, c, d = points[i, j], points[i + 1, j], points[i + 1, j + 1], points[i, j + 1]
            draw.polygon([a, b, c], vary(rng.choice(base), rng, 20))
            draw.polygon([a, c, d], vary(rng.choice(base), rng, 20))


def chart(draw: ImageDraw.ImageDraw, w: int, h: int, rng: Random, mood: Mood) -> None:
    """A bar chart that goes up, or down, with an arrow."""
    draw.rectangle((0, 0, w, h), vary((246, 244, 236), rng, 8) if mood == "bright" else vary((70, 76, 92), rng, 12))
    for k in range(9):
        draw.line((w * 0.08, h * (0.15 + 0.08 * k), w * 0.95, h * (0.15 + 0.08 * k)), (190, 196, 204), 2)
    count = rng.randint(5, 9)
    tops = []
    for k in range(count):
        part = (k + 1) / count if mood == "bright" else (count - k) / count
        x, top = w * (0.1 + 0.84 * k / count), h * (0.82 - 0.6 * part * rng.uniform(0.7, 1))
        draw.rectangle(
            (x, top, x + w * 0.6 / count, h * 0.82),
            vary((70, 150, 110) if mood == "bright" else (200, 80, 70), rng, 40),
        )
        tops.append((x + w * 0.3 / count, top - h * 0.05))
    draw.line(tops, (40, 60, 120) if mood == "bright" else (240, 230, 220), max(6, w // 90), joint="curve")
    draw.line((w * 0.08, h * 0.1, w * 0.08, h * 0.82, w * 0.96, h * 0.82), (60, 64, 72), 6)
    draw.rectangle((0, h * 0.86, w, h), vary((150, 110, 80), rng))


SCENES: dict[str, Scene] = {
    scene.__name__: scene
    for scene in (hills, forest, city, sea, room, office, kitchen, space, desert, mountain, road, rays, mosaic, chart)
}
