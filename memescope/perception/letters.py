"""A line's letters alone, dark on white: what Tesseract needs and memes do not give it.

Meme lettering is white with a dark outline, or dark on a light panel. Seen as brightness with a soft threshold, letters
are the connected blobs that lie inside the line's box and have the opposite tone all around them; bits of picture
that happen to be as bright touch the edge of the window, are too tall, or fade out without an outline.
"""

from __future__ import annotations

import numpy as np

MARGIN = 0.45
"""How far the window reaches beyond the line's box, in line heights: enough to see that a bright patch goes on."""
BORDER = 14


def isolate(
    pixels: np.ndarray, corners: np.ndarray, white: bool, height: int, tones: tuple[float, float], core: float
) -> np.ndarray:
    """Letters of the line in the box `corners` (4, 2), as (h, w) uint8, black on white, the box `height` pixels high.

    `white` says whether to look for white or for dark letters. Brightness up to the first of `tones` is picture, from
    the second on letter; blobs are joined where it is `core` of the way. An all-white strip where there are no letters.
    """
    import cv2

    window = _window(pixels, corners, height)
    tone = window.min(axis=2) if white else 255 - window.max(axis=2)
    low, high = tones
    ink = np.clip((tone.astype(np.float32) - low) / (high - low), 0, 1)
    count, blob, measures, _ = cv2.connectedComponentsWithStats((ink > core).astype(np.uint8), connectivity=8)
    letters = _are_letters(tone, blob, measures, count, height)
    chosen = letters[blob]
    if not chosen.any():
        return np.full((height, height), 255, np.uint8)
    # One pixel around each letter is kept as it is, so that its edge stays soft.
    ink[cv2.dilate(chosen.astype(np.uint8), np.ones((3, 3), np.uint8)) == 0] = 0
    rows, columns = np.flatnonzero(chosen.any(axis=1)), np.flatnonzero(chosen.any(axis=0))
    ink = ink[max(rows[0] - 1, 0) : rows[-1] + 2, max(columns[0] - 1, 0) : columns[-1] + 2]
    strip = np.round(255 * (1 - ink)).astype(np.uint8)
    return np.pad(strip, BORDER, constant_values=255)


def _window(pixels: np.ndarray, corners: np.ndarray, height: int) -> np.ndarray:
    """The box and `MARGIN` around it, upright, scaled so that the box is `height` high; the picture's edge goes on."""
    import cv2

    across, down = corners[1] - corners[0], corners[3] - corners[0]
    width, depth = max(float(np.hypot(*across)), 1.0), max(float(np.hypot(*down)), 1.0)
    right, below = across / width * depth * MARGIN, down * MARGIN
    scale = height / depth
    size = (max(1, round((width + 2 * depth * MARGIN) * scale)), max(1, round(height * (1 + 2 * MARGIN))))
    source = np.array(
        [corners[0] - right - below, corners[1] + right - below, corners[2] + right + below], dtype=np.float32
    )
    target = np.array([[0, 0], [size[0], 0], [size[0], size[1]]], np.float32)
    turn = cv2.getAffineTransform(source, target)
    return cv2.warpAffine(pixels, turn, size, flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)


def _are_letters(tone: np.ndarray, blob: np.ndarray, measures: np.ndarray, count: int, height: int) -> np.ndarray:
    """For each blob whether it is (part of) a letter, (count,) bool; blob 0 is the ground."""
    import cv2

    left, top, wide, tall, area = measures.T
    edge = round(height * (MARGIN - 0.1))
    inside = np.bincount(blob[edge:-edge, edge:-edge].ravel(), minlength=count)
    touches = (left == 0) | (top == 0) | (left + wide == blob.shape[1]) | (top + tall == blob.shape[0])
    # The darkest tone within three pixels of each blob's rim: near 0 where an outline or a plain panel surrounds it.
    rim = (blob > 0) & (cv2.erode((blob > 0).astype(np.uint8), np.ones((3, 3), np.uint8)) == 0)
    around = cv2.erode(tone, np.ones((7, 7), np.uint8))
    rims = np.maximum(np.bincount(blob[rim], minlength=count), 1)
    surround = np.bincount(blob[rim], weights=around[rim], minlength=count) / rims
    letters = (inside >= 0.6 * area) & (tall <= 1.2 * height) & ~touches & (area >= 8) & (surround < 90)
    letters[0] = False
    return np.asarray(letters)
