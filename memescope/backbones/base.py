"""What packaged and hub encoders share: batches of similar length, pooling, the grid, the memory of last results.

A subclass sets its attributes and gives one method, `_forward`, that runs the network on a padded batch.

Shape letters: `b` batch, `t` tokens, `s` side of the picture in pixels, `g` grid places along one side, `d` width.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from memescope.backbones.memo import Memo

if TYPE_CHECKING:
    from memescope.perception.pictures import Picture

MAX_TOKENS = 256
BATCH_TOKENS = 2048  # padded tokens in one run: 2048 x 1536 float32 is 12 MB for MiniLM's widest layer
PICTURES_AT_ONCE = 16
MEMO_BYTES = 16 << 20


class TextFeatures(ABC):
    """A `TextEncoder` over a `tokenizers.Tokenizer`. What it remembers of a text: row 0 pooled, then the tokens."""

    name: str
    version: str
    dim: int
    max_tokens: int

    def __init__(self, tokenizer: Any, pad_id: int) -> None:
        self._tokenizer = tokenizer
        self._tokenizer.no_padding()
        self._tokenizer.enable_truncation(self.max_tokens)
        self._pad_id = pad_id
        self._memo = Memo(MEMO_BYTES)

    @abstractmethod
    def _forward(self, ids: np.ndarray, mask: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
        """int64 (b, t) twice -> states float32 (b, t, d) and the model's own pooled (b, d), None for the mean."""

    def tokens(self, texts: Sequence[str]) -> list[np.ndarray]:
        """The last layer's state of each token, special tokens included: float32 (t, d) for each text."""
        return [features[1:].copy() for features in self._features(texts)]

    def offsets(self, texts: Sequence[str]) -> list[np.ndarray]:
        """Start and end of each token as characters of its text: int32 (t, 2); (0, 0) for special tokens."""
        return [np.array(encoding.offsets, np.int32) for encoding in self._encode(texts)]

    def pooled(self, texts: Sequence[str]) -> np.ndarray:
        """One vector of length 1 for each text: float32 (b, d)."""
        vectors = [features[0] for features in self._features(texts)]
        return np.stack(vectors) if vectors else np.zeros((0, self.dim), np.float32)

    def _encode(self, texts: Sequence[str]) -> list[Any]:
        # not encode_batch: it starts a thread for each core, and a scan has a process for each core already
        return [self._tokenizer.encode(text) for text in texts]

    def _features(self, texts: Sequence[str]) -> list[np.ndarray]:
        return self._memo.through(texts, lambda missing: self._run([texts[i] for i in missing]))

    def _run(self, texts: list[str]) -> list[np.ndarray]:
        ids = [encoding.ids for encoding in self._encode(texts)]
        features: dict[int, np.ndarray] = {}
        for batch in batches([len(row) for row in ids]):
            longest = max(len(ids[i]) for i in batch)
            padded = np.full((len(batch), longest), self._pad_id, np.int64)
            mask = np.zeros_like(padded)
            for row, i in enumerate(batch):
                padded[row, : len(ids[i])] = ids[i]
                mask[row, : len(ids[i])] = 1
            states, own = self._forward(padded, mask)
            for row, i in enumerate(batch):
                kept = states[row, : len(ids[i])]
                vector = kept.mean(axis=0) if own is None else own[row]
                vector = vector / max(float(np.linalg.norm(vector)), 1e-12)
                features[i] = np.concatenate([vector[None], kept]).astype(np.float32)
        return [features[i] for i in range(len(texts))]


def batches(lengths: Sequence[int]) -> list[list[int]]:
    """Positions grouped by similar length: at most an eighth of padding (and 2 tokens) and `BATCH_TOKENS` in each."""
    groups: list[list[int]] = []
    for i in sorted(range(len(lengths)), key=lambda i: lengths[i]):
        if groups:
            shortest, size = lengths[groups[-1][0]], len(groups[-1])
            if lengths[i] <= shortest * 9 / 8 + 2 and lengths[i] * (size + 1) <= BATCH_TOKENS:
                groups[-1].append(i)
                continue
        groups.append([i])
    return groups


class PictureFeatures(ABC):
    """A `VisionEncoder` that sees the whole picture squeezed to a square: memes have their text at the edges.

    So place (row, column) covers the fractions [row/g, (row+1)/g) and [column/g, (column+1)/g) of height and width.
    What it remembers of a picture: row 0 pooled, then the places of the grid.
    """

    name: str
    version: str
    dim: int
    grid: int
    size: int

    def __init__(self) -> None:
        self._memo = Memo(MEMO_BYTES)

    @abstractmethod
    def _forward(self, pixels: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
        """uint8 RGB (b, s, s, 3) -> grid float32 (b, g, g, d) and the model's own pooled (b, d), None for the mean."""

    def patches(self, pictures: Sequence[Picture]) -> np.ndarray:
        """Features of each place of the grid, row by row from the top left: float32 (b, g, g, d)."""
        return self._features(pictures)[:, 1:].reshape(len(pictures), self.grid, self.grid, self.dim)

    def pooled(self, pictures: Sequence[Picture]) -> np.ndarray:
        """One vector for each picture: float32 (b, d)."""
        return self._features(pictures)[:, 0]

    def _features(self, pictures: Sequence[Picture]) -> np.ndarray:
        keys = [picture.key for picture in pictures]
        features = self._memo.through(keys, lambda missing: self._run([pictures[i] for i in missing]))
        return np.stack(features) if features else np.zeros((0, 1 + self.grid**2, self.dim), np.float32)

    def _run(self, pictures: list[Picture]) -> list[np.ndarray]:
        features: list[np.ndarray] = []
        for start in range(0, len(pictures), PICTURES_AT_ONCE):
            some = pictures[start : start + PICTURES_AT_ONCE]
            grid, own = self._forward(np.stack([squeeze(picture.pixels, self.size) for picture in some]))
            pooled = grid.mean(axis=(1, 2)) if own is None else own
            places = grid.reshape(len(some), -1, self.dim)
            features.extend(np.concatenate([pooled[:, None], places], axis=1).astype(np.float32))
        return features


def squeeze(pixels: np.ndarray, size: int) -> np.ndarray:
    """A uint8 RGB picture (h, w, 3) resized to (size, size, 3) whatever its shape.

    Antialiased bicubic by Pillow, whose integer arithmetic gives the same pixels on every machine; a box filter first
    where the picture is more than twice too large.
    """
    from PIL import Image

    picture = Image.fromarray(np.ascontiguousarray(pixels))
    return np.asarray(picture.resize((size, size), Image.Resampling.BICUBIC, reducing_gap=2.0))
