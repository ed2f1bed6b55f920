"""What happens to memes on their way round the net: the changes that make near-duplicates."""

from __future__ import annotations

import io
from collections.abc import Callable
from random import Random
from typing import TYPE_CHECKING

from memescope.curation.synth.brush import vary
from memescope.curation.synth.lettering import letter, line_height, width

if TYPE_CHECKING:
    from PIL import Image

WATERMARK = "memes.example"


def crop(image: Image.Image, rng: Random) -> Image.Image:
    """Cuts 3 to 10 % off each side."""
    w, h = image.size
    left, top, right, bottom = (rng.uniform(0.03, 0.1) for _ in range(4))
    return image.crop((round(left * w), round(top * h), round((1 - right) * w), round((1 - bottom) * h)))


def recompress(image: Image.Image, rng: Random) -> Image.Image:
    """JPEG quality 20 to 45, once more than the file it is saved to."""
    return _jpeg(image, rng.randint(20, 45))


def rescale(image: Image.Image, rng: Random) -> Image.Image:
    """To 40 to 75 % of the size."""
    part = rng.uniform(0.4, 0.75)
    return image.resize((round(image.width * part), round(image.height * part)))


def watermark(image: Image.Image, rng: Random) -> Image.Image:
    """A small site name in a corner."""
    out = image.copy()
    size = image.height * 0.035
    wide = width(WATERMARK, "plain", size)
    x = image.width - wide / 2 - 8 if rng.random() < 0.5 else wide / 2 + 8
    letter(out, [WATERMARK], "plain", size, (x, image.height - line_height(size) - 2), (235, 235, 235), (60, 60, 60))
    return out


def border(image: Image.Image, rng: Random) -> Image.Image:
    """A frame of one colour, 3 to 7 % wide."""
    from PIL import ImageOps

    edge = round(rng.uniform(0.03, 0.07) * max(image.size))
    return ImageOps.expand(image, edge, vary(rng.choice([(255, 255, 255), (0, 0, 0), (200, 60, 60)]), rng, 10))


def flip(image: Image.Image, rng: Random) -> Image.Image:
    """Left and right changed over."""
    from PIL import ImageOps

    return ImageOps.mirror(image)


def _jpeg(image: Image.Image, quality: int) -> Image.Image:
    from PIL import Image as images

    data = io.BytesIO()
    image.save(data, "JPEG", quality=quality)
    return images.open(data).convert("RGB")


CHANGES: dict[str, Callable[[Image.Image, Random], Image.Image]] = {
    change.__name__: change for change in (crop, recompress, rescale, watermark, border, flip)
}
USUAL_CHANGES = ("crop", "recompress", "rescale", "watermark", "border")
"""All but `flip`: a mirrored meme is the same to a person, not to every fingerprint."""
