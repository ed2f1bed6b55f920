"""What a picture says. `load_ocr().read(picture)` finds the text, reads it and puts it in reading order.

PP-OCRv6 (models packed in rapidocr) reads Latin, Chinese and Japanese; it is run straight on ONNX Runtime with
settings for memes: large lettering needs little resolution, so the picture is looked at small and lines are read big.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import Any

import numpy as np

from memescope.cache import Cache, content_key
from memescope.perception.detector import TextBox, TextDetector
from memescope.perception.lines import Line, OcrResult, around, rows_of_blocks
from memescope.perception.other_scripts import OtherScripts, is_unread, legible
from memescope.perception.pictures import Picture, open_picture
from memescope.perception.recogniser import LineReader, Strip, cut
from memescope.perception.runtime import DETECTOR, RECOGNISER, rapidocr_version
from memescope.perception.scripts import script_of
from memescope.perception.tesseract import fallback_languages, tesseract_state

SURE = 0.5
"""Strips less legible than this are picture, not text."""
READ_BY_DEFAULT = ("Latn", "Hani", "Jpan")
RIGHT_TO_LEFT = ("Arab", "Hebr")


CERTAIN, CERTAIN_OTHER, WORD = 0.9, 0.7, 4
"""The engine that reads more letters with certainty is believed: a meme in Latin letters before a wall of windows is
illegible on the whole, and Tesseract finds words of some script in the windows."""
OCR_VERSION = "ppocrv6-small+tesseract/2"
"""Changes whenever readings could: part of what a stored reading depends on."""


class OcrEngine:
    """Reads pictures one at a time, in the calling thread. `version` is `OCR_VERSION`."""

    version = OCR_VERSION

    def __init__(self, threads: int = 1) -> None:
        self._detector = TextDetector(threads)
        self._reader = LineReader(threads)
        self._others: OtherScripts | None = None

    def read(self, picture: Picture) -> OcrResult:
        """Everything legible in the picture; an empty result where there is no text. Boxes are in pixels of
        `picture.pixels`."""
        boxes = self._detector.boxes(picture.pixels)
        strips = self._reader.read([cut(picture.pixels, box.corners) for box in boxes])
        if is_unread(boxes, strips):
            other = self._read_other(picture.pixels, boxes)
            certain = sum(_letters(strip.text) for strip in strips if legible(strip) >= CERTAIN)
            if other.lines and _certain_letters(other) >= certain:
                return other
        kept = [(box.corners, strip) for box, strip in zip(boxes, strips, strict=True) if legible(strip) >= SURE]
        lines = [_line([kept[i] for i in row]) for row in rows_of_blocks([corners for corners, _ in kept])]
        return _result(lines, "rapidocr")

    def _read_other(self, pixels: np.ndarray, boxes: list[TextBox]) -> OcrResult:
        """What Tesseract makes of the boxes; an empty result where it is absent or does not know the script either."""
        if self._others is None:
            self._others = OtherScripts(fallback_languages())
        corners = [box.corners for box in boxes]
        rows = [around([corners[i] for i in row]) for row in rows_of_blocks(corners)]
        read = self._others.read(pixels, rows)
        if script_of("".join(line.text for line in read)) in RIGHT_TO_LEFT:
            read = [read[i] for row in rows_of_blocks([line.corners for line in read], right_to_left=True) for i in row]
        return _result([Line(line.text, _points(line.corners), line.confidence) for line in read], "tesseract")


def _letters(text: str) -> int:
    """How many letters of a piece of text; of a scrap too short to be a word none."""
    count = sum(sign.isalpha() for sign in text)
    return count if count >= WORD else 0


def _certain_letters(result: OcrResult) -> int:
    return sum(_letters(line.text) for line in result.lines if line.confidence >= CERTAIN_OTHER)


def _result(lines: list[Line], engine: str) -> OcrResult:
    text = "\n".join(line.text for line in lines)
    return OcrResult(text=text, lines=lines, script=script_of(text), engine=engine)


def _line(pieces: list[tuple[np.ndarray, Strip]]) -> Line:
    """One line from its pieces in reading order."""
    weights = [max(len(strip.text), 1) for _, strip in pieces]
    confidence = float(np.average([strip.confidence for _, strip in pieces], weights=weights))
    return Line(" ".join(strip.text for _, strip in pieces), _points(around([c for c, _ in pieces])), confidence)


def _points(corners: np.ndarray) -> tuple[tuple[float, float], ...]:
    return tuple((float(x), float(y)) for x, y in corners)


@lru_cache(maxsize=2)
def load_ocr(threads: int = 1) -> OcrEngine:
    """The engine, opened once in each process."""
    return OcrEngine(threads)


def kept_texts(pictures: Iterable[tuple[Any, str]]) -> Iterator[str]:
    """The text in each picture, given with the SHA-256 of its bytes: read once, then taken from `memescope.cache`."""
    engine, cache = load_ocr(), Cache("ocr")
    for image, digest in pictures:
        key = content_key(engine.version, digest)
        kept = cache.get([key])
        if key not in kept:
            kept[key] = engine.read(open_picture(image)).text.encode("utf-8", "surrogatepass")
            cache.put(kept)
        yield kept[key].decode("utf-8", "surrogatepass")


def ocr_engines() -> dict[str, Any]:
    """What `memescope doctor` shows: the engines there are, what each reads, what is missing and how to get it."""
    return {
        "rapidocr": {"version": rapidocr_version(), "models": [DETECTOR, RECOGNISER], "reads": list(READ_BY_DEFAULT)},
        "tesseract": tesseract_state(),
    }
