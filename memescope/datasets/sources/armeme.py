"""ArMeme (Alam et al., EMNLP 2024): Arabic memes, propaganda or not, and pictures that turned out to be no memes.

On the hub it is Parquet with the pictures inside (`data/{train,dev,test}-*.parquet`); its authors' files are
`arabic_memes_categorization_{train,dev,test}.jsonl`. Fields: `id, text, img_path, class_label`, the label one of
not_propaganda, propaganda, not-meme, other, or its number in this order.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from memescope.datasets.problems import Problems
from memescope.datasets.source import Card, Row, Source
from memescope.datasets.sources._fields import files_there, label, text
from memescope.datasets.sources._strict import records

_CARD = Card(
    name="armeme",
    title="ArMeme: propagandistic content in Arabic memes",
    paper="Alam et al., ArMeme, EMNLP 2024, https://arxiv.org/abs/2406.03916",
    licence="CC BY-NC-SA 4.0 (hub)",
    get="https://huggingface.co/datasets/QCRI/ArMeme",
    languages=("ar",),
    rows={"train": 4007, "val": 584, "test": 1134},
    warning="political and religious propaganda",
    verified="loader-code",
    flaws=(
        (
            "rows counts all four classes; propaganda against not propaganda, which MemeLens and ArAIEval ask for, is "
            "known of the first two alone"
        ),
        "araieval24 and prop2hate_meme are parts of it with splits of their own: do not mix them across splits",
    ),
    memelens=("propoganda_ar_ArMeme",),
)
_NAME = "arabic_memes_categorization"
_FILES = {
    f"{_NAME}_train.jsonl | data/train-*.parquet | train-*.parquet": "train",
    f"{_NAME}_dev.jsonl | data/dev-*.parquet | dev-*.parquet": "val",
    f"{_NAME}_test.jsonl | data/test-*.parquet | test-*.parquet": "test",
}
_CLASSES = {"0": "not_propaganda", "1": "propaganda", "2": "not-meme", "3": "other"}
_NEITHER = ("not-meme", "other")


def _read(folder: Path, problems: Problems, variant: str) -> Iterator[Row]:
    for path, split in files_there(folder, _FILES):
        for where, row in records(path, ("id", "text", "img_path", "class_label"), problems):
            id, found = text(row["id"]), label(row["class_label"], _CLASSES)
            if found in _NEITHER and variant == "binary":
                problems.add("left-out", where, f"class {found}", id)
                continue
            picture = row.get("image")
            yield Row(
                id=id,
                image=picture if isinstance(picture, bytes) else text(row["img_path"]) or None,
                text=text(row["text"]),
                labels={"class_label": None if found in _NEITHER else found},
                lang="ar",
                split=split,
                where=where,
                meta={"class": found} if found in _NEITHER else {},
            )


SOURCE = Source(
    _CARD,
    _FILES,
    _read,
    variants={
        "all": "every row; what is no meme or other has no label of propaganda, its class is in meta",
        "binary": "propaganda and not propaganda alone, as MemeLens and ArAIEval have it",
    },
)
