"""Propaganda techniques in memes (Dimitrov et al., ACL 2021): `{"id", "labels", "text", "image"}` a line."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from memescope.datasets.native import json_lines
from memescope.datasets.problems import Problems
from memescope.datasets.source import Card, Row, Source
from memescope.datasets.sources._fields import files_there, picture, strings, text
from memescope.datasets.sources._strict import keys

_CARD = Card(
    name="propaganda_memes",
    title="Propaganda techniques in memes (SemEval-2021 task 6, subtask 3)",
    paper="Dimitrov et al., Detecting Propaganda Techniques in Memes, ACL 2021, "
    "https://aclanthology.org/2021.acl-long.516",
    licence="free for general research use (README of the SemEval-2021 task 6 corpus)",
    get="https://github.com/di-dimitrov/propaganda-techniques-in-memes (pictures included)",
    languages=("en",),
    rows={"train": 687, "val": 63, "test": 200},
    warning="US politics, COVID-19, gender; smears and slurs",
    verified="real-file",
    flaws=(
        "nearly every meme uses a technique (914 of 950): the derived label propaganda separates little",
        "three of the 22 techniques have 5 or fewer train memes (obfuscation 5, bandwagon 2, red herring 2)",
        "the memes and texts of semeval21t6, whose text labels are a subset of these in every row",
    ),
)
_HOME = "data/datasets/propaganda/defaults"
_FILES = {
    f"{_HOME}/annotations/{split}.jsonl | annotations/{split}.jsonl | {split}.jsonl": split
    for split in ("train", "val", "test")
}


def _read(folder: Path, problems: Problems, variant: str) -> Iterator[Row]:
    for path, split in files_there(folder, _FILES):
        for where, row in keys(json_lines(path, problems), ("id", "labels", "text"), problems):
            techniques = strings(row["labels"])
            yield Row(
                id=text(row.get("id")),
                image=picture(row.get("image")),
                text=text(row.get("text")),
                labels={
                    "techniques": techniques,
                    # Derived: a meme that uses a technique is propaganda.
                    "propaganda": "propaganda" if techniques else "none",
                },
                lang="en",
                split=split,
                where=where,
            )


SOURCE = Source(
    _CARD,
    _FILES,
    _read,
    pictures=(f"{_HOME}/images", "images", "."),
    folders=("propaganda-techniques-in-memes",),
)
