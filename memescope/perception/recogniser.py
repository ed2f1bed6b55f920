"""What a line of text says: PP-OCRv6's recogniser (CTC over 18,708 characters) on strips 48 pixels high.

Strips are read in small batches of like width, so that hardly any padding is computed.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from memescope.perception.runtime import RECOGNISER, model_path, open_session

HEIGHT = 48
NARROWEST, WIDEST = 16, 3200
"""Strip widths in pixels: CTC needs a few steps of 8 pixels, and memory must not follow a hostile picture."""

ROOM = 3200
"""Pixels of width that a batch may have in all: its answers take 9 kB for each."""
SPACE = 0.05
_FIRST_UNSPACED = "\u2e80"
"""From here on Unicode has the scripts of East Asia, written without spaces."""


@dataclass(slots=True)
class Strip:
    """One read line: `confidence` is the mean probability of its letters and signs, spaces aside (0 where there are
    none), `width` that of the strip in pixels when it is `HEIGHT` high."""

    text: str
    confidence: float
    width: int


class LineReader:
    """Reads strips cut from a picture."""

    def __init__(self, threads: int = 1, batch: int = 6, stretch: float = 1.3) -> None:
        self._batch, self._stretch = batch, stretch
        self._session: Any = open_session(model_path(RECOGNISER), threads)
        characters = self._session.get_modelmeta().custom_metadata_map["character"].splitlines()
        self._characters = ["", *characters, " "]

    def read(self, strips: Sequence[np.ndarray]) -> list[Strip]:
        """Text of RGB strips (h, w, 3) uint8 of any size, in the order given."""
        ready = [_resized(strip) for strip in strips]
        read = [Strip("", 0.0, strip.shape[1]) for strip in ready]
        for group in self._groups([strip.shape[1] for strip in ready]):
            batch = np.zeros((len(group), 3, HEIGHT, ready[group[-1]].shape[1]), np.float32)
            for place, index in enumerate(group):
                strip = ready[index]
                batch[place, :, :, : strip.shape[1]] = strip[:, :, ::-1].transpose(2, 0, 1) * np.float32(2 / 255) - 1
            chances = self._session.run(None, {"x": batch})[0]
            for place, index in enumerate(group):
                read[index].text, read[index].confidence = self._decoded(chances[place])
        return read

    def _groups(self, widths: Sequence[int]) -> Iterator[list[int]]:
        """Indices in batches, narrow to wide, of at most `ROOM` pixels; the widest is at most `stretch` times the
        narrowest."""
        group: list[int] = []
        for index in sorted(range(len(widths)), key=widths.__getitem__):
            full = len(group) == self._batch or (len(group) + 1) * widths[index] > ROOM
            if group and (full or widths[index] > self._stretch * widths[group[0]]):
                yield group
                group = []
            group.append(index)
        if group:
            yield group

    def _decoded(self, chances: np.ndarray) -> tuple[str, float]:
        """The best path of CTC, (steps, characters): repeats merged, then blanks dropped, then lost spaces put back.

        Blanks win over spaces too easily in tight lettering: WHATYOURMAN. So between two letters that are not Chinese
        or Japanese a space needs only a chance of `SPACE` at some step.
        """
        best = chances.argmax(axis=1)
        said = np.flatnonzero((best != 0) & np.append(True, best[1:] != best[:-1]))
        space = len(self._characters) - 1
        text: list[str] = []
        for number, step in enumerate(said):
            character = self._characters[best[step]]
            before = said[number - 1] if number else step
            spaced = (
                step - before > 1 and max(text[-1], character) < _FIRST_UNSPACED and " " not in (text[-1], character)
            )
            if spaced and chances[before + 1 : step, space].max() > SPACE:
                text.append(" ")
            text.append(character)
        seen = said[best[said] != space]
        return "".join(text).strip(), float(chances[seen, best[seen]].mean()) if seen.size else 0.0


def _resized(strip: np.ndarray) -> np.ndarray:
    import cv2

    height, width = strip.shape[:2]
    width = min(max(math.ceil(HEIGHT * width / height), NARROWEST), WIDEST)
    return cv2.resize(strip, (width, HEIGHT))


def cut(pixels: np.ndarray, corners: np.ndarray) -> np.ndarray:
    """The strip inside a text box, (4, 2) clockwise from the top left; one that is tall is laid on its side."""
    import cv2

    across, down = corners[1] - corners[0], corners[3] - corners[0]
    width, height = max(1, int(np.hypot(*across))), max(1, int(np.hypot(*down)))
    target = np.array([[0, 0], [width, 0], [width, height], [0, height]], np.float32)
    turn = cv2.getPerspectiveTransform(corners.astype(np.float32), target)
    strip = cv2.warpPerspective(pixels, turn, (width, height), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
    return np.rot90(strip) if height >= 1.5 * width else strip
