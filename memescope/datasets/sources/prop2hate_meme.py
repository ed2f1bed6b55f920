"""Prop2Hate-Meme (Alam et al. 2024): Arabic memes with propaganda (from ArMeme), hate, and kinds of hate.

On the hub it is Parquet with the pictures inside (`data/{train,dev,test}-*.parquet`); shared tasks export it as
`arabic_hateful_meme_{train,dev,test}.jsonl` with the pictures at `img_path`. Fields: `id, text, img_path, hate_label`
(`label` in the export), `prop_label`, `hate_fine_grained_label`, each a number or its name.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from memescope.datasets.problems import Problems
from memescope.datasets.source import Card, Row, Source
from memescope.datasets.sources._fields import files_there, text
from memescope.datasets.sources._strict import records

_CARD = Card(
    name="prop2hate_meme",
    title="Prop2Hate-Meme",
    paper="Alam et al., Propaganda to Hate: A Multimodal Analysis of Arabic Memes with Multi-Agent LLMs, 2024, "
    "https://arxiv.org/abs/2409.07246",
    licence="CC BY-NC-SA 4.0 (hub)",
    get="https://huggingface.co/datasets/QCRI/Prop2Hate-Meme",
    languages=("ar",),
    rows={"train": 2143, "val": 312, "test": 606},
    warning="hate and propaganda in Arabic",
    verified="loader-code",
    flaws=(
        "hateful memes are a tenth of train and val and a quarter of test, according to a public analysis",
        "two captions stand in train and in another split, on other pictures, according to the same analysis",
        "train and val are those of ArAIEval 2024 task 2 by their sizes; a part of ArMeme: do not mix across splits",
    ),
    memelens=("Hateful_ar__Prop2Hate-Meme",),
)
_FILES = {
    "arabic_hateful_meme_train.jsonl | data/train-*.parquet | train-*.parquet": "train",
    "arabic_hateful_meme_dev.jsonl | data/dev-*.parquet | dev-*.parquet": "val",
    "arabic_hateful_meme_test.jsonl | data/test-*.parquet | test-*.parquet": "test",
}


def _read(folder: Path, problems: Problems, variant: str) -> Iterator[Row]:
    for path, split in files_there(folder, _FILES):
        for where, row in records(path, ("id", "text", "img_path"), problems):
            id = text(row["id"])
            hate = _label(row, ("hate_label", "label"))
            if hate is None:
                problems.add("missing-field", where, "neither hate_label nor label", id, kept=True)
            fine = _label(row, ("hate_fine_grained_label",))
            picture = row.get("image")
            yield Row(
                id=id,
                image=picture if isinstance(picture, bytes) else text(row["img_path"]) or None,
                text=text(row["text"]),
                labels={"hate_label": hate, "prop_label": _label(row, ("prop_label",))},
                lang="ar",
                split=split,
                where=where,
                meta={"hate_fine_grained": fine} if fine is not None else {},
            )


def _label(row: dict[str, Any], names: tuple[str, ...]) -> str | None:
    value = next((row[name] for name in names if row.get(name) is not None), None)
    return None if value is None else text(value)


SOURCE = Source(_CARD, _FILES, _read, folders=("prop2hate-meme", "prop2hate"))
