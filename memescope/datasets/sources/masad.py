"""MASAD (Zhou et al., Neurocomputing 2021): Flickr pictures with text, the feeling towards one of 57 aspects.

Two forms are known from public code: JSON arrays `masad{Train,Dev,Test}.json` of `{"id", "text", "aspect", "polarity"}`
with pictures `ID.jpg`; and tables `{train,test}_raw.tsv`, whose columns are index, polarity, picture, text and aspect
whatever their header says, the text being `id###title###content###address###tags`.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from memescope.datasets.native import json_array, lines
from memescope.datasets.problems import Problems
from memescope.datasets.source import Card, Row, Source
from memescope.datasets.sources._fields import files_there, text
from memescope.datasets.sources._strict import keys

_CARD = Card(
    name="masad",
    title="MASAD: multimodal aspect-based sentiment analysis",
    paper="Zhou et al., MASAD: A large-scale dataset for multimodal aspect-based sentiment analysis, "
    "Neurocomputing 455, 2021",
    licence="none stated; Flickr pictures under the licences of their owners",
    get="https://github.com/12190143/MASAD",
    languages=("en",),
    rows={},
    warning="holiday pictures mostly; some of disasters and decay",
    verified="loader-code",
    flaws=(
        "positive and negative only: no text is neutral",
        "a public reader counts 37,125 samples and 57 aspects; the authors' counts by split are not at hand",
        "texts are titles, descriptions and tags, many in other languages or with addresses in them",
        "a picture may stand under several aspects: ids here are those of picture and aspect together",
    ),
)
_FILES = {
    "masadTrain.json | train_raw.tsv": "train",
    "masadDev.json": "val",
    "masadTest.json | test_raw.tsv": "test",
}
_COLUMNS = 5
_CONTENT = 2
"""Which part of a raw text is the description."""


def _read(folder: Path, problems: Problems, variant: str) -> Iterator[Row]:
    for path, split in files_there(folder, _FILES):
        read = _json if path.suffix == ".json" else _tsv
        for where, image, words, aspect, polarity in read(path, problems):
            yield Row(
                id=f"{image.rsplit('.', 1)[0]}/{aspect}" if image and aspect else "",
                image=image or None,
                text=words,
                labels={"polarity": polarity or None},
                lang="en",
                split=split,
                where=where,
                aspect=aspect or None,
            )


def _json(path: Path, problems: Problems) -> Iterator[tuple[str, str, str, str, str]]:
    for where, row in keys(json_array(path, problems), ("id", "text", "aspect", "polarity"), problems):
        id = text(row["id"]).strip()
        yield (
            where,
            f"{id}.jpg" if id else "",
            text(row["text"]).strip(),
            text(row["aspect"]).strip(),
            text(row["polarity"]),
        )


def _tsv(path: Path, problems: Problems) -> Iterator[tuple[str, str, str, str, str]]:
    rows = lines(path, problems)
    next(rows, None)  # a header
    for number, line in rows:
        where, cells = f"{path.name}:{number}", line.split("\t")
        if not line.strip():
            continue
        if len(cells) != _COLUMNS:
            problems.add("columns", where, f"expected {_COLUMNS} columns, found {len(cells)}")
            continue
        _, polarity, image, words, aspect = (one.strip() for one in cells)
        parts = words.split("###")
        if len(parts) <= _CONTENT:
            problems.add("missing-field", where, f"expected id###title###content in the text, found {words[:60]!r}")
            continue
        yield where, image, parts[_CONTENT].replace("\\", ""), aspect, polarity


SOURCE = Source(_CARD, _FILES, _read, pictures=("MASAD_imgs", "masad_img", "images", "."))
