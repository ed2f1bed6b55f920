"""Fingerprints: PDQ as the reference computes it, stable under what pictures go through, small and exact in storage."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from memescope.curation.hashes import KEYPOINTS, ORB_SIDE, Fingerprint, fingerprint, pdq_hash
from memescope.perception.pictures import Picture


def scene(seed: int, width: int = 480, height: int = 360) -> np.ndarray:
    """A picture of overlapping shapes, uint8 (h, w, 3); the same seed at another size is the same scene."""
    rng = np.random.default_rng(seed)
    canvas = np.full((720, 960, 3), rng.integers(60, 200, 3), np.uint8)
    for _ in range(60):
        x, y = int(rng.integers(0, 960)), int(rng.integers(0, 720))
        colour = tuple(int(c) for c in rng.integers(0, 256, 3))
        if rng.random() < 0.5:
            cv2.circle(canvas, (x, y), int(rng.integers(10, 90)), colour, -1)
        else:
            cv2.rectangle(canvas, (x, y), (x + int(rng.integers(20, 200)), y + int(rng.integers(20, 150))), colour, -1)
    return cv2.resize(canvas, (width, height), interpolation=cv2.INTER_AREA)


def picture(pixels: np.ndarray) -> Picture:
    return Picture(np.ascontiguousarray(pixels), "", pixels.shape[1], pixels.shape[0], "PNG")


def bits(first: bytes, second: bytes) -> int:
    return (int.from_bytes(first) ^ int.from_bytes(second)).bit_count()


@pytest.mark.parametrize("size", [(64, 64), (65, 127), (128, 100), (272, 204), (500, 333), (1000, 750), (20, 900)])
def test_pdq_is_that_of_the_reference(size: tuple[int, int]) -> None:
    import pdqhash

    for seed in range(3):
        gray = cv2.cvtColor(scene(seed, *size), cv2.COLOR_RGB2GRAY)
        ours, quality = pdq_hash(gray)
        expected, expected_quality = pdqhash.compute(np.repeat(gray[:, :, None], 3, axis=2))
        # float32 sums in another order may move a term across the median
        assert bits(ours, np.packbits(expected).tobytes()) <= 4
        assert abs(quality - expected_quality) <= 1


def test_listed_hash_is_what_other_tools_list() -> None:
    import pdqhash

    pixels = scene(1)
    expected, _ = pdqhash.compute(pixels)
    assert bits(fingerprint(picture(pixels)).listed, np.packbits(expected).tobytes()) <= 4


def test_rescaled_recompressed_and_mirrored_copies_stay_near() -> None:
    from memescope.curation.duplicates import MIRROR

    for seed in range(5):
        original = fingerprint(picture(scene(seed)))
        for size in ((240, 180), (333, 250), (960, 720)):
            assert bits(original.pdq, fingerprint(picture(scene(seed, *size))).pdq) <= 12
        jpeg = cv2.imdecode(cv2.imencode(".jpg", scene(seed), [cv2.IMWRITE_JPEG_QUALITY, 30])[1], cv2.IMREAD_COLOR)
        assert bits(original.pdq, fingerprint(picture(jpeg)).pdq) <= 12
        mirrored = fingerprint(picture(scene(seed)[:, ::-1])).pdq
        assert bits(original.pdq, (np.frombuffer(mirrored, np.uint8) ^ MIRROR).tobytes()) <= 20
        assert bits(original.pdq, fingerprint(picture(scene(seed + 100))).pdq) > 80


def test_bytes_and_back() -> None:
    marks = fingerprint(picture(scene(3)))
    data = marks.to_bytes()
    assert len(data) == 72 + 36 * len(marks.points) <= 72 + 36 * KEYPOINTS
    again = Fingerprint.from_bytes(data)
    assert (again.pdq, again.quality, again.listed, again.size) == (marks.pdq, marks.quality, marks.listed, (384, 288))
    assert np.array_equal(again.descriptors, marks.descriptors)
    assert np.abs(again.points - marks.points).max() <= 1 / 256
    assert again.to_bytes() == data
    for broken in (b"", data[:-1], data + b"x", b"\xff" + data[1:]):
        with pytest.raises(ValueError, match="fingerprint"):
            Fingerprint.from_bytes(broken)


def test_fingerprints_are_deterministic_and_spread() -> None:
    pixels = scene(4)
    assert fingerprint(picture(pixels)).to_bytes() == fingerprint(picture(pixels.copy())).to_bytes()
    # letters in one corner, weak shapes elsewhere: the corner must not take all keypoints
    crowded = cv2.resize(scene(5), (384, 288)) // 2 + 60
    for row in range(6):
        cv2.putText(crowded, "MMWWXXKK", (40, 50 + 18 * row), cv2.FONT_HERSHEY_DUPLEX, 0.6, (255, 255, 255), 2)
    plain = cv2.ORB.create(KEYPOINTS, fastThreshold=10).detect(cv2.cvtColor(crowded, cv2.COLOR_RGB2GRAY), None)

    def outside(points: np.ndarray) -> float:
        return float(((points[:, 0] > ORB_SIDE / 2) | (points[:, 1] > 160)).mean())

    assert outside(fingerprint(picture(crowded)).points) > 2 * outside(np.array([k.pt for k in plain]))


@pytest.mark.parametrize("size", [(1, 1), (1, 2048), (2048, 2), (3, 3), (63, 65)])
def test_tiny_and_narrow_pictures(size: tuple[int, int]) -> None:
    width, height = size
    noise = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    for pixels in (noise, np.full_like(noise, 128)):
        marks = fingerprint(picture(pixels))
        assert Fingerprint.from_bytes(marks.to_bytes()).pdq == marks.pdq
        assert len(marks.points) == len(marks.descriptors)


def test_flat_pictures_have_no_quality() -> None:
    assert fingerprint(picture(np.full((300, 400, 3), 77, np.uint8))).quality == 0
    assert fingerprint(picture(scene(6))).quality > 50
