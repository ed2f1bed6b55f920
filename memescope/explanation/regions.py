"""How much each part of the picture moves an answer, measured on the encoder's grid without running the encoder again.

A vision encoder gives g x g places and their mean as the pooled vector. The pooled vector of a picture "without" some
places is the exact mean of the others, so thousands of occlusions cost one small matrix product.

Shape letters: `g` grid places along one side, `d` width, `m` masks.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from memescope.meme import Region


def single_places(g: int) -> np.ndarray:
    """A mask for each place of the grid, row by row: bool (g*g, g, g), True where it is taken out."""
    return np.eye(g * g, dtype=bool).reshape(g * g, g, g)


def pooled_without(grid: np.ndarray, masks: np.ndarray) -> np.ndarray:
    """Mean over the places that a mask leaves: grid (g, g, d), masks bool (m, g, g) -> float32 (m, d).

    A mask that takes out everything gives the mean of the whole grid: there is nothing else to average.
    """
    kept = ~masks.reshape(len(masks), -1)
    kept[~kept.any(axis=1)] = True
    flat = grid.reshape(-1, grid.shape[-1]).astype(np.float64)
    return ((kept @ flat) / kept.sum(axis=1, keepdims=True)).astype(np.float32)


def explain_regions(
    grid: np.ndarray, score: Callable[[np.ndarray], np.ndarray], count: int = 3, least: float = 0.05
) -> tuple[np.ndarray, list[Region]]:
    """`strong_regions` of a grid (g, g, d) whose pooled vector is the mean of its places.

    `score` gives the log-odds of the answer, shape (m,), for pooled vectors (m, d).
    """
    g = grid.shape[0]
    whole = float(score(pooled_without(grid, np.zeros((1, g, g), bool)))[0])
    return strong_regions(g, lambda masks: whole - score(pooled_without(grid, masks)), count, least)


def strong_regions(
    g: int, lost: Callable[[np.ndarray], np.ndarray], count: int = 3, least: float = 0.05
) -> tuple[np.ndarray, list[Region]]:
    """A weight for each place, float64 (g, g), and the few rectangles that speak most for the answer, strongest first.

    `lost` gives the log-odds, shape (m,), that the answer loses without the places of each mask, bool (m, g, g). A
    place's weight is what is lost when it alone is taken out; a rectangle's weight is measured again with all its
    places taken out. Rectangles that then lose less than `least` are left out.
    """
    weights = np.asarray(lost(single_places(g)), np.float64).reshape(g, g)
    boxes = rectangles(weights, count)
    if not boxes:
        return weights, []
    shapes = [(left / g, top / g, (right - left) / g, (bottom - top) / g) for top, left, bottom, right in boxes]
    masks = np.stack([mask_of([Region(*shape, 0.0)], g) for shape in shapes])
    found = [
        Region(*shape, float(weight)) for shape, weight in zip(shapes, lost(masks), strict=True) if weight >= least
    ]
    return weights, sorted(found, key=lambda region: -region.weight)


def mask_of(regions: Sequence[Region], g: int) -> np.ndarray:
    """The places that some regions cover: bool (g, g)."""
    mask = np.zeros((g, g), bool)
    for region in regions:
        rows = slice(round(region.y * g), round((region.y + region.height) * g))
        columns = slice(round(region.x * g), round((region.x + region.width) * g))
        mask[rows, columns] = True
    return mask


def rectangles(weights: np.ndarray, count: int = 3, share: float = 0.5) -> list[tuple[int, int, int, int]]:
    """Boxes (top, left, bottom, right; ends excluded) around places with at least `share` of the greatest weight.

    Places that touch by a side are one box. At most `count`, by the sum of the positive weights inside, greatest first;
    a box over more than half of the grid points at nothing and is left out. None where no weight is above 0.
    """
    strong = (weights >= share * weights.max()) & (weights > 0)
    boxes = [box for box in _joined(strong) if (box[2] - box[0]) * (box[3] - box[1]) * 2 <= weights.size]
    gains = {box: np.maximum(weights[box[0] : box[2], box[1] : box[3]], 0).sum() for box in boxes}
    return sorted(boxes, key=lambda box: -gains[box])[:count]


def _joined(strong: np.ndarray) -> list[tuple[int, int, int, int]]:
    """Bounding boxes of the 4-connected groups of True."""
    left = {(int(row), int(column)) for row, column in np.argwhere(strong)}
    boxes = []
    while left:
        group, edge = [], [min(left)]
        left.discard(edge[0])
        while edge:
            row, column = edge.pop()
            group.append((row, column))
            near = {(row + 1, column), (row - 1, column), (row, column + 1), (row, column - 1)} & left
            left -= near
            edge.extend(sorted(near))
        rows, columns = zip(*group, strict=True)
        boxes.append((min(rows), min(columns), max(rows) + 1, max(columns) + 1))
    return boxes


def heat(regions: list[Region], height: int, width: int) -> np.ndarray:
    """The positive weights of some regions spread softly over a picture: float32 (height, width) between 0 and 1.

    All 0 where no region speaks for the answer.
    """
    import cv2

    # a raster fine enough for any grid in use, blurred by half a grid place, then stretched
    raster: np.ndarray = np.zeros((112, 112), np.float32)
    for region in regions:
        top, bottom = round(region.y * 112), round((region.y + region.height) * 112)
        left, right = round(region.x * 112), round((region.x + region.width) * 112)
        area = raster[top:bottom, left:right]
        np.maximum(area, np.float32(max(region.weight, 0.0)), out=area)
    if raster.max() > 0:
        raster = cv2.GaussianBlur(raster, (0, 0), 6, borderType=cv2.BORDER_REPLICATE)
        raster = raster / raster.max()
    return np.clip(cv2.resize(raster, (width, height), interpolation=cv2.INTER_LINEAR), 0, 1)
