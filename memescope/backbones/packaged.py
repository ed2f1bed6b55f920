"""The encoders that ship in the package: MiniLM for text, EfficientNet-lite0 for pictures, on ONNX Runtime alone.

The graphs in `assets/` are made by `memescope.backbones.export`, which says from what; `assets/manifest.json` pins
them. Everything is computed in float32 on one thread unless told otherwise.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from memescope.backbones.memo import Memo
from memescope.errors import MemescopeError

if TYPE_CHECKING:
    from memescope.perception.pictures import Picture

ASSETS = Path(__file__).parent / "assets"
MAX_TOKENS = 256
BATCH_TOKENS = 2048  # padded tokens in one run: 2048 x 1536 float32 is 12 MB for the widest layer
SIZE = 224
PICTURES_AT_ONCE = 16
MEMO_BYTES = 16 << 20


@cache
def manifest() -> dict[str, Any]:
    """What is in `assets/`: file, sha256, source and settings of each packaged encoder."""
    return json.loads((ASSETS / "manifest.json").read_text("utf-8"))


def _session(path: Path, threads: int) -> Any:
    import onnxruntime

    if not path.is_file():
        raise MemescopeError(f"{path}: this part of the package is missing; install memescope again")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    # idle threads must not spin: a scan runs one process for each core
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])


class MiniLM:
    """all-MiniLM-L6-v2 (sentence-transformers; Wang et al. 2020): six BERT layers of width 384, uncased English.

    `tokens` are the last layer's states; `pooled` is their mean with the special tokens, scaled to length 1, as the
    published sentence encoder does. Texts are cut after 256 tokens, the special tokens included.
    """

    name = "minilm"
    dim = 384
    max_tokens = MAX_TOKENS

    def __init__(self, threads: int = 1) -> None:
        from tokenizers import Tokenizer

        entry = manifest()[self.name]
        self.version = f"{self.name}-{entry['sha256'][:12]}"
        self._session = _session(ASSETS / entry["file"], threads)
        self._tokenizer = Tokenizer.from_file(str(ASSETS / entry["tokenizer"]["file"]))
        self._tokenizer.no_padding()
        self._tokenizer.enable_truncation(MAX_TOKENS)
        self._memo = Memo(MEMO_BYTES)

    def tokens(self, texts: Sequence[str]) -> list[np.ndarray]:
        """States of each token, [CLS] and [SEP] included: float32 (t, 384) for each text."""
        return [states.copy() for states in self._states(texts)]

    def offsets(self, texts: Sequence[str]) -> list[np.ndarray]:
        """Start and end of each token as characters of its text: int32 (t, 2); (0, 0) for [CLS] and [SEP]."""
        return [np.array(encoding.offsets, np.int32) for encoding in self._tokenizer.encode_batch(list(texts))]

    def pooled(self, texts: Sequence[str]) -> np.ndarray:
        """Mean of the token states, scaled to length 1: float32 (b, 384)."""
        means = np.stack([s.mean(axis=0) for s in self._states(texts)]) if len(texts) else np.zeros((0, self.dim))
        return (means / np.maximum(np.linalg.norm(means, axis=1, keepdims=True), 1e-12)).astype(np.float32)

    def _states(self, texts: Sequence[str]) -> list[np.ndarray]:
        return self._memo.through(texts, lambda missing: self._run([texts[i] for i in missing]))

    def _run(self, texts: list[str]) -> list[np.ndarray]:
        ids = [encoding.ids for encoding in self._tokenizer.encode_batch(texts)]
        states: dict[int, np.ndarray] = {}
        for batch in batches([len(i) for i in ids]):
            longest = max(len(ids[i]) for i in batch)
            padded = np.zeros((len(batch), longest), np.int64)
            mask = np.zeros_like(padded)
            for row, i in enumerate(batch):
                padded[row, : len(ids[i])] = ids[i]
                mask[row, : len(ids[i])] = 1
            out = self._session.run(["states"], {"ids": padded, "mask": mask})[0]
            states.update({i: out[row, : len(ids[i])] for row, i in enumerate(batch)})
        return [states[i] for i in range(len(texts))]


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


class EfficientNetLite0:
    """EfficientNet-lite0 (Tan and Le 2019), ImageNet: a grid of 7 x 7 places of width 1280 after the head convolution.

    The whole picture is resized to 224 x 224 without cropping (text sits at the edges of a meme), so that place
    (row, column) covers the fractions [row/7, (row+1)/7) and [column/7, (column+1)/7) of its height and width.
    `pooled` is the exact mean over the grid.
    """

    name = "effnet-lite0"
    dim = 1280
    grid = 7

    def __init__(self, threads: int = 1) -> None:
        entry = manifest()[self.name]
        self.version = f"{self.name}-{entry['sha256'][:12]}"
        self._session = _session(ASSETS / entry["file"], threads)
        self._memo = Memo(MEMO_BYTES)

    def patches(self, pictures: Sequence[Picture]) -> np.ndarray:
        """Grid features, from the top left: float32 (b, 7, 7, 1280), between 0 and 6."""
        keys = [picture.key for picture in pictures]
        grids = self._memo.through(keys, lambda missing: self._run([pictures[i] for i in missing]))
        return np.stack(grids) if grids else np.zeros((0, self.grid, self.grid, self.dim), np.float32)

    def pooled(self, pictures: Sequence[Picture]) -> np.ndarray:
        """Mean over the grid: float32 (b, 1280)."""
        return self.patches(pictures).mean(axis=(1, 2))

    def _run(self, pictures: list[Picture]) -> list[np.ndarray]:
        grids: list[np.ndarray] = []
        for start in range(0, len(pictures), PICTURES_AT_ONCE):
            pixels = np.stack([resize(picture.pixels) for picture in pictures[start : start + PICTURES_AT_ONCE]])
            grids.extend(self._session.run(["grid"], {"pixels": pixels})[0])
        return grids


def resize(pixels: np.ndarray, size: int = SIZE) -> np.ndarray:
    """A uint8 RGB picture (h, w, 3) squeezed to (size, size, 3): antialiased bicubic, a box filter first where it is
    more than twice too large."""
    from PIL import Image

    picture = Image.fromarray(np.ascontiguousarray(pixels))
    return np.asarray(picture.resize((size, size), Image.Resampling.BICUBIC, reducing_gap=2.0))


TEXT = {"minilm": MiniLM}
VISION = {"effnet-lite0": EfficientNetLite0}
