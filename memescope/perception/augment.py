"""Changed copies of pictures and texts for training, the same for the same meme and epoch on every machine.

`augment` is MM-ORIENT's picture augmentation (image_transformation.py of its authors) with its published ranges, or
milder ones. `noised` changes words at random: no paraphrase, and named so. Paraphrases come from a teacher or a file
(`memescope.datasets.stored.StoredParaphrases`).
"""

from __future__ import annotations

import hashlib
from dataclasses import asdict, dataclass

import numpy as np

from memescope.cache import content_key
from memescope.errors import UsageError
from memescope.perception.pictures import Picture

AUGMENT_VERSION = 1


@dataclass(frozen=True, slots=True)
class Ranges:
    """How far a picture may be changed. Each value is drawn evenly from its range.

    `flip` is the probability of a mirror image; `brightness` the most that is added to or taken from all values, as a
    part of the full range; `contrast` the factors on the distance from each channel's mean; `hue` the largest turn of
    the colour wheel, as a part of it; `saturation` the factors on the saturation in HSV.
    """

    flip: float = 0.5
    brightness: float = 0.5
    contrast: tuple[float, float] = (0.2, 1.8)
    hue: float = 0.2
    saturation: tuple[float, float] = (5.0, 10.0)

    def __post_init__(self) -> None:
        if not (0 <= self.flip <= 1 and 0 <= self.brightness <= 1 and 0 <= self.hue <= 0.5):
            raise UsageError(
                f"augmentation: expected flip and brightness from 0 to 1 and hue from 0 to 0.5, found {self.flip:g}, "
                f"{self.brightness:g}, {self.hue:g}"
            )
        for name, (low, high) in (("contrast", self.contrast), ("saturation", self.saturation)):
            if not 0 <= low <= high:
                raise UsageError(f"augmentation: expected {name} as two factors, low first, found {low:g}, {high:g}")


MMORIENT = Ranges()
"""As published. Saturation times 5 to 10 makes nearly every colour a pure one."""
MILD = Ranges(flip=0.5, brightness=0.15, contrast=(0.8, 1.2), hue=0.03, saturation=(0.7, 1.4))
"""Changes after which a person would not notice that anything was done."""
RANGES = {"mmorient": MMORIENT, "mild": MILD}


def augment(
    picture: Picture, name: str, epoch: int, ranges: Ranges = MMORIENT, mirror_letters: bool = False
) -> Picture:
    """A changed copy of the picture with its own `key`; `name` is the meme's id. The same call gives the same pixels.

    In the authors' order: mirror, brightness, contrast, hue, saturation, each clipped to what a picture can hold.

    Deviation: the authors mirror every second picture, letters and all; mirrored letters are no text. So a picture is
    mirrored only with `mirror_letters=True`: pass it for pictures without text, such as inpainted ones. The other
    changes are drawn the same either way. Not copied either: their script exchanges red and blue.
    """
    draw = _draws(name, epoch)
    mirrored = bool(draw.random() < ranges.flip) and mirror_letters
    delta = draw.uniform(-ranges.brightness, ranges.brightness)
    contrast = draw.uniform(*ranges.contrast)
    turn = draw.uniform(-ranges.hue, ranges.hue)
    saturation = draw.uniform(*ranges.saturation)
    pixels = picture.pixels.astype(np.float32) / 255
    if mirrored:
        pixels = pixels[:, ::-1]
    pixels = np.clip(pixels + np.float32(delta), 0, 1)
    mean = pixels.mean(axis=(0, 1), keepdims=True)
    pixels = np.clip((pixels - mean) * np.float32(contrast) + mean, 0, 1)
    pixels = _coloured(pixels, turn, saturation)
    key = content_key("augmented", AUGMENT_VERSION, picture.key, name, epoch, asdict(ranges), mirror_letters)
    done = f"{'mirrored, ' if mirrored else ''}brightness {delta:+.2f}, contrast x{contrast:.2f}"
    note = f"augmented: {done}, hue {turn:+.2f}, saturation x{saturation:.2f}"
    out = np.round(pixels * 255).astype(np.uint8)
    return Picture(out, key, picture.width, picture.height, picture.format, (*picture.notes, note))


def _draws(name: str, epoch: int) -> np.random.Generator:
    return np.random.default_rng(int.from_bytes(hashlib.sha256(f"{epoch} {name}".encode()).digest()[:16], "big"))


def _coloured(pixels: np.ndarray, turn: float, saturation: float) -> np.ndarray:
    """Pixels (h, w, 3) from 0 to 1 with the hue turned by a part of the wheel and the saturation multiplied."""
    import cv2

    hsv = cv2.cvtColor(np.ascontiguousarray(pixels), cv2.COLOR_RGB2HSV)
    hsv[..., 0] = (hsv[..., 0] + np.float32(360 * turn)) % 360
    hsv[..., 1] = np.clip(hsv[..., 1] * np.float32(saturation), 0, 1)
    return np.clip(cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB), 0, 1)


def noised(text: str, name: str, epoch: int, drop: float = 0.1, swap: float = 0.1) -> str:
    """The text with each word dropped with probability `drop`, and neighbours exchanged with probability `swap`.

    Noise, not a paraphrase: the words stay the author's. At least one word of a text stays; its lines become one.
    """
    if not (0 <= drop < 1 and 0 <= swap <= 1):
        raise UsageError(f"noised text: expected drop from 0 to below 1 and swap from 0 to 1, found {drop:g}, {swap:g}")
    words = text.split()
    draw = _draws(f"text {name}", epoch)
    kept = [word for word, chance in zip(words, draw.random(len(words)), strict=True) if chance >= drop]
    if words and not kept:
        kept = [words[int(draw.integers(len(words)))]]
    place = 0
    while place + 1 < len(kept):
        if draw.random() < swap:
            kept[place], kept[place + 1] = kept[place + 1], kept[place]
            place += 1
        place += 1
    return " ".join(kept)
