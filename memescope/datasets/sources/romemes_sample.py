"""RoMemes, 100 memes as their authors collected them: `data.csv` (semicolons) and `data2.csv` (OCR outputs)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from memescope.datasets.native import table
from memescope.datasets.problems import Problems
from memescope.datasets.source import Card, Row, Source
from memescope.datasets.sources._fields import files_there, first_file, picture
from memescope.datasets.sources._strict import columns

_CARD = Card(
    name="romemes_sample",
    title="RoMemes, early sample",
    paper="Pais et al., RoMemes: A multimodal meme corpus for the Romanian language, 2024, "
    "https://arxiv.org/abs/2410.15497",
    licence="none stated in the repository; the whole corpus is on Zenodo under its own",
    get="a public repository of the authors' project; the corpus: https://doi.org/10.5281/zenodo.13120215",
    languages=("ro",),
    rows={"train": 100},
    warning="Romanian politics, everyday humour; some crude",
    verified="real-file",
    flaws=(
        "all 100 memes are in romemes too, with the same labels: never train on one and test on the other",
        "emotion words are Romanian without diacritics (Surpriza, Tristete, Frica, Manie, Bucurie, Dragoste)",
        "19 picture names begin with a space",
    ),
)
_COLUMNS = ("Image", "Text", "Complexity", "Real/Fake", "Sentiment1", "Sentiment2", "Political")
_FILES = {"data.csv": "train"}
_OCR = "data2.csv"


def _read(folder: Path, problems: Problems, variant: str) -> Iterator[Row]:
    path = first_file(folder, _OCR)
    rows = table(path, problems, ";") if path else ()
    ocr = {row.pop("id", ""): row for _, row in rows}
    for path, split in files_there(folder, _FILES):
        for where, row in columns(table(path, problems, ";"), path, _COLUMNS, problems):
            name = row.get("Image", "")
            yield Row(
                id=name.strip(),
                image=picture(name),
                text=row.get("Text", ""),
                labels={
                    "real_fake": row.get("Real/Fake") or None,
                    "political": row.get("Political") or None,
                    "sentiment": row.get("Sentiment1") or None,
                    "emotion": row.get("Sentiment2") or None,
                    "complexity": row.get("Complexity") or None,
                },
                lang="ro",
                split=split,
                where=where,
                meta={"url": row.get("URL", ""), "site": row.get("Source", ""), "ocr": ocr.get(name, {})},
            )


SOURCE = Source(_CARD, _FILES, _read, pictures=("images", "."))
