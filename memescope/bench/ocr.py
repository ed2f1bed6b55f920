"""Character error and milliseconds a meme, against the OCR library as it comes.

Real memes come from a folder with `truth.jsonl` (`id, image, text, lang` a line) and the pictures it names: `--data`
names it, or the folder that holds it as `ocr`. Drawn memes in ten languages are always read, since nothing else has
Arabic, Bengali, Russian and Romanian with a known truth.

The error counts letters (with their vowel signs) and digits only, case folded: edit distance over length, summed over
a language's memes (`error`) and as the mean over memes (`error_per_meme`). `<emp>`, which marks an empty half in the
real set's truth, is no text.
"""

from __future__ import annotations

import json
import os
import tempfile
import time
import unicodedata
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from memescope.errors import UsageError

WORKERS = 2
OTHER_SCRIPTS = ("hi", "ar", "bn", "ru")
"""Languages the library as it comes cannot read: no figures of it are given for them."""


@dataclass(frozen=True, slots=True)
class Truth:
    """One meme with its known text."""

    path: str
    text: str
    lang: str


def run(quick: bool = False, data: Path | None = None) -> dict[str, Any]:
    """`real` (with data) and `drawn`: per language errors and CPU milliseconds a meme, throughput of two processes.

    Under `real`, `as_it_comes` is rapidocr with its own settings, all cores, one meme at a time, on the same memes.
    """
    with tempfile.TemporaryDirectory() as name:
        drawn = drawn_memes(Path(name) / "drawn", 20 if quick else 100)
        result: dict[str, Any] = {"drawn": measure(drawn, against=False)}
    if data is not None:
        real = read_truth(data)
        result["real"] = measure(real[::4] if quick else real, against=True)
    return result


def read_truth(folder: Path) -> list[Truth]:
    """The memes of `folder/truth.jsonl` or `folder/ocr/truth.jsonl`. `UsageError` where neither is there."""
    for place in (folder, folder / "ocr"):
        if (place / "truth.jsonl").is_file():
            rows = map(json.loads, (place / "truth.jsonl").read_text("utf-8").splitlines())
            return [
                Truth(str(place / row["image"]), row["text"].replace("<emp>", "").strip(), row["lang"]) for row in rows
            ]
    raise UsageError(f"{folder}: expected truth.jsonl, or ocr/truth.jsonl, with lines of id, image, text and lang")


def drawn_memes(folder: Path, count: int) -> list[Truth]:
    """Memes drawn into `folder`, 500 to 900 pixels, in turn in ten languages."""
    from memescope.curation.synth import synth

    return [Truth(str(folder / row["image"]), row["text"], row["lang"]) for row in synth(folder, count=count)]


def measure(memes: Sequence[Truth], against: bool) -> dict[str, Any]:
    """Errors by language, CPU time a meme, and milliseconds a meme of two processes with one thread each."""
    context = get_context("spawn")
    with ProcessPoolExecutor(WORKERS, context, initializer=_open) as pool:
        list(pool.map(_ours, [memes[0].path] * 4 * WORKERS))
        start = time.perf_counter()
        read = list(pool.map(_ours, [meme.path for meme in memes], chunksize=1))
        wall = time.perf_counter() - start
    result = {
        "memes": len(memes),
        "workers": WORKERS,
        "cores": os.cpu_count(),
        "ms_a_meme": round(1000 * wall / len(memes), 1),
        "cpu_ms_a_meme": round(1000 * sum(seconds for _, seconds, _ in read) / len(memes), 1),
        "languages": _by_language(memes, [text for text, _, _ in read], [seconds for _, seconds, _ in read]),
        "engines": {name: sum(engine == name for *_, engine in read) for name in ("rapidocr", "tesseract")},
    }
    if against:
        result["as_it_comes"] = _as_it_comes([meme for meme in memes if meme.lang not in OTHER_SCRIPTS])
    return result


def _open() -> None:
    import cv2

    from memescope.perception.ocr import load_ocr

    cv2.setNumThreads(1)
    load_ocr()


def _ours(path: str) -> tuple[str, float, str]:
    """Text, CPU seconds of decoding and reading, and engine."""
    from memescope.perception.ocr import load_ocr
    from memescope.perception.pictures import open_picture

    start = time.process_time()
    result = load_ocr().read(open_picture(path))
    return result.text, time.process_time() - start, result.engine


def _as_it_comes(memes: Sequence[Truth]) -> dict[str, Any]:
    import logging

    from rapidocr import RapidOCR

    logging.disable(logging.WARNING)
    engine: Callable[[str], Any] = RapidOCR()
    engine(memes[0].path)
    texts, times = [], []
    for meme in memes:
        start = time.perf_counter()
        read = engine(meme.path)
        times.append(time.perf_counter() - start)
        texts.append("\n".join(read.txts or ()))
    logging.disable(logging.NOTSET)
    return {"ms_a_meme": round(1000 * sum(times) / len(memes), 1), "languages": _by_language(memes, texts, times)}


def _by_language(memes: Sequence[Truth], texts: Sequence[str], seconds: Sequence[float]) -> dict[str, Any]:
    table = {}
    for lang in dict.fromkeys(meme.lang for meme in memes):
        rows = [i for i, meme in enumerate(memes) if meme.lang == lang]
        pairs = [(letters(texts[i]), letters(memes[i].text)) for i in rows]
        table[lang] = {
            "n": len(rows),
            "error": round(character_error(pairs), 4),
            "error_per_meme": round(sum(character_error([pair]) for pair in pairs) / len(pairs), 4),
            "ms": round(1000 * sum(seconds[i] for i in rows) / len(rows), 1),
        }
    return table


def letters(text: str) -> str:
    """What the error is counted on: letters, marks and digits, composed and case folded."""
    folded = unicodedata.normalize("NFC", text).casefold()
    return "".join(c for c in folded if unicodedata.category(c)[0] in "LMN")


def character_error(pairs: Iterable[tuple[str, str]]) -> float:
    """Summed edit distance over summed length of (read, true) pairs; 0 where nothing is true and nothing read."""
    pairs = list(pairs)
    return sum(edit_distance(*pair) for pair in pairs) / max(sum(len(true) for _, true in pairs), 1)


def edit_distance(a: str, b: str) -> int:
    """Levenshtein distance."""
    row = list(range(len(b) + 1))
    for i, x in enumerate(a, 1):
        last = row
        row = [i]
        for j, y in enumerate(b, 1):
            row.append(min(last[j] + 1, row[-1] + 1, last[j - 1] + (x != y)))
    return row[-1]
