"""MIMIC (Singh, Sharma and Singh, TALLIP 2024): Hindi-English memes, misogynous or not, and in which ways.

`MIMIC2024.csv` has the columns `FileName, ExtractedText, Misogyny, Objectification, Prejudice, Humiliation`, each label
0 or 1; the pictures are in `Files`.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from memescope.datasets.problems import Problems
from memescope.datasets.source import Card, Row, Source
from memescope.datasets.sources._fields import files_there
from memescope.datasets.sources._strict import cell, spreadsheet

_CARD = Card(
    name="mimic2024",
    title="MIMIC: Misogyny Identification in Multimodal Internet Content in Hindi-English",
    paper="Singh, Sharma and Singh, MIMIC, ACM TALLIP 2024, https://doi.org/10.1145/3656169",
    licence="CC BY 4.0 (hub)",
    get="https://huggingface.co/datasets/Aakash941/MIMIC-Meme-Dataset (a ZIP archive)",
    languages=("hi-en",),
    rows={},
    warning="misogyny: insults, sexual content",
    verified="loader-code",
    flaws=(
        "how many rows there are is not stated with the file; MemeLens keeps about 4,904",
        "no split is given",
        "the text is what EasyOCR read; Hindi stands in Latin and in Devanagari letters",
    ),
    memelens=("Misogyny_hi_en__MIMIC2024", "Misogyny_Categories_hi_en__MIMIC2024"),
)
_FILES = {"MIMIC2024.csv": ""}
_CATEGORIES = ("Objectification", "Prejudice", "Humiliation")
_UNSPECIFIED = "Unspecified"


def _read(folder: Path, problems: Problems, variant: str) -> Iterator[Row]:
    needed = ("FileName", "ExtractedText", "Misogyny", *_CATEGORIES)
    for path, split in files_there(folder, _FILES):
        for where, row in spreadsheet(path, needed, problems):
            id = row["FileName"].strip()
            misogyny = cell(row, "Misogyny", where, id, problems)
            held = _categories(row, where, id, problems)
            if held and misogyny == "0":
                problems.add("contradiction", where, f"not misogynous, but {', '.join(held)}", id, kept=True)
            asked = held is not None and (variant == "all" or misogyny == "1")
            yield Row(
                id=id,
                image=id or None,
                text=row["ExtractedText"].strip(),
                labels={"Misogyny": misogyny, "Categories": (held or [_UNSPECIFIED]) if asked else None},
                lang="hi-en",
                split=split,
                where=where,
            )


def _categories(row: dict[str, str], where: str, id: str, problems: Problems) -> list[str] | None:
    """The categories marked 1; None, and a problem, where one is neither 0 nor 1."""
    values = {name: row[name].strip() for name in _CATEGORIES}
    odd = {name: value for name, value in values.items() if value not in ("0", "1")}
    if odd:
        told = ", ".join(f"{name} {value!r}" for name, value in odd.items())
        problems.add("unknown-label", where, f"expected 0 or 1, found {told}", id, kept=True)
        return None
    return [name for name, value in values.items() if value == "1"]


SOURCE = Source(
    _CARD,
    _FILES,
    _read,
    pictures=("Files", "."),
    folders=("mimic-meme-dataset", "mimic-2024"),
    variants={
        "all": "categories for every meme, unspecified where none holds, as MemeLens has them",
        "misogynous": "categories for misogynous memes alone, as the paper's second task asks for them",
    },
)
