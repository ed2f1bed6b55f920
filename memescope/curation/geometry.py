"""Whether two pictures show the same, by their keypoints: matched by descriptor, held together by one similarity
transform (shift, scale, rotation) found by RANSAC, and compared place by place under it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from memescope.curation.hashes import Fingerprint

MATCH_BITS = 64
"""Most differing bits of 256 between descriptors of one point."""
TOLERANCE = 6.0
"""Pixels of the keypoint frame by which a point may miss its partner."""
FEWEST = 12
"""Least points under one transform. Unrelated memes have 9 or fewer in 99 of 100 pairs (docs/duplicates.md)."""
MOST_SCALE = 3.3
MOST_ANGLE = 25.0
LEAST_OVERLAP = 0.35
"""Share of the larger picture that both show: a third off each side leaves .44."""
_GRID = 6
_FULL_CELL = 4


@dataclass(frozen=True, slots=True)
class Alignment:
    """How one picture lies on another.

    `points`: how many keypoints agree; `share`: of those that could, by the picture that has fewer in the common part;
    `overlap`: common area over the larger picture's; `replaced`: of the grid cells in which both have keypoints, the
    share where they do not agree, as under another caption; `lost`: of the cells in which either has, the share where
    none agrees, as between different pictures under one long caption.
    """

    points: int
    share: float
    overlap: float
    replaced: float
    lost: float


def align(first: Fingerprint, second: Fingerprint, least_overlap: float = LEAST_OVERLAP) -> Alignment | None:
    """The alignment of two pictures, or None where none is believable. The order of the two makes no difference."""
    import cv2

    if min(len(first.points), len(second.points)) < FEWEST:
        return None
    if (second.pdq, second.descriptors.tobytes()) < (first.pdq, first.descriptors.tobytes()):
        first, second = second, first
    bits, partner = cv2.batchDistance(
        first.descriptors, second.descriptors, cv2.CV_32S, normType=cv2.NORM_HAMMING, K=1, crosscheck=True
    )[:2]
    own = np.flatnonzero((partner[:, 0] >= 0) & (bits[:, 0] <= MATCH_BITS))
    if len(own) < FEWEST:
        return None
    ours, theirs = first.points[own], second.points[partner[own, 0]]
    transform, agree = cv2.estimateAffinePartial2D(
        ours, theirs, method=cv2.RANSAC, ransacReprojThreshold=TOLERANCE, maxIters=500, confidence=0.99
    )
    if transform is None or int(agree.sum()) < FEWEST:
        return None
    scale = float(np.hypot(transform[0, 0], transform[1, 0]))
    angle = float(np.degrees(np.arctan2(transform[1, 0], transform[0, 0])))
    if not 1 / MOST_SCALE <= scale <= MOST_SCALE or abs(angle) > MOST_ANGLE:
        return None
    overlap = _overlap(first.size, second.size, transform, scale)
    if overlap < least_overlap:
        return None
    return _compare_places(first, second, transform, theirs[agree.ravel() > 0], overlap)


def _overlap(first: tuple[int, int], second: tuple[int, int], transform: np.ndarray, scale: float) -> float:
    import cv2

    laid = _corners(first) @ transform[:, :2].T + transform[:, 2]
    common, _ = cv2.intersectConvexConvex(laid.astype(np.float32), _corners(second))
    return float(common) / max(scale**2 * first[0] * first[1], second[0] * second[1])


def _corners(size: tuple[int, int]) -> np.ndarray:
    width, height = size
    return np.array([[0, 0], [width, 0], [width, height], [0, height]], np.float32)


def _compare_places(
    first: Fingerprint, second: Fingerprint, transform: np.ndarray, agreed: np.ndarray, overlap: float
) -> Alignment:
    import cv2

    back = cv2.invertAffineTransform(transform)
    laid = first.points @ transform[:, :2].T + transform[:, 2]
    ours = laid[_inside(laid, second.size)]
    theirs = second.points[_inside(second.points @ back[:, :2].T + back[:, 2], first.size)]
    counts_ours, counts_theirs, counts_agreed = (_count(points, second.size) for points in (ours, theirs, agreed))
    both = (counts_ours >= _FULL_CELL) & (counts_theirs >= _FULL_CELL)
    replaced = both & (counts_agreed <= 0.12 * np.minimum(counts_ours, counts_theirs))
    either = (counts_ours >= _FULL_CELL) | (counts_theirs >= _FULL_CELL)
    lost = either & (counts_agreed == 0)
    return Alignment(
        points=len(agreed),
        share=len(agreed) / max(1, min(len(ours), len(theirs))),
        overlap=overlap,
        replaced=float(replaced.sum() / max(1, both.sum())),
        lost=float(lost.sum() / max(1, either.sum())),
    )


def _inside(points: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    return np.all((points >= 0) & (points < np.array(size)), axis=1)


def _count(points: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """How many points are in each cell of a grid over the second picture."""
    cells = np.clip(points * _GRID / np.array(size), 0, _GRID - 1).astype(int)
    return np.bincount(cells[:, 1] * _GRID + cells[:, 0], minlength=_GRID**2)
