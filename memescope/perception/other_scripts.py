"""Memes in scripts the default engine cannot read: noticing them, and reading them with Tesseract line by line.

A recogniser that meets a script it was not taught answers with few letters, unsure ones, or nothing but the spaces
between words. `legibility` measures that, for nothing, on every meme; only where big boxes stay illegible is Tesseract
asked, and its answer is believed only when it is confident and written in the script it should be.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from memescope.perception.detector import TextBox
from memescope.perception.letters import isolate
from memescope.perception.recogniser import HEIGHT, Strip
from memescope.perception.scripts import script_counts
from memescope.perception.tesseract import SCRIPT_OF, read_line

ILLEGIBLE = 0.75
"""Mean legibility of a meme's text boxes below which another engine is asked."""
CLEAR, LOWEST = 0.65, 16
"""Score and height in pixels that at least one box must have: noise and tiny print are not worth a second engine."""
FEWEST = 3
"""Letters of its script a line must have to tell the language."""
BELIEVED, FITS, CERTAIN = 0.5, 0.7, 0.87
"""Tesseract's confidence from which a line counts, from which its language is taken for the meme's, and from which no
other look at the line is tried."""
Look = tuple[int, tuple[float, float], float]
Way = tuple[str, bool]
"""A language and whether its letters are white."""
LOOKS: tuple[Look, ...] = ((72, (130.0, 220.0), 0.5), (64, (170.0, 245.0), 0.4), (56, (110.0, 235.0), 0.6))
"""Ways to cut letters out (height, tones, core of `isolate`), tried in turn until a reading is certain."""

_NOISE = re.compile(r"^[|¦»«_~.'“”‘’`^¬=+<>-]+\s+|\s+[|¦»«_~.'“”‘’`^¬=+<>-]+$")


@dataclass(slots=True)
class OtherLine:
    """One line that Tesseract read: the box's corners (4, 2), text and confidence."""

    corners: np.ndarray
    text: str
    confidence: float


def is_unread(boxes: Sequence[TextBox], strips: Sequence[Strip]) -> bool:
    """Whether there is text, big and clear enough for another engine, most of which this one could not read."""
    lines = (_length(box.corners) >= 1.5 * _depth(box.corners) >= 1.5 * LOWEST for box in boxes if box.score >= CLEAR)
    return any(lines) and legibility(boxes, strips) < ILLEGIBLE


def legibility(boxes: Sequence[TextBox], strips: Sequence[Strip]) -> float:
    """How much of the detected text the default engine could read, 0 to 1; 1 where nothing was detected.

    Each box counts by how much of a line of text it is; it is read as far as the engine was confident, times the share
    of the box its letters account for at one letter for each square (narrow letters reach 1 easily, so only missing
    ones show).
    """
    weights = [max(box.score - 0.5, 0.0) * _lineness(box.corners) for box in boxes]
    if not sum(weights):
        return 1.0
    return float(np.average([legible(strip) for strip in strips], weights=weights))


def legible(strip: Strip) -> float:
    """The same for one strip."""
    letters = sum(not letter.isspace() for letter in strip.text)
    return strip.confidence * min(1.0, letters * HEIGHT / max(strip.width, 1))


def _lineness(corners: np.ndarray) -> float:
    """A box's length in pixels, less where it is squat: a patch of picture rather than a line of text."""
    length = _length(corners)
    return length * min(1.0, length / (3 * max(_depth(corners), 1.0)))


def _length(corners: np.ndarray) -> float:
    return float(np.hypot(*(corners[1] - corners[0])))


def _depth(corners: np.ndarray) -> float:
    return float(np.hypot(*(corners[3] - corners[0])))


class OtherScripts:
    """Reads lines with whichever of some Tesseract languages fits; remembers what fitted the last meme."""

    def __init__(self, languages: Sequence[str]) -> None:
        self._ways: list[Way] = [(language, white) for white in (True, False) for language in languages]

    def read(self, pixels: np.ndarray, rows: Sequence[np.ndarray]) -> list[OtherLine]:
        """The rows, boxes of (4, 2), that are written in one of the languages; [] when none fits the longest rows."""
        longest = sorted(rows, key=_lineness, reverse=True)[:2]
        way = self._fitting(pixels, longest)
        if way is None:
            return []
        self._ways.remove(way)
        self._ways.insert(0, way)
        lines = []
        for corners in rows:
            text, confidence = _best_look(pixels, corners, way)
            if confidence >= BELIEVED:
                lines.append(OtherLine(corners, text, confidence))
        return lines

    def _fitting(self, pixels: np.ndarray, rows: Sequence[np.ndarray]) -> tuple[str, bool] | None:
        """Language and tone of letters that read these rows best; None when all of them read badly."""
        for look in LOOKS:
            best, best_score = None, BELIEVED
            for way in self._ways:
                score = float(np.mean([_fit(pixels, corners, way, look) for corners in rows])) if rows else 0.0
                if score > best_score:
                    best, best_score = way, score
                if best_score >= FITS:
                    break
            if best:
                return best
        return None


def _fit(pixels: np.ndarray, corners: np.ndarray, way: Way, look: Look) -> float:
    """Confidence of one look, times the share of signs, spaces aside, that are letters of the language's script."""
    language, white = way
    strip = isolate(pixels, corners, white, *look)
    if not _fills(strip, corners, look[0]):
        return 0.0
    text, confidence = read_line(strip, language)
    signs = sum(not sign.isspace() for sign in text)
    own = script_counts(text).get(SCRIPT_OF[language], 0)
    return confidence * own / signs if own >= FEWEST else 0.0


def _fills(strip: np.ndarray, corners: np.ndarray, height: int) -> bool:
    """Whether ink stands in at least two fifths of the box's columns: looked at in the wrong tone, only the insides of
    letters are left."""
    columns = int((strip < 128).any(axis=0).sum())
    return columns >= 0.4 * _length(corners) / max(_depth(corners), 1.0) * height


def _best_look(pixels: np.ndarray, corners: np.ndarray, way: Way) -> tuple[str, float]:
    """Text and confidence of the surest look at a line."""
    language, white = way
    best = ("", 0.0)
    for look in LOOKS:
        text, confidence = read_line(isolate(pixels, corners, white, *look), language)
        if confidence > best[1]:
            best = (_NOISE.sub("", text).strip(), confidence)
        if confidence >= CERTAIN:
            break
    return best
