"""MIMIC (Islam et al. 2024): memes about Islam and Muslims, hateful or not.

`dataset.csv` has the columns `image, label` (0 or 1), `final_dataset.csv` also `index` and `content`, a model's
description of the meme, which is not its text: no file gives the meme's own words.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from memescope.datasets.problems import Problems
from memescope.datasets.source import Card, Row, Source
from memescope.datasets.sources._fields import files_there
from memescope.datasets.sources._strict import cell, spreadsheet

_CARD = Card(
    name="mimic_islamophobia",
    title="MIMIC: Multimodal Islamophobic Meme Identification and Classification",
    paper="Islam et al., MIMIC, 2024, https://arxiv.org/abs/2412.00681",
    licence="none stated; memes from Reddit and other sites",
    get="https://github.com/faiyazabdullah/MIMIC (dataset.csv or final_dataset.csv, and the folder images)",
    languages=("en",),
    rows={"all": 953},
    warning="hate against Muslims",
    verified="loader-code",
    flaws=(
        (
            "no text of the meme is given (the paper read it by OCR); the column content is a model's description and "
            "goes to meta"
        ),
        "some pictures hold no meme at all, and some memes are in Arabic or Urdu",
        "10.jpg and 10.jpeg are different memes: ids keep the ending",
        "no split is given; hf_dataset.csv names pictures by web address, some wrongly, and is not read",
    ),
    memelens=("Hateful_en__MIMIC_Islamophpbia",),
)
_FILES = {"final_dataset.csv | dataset.csv": ""}


def _read(folder: Path, problems: Problems, variant: str) -> Iterator[Row]:
    for path, split in files_there(folder, _FILES):
        for where, row in spreadsheet(path, ("image", "label"), problems):
            image = row["image"].strip()
            id = PurePosixPath(image).name
            description = (row.get("content") or "").strip()
            yield Row(
                id=id,
                image=image or None,
                text="",
                labels={"label": cell(row, "label", where, id, problems)},
                lang="en",
                split=split,
                where=where,
                meta={"description": description} if description else {},
            )


SOURCE = Source(_CARD, _FILES, _read, pictures=(".", "images"), folders=("mimic", "messi-ml"))
