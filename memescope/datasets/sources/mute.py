"""MUTE (Hossain et al., AACL SRW 2022): Bengali memes, many mixed with English, hateful or not.

Three workbooks `{train,valid,test}_hate.xlsx` with the columns `image_name, Captions, Label` (`hate`, `not-hate`), and
the pictures in `Memes`.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from memescope.datasets.problems import Problems
from memescope.datasets.source import Card, Row, Source
from memescope.datasets.sources._fields import files_there
from memescope.datasets.sources._strict import cell, spreadsheet

_CARD = Card(
    name="mute",
    title="MUTE: Bengali hateful memes",
    paper="Hossain et al., MUTE: A Multimodal Dataset for Detecting Hateful Memes, AACL-IJCNLP SRW 2022, "
    "https://aclanthology.org/2022.aacl-srw.5",
    licence="none stated for the data; memes from social media",
    get="https://github.com/eftekhar-hossain/MUTE-AACL22 (link to a Google Drive archive in the README)",
    languages=("bn",),
    rows={"train": 3365, "val": 375, "test": 416},
    warning="insults and hate in Bengali",
    verified="loader-code",
    flaws=("captions mix Bengali with English in Latin letters; the language given is bn for all",),
    memelens=("Hateful_bn__MUTE",),
)
_FILES = {
    "train_hate.xlsx | train_hate.csv": "train",
    "valid_hate.xlsx | valid_hate.csv": "val",
    "test_hate.xlsx | test_hate.csv": "test",
}


def _read(folder: Path, problems: Problems, variant: str) -> Iterator[Row]:
    for path, split in files_there(folder, _FILES):
        for where, row in spreadsheet(path, ("image_name", "Captions", "Label"), problems):
            id = row["image_name"].strip()
            yield Row(
                id=id,
                image=id or None,
                text=row["Captions"].strip(),
                labels={"Label": cell(row, "Label", where, id, problems)},
                lang="bn",
                split=split,
                where=where,
            )


SOURCE = Source(_CARD, _FILES, _read, pictures=("Memes", "."), folders=("mute-aacl22",))
