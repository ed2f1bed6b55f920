"""Changes of one stated strength each, to measure which copies are found. Pictures are uint8 (h, w, 3) RGB."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np

Change = Callable[[np.ndarray, np.random.Generator], np.ndarray]


def recompressed(picture: np.ndarray, rng: np.random.Generator, quality: int = 30) -> np.ndarray:
    """JPEG of that quality."""
    done, data = cv2.imencode(".jpg", picture[:, :, ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])
    again = cv2.imdecode(data, cv2.IMREAD_COLOR)
    assert done
    assert again is not None
    return np.ascontiguousarray(again[:, :, ::-1])


def scaled(factor: float) -> Change:
    """Another size."""
    how = cv2.INTER_AREA if factor < 1 else cv2.INTER_CUBIC
    return lambda picture, rng: cv2.resize(picture, None, fx=factor, fy=factor, interpolation=how)


def cropped(part: float) -> Change:
    """`part` of the width and of the height cut off, at random between the two sides."""

    def crop(picture: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        height, width = picture.shape[:2]
        kept_height, kept_width = int(height * (1 - part)), int(width * (1 - part))
        y, x = int(rng.integers(0, height - kept_height + 1)), int(rng.integers(0, width - kept_width + 1))
        return np.ascontiguousarray(picture[y : y + kept_height, x : x + kept_width])

    return crop


def rotated(degrees: float) -> Change:
    """Turned about the middle, corners white."""

    def rotate(picture: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        height, width = picture.shape[:2]
        turn = cv2.getRotationMatrix2D((width / 2, height / 2), degrees, 1)
        return cv2.warpAffine(picture, turn, (width, height), borderValue=(255, 255, 255))

    return rotate


def watermarked(picture: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A site name in a corner and a large half-transparent name across the middle."""
    out, width, height = picture.copy(), picture.shape[1], picture.shape[0]
    size, place = width / 400, (int(width * 0.5), int(height * 0.97))
    white, thin, thick = (255, 255, 255), max(1, int(width / 200)), max(1, int(width / 133))
    cv2.putText(out, "memes.example", place, cv2.FONT_HERSHEY_SIMPLEX, size, white, thin)
    over, place = out.copy(), (int(width * 0.15), int(height * 0.55))
    cv2.putText(over, "@funnyposts", place, cv2.FONT_HERSHEY_DUPLEX, 1.8 * size, white, thick)
    return cv2.addWeighted(over, 0.5, out, 0.5, 0)


def bordered(picture: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A dark frame of 8 % of the longer side."""
    edge = int(max(picture.shape[:2]) * 0.08)
    return cv2.copyMakeBorder(picture, edge, edge, edge, edge, cv2.BORDER_CONSTANT, value=(20, 20, 20))


def with_bars(picture: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A screenshot: a bar with a name above, one with buttons below, a third of the height together."""
    height, width = picture.shape[:2]
    top, bottom = int(0.14 * height), int(0.18 * height)
    out = cv2.copyMakeBorder(picture, top, bottom, 0, 0, cv2.BORDER_CONSTANT, value=(250, 250, 250))
    cv2.circle(out, (top // 2, top // 2), top // 3, (200, 120, 40), -1)
    place, size = (top, int(top * 0.6)), width / 700
    cv2.putText(out, "SomeUser 12:47", place, cv2.FONT_HERSHEY_SIMPLEX, size, (0, 0, 0), 1)
    place = (10, height + top + bottom // 2)
    cv2.putText(out, "Like  Share  Comment  1.2k", place, cv2.FONT_HERSHEY_SIMPLEX, size, (90, 90, 90), 1)
    return out


def with_sticker(picture: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A face over a disc a third as wide as the picture, anywhere."""
    out, (height, width) = picture.copy(), picture.shape[:2]
    r = int(0.16 * min(height, width))
    x, y = int(rng.integers(r, width - r)), int(rng.integers(r, height - r))
    cv2.circle(out, (x, y), r, (255, 210, 0), -1)
    for side in (-1, 1):
        cv2.circle(out, (x + side * r // 3, y - r // 4), max(1, r // 7), (0, 0, 0), -1)
    cv2.ellipse(out, (x, y), (r // 2, r // 2), 0, 20, 160, (0, 0, 0), 2)
    return out


def brighter(picture: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A fifth more contrast and 35 levels up."""
    return cv2.convertScaleAbs(picture, alpha=1.2, beta=35)


def grey(picture: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Without colour."""
    return cv2.cvtColor(cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)


def mirrored(picture: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Left and right changed over."""
    return np.ascontiguousarray(picture[:, ::-1])


def several(picture: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Cropped by 15 %, scaled to 70 %, recompressed at quality 40."""
    return recompressed(scaled(0.7)(cropped(0.15)(picture, rng), rng), rng, 40)


CHANGES: dict[str, Change] = {
    "JPEG quality 30": recompressed,
    "half size": scaled(0.5),
    "1.8 times the size": scaled(1.8),
    "brighter": brighter,
    "grey": grey,
    "watermark": watermarked,
    "crop 10 %": cropped(0.1),
    "crop 20 %": cropped(0.2),
    "crop 30 %": cropped(0.3),
    "border": bordered,
    "screenshot with bars": with_bars,
    "sticker": with_sticker,
    "turned 3 degrees": rotated(3),
    "turned 6 degrees": rotated(-6),
    "mirrored": mirrored,
    "crop, scale, JPEG": several,
}
