"""What a reading is made of: lines of text with their boxes, and the order people read them in.

The recogniser reads one box at a time and detectors break lines at wide gaps, so boxes are first joined into rows,
rows into blocks (a caption, a speech bubble), and blocks are read from top to bottom, side by side from left to right.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np


@dataclass(slots=True)
class Line:
    """One line of text. `box` is its four corners (x, y) in pixels of the picture, clockwise from the top left."""

    text: str
    box: tuple[tuple[float, float], ...]
    confidence: float


@dataclass(slots=True)
class OcrResult:
    """What a picture says: `text` is its lines in reading order, joined by newlines ("" where nothing is written).

    `script` is the ISO 15924 code of most of its letters ("Latn", "Hans", "Deva", ...; "Zyyy" without letters) and
    `engine` the one whose reading this is: "rapidocr" or "tesseract".
    """

    text: str
    lines: list[Line] = field(default_factory=list)
    script: str = "Zyyy"
    engine: str = "rapidocr"


@dataclass(slots=True)
class Extent:
    """The upright rectangle around a box, in pixels."""

    left: float
    top: float
    right: float
    bottom: float

    @property
    def height(self) -> float:
        return self.bottom - self.top

    @classmethod
    def of(cls, points: np.ndarray) -> Extent:
        """The extent of any number of points, (n, 2)."""
        (left, top), (right, bottom) = points.min(axis=0), points.max(axis=0)
        return cls(float(left), float(top), float(right), float(bottom))

    def shared_height(self, other: Extent) -> float:
        """How much of the lower of the two lies level with the other: 1 side by side, at most 0 one above the other."""
        shared = min(self.bottom, other.bottom) - max(self.top, other.top)
        return shared / max(min(self.height, other.height), 1.0)

    def shared_width(self, other: Extent) -> float:
        """The same for widths: 1 where the narrower lies wholly above or below the wider."""
        shared = min(self.right, other.right) - max(self.left, other.left)
        return shared / max(min(self.right - self.left, other.right - other.left), 1.0)


def around(boxes: Sequence[np.ndarray]) -> np.ndarray:
    """One box (4, 2) around some: the box itself if it is the only one, else the upright rectangle."""
    if len(boxes) == 1:
        return boxes[0]
    extent = Extent.of(np.concatenate(boxes))
    left, top, right, bottom = extent.left, extent.top, extent.right, extent.bottom
    return np.array([[left, top], [right, top], [right, bottom], [left, bottom]], np.float32)


def rows_of_blocks(boxes: Sequence[np.ndarray], right_to_left: bool = False) -> list[list[int]]:
    """Indices of the boxes, (4, 2) each, in reading order: one list for each line of text, its pieces in order."""
    extents = [Extent.of(box) for box in boxes]
    row_of = _joined(extents, _same_row)
    rows: list[list[int]] = [sorted(row, key=lambda i: extents[i].left, reverse=right_to_left) for row in row_of]
    row_boxes = [around([boxes[i] for i in row]) for row in rows]
    row_extents = [Extent.of(box) for box in row_boxes]
    blocks = [sorted(block, key=lambda r: row_extents[r].top) for block in _joined(row_extents, _same_block)]
    block_extents = [Extent.of(np.concatenate([row_boxes[r] for r in block])) for block in blocks]
    order: list[int] = []
    for level in _levels(block_extents):
        order += sorted(level, key=lambda b: block_extents[b].left, reverse=right_to_left)
    return [rows[r] for b in order for r in blocks[b]]


def _same_row(a: Extent, b: Extent) -> bool:
    """Pieces of one line: level, of like height, beside each other and no further apart than a wide space."""
    gap = max(a.left, b.left) - min(a.right, b.right)
    low, tall = sorted((a.height, b.height))
    level = abs(a.top + a.bottom - b.top - b.bottom) < 0.6 * low
    return level and tall < 1.8 * low and -0.5 * low < gap < 0.8 * tall


def _same_block(a: Extent, b: Extent) -> bool:
    """Lines of one caption: one above the other, of like height, closer than a line's height."""
    gap = max(a.top, b.top) - min(a.bottom, b.bottom)
    low = min(a.height, b.height)
    return gap < 0.7 * low and max(a.height, b.height) < 2 * low and a.shared_width(b) > 0.3


def _joined(extents: Sequence[Extent], related: Callable[[Extent, Extent], bool]) -> list[list[int]]:
    """Groups of extents connected by `related`, in order of their first members (single linkage)."""
    group = list(range(len(extents)))
    for i in range(len(extents)):
        for j in range(i):
            if group[i] != group[j] and related(extents[i], extents[j]):
                old, new = max(group[i], group[j]), min(group[i], group[j])
                group = [new if g == old else g for g in group]
    return [[i for i, g in enumerate(group) if g == name] for name in sorted(set(group))]


def _levels(extents: Sequence[Extent]) -> list[list[int]]:
    """Blocks from top to bottom; those that stand side by side (level by more than half) share one level."""
    levels: list[list[int]] = []
    for i in sorted(range(len(extents)), key=lambda i: extents[i].top):
        if levels and all(extents[i].shared_height(extents[j]) > 0.5 for j in levels[-1]):
            levels[-1].append(i)
        else:
            levels.append([i])
    return levels
