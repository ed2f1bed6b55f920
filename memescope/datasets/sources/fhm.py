"""Facebook Hateful Memes (Kiela et al., NeurIPS 2020): a line is `{"id", "img", "label", "text"}`, a file a split."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from memescope.datasets.native import json_lines
from memescope.datasets.problems import Problems
from memescope.datasets.source import Card, Row, Source

_CARD = Card(
    name="fhm",
    title="Facebook Hateful Memes",
    paper="Kiela et al., The Hateful Memes Challenge, NeurIPS 2020, https://arxiv.org/abs/2005.04790",
    licence="Facebook's Hateful Memes dataset licence: research only, no redistribution",
    get="https://hatefulmemeschallenge.com (form; the pictures are Getty's)",
    languages=("en",),
    rows={"train": 8500, "val": 540, "test": 2000, "val_seen": 500, "test_seen": 1000},
    warning="hateful by design: attacks on people for religion, race, sex, disability",
    verified="real-file",
    flaws=(
        "benign confounders: the same text or picture again with the other label, by design, also across splits",
        "dev_seen and dev_unseen share rows; choose one of them",
    ),
    memelens=("Hateful_en_FHM",),
)
_FILES = {
    "train.jsonl": "train",
    "dev_unseen.jsonl": "val",
    "test_unseen.jsonl": "test",
    "dev_seen.jsonl": "val_seen",
    "test_seen.jsonl": "test_seen",
}
_LABELS = {0: "not_hateful", 1: "hateful"}


def _read(folder: Path, problems: Problems, variant: str) -> Iterator[Row]:
    for name, split in _FILES.items():
        if not (folder / name).is_file():
            continue
        for where, row in json_lines(folder / name, problems):
            yield Row(
                id=str(row.get("id", "")),
                image=row.get("img"),
                text=row.get("text") or "",
                # Rows of the challenge's own test files have no label.
                labels={"hate": _LABELS.get(row["label"], str(row["label"])) if "label" in row else None},
                lang="en",
                split=split,
                where=where,
            )


SOURCE = Source(_CARD, _FILES, _read, folders=("hateful_memes", "hateful-memes", "facebook_hateful_memes"))
