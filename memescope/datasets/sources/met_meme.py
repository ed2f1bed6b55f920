"""MET-Meme (Xu et al., SIGIR 2022): English and Chinese memes with metaphor, sentiment, intention, offensiveness.

`label_E.csv` and `label_C.csv` (or .xlsx) have a row a picture, labels written as number and word: `4(sorrow)`,
`2(moderately)`, `1(interactive)`, `0(non-offensive)`; metaphor occurrence is 0 or 1. The first column is `file_name` in
the English files and `images_name` in the Chinese; hundreds of empty columns follow in the former. `E_text.csv` and
`C_text.csv` have the texts, some over several lines; pictures come as `Eimages.rar` and `Cimages.rar`.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from memescope.datasets.problems import Problems
from memescope.datasets.source import Card, Row, Source
from memescope.datasets.sources._fields import first_file
from memescope.datasets.sources._strict import cell, spreadsheet

_CARD = Card(
    name="met_meme",
    title="MET-Meme",
    paper="Xu et al., MET-Meme: A Multimodal Meme Dataset Rich in Metaphors, SIGIR 2022, "
    "https://doi.org/10.1145/3477495.3532019",
    licence="none stated; memes from the web",
    get="https://github.com/liaolianfoka/MET-Meme-A-Multi-modal-Meme-Dataset-Rich-in-Metaphors (labels, texts and "
    "picture archives)",
    languages=("en", "zh"),
    rows={"all": 10039},
    warning="insults and vulgar wordplay, in Chinese above all",
    verified="loader-code",
    flaws=(
        "6,045 Chinese and 3,994 English memes; no split is given, and published numbers use splits of their own",
        "some memes have no text, and one Chinese row says its intention in Chinese words (read as expressive)",
        "English intention has the class other, which MemeLens does not have for English",
        "sentiment is an emotion (happiness is read as joy, sorrow as sadness); its degree is a task of its own",
    ),
    memelens=(
        "intention_detection_en__MET_Meme",
        "intention_detection_zh__MET_Meme",
        "metaphor_occurrence_en__MET_Meme",
        "metaphor_occurrence_zh__MET_Meme",
        "offensiveness_detection_en__MET_Meme",
        "offensiveness_detection_zh__MET_Meme",
        "sentiment_category_en__MET_Meme",
        "sentiment_category_zh__MET_Meme",
        "sentiment_degree_en__MET_Meme",
        "sentiment_degree_zh__MET_Meme",
    ),
)
_FILES = {
    "label_E.csv | label_E.xlsx": "",
    "label_C.csv | label_C.xlsx": "",
    "E_text.csv | E_text.xlsx": "",
    "C_text.csv | C_text.xlsx": "",
}
_LANGUAGES = {"en": ("E", "file_name"), "zh": ("C", "images_name")}
_LABELS = (
    "sentiment category",
    "sentiment degree",
    "intention detection",
    "offensiveness detection",
    "metaphor occurrence",
)
_MORE = ("metaphor category", "source domain", "target domain", "source modality", "target modality")


def _read(folder: Path, problems: Problems, variant: str) -> Iterator[Row]:
    for lang, (letter, name) in _LANGUAGES.items():
        labels = first_file(folder, f"label_{letter}.csv | label_{letter}.xlsx")
        if labels is None or variant not in ("both", lang):
            continue
        texts = _texts(folder, letter, name, problems)
        for where, row in spreadsheet(labels, (name, *_LABELS), problems):
            image = row[name].strip()
            if image and image not in texts:
                problems.add("missing-field", where, f"{image} has no row of text", image, kept=True)
            yield Row(
                id=image,
                image=image or None,
                text=texts.get(image, ""),
                labels={field: cell(row, field, where, image, problems) for field in _LABELS},
                lang=lang,
                split="",
                where=where,
                meta={field: row[field].strip() for field in _MORE if row.get(field, "").strip()},
            )


def _texts(folder: Path, letter: str, name: str, problems: Problems) -> dict[str, str]:
    """Texts by picture name."""
    path = first_file(folder, f"{letter}_text.csv | {letter}_text.xlsx")
    if path is None:
        problems.add("missing-file", f"{letter}_text.csv", "without it these memes have no text", kept=True)
        return {}
    return {row[name].strip(): row["text"].strip() for _, row in spreadsheet(path, (name, "text"), problems)}


SOURCE = Source(
    _CARD,
    _FILES,
    _read,
    pictures=("Eimages", "Cimages", "."),
    folders=("met-meme", "metmeme", "met-meme-a-multi-modal-meme-dataset-rich-in-metaphors"),
    variants={"both": "English and Chinese memes", "en": "English memes alone", "zh": "Chinese memes alone"},
)
