"""Tesseract, through tesserocr: the engine for scripts the default one cannot read.

It is optional twice over: tesserocr comes with the extra `ocr`, and a language is there when its file is in the
system's tessdata folder (`TESSDATA_PREFIX`, or where the usual packages put it). Nothing is fetched; `tesseract_state`
says what is missing and which command installs it.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import re
import sys
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

SCRIPT_OF = {
    "hin": "Deva", "ara": "Arab", "ben": "Beng", "rus": "Cyrl", "tha": "Thai", "kor": "Hang", "heb": "Hebr",
    "ell": "Grek", "tam": "Taml", "tel": "Telu", "guj": "Gujr", "pan": "Guru", "kan": "Knda", "mal": "Mlym",
    "sin": "Sinh", "mya": "Mymr", "khm": "Khmr", "kat": "Geor", "hye": "Armn", "amh": "Ethi",
    "mar": "Deva", "nep": "Deva", "urd": "Arab", "fas": "Arab", "ukr": "Cyrl", "bul": "Cyrl", "srp": "Cyrl",
    "bel": "Cyrl", "mkd": "Cyrl",
}  # fmt: skip
"""Tesseract's languages in scripts that PP-OCRv6 lacks, in the order in which those installed are tried."""
WANTED = ("hin", "ara", "ben", "rus")
"""Those that `doctor` asks for; Romanian and the other languages in Latin letters are read by the default engine."""

_FOLDERS = (
    "/usr/share/tesseract-ocr/5/tessdata",
    "/usr/share/tesseract-ocr/4.00/tessdata",
    "/usr/share/tessdata",
    "/usr/local/share/tessdata",
    "/opt/homebrew/share/tessdata",
    "/opt/local/share/tessdata",
    r"C:\Program Files\Tesseract-OCR\tessdata",
)
# Direction marks and joiners, which Tesseract strews about.


_MARKS = re.compile("[\u200b-\u200f\u202a-\u202e\u2066-\u2069\ufeff]")


def tessdata() -> Path | None:
    """The folder with Tesseract's language files, or None: `TESSDATA_PREFIX` (it or its `tessdata`), else the usual."""
    prefix = os.environ.get("TESSDATA_PREFIX")
    places = [Path(prefix), Path(prefix) / "tessdata"] if prefix else [Path(place) for place in _FOLDERS]
    return next((place for place in places if any(place.glob("*.traineddata"))), None)


def languages() -> tuple[str, ...]:
    """Tesseract's names of the languages in the tessdata folder, sorted."""
    folder = tessdata()
    return tuple(sorted(file.stem for file in folder.glob("*.traineddata"))) if folder else ()


def tesserocr_version() -> str | None:
    """The installed version of tesserocr, or None."""
    if importlib.util.find_spec("tesserocr") is None:
        return None
    return importlib.metadata.version("tesserocr")


def fallback_languages() -> tuple[str, ...]:
    """Languages that can be read here and not by the default engine, most used first; () without tesserocr."""
    if tesserocr_version() is None:
        return ()
    there = languages()
    return tuple(language for language in SCRIPT_OF if language in there)


def tesseract_state() -> dict[str, Any]:
    """For `doctor`: versions, folder, languages that are used, those missing and the command that installs them."""
    version, folder, there = tesserocr_version(), tessdata(), languages()
    missing = [language for language in WANTED if language not in there]
    state: dict[str, Any] = {
        "tesserocr": version,
        "tessdata": str(folder) if folder else None,
        "languages": list(there),
        "used": list(fallback_languages()),
        "missing": missing,
    }
    if version is None:
        state["get tesserocr"] = "pip install 'memescope[ocr]'"
    if missing:
        state["get languages"] = install_command(missing)
    return state


def install_command(missing: list[str]) -> str:
    """The command that brings these languages on this system."""
    if sys.platform == "darwin":
        return "brew install tesseract-lang"
    if sys.platform == "win32":
        return f"run the Tesseract installer and choose the language data {', '.join(missing)}"
    return "sudo apt-get install " + " ".join(f"tesseract-ocr-{language}" for language in missing)


@lru_cache(maxsize=8)
def _opened(folder: str, language: str) -> Any:
    """One language's recogniser, kept open (20-60 MB each)."""
    # Tesseract's own threads make short lines slower; OpenMP reads this once, when the library is loaded.
    os.environ.setdefault("OMP_THREAD_LIMIT", "1")
    from tesserocr import OEM, PyTessBaseAPI

    return PyTessBaseAPI(path=folder, lang=language, oem=OEM.LSTM_ONLY)


def read_line(strip: np.ndarray, language: str) -> tuple[str, float]:
    """Text and confidence (0 to 1) of one line, (h, w) uint8, black on white, in a language of `fallback_languages`."""
    folder = tessdata()
    if folder is None:
        raise ValueError("no tessdata folder: ask fallback_languages() first")
    from tesserocr import PSM

    api = _opened(str(folder) + os.sep, language)
    strip = np.ascontiguousarray(strip)
    height, width = strip.shape
    # Its search for the line in the strip sometimes finds none in a perfect one; then the strip is the line.
    for mode in (PSM.SINGLE_LINE, PSM.RAW_LINE):
        api.SetPageSegMode(mode)
        api.SetImageBytes(strip.tobytes(), width, height, 1, width)
        api.SetSourceResolution(200)
        text = _MARKS.sub("", api.GetUTF8Text()).strip()
        if text:
            return text, max(0, api.MeanTextConf()) / 100
    return "", 0.0
