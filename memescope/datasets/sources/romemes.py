"""RoMemes (Pais et al., 2024): 462 Romanian memes; one CSV of all rows, and the baseline's splits by row number.

`romemes.csv` holds texts and labels; `EN/sent1_split_EN/{train,dev,test}_df.csv` begin each row with its number there
(`sent2_split_EN` cuts the same way); `translated_df.csv` has English texts in the same order.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from memescope.datasets.native import table
from memescope.datasets.problems import Problems
from memescope.datasets.source import Card, Row, Source
from memescope.datasets.sources._fields import first_file
from memescope.datasets.sources._strict import columns

_CARD = Card(
    name="romemes",
    title="RoMemes: Romanian memes",
    paper="Pais et al., RoMemes: A multimodal meme corpus for the Romanian language, 2024, "
    "https://arxiv.org/abs/2410.15497",
    licence="data: see the Zenodo record; the baseline's repository (labels, splits) is GPL-3.0",
    get="https://doi.org/10.5281/zenodo.13120215 (pictures); labels and splits also in the baseline's repository",
    languages=("ro",),
    rows={"train": 369, "val": 46, "test": 47},
    warning="Romanian politics, everyday humour; some crude",
    verified="real-file",
    flaws=(
        (
            "small: 16 deepfakes in all (none in val, 2 in test), 14 memes of love; a class with under 20 test "
            "rows decides nothing"
        ),
        (
            "MEMES1.csv is the first 100 rows again with Romanian emotion words; 2 of its rows have other labels than "
            "romemes.csv (not read)"
        ),
        "5 texts stand twice in train, four of them with another sentiment, emotion or composition",
        "3 files are not of the type their extension says",
        "the English texts (meta text_en) are machine translations",
    ),
    memelens=(
        "political_ro__RoMemes",
        "deepfake_ro__RoMemes",
        "emotion_ro__RoMemes",
        "sentiment_ro__RoMemes",
    ),
)
_HOME = "baseline_sentiment/"
_ALL = f"{_HOME}romemes.csv | romemes.csv"
_TRANSLATED = f"{_HOME}translated_df.csv | translated_df.csv"
_SPLITS = {"train": "train", "dev": "val", "test": "test"}
_COLUMNS = ("", "ID", "Text", "Extension", "Complexity", "Real_Fake", "Sentiment1", "Sentiment2", "Political")
_FILES = {
    _ALL: "train",
    **{
        f"{_HOME}EN/sent1_split_EN/{part}_df.csv | EN/sent1_split_EN/{part}_df.csv": split
        for part, split in _SPLITS.items()
    },
}


def _read(folder: Path, problems: Problems, variant: str) -> Iterator[Row]:
    path = first_file(folder, _ALL)
    if path is None:
        return
    splits = {} if variant == "whole" else _splits(folder, problems)
    english = first_file(folder, _TRANSLATED)
    translations = {row.get("", ""): row for _, row in table(english, problems)} if english else {}
    for where, row in columns(table(path, problems), path, _COLUMNS, problems):
        number, id, words = row.get("", ""), row.get("ID", "").strip(), row.get("Text", "")
        meta = {}
        # Joined by row number, and only where the Romanian text is the same.
        if (translated := translations.get(number, {})).get("Original_text") == words:
            meta["text_en"] = translated.get("Text", "")
        if splits and number not in splits:
            problems.add("missing-field", where, f"row {number} is in no split: read as train", id, kept=True)
        yield Row(
            id=id,
            image=f"{id}.{row.get('Extension', 'jpg')}" if id else None,
            text=words,
            labels={
                "real_fake": row.get("Real_Fake") or None,
                "political": row.get("Political") or None,
                "sentiment": row.get("Sentiment1") or None,
                "emotion": row.get("Sentiment2") or None,
                "complexity": row.get("Complexity") or None,
            },
            lang="ro",
            split=splits.get(number, "train"),
            where=where,
            meta=meta,
        )


def _splits(folder: Path, problems: Problems) -> dict[str, str]:
    """The split of each row number; empty where the split files are not there."""
    found = {}
    for part, split in _SPLITS.items():
        name = f"EN/sent1_split_EN/{part}_df.csv"
        path = first_file(folder, f"{_HOME}{name} | {name}")
        for _, row in table(path, problems) if path else ():
            found[row.get("", "")] = split
    return found


SOURCE = Source(
    _CARD,
    _FILES,
    _read,
    pictures=("images", "img", ".", "baseline_sentiment/images"),
    variants={
        "splits": "train, val and test of the authors' baseline",
        "whole": "all rows as train, to split as you like",
    },
)
