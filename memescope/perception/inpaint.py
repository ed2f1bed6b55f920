"""Memes without their text: a mask of the letters from the boxes where text was found, and OpenCV's inpainting.

MM-ORIENT, Mr.Harm and the Mamba report all take the text out of the picture first (section 4.1.1 of the first; the last
with OpenCV). The mask holds letters, not boxes, wherever letters stand out from what is around them, so that as much
of the picture as possible stays. Both inpaintings are OpenCV's: Telea 2004 (fast marching) and Navier-Stokes
(Bertalmio et al. 2001).
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Literal, get_args

import numpy as np

from memescope.cache import content_key
from memescope.errors import UsageError
from memescope.perception.detector import TextDetector
from memescope.perception.lines import Line
from memescope.perception.pictures import Picture

INPAINT_VERSION = "strokes/3"
"""Changes whenever masks or inpainted pixels could."""

Method = Literal["telea", "ns"]
METHODS: tuple[Method, ...] = get_args(Method)
DILATION = 0.06
"""How far the mask reaches beyond the strokes found, in letter heights: outlines, shadows and soft edges."""
RADIUS = 5.0
"""How far inpainting looks around a pixel, in pixels."""

_REACH = 0.12
"""How far letters may stand out of their box, in heights of the box: ascenders, outlines, a box set too tight."""
_STROKE = 0.3
"""Widest stroke, with its outline, in heights of the box."""
_FAINTEST = 24
"""Least difference between a letter and what is around it, in levels of 255."""
_LEAST = 2
"""Least dilation in pixels where any is asked for: JPEG leaves grey rings around letters however small they are."""
_MOST = 0.75
"""Where strokes fill more of a box than this they were not told from the picture, and the box is masked."""


def find_lines(picture: Picture, threads: int = 1) -> list[Line]:
    """Where the picture has text, legible or not: boxes of the OCR's detector as lines without words."""
    boxes = _detector(threads).boxes(picture.pixels)
    return [Line("", tuple((float(x), float(y)) for x, y in box.corners), box.score) for box in boxes]


@lru_cache(maxsize=2)
def _detector(threads: int) -> TextDetector:
    return TextDetector(threads)


def text_mask(picture: Picture, lines: Sequence[Line], dilation: float = DILATION, strokes: bool = True) -> np.ndarray:
    """Where the picture has letters: uint8 (h, w) of `picture.pixels`, 255 on letters and 0 elsewhere.

    `lines` are boxes where text was found, clockwise from the top left of the text, in pixels. Within each, strokes are
    what is brighter or darker than all that lies within a stroke's width around it (white and black top-hat), so
    outlined letters count with their outline; `dilation`, in letter heights, is added around them. `strokes=False`
    masks the whole boxes, grown by the same.

    Raises `UsageError` for a dilation below 0.
    """
    import cv2

    if dilation < 0:
        raise UsageError(f"dilation of a text mask: expected 0 or more letter heights, found {dilation:g}")
    height, width = picture.pixels.shape[:2]
    mask = np.zeros((height, width), np.uint8)
    for line in lines:
        corners = np.array(line.box, np.float32)
        depth = _depth(corners)
        if depth < 1:
            continue
        allowed = _grown(corners, (_REACH + dilation) * depth if strokes else dilation * depth)
        left, top, right, bottom = _window(allowed, width, height)
        if right <= left or bottom <= top:
            continue
        inside = np.zeros((bottom - top, right - left), np.uint8)
        cv2.fillPoly(inside, [np.round(allowed - (left, top)).astype(np.int32)], 255)
        if strokes:
            inside = _strokes(picture.pixels[top:bottom, left:right], inside, depth, dilation)
        mask[top:bottom, left:right] |= inside
    return mask


def inpaint(
    picture: Picture,
    lines: Sequence[Line],
    method: Method = "telea",
    radius: float = RADIUS,
    dilation: float = DILATION,
    strokes: bool = True,
) -> Picture:
    """The picture with what stands in the boxes painted over from around; its `key` names picture, boxes and settings.

    `text_mask` says what is painted over. A picture without text is returned as it is.

    Raises `UsageError` for an unknown method or a radius that is not above 0.
    """
    import cv2

    if method not in METHODS:
        raise UsageError(f"inpainting method: expected one of {', '.join(METHODS)}, found {method!r}")
    if not radius > 0:
        raise UsageError(f"inpainting radius: expected a number of pixels above 0, found {radius:g}")
    if not lines:
        return picture
    mask = text_mask(picture, lines, dilation, strokes)
    if not mask.any() or mask.all():
        return picture
    how = cv2.INPAINT_TELEA if method == "telea" else cv2.INPAINT_NS
    pixels = cv2.inpaint(picture.pixels, mask, radius, how)
    settings = [method, float(radius), float(dilation), strokes]
    key = content_key("inpainted", INPAINT_VERSION, picture.key, [line.box for line in lines], settings)
    share = f"text inpainted ({(mask > 0).mean():.0%} of the picture)"
    return Picture(pixels, key, picture.width, picture.height, picture.format, (*picture.notes, share))


def _depth(corners: np.ndarray) -> float:
    """Height of a line of text, in pixels: the shorter side where the text runs along the longer one."""
    across, down = corners[1] - corners[0], corners[3] - corners[0]
    return float(min(np.hypot(*across), np.hypot(*down)))


def _grown(corners: np.ndarray, by: float) -> np.ndarray:
    """The box with each side moved outwards by that many pixels."""
    across, down = corners[1] - corners[0], corners[3] - corners[0]
    right = across / max(float(np.hypot(*across)), 1e-6) * by
    below = down / max(float(np.hypot(*down)), 1e-6) * by
    grown = [corners[0] - right - below, corners[1] + right - below, corners[2] + right + below]
    return np.array([*grown, corners[3] - right + below], np.float32)


def _window(corners: np.ndarray, width: int, height: int) -> tuple[int, int, int, int]:
    """Left, top, right, bottom (the latter two past the end) of the upright rectangle, within the picture."""
    left, top = np.floor(corners.min(axis=0)).astype(int)
    right, bottom = np.ceil(corners.max(axis=0)).astype(int) + 1
    return max(0, int(left)), max(0, int(top)), min(width, int(right)), min(height, int(bottom))


def _strokes(pixels: np.ndarray, inside: np.ndarray, depth: float, dilation: float) -> np.ndarray:
    """The letters' part of `inside`, a polygon's mask over `pixels` (h, w, 3), dilated; all of it where none stand out.

    Brighter and darker strokes are found with one kernel wider than any stroke: a thing that an opening takes away is a
    bright stroke, one that a closing fills a dark one.
    """
    import cv2

    wide = max(3, round(depth * _STROKE) | 1)
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (wide, wide))
    bright = cv2.morphologyEx(pixels, cv2.MORPH_TOPHAT, kernel, borderType=cv2.BORDER_REPLICATE).max(axis=2)
    dark = cv2.morphologyEx(pixels, cv2.MORPH_BLACKHAT, kernel, borderType=cv2.BORDER_REPLICATE).max(axis=2)
    standing = np.maximum(bright, dark)
    seen = standing[inside > 0]
    if seen.size == 0:
        return inside
    level, _ = cv2.threshold(seen.reshape(-1, 1), 0, 255, cv2.THRESH_BINARY | cv2.THRESH_OTSU)
    found = ((standing > max(level * 0.6, _FAINTEST)) & (inside > 0)).astype(np.uint8) * 255
    if not found.any() or (found > 0).sum() > _MOST * (inside > 0).sum():
        return inside
    if dilation == 0:
        return found
    reach = max(_LEAST, round(dilation * depth))
    grown = cv2.dilate(found, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * reach + 1, 2 * reach + 1)))
    return cv2.bitwise_and(grown, inside)
