"""What a picture says. `load_ocr().read(picture)` finds the text, reads it and puts it in reading order.

PP-OCRv6 (models packed in rapidocr) reads Latin, Chinese and Japanese; it is run straight on ONNX Runtime with
settings for memes: large lettering needs little resolution, so the picture is looked at small and lines are read big.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np

from memescope.perception.detector import TextDetector
from memescope.perception.lines import Line, OcrResult, rows_of_blocks
from memescope.perception.pictures import Picture
from memescope.perception.recogniser import LineReader, Strip, cut
from memescope.perception.runtime import DETECTOR, RECOGNISER, rapidocr_version
from memescope.perception.scripts import script_of

SURE = 0.5
"""Strips read with less mean confidence are picture, not text."""


OCR_VERSION = "ppocrv6-small/1"
"""Changes whenever readings could: part of what a stored reading depends on."""


class OcrEngine:
    """Reads pictures one at a time, in the calling thread. `version` is `OCR_VERSION`."""

    version = OCR_VERSION

    def __init__(self, threads: int = 1) -> None:
        self._detector = TextDetector(threads)
        self._reader = LineReader(threads)

    def read(self, picture: Picture) -> OcrResult:
        """Everything legible in the picture; an empty result where there is no text. Boxes are in pixels of
        `picture.pixels`."""
        boxes = self._detector.boxes(picture.pixels)
        strips = self._reader.read([cut(picture.pixels, box.corners) for box in boxes])
        kept = [(box.corners, strip) for box, strip in zip(boxes, strips, strict=True) if strip.confidence >= SURE]
        lines = [_line([kept[i] for i in row]) for row in rows_of_blocks([corners for corners, _ in kept])]
        text = "\n".join(line.text for line in lines)
        return OcrResult(text=text, lines=lines, script=script_of(text))


def _line(pieces: list[tuple[np.ndarray, Strip]]) -> Line:
    """One line from its pieces in reading order."""
    text = " ".join(strip.text.strip() for _, strip in pieces)
    weights = [max(len(strip.text), 1) for _, strip in pieces]
    confidence = float(np.average([strip.confidence for _, strip in pieces], weights=weights))
    if len(pieces) == 1:
        corners = pieces[0][0]
    else:
        points = np.concatenate([corners for corners, _ in pieces])
        (left, top), (right, bottom) = points.min(axis=0), points.max(axis=0)
        corners = np.array([[left, top], [right, top], [right, bottom], [left, bottom]])
    return Line(text, tuple((float(x), float(y)) for x, y in corners), confidence)


@lru_cache(maxsize=2)
def load_ocr(threads: int = 1) -> OcrEngine:
    """The engine, opened once in each process."""
    return OcrEngine(threads)


def ocr_engines() -> dict[str, Any]:
    """What `memescope doctor` shows: the engines there are, the scripts each reads, and what is missing."""
    return {"rapidocr": {"version": rapidocr_version(), "models": [DETECTOR, RECOGNISER]}}
