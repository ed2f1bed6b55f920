"""Multimodal Toxic Memes Detection Dataset (Zenodo 8306439): Russian memes, toxic (1) or not (0), in `labels.csv`.

Public code reads the file with any table reader and does not say how its columns are called: they are recognised by
the usual names below, and a file with none or two of a kind is refused with what it has.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from memescope.datasets.native import table
from memescope.datasets.problems import Problems
from memescope.datasets.source import Card, Row, Source
from memescope.datasets.sources._fields import files_there
from memescope.datasets.sources._strict import cell

_CARD = Card(
    name="toxic_memes_ru",
    title="Multimodal Toxic Memes Detection Dataset (Russian)",
    paper="none known to us; Zenodo record 8306439",
    licence="CC BY 4.0, according to public catalogues of the record",
    get="https://zenodo.org/records/8306439",
    languages=("ru",),
    rows={},
    warning="toxic humour: nationality, politics, sex",
    verified="paper",
    flaws=(
        "the names of its columns are not known: the reader recognises usual ones and refuses others",
        "a public catalogue counts 1,998 rows in labels.csv; MemeLens has 6,456 memes: from which files is not known",
        "no split is given",
    ),
    memelens=("toxic_ru__Toxic_Memes_Detection_Dataset",),
)
_FILES = {"labels.csv": ""}
_NAMES = {
    "image": ("image", "img", "file", "filename", "file_name", "image_name", "img_name", "path", "image_path", "name"),
    "label": ("label", "toxic", "is_toxic", "toxicity", "class", "target"),
    "text": ("text", "ocr", "ocr_text", "caption"),
}


def _read(folder: Path, problems: Problems, variant: str) -> Iterator[Row]:
    for path, split in files_there(folder, _FILES):
        chosen: dict[str, str] | None = None
        for where, row in table(path, problems):
            chosen = chosen or _columns(row, path, problems)
            if not chosen:
                break
            image = row[chosen["image"]].strip()
            yield Row(
                id=image,
                image=image or None,
                text=row[chosen["text"]] if "text" in chosen else "",
                labels={"label": cell(row, chosen["label"], where, image, problems)},
                lang="ru",
                split=split,
                where=where,
            )


def _columns(row: dict[str, str], path: Path, problems: Problems) -> dict[str, str]:
    """Which column is the picture, the label and, where there is one, the text; nothing, and a problem, if unclear."""
    found = {kind: [name for name in row if name.strip().lower() in usual] for kind, usual in _NAMES.items()}
    if len(found["image"]) == 1 and len(found["label"]) == 1 and len(found["text"]) <= 1:
        return {kind: names[0] for kind, names in found.items() if names}
    problems.add(
        "columns",
        path.name,
        f"expected one column each for the picture ({', '.join(_NAMES['image'][:4])} ...) and the label "
        f"({', '.join(_NAMES['label'][:3])} ...), at most one for the text; found {', '.join(row)}",
    )
    return {}


SOURCE = Source(
    _CARD, _FILES, _read, pictures=(".", "images", "memes", "img"), folders=("toxic_memes_detection_dataset",)
)
