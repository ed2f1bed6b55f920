"""MMSD2.0 (Qin et al., Findings of ACL 2023): MMSD with its cues removed and labels made anew; a JSON array a split."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from memescope.datasets.native import json_array
from memescope.datasets.problems import Problems
from memescope.datasets.source import Card, Row, Source
from memescope.datasets.sources._fields import files_there, label, text
from memescope.datasets.sources._strict import keys

_CARD = Card(
    name="mmsd2",
    title="MMSD2.0: multimodal sarcasm detection, corrected",
    paper="Qin et al., MMSD2.0, Findings of ACL 2023, https://arxiv.org/abs/2307.07135",
    licence="none stated; tweets and their pictures (research use)",
    get="https://github.com/JoeYing1019/MMSD2.0 (data/text_json_final); pictures as mmsd",
    languages=("en",),
    rows={"train": 19816, "val": 2410, "test": 2409},
    warning="ordinary tweets; few are rude",
    verified="real-file",
    flaws=(
        "the tweets of mmsd with hashtags and emoji taken out: never train on one and test on the other",
        (
            "differs from mmsd's human label in 83 of 2,410 val and 78 of 2,409 test rows, always from not "
            "sarcastic to sarcastic"
        ),
        "checked on the val and test files; train has the same keys according to public loaders",
    ),
)
_FILES = {
    "train.json | text_json_final/train.json | data/text_json_final/train.json": "train",
    "valid.json | text_json_final/valid.json | data/text_json_final/valid.json": "val",
    "test.json | text_json_final/test.json | data/text_json_final/test.json": "test",
}
_LABELS = {"0": "not_sarcastic", "1": "sarcastic"}


def _read(folder: Path, problems: Problems, variant: str) -> Iterator[Row]:
    for path, split in files_there(folder, _FILES):
        for where, row in keys(json_array(path, problems), ("image_id", "text", "label"), problems):
            id = text(row.get("image_id"))
            yield Row(
                id=id,
                image=f"{id}.jpg" if id else None,
                text=text(row.get("text")),
                labels={"sarcasm": label(row.get("label"), _LABELS)},
                lang="en",
                split=split,
                where=where,
            )


SOURCE = Source(
    _CARD,
    _FILES,
    _read,
    pictures=("dataset_image", ".", "data/dataset_image"),
    folders=("mmsd2.0",),
)
