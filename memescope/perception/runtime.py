"""ONNX Runtime sessions for the two OCR models, which are files of the installed package rapidocr.

Only the files are used: importing rapidocr itself costs over a second, and its pipeline downloads what it lacks. Here
nothing is ever fetched: a missing model is an error that says which package to install.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
from pathlib import Path
from typing import Any

from memescope.errors import MemescopeError

DETECTOR = "PP-OCRv6_det_small.onnx"
RECOGNISER = "PP-OCRv6_rec_small.onnx"


def rapidocr_version() -> str | None:
    """The installed version of rapidocr, or None."""
    try:
        return importlib.metadata.version("rapidocr")
    except importlib.metadata.PackageNotFoundError:
        return None


def model_path(name: str) -> Path:
    """Where the installed rapidocr keeps a model. `MemescopeError` when the package or that file is missing."""
    spec = importlib.util.find_spec("rapidocr")
    if spec is None or not spec.submodule_search_locations:
        raise MemescopeError("the package rapidocr, which holds the OCR models, is not installed: pip install rapidocr")
    path = Path(spec.submodule_search_locations[0]) / "models" / name
    if not path.is_file():
        raise MemescopeError(
            f"OCR model {name} not found in {path.parent}: rapidocr {rapidocr_version()} is installed, a release that "
            "packs this model (3.9 or later) was expected: pip install --force-reinstall 'rapidocr>=3.9'"
        )
    return path


def open_session(path: Path, threads: int) -> Any:
    """An `onnxruntime.InferenceSession` on the CPU with that many threads. `MemescopeError` for a broken file."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    # The arena never gives memory back, and every width of line takes its own; without it reading is as fast.
    options.enable_cpu_mem_arena = False
    try:
        return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's own exception types have no common base
        raise MemescopeError(f"{path}: ONNX Runtime cannot open this model: {error}") from error
