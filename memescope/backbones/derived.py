"""What was made of memes, written where people can use it: pictures as files, texts as JSONL, features as safetensors.

In the folder: `inpainted/SPLIT/ID.png` with `inpainted.jsonl`; `ocr.jsonl`, `captions.jsonl`, `paraphrases.jsonl`;
`grid-00000.safetensors` and `regions-00000.safetensors` (`memescope.backbones.shards`); `errors.jsonl`. Every line of
JSONL names its meme by `id` and `split`.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import IO, Any

import numpy as np

from memescope.backbones.regions import Regions
from memescope.backbones.shards import ShardWriter
from memescope.datasets.perceived import Perceived
from memescope.datasets.transforms import Progress, Ran
from memescope.errors import UsageError
from memescope.meme import Meme
from memescope.perception.lines import OcrResult
from memescope.perception.ocr import OCR_VERSION
from memescope.perception.pictures import Picture

_LONGEST_NAME = 100


def write_derived(perceived: Perceived, out: Path, ran: Sequence[Ran], progress: Progress) -> list[str]:
    """Write everything `perceived` has into the folder `out`; the names of the files and folders, sorted.

    One meme's values are in memory at a time, and one shard's. Raises `UsageError` for a folder that is not empty.
    """
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise UsageError(f"{out}: not an empty folder; what was made stays in the cache, name another one")
    out.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        writer = _Writer(out, stack)
        for done, (meme, item) in enumerate(zip(perceived.memes, perceived, strict=True), 1):
            for name, value in item.items():
                if value is not None:
                    writer.write(name, meme, value)
            progress("write", done, len(perceived))
        for one in ran:
            for name, reason in one.errors:
                writer.line("errors", {"id": name, "what": one.name, "error": reason})
        writer.close()
    return sorted(path.name for path in out.iterdir())


class _Writer:
    """Open files of one output folder."""

    def __init__(self, out: Path, stack: ExitStack) -> None:
        self._out, self._stack = out, stack
        self._lines: dict[str, IO[str]] = {}
        self._shards: dict[str, ShardWriter] = {}

    def line(self, name: str, row: dict[str, Any]) -> None:
        """One row of NAME.jsonl."""
        if name not in self._lines:
            self._lines[name] = self._stack.enter_context((self._out / f"{name}.jsonl").open("w", encoding="utf-8"))
        self._lines[name].write(json.dumps(row, ensure_ascii=True) + "\n")

    def write(self, name: str, meme: Meme, value: Any) -> None:
        """One value, by what it is."""
        row: dict[str, Any] = {"id": meme.id, "split": meme.split}
        if isinstance(value, OcrResult):
            lines = [{"text": line.text, "box": line.box, "confidence": line.confidence} for line in value.lines]
            told = {"text": value.text, "script": value.script, "engine": value.engine, "version": OCR_VERSION}
            self.line(name, row | told | {"lines": lines})
        elif isinstance(value, Picture):
            place = Path(name, file_name(meme.split)) if meme.split else Path(name)
            (self._out / place).mkdir(parents=True, exist_ok=True)
            file = place / f"{file_name(meme.id)}.png"
            _save(self._out / file, value.pixels)
            self.line(name, row | {"image": file.as_posix(), "notes": list(value.notes)})
        elif isinstance(value, Regions):
            shards = self._shards.setdefault(name, ShardWriter(self._out, name))
            shards.add(f"{meme.split}/{meme.id}" if meme.split else meme.id, value)
        else:
            self.line(name, row | {"caption" if isinstance(value, str) else name: value})

    def close(self) -> None:
        """Write the last shards."""
        for shards in self._shards.values():
            shards.close()


def file_name(name: str) -> str:
    """An id as a file's name: itself where it is a plain one, else what is plain of it and a hash."""
    plain = re.sub(r"[^\w-]", "_", name, flags=re.ASCII)[:_LONGEST_NAME]
    if plain == name:
        return plain
    return f"{plain}-{hashlib.sha256(name.encode(errors='surrogatepass')).hexdigest()[:8]}"


def _save(path: Path, pixels: np.ndarray) -> None:
    import cv2

    _, data = cv2.imencode(".png", pixels[:, :, ::-1], [cv2.IMWRITE_PNG_COMPRESSION, 4])
    path.write_bytes(data.tobytes())
