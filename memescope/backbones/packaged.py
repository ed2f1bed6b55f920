"""The encoders that ship in the package: MiniLM for text, EfficientNet-lite0 for pictures, on ONNX Runtime alone.

The graphs in `assets/` are made by `memescope.backbones.export`, which says from what; `assets/manifest.json` pins
them. Everything is computed in float32 on one thread unless told otherwise.
"""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from memescope.backbones.base import MAX_TOKENS, PictureFeatures, TextFeatures
from memescope.errors import MemescopeError

ASSETS = Path(__file__).parent / "assets"


@cache
def manifest() -> dict[str, Any]:
    """What is in `assets/`: file, sha256 and source of each packaged encoder."""
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


class MiniLM(TextFeatures):
    """all-MiniLM-L6-v2 (sentence-transformers; Wang et al. 2020): six BERT layers of width 384, uncased English.

    `tokens` are the last layer's states; `pooled` is their mean, [CLS] and [SEP] included, scaled to length 1, as the
    published sentence encoder does. Texts are cut after 256 tokens.
    """

    name = "minilm"
    dim = 384
    max_tokens = MAX_TOKENS

    def __init__(self, threads: int = 1) -> None:
        from tokenizers import Tokenizer

        entry = manifest()[self.name]
        self.version = f"{self.name}-{entry['sha256'][:12]}"
        super().__init__(Tokenizer.from_file(str(ASSETS / entry["tokenizer"]["file"])), pad_id=0)
        self._session = _session(ASSETS / entry["file"], threads)

    def _forward(self, ids: np.ndarray, mask: np.ndarray) -> tuple[np.ndarray, None]:
        return self._session.run(["states"], {"ids": ids, "mask": mask})[0], None


class EfficientNetLite0(PictureFeatures):
    """EfficientNet-lite0 (Tan and Le 2019), ImageNet: 7 x 7 places of width 1280 after the head convolution.

    Values lie between 0 and 6; `pooled` is the exact mean over the grid.
    """

    name = "effnet-lite0"
    dim = 1280
    grid = 7
    size = 224

    def __init__(self, threads: int = 1) -> None:
        super().__init__()
        entry = manifest()[self.name]
        self.version = f"{self.name}-{entry['sha256'][:12]}"
        self._session = _session(ASSETS / entry["file"], threads)

    def _forward(self, pixels: np.ndarray) -> tuple[np.ndarray, None]:
        return self._session.run(["grid"], {"pixels": pixels})[0], None


TEXT = {"minilm": MiniLM}
VISION = {"effnet-lite0": EfficientNetLite0}
