"""What every encoder offers, packaged or from a hub. Models, explanation and training rely on nothing else.

Shape letters: `b` texts or pictures, `t` tokens of one text, `g` grid places along one side, `d` width.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

import numpy as np

if TYPE_CHECKING:
    from memescope.perception.pictures import Picture


class TextEncoder(Protocol):
    """Texts to features. A text's numbers do not depend on the others in the call (within 1e-4)."""

    name: str
    version: str
    dim: int
    max_tokens: int

    def tokens(self, texts: Sequence[str]) -> list[np.ndarray]:
        """The last layer's state of each token, special tokens included: float32 (t, d) for each text."""
        ...

    def offsets(self, texts: Sequence[str]) -> list[np.ndarray]:
        """Start and end of each token as characters of its text: int32 (t, 2); (0, 0) for special tokens."""
        ...

    def pooled(self, texts: Sequence[str]) -> np.ndarray:
        """One vector for each text: float32 (b, d)."""
        ...


class VisionEncoder(Protocol):
    """Pictures to features. A picture's numbers do not depend on the others in the call (within 1e-4)."""

    name: str
    version: str
    dim: int
    grid: int

    def patches(self, pictures: Sequence[Picture]) -> np.ndarray:
        """Features of each place of the grid, row by row from the top left: float32 (b, g, g, d)."""
        ...

    def pooled(self, pictures: Sequence[Picture]) -> np.ndarray:
        """One vector for each picture: float32 (b, d)."""
        ...
