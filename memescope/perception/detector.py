"""Where a picture has text: PP-OCRv6's detector and the boxes of its probability map.

The model is a differentiable-binarisation text detector (Liao et al. 2020, arXiv:1911.08947): a map of how likely each
pixel belongs to the shrunk core of a text line. Cores become rotated rectangles, which are grown back by the
area-to-perimeter rule of that paper (section 3.5; for a rectangle the offset polygon's tightest rectangle is the
rectangle itself grown by the offset on every side, so no polygon clipping is needed).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from memescope.perception.runtime import DETECTOR, model_path, open_session

MULTIPLE = 32
"""The model halves its input five times, so both sides are multiples of this."""

MOST_ENLARGED = 2.0
LARGEST = 1536
"""Longest side that is ever looked at."""
THINNEST = 1.5
"""Least thickness of a core on the map, in pixels from first to last: small lettering leaves cores of two or three."""


@dataclass(slots=True)
class TextBox:
    """`corners` (4, 2) float32 in pixels, clockwise from the top left of the text; `score` is the mean of the map."""

    corners: np.ndarray
    score: float


class TextDetector:
    """Finds lines of text, looking at the picture at about `side` by `side` pixels, in its own shape.

    That is enough for the lettering of memes, and for letters of 20 pixels in a screenshot of 1080 by 1920. Small
    pictures are enlarged for it: the model misses letters under six pixels high.
    """

    def __init__(
        self, threads: int = 1, side: int = 384, core: float = 0.3, keep: float = 0.5, growth: float = 1.8
    ) -> None:
        self.side, self.core, self.keep, self.growth = side, core, keep, growth
        self._session: Any = open_session(model_path(DETECTOR), threads)

    def boxes(self, pixels: np.ndarray) -> list[TextBox]:
        """Text boxes of an RGB picture (h, w, 3) uint8, in no particular order."""
        height, width = pixels.shape[:2]
        chances = self.chances(pixels)
        scale = np.array([width / chances.shape[1], height / chances.shape[0]], np.float32)
        limit = np.array([width - 1, height - 1], np.float32)
        found = []
        for corners, score in _rectangles(chances, self.core, self.keep, self.growth):
            corners = np.clip(corners * scale, 0, limit)
            if _length(corners[1] - corners[0]) > 3 and _length(corners[3] - corners[0]) > 3:
                found.append(TextBox(corners, score))
        return found

    def chances(self, pixels: np.ndarray) -> np.ndarray:
        """The map: (h', w') float32, the chance that a pixel of the resized picture lies in a line's core."""
        import cv2

        height, width = pixels.shape[:2]
        scale = min(self.side / np.sqrt(height * width), LARGEST / max(height, width), MOST_ENLARGED)
        size = (_multiple(width * scale), _multiple(height * scale))
        small = cv2.resize(pixels, size, interpolation=cv2.INTER_AREA if scale < 0.5 else cv2.INTER_LINEAR)
        # The models were trained on pictures in OpenCV's channel order, blue first.
        batch = np.ascontiguousarray(small[:, :, ::-1].transpose(2, 0, 1), np.float32)[None]
        batch *= 2 / 255
        batch -= 1
        chances: np.ndarray = self._session.run(None, {"x": batch})[0][0, 0]
        return chances


def _multiple(length: float) -> int:
    return max(MULTIPLE, round(length / MULTIPLE) * MULTIPLE)


def _length(vector: np.ndarray) -> float:
    return float(np.hypot(vector[0], vector[1]))


def _rectangles(chances: np.ndarray, core: float, keep: float, growth: float) -> list[tuple[np.ndarray, float]]:
    """Grown rotated rectangles (4, 2) of the map's connected cores with a mean chance of at least `keep`."""
    import cv2

    mask = cv2.dilate((chances > core).astype(np.uint8), np.ones((2, 2), np.uint8))
    contours, _ = cv2.findContours(mask, cv2.RETR_LIST, cv2.CHAIN_APPROX_SIMPLE)
    found = []
    for contour in contours:
        centre, (across, down), angle = cv2.minAreaRect(contour)
        if min(across, down) < THINNEST:
            continue
        score = _mean_inside(chances, cv2.boxPoints((centre, (across, down), angle)))
        if score < keep:
            continue
        offset = across * down * growth / (2 * (across + down))
        across, down = across + 2 * offset, down + 2 * offset
        if abs(angle) > 45:  # OpenCV releases differ in which side is the width
            angle, across, down = float(angle - np.copysign(90, angle)), down, across
        found.append((_corners(centre, across, down, angle), score))
    return found


def _corners(centre: Sequence[float], across: float, down: float, angle: float) -> np.ndarray:
    """Corners (4, 2) of a rectangle turned clockwise by `angle` degrees, from the top left (of what it holds) on."""
    radians = np.deg2rad(angle)
    right = np.array([np.cos(radians), np.sin(radians)]) * across / 2
    below = np.array([-np.sin(radians), np.cos(radians)]) * down / 2
    middle = np.array(centre)
    corners = [middle - right - below, middle + right - below, middle + right + below, middle - right + below]
    return np.array(corners, np.float32)


def _mean_inside(chances: np.ndarray, corners: np.ndarray) -> float:
    """Mean of the map inside a polygon (4, 2)."""
    import cv2

    height, width = chances.shape
    left, top = np.clip(np.floor(corners.min(axis=0)).astype(int), 0, [width - 1, height - 1])
    right, bottom = np.clip(np.ceil(corners.max(axis=0)).astype(int), 0, [width - 1, height - 1])
    inside = np.zeros((bottom - top + 1, right - left + 1), np.uint8)
    cv2.fillPoly(inside, [(corners - [left, top]).astype(np.int32)], 1)
    return float(cv2.mean(chances[top : bottom + 1, left : right + 1], inside)[0])
