"""ArAIEval 2024 task 2 (Hasanain et al.): Arabic memes, propagandistic or not; ArMeme's binary form, a JSON array."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from memescope.datasets.native import json_array
from memescope.datasets.problems import Problems
from memescope.datasets.source import Card, Row, Source
from memescope.datasets.sources._fields import files_there, picture, text
from memescope.datasets.sources._strict import keys

_CARD = Card(
    name="araieval24",
    title="ArAIEval 2024 task 2: propagandistic Arabic memes",
    paper="Hasanain et al., ArAIEval Shared Task, ArabicNLP 2024, https://arxiv.org/abs/2407.04247",
    licence="CC BY-NC-SA 4.0",
    get="https://gitlab.com/araieval/araieval_arabicnlp24 (task2/data; the pictures come in a separate archive)",
    languages=("ar",),
    rows={"train": 2143, "val": 312},
    warning="political and religious propaganda, insults",
    verified="real-file",
    flaws=(
        "a part of ArMeme (classes propaganda and not propaganda only): do not mix the two across splits",
        "one text stands in train and dev, one has both labels",
        "ids are the pictures' paths; the test file of the shared task is not at hand and was not checked",
    ),
)
_NAME = "arabic_memes_propaganda_araieval_24"
_FILES = {
    f"{_NAME}_train.json | data/{_NAME}_train.json": "train",
    f"{_NAME}_dev.json | data/{_NAME}_dev.json": "val",
    f"{_NAME}_test.json | data/{_NAME}_test.json": "test",
}


def _read(folder: Path, problems: Problems, variant: str) -> Iterator[Row]:
    for path, split in files_there(folder, _FILES):
        # The shared task gave its test rows out without a class.
        needed = ("id", "text") if split == "test" else ("id", "text", "class_label")
        for where, row in keys(json_array(path, problems), needed, problems):
            yield Row(
                id=text(row.get("id")),
                image=picture(row.get("img_path")),
                text=text(row.get("text")),
                labels={"class": text(row.get("class_label")) or None},
                lang="ar",
                split=split,
                where=where,
            )


SOURCE = Source(_CARD, _FILES, _read, folders=("araieval24_task2", "araieval"))
