"""What is kept of a picture to recognise it again: two PDQ hashes and a few hundred ORB keypoints.

PDQ is the 256-bit perceptual hash of https://github.com/facebook/ThreatExchange/tree/main/pdq: luma, two passes of a
box filter, 64x64 samples, the lowest 16x16 DCT terms, one bit for each above the median. ORB: Rublee et al., ICCV 2011.

The filter's half-pixel shifts depend on a picture's size, and that alone moves the hash of a rescaled copy by 20 bits
(`docs/duplicates.md`). So `Fingerprint.pdq`, by which the pictures of a scan are compared, is taken at one size where
the filter is symmetric; `Fingerprint.listed`, for hash lists, at the picture's own size as other tools do.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from memescope.perception.pictures import Picture

FINGERPRINT_VERSION = 1
PDQ_SIDE = 320
"""Five times 64: the box filter's window is odd and samples fall on pixel centres, so mirroring mirrors the hash."""
ORB_SIDE = 384
"""Longest side of the picture in which keypoints are found, pixels. Small pictures are enlarged to it: ORB compares
patches of a fixed size, and its pyramid bridges a factor of 2 badly."""
KEYPOINTS = 300
MIN_QUALITY = 50
"""Hashes of PDQ quality below this are noise: the threshold its authors advise."""
_CANDIDATES = 1000
_GRID = 6
_PATCH = 63
"""Below this side no keypoint has the 31 pixels around it that its descriptor looks at."""
_SUBPIXELS = 128
_HEADER = struct.Struct("<BB32s32sHHH")


@dataclass(frozen=True, slots=True, eq=False)
class Fingerprint:
    """A picture's marks. `pdq` and `listed` have 32 bytes, most significant bit first as in hexadecimal lists.

    `quality` is PDQ's, 0 (flat) to 100; below 50 its bits are noise. `points` float32 (n, 2) are keypoints x, y in
    pixels of a frame `size` (width, height), `descriptors` uint8 (n, 32) are ORB's; n is at most `KEYPOINTS`.
    """

    pdq: bytes
    quality: int
    listed: bytes
    size: tuple[int, int]
    points: np.ndarray
    descriptors: np.ndarray

    def to_bytes(self) -> bytes:
        """72 bytes and 36 for each keypoint; positions keep 1/128 pixel."""
        n = len(self.points)
        header = _HEADER.pack(FINGERPRINT_VERSION, self.quality, self.pdq, self.listed, *self.size, n)
        points = np.round(self.points * _SUBPIXELS).astype("<u2")
        return header + points.tobytes() + self.descriptors.astype(np.uint8).tobytes()

    @classmethod
    def from_bytes(cls, data: bytes) -> Fingerprint:
        """The inverse of `to_bytes`. Raises `ValueError` for bytes of another version or length."""
        if len(data) < _HEADER.size or data[0] != FINGERPRINT_VERSION:
            raise ValueError(f"not a fingerprint of version {FINGERPRINT_VERSION}: scan the pictures again")
        _, quality, pdq, listed, width, height, n = _HEADER.unpack_from(data)
        if len(data) != _HEADER.size + 36 * n:
            raise ValueError(f"a fingerprint of {n} keypoints has {_HEADER.size + 36 * n} bytes, found {len(data)}")
        points = np.frombuffer(data, "<u2", 2 * n, _HEADER.size).reshape(n, 2).astype(np.float32) / _SUBPIXELS
        descriptors = np.frombuffer(data, np.uint8, 32 * n, _HEADER.size + 4 * n).reshape(n, 32)
        return cls(pdq, quality, listed, (width, height), points, descriptors)


def fingerprint(picture: Picture) -> Fingerprint:
    """The fingerprint of a picture."""
    import cv2

    gray = cv2.cvtColor(picture.pixels, cv2.COLOR_RGB2GRAY)
    pdq, quality = pdq_hash(_resized(gray, PDQ_SIDE, PDQ_SIDE))
    listed, _ = pdq_hash(gray)
    height, width = gray.shape
    scale = ORB_SIDE / max(height, width)
    frame = _resized(gray, max(1, round(width * scale)), max(1, round(height * scale)))
    points, descriptors = _keypoints(frame)
    return Fingerprint(pdq, quality, listed, (frame.shape[1], frame.shape[0]), points, descriptors)


def _resized(gray: np.ndarray, width: int, height: int) -> np.ndarray:
    import cv2

    if gray.shape == (height, width):
        return gray
    shrinks = width <= gray.shape[1] and height <= gray.shape[0]
    return cv2.resize(gray, (width, height), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)


def pdq_hash(gray: np.ndarray) -> tuple[bytes, int]:
    """PDQ hash (32 bytes) and quality (0-100) of a grey picture uint8 (h, w).

    The steps of the reference implementation with the box filter done by OpenCV, which is 5 times faster.
    """
    import cv2

    height, width = gray.shape
    weights, (across, down), anchor = _box(width, height)
    luma: np.ndarray = gray.astype(np.float32)
    for _ in range(2):
        luma = cv2.boxFilter(luma, -1, (across, down), anchor=anchor, normalize=False, borderType=cv2.BORDER_CONSTANT)
        luma *= weights
    rows = ((np.arange(64) + 0.5) * height / 64).astype(int)
    columns = ((np.arange(64) + 0.5) * width / 64).astype(int)
    samples = luma[np.ix_(rows, columns)]
    steps = np.abs(np.trunc(np.diff(samples, axis=0) * 100 / 255)).sum()
    steps += np.abs(np.trunc(np.diff(samples, axis=1) * 100 / 255)).sum()
    terms = _dct() @ samples @ _dct().T
    # The median PDQ takes of 256 values is the lower of the two middle ones.
    bits = terms > np.partition(terms.ravel(), 127)[127]
    return np.packbits(bits.ravel()[::-1]).tobytes(), int(min(steps / 90, 100))


@lru_cache(maxsize=8)
def _box(width: int, height: int) -> tuple[np.ndarray, tuple[int, int], tuple[int, int]]:
    """One over the number of pixels in each window, the window's size and its anchor, for pictures of one size."""
    sizes = [(side + 127) // 128 for side in (width, height)]
    before = [size - (size + 2) // 2 for size in sizes]
    counts = []
    for side, size, left in zip((width, height), sizes, before, strict=True):
        start = np.arange(side) - left
        counts.append(np.minimum(start + size, side) - np.maximum(start, 0))
    weights = (1 / np.outer(counts[1], counts[0])).astype(np.float32)
    return weights, (sizes[0], sizes[1]), (before[0], before[1])


@lru_cache(maxsize=1)
def _dct() -> np.ndarray:
    """Terms 1 to 16 of the DCT over 64 samples, float32 (16, 64)."""
    term, sample = np.arange(1, 17)[:, None], np.arange(64)[None]
    return (np.sqrt(2 / 64) * np.cos(np.pi / 128 * term * (2 * sample + 1))).astype(np.float32)


def _keypoints(gray: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """ORB keypoints spread over the picture: without that, nearly all of a meme's sit on its letters."""
    import cv2

    if min(gray.shape) < _PATCH:
        return np.zeros((0, 2), np.float32), np.zeros((0, 32), np.uint8)
    orb = cv2.ORB.create(nfeatures=_CANDIDATES, fastThreshold=10)
    found = sorted(orb.detect(gray, None), key=lambda k: (-k.response, k.pt))
    height, width = gray.shape
    share = -(-KEYPOINTS // _GRID**2)
    cells: dict[int, int] = {}
    first: list[cv2.KeyPoint] = []
    rest: list[cv2.KeyPoint] = []
    for keypoint in found:
        cell = int(keypoint.pt[1] * _GRID / height) * _GRID + int(keypoint.pt[0] * _GRID / width)
        cells[cell] = cells.get(cell, 0) + 1
        (first if cells[cell] <= share else rest).append(keypoint)
    kept, descriptors = orb.compute(gray, (first + rest)[:KEYPOINTS])
    if descriptors is None:
        return np.zeros((0, 2), np.float32), np.zeros((0, 32), np.uint8)
    return np.array([k.pt for k in kept], np.float32).reshape(-1, 2), descriptors
