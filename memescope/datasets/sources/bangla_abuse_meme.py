"""BanglaAbuseMeme (Das and Mukherjee, EMNLP 2023): Bengali memes with abuse, vulgarity, sarcasm, sentiment, targets.

`BanglaAbuseMeme_annotation.csv` has the columns `Ids` (the picture's file name), `sentiment`, `sarcasm` (Yes, No),
`vulgar`, `abuse` and `target`, several targets joined by #; the pictures are in `Images`. No column has the text.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from memescope.datasets.problems import Problems
from memescope.datasets.source import Card, Row, Source
from memescope.datasets.sources._fields import files_there
from memescope.datasets.sources._strict import cell, spreadsheet

_CARD = Card(
    name="bangla_abuse_meme",
    title="BanglaAbuseMeme",
    paper="Das and Mukherjee, BanglaAbuseMeme: A Dataset for Bengali Abusive Meme Classification, EMNLP 2023, "
    "https://aclanthology.org/2023.emnlp-main.959",
    licence="that of its Zenodo page, not checked; memes from social media",
    get="https://zenodo.org/records/10044949 (linked from https://github.com/hate-alert/BanglaAbuseMeme)",
    languages=("bn",),
    rows={"all": 4043},
    warning="abuse in Bengali, vulgar pictures",
    verified="loader-code",
    flaws=(
        "no text is given: OCR has to read it (memescope data prepare leaves it empty)",
        "no split is given: the authors cross-validate in five folds",
        "targets (political, religion, gender, ...) have no task of their own and are kept in meta",
    ),
    memelens=(
        "abuse_bn__BanglaAbuseMeme",
        "sarcasm_bn__BanglaAbuseMeme",
        "sentiment_bn__BanglaAbuseMeme",
        "vulgar_bn__BanglaAbuseMeme",
    ),
)
_FILES = {"BanglaAbuseMeme_annotation.csv": ""}
_LABELS = ("sentiment", "sarcasm", "vulgar", "abuse")


def _read(folder: Path, problems: Problems, variant: str) -> Iterator[Row]:
    for path, split in files_there(folder, _FILES):
        for where, row in spreadsheet(path, ("Ids", *_LABELS, "target"), problems):
            id = row["Ids"].strip()
            targets = [one.strip() for one in row["target"].split("#")]
            yield Row(
                id=id,
                image=id or None,
                text="",
                labels={name: cell(row, name, where, id, problems) for name in _LABELS},
                lang="bn",
                split=split,
                where=where,
                meta={"targets": [one for one in targets if one and one != "None"]},
            )


SOURCE = Source(_CARD, _FILES, _read, pictures=("Images", "."), folders=("banglaabusememe",))
