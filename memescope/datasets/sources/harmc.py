"""Harm-C (HarMeme, COVID-19; Pramanick et al., Findings of ACL 2021): intensity and target of harm."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from memescope.datasets.problems import Problems
from memescope.datasets.source import Card, Row, Source
from memescope.datasets.sources._harmeme import read_harmeme

_CARD = Card(
    name="harmc",
    title="Harm-C (HarMeme, COVID-19)",
    paper="Pramanick et al., Detecting Harmful Memes and Their Targets, Findings of ACL 2021, "
    "https://arxiv.org/abs/2110.00413",
    licence="annotations: MIT (LCS2-IIITD/MOMENTA); pictures: third-party web images without a licence of their own",
    get="https://github.com/di-dimitrov/mmf (data/datasets/memes/defaults) with pictures; annotations also at "
    "https://github.com/LCS2-IIITD/MOMENTA",
    languages=("en",),
    rows={"train": 3013, "val": 177, "test": 354},
    warning="insults and misinformation about the pandemic, politicians, nationalities",
    verified="real-file",
    flaws=(
        (
            "the official split leaks: 29 identical pictures stand in more than one split, 42 wordings in train "
            "and test, 20 in train and val"
        ),
        (
            "the target files (variant targets) split the harmful memes otherwise: all 62 val and 60 of 124 test memes "
            "of theirs are in another split of the main files, so train on one and test on the other never"
        ),
        "the test set has 5 harmful memes that are not aimed at individuals: target scores on it mean little",
        "of 186 wordings that stand there several times 46 are harmful here and not harmful there",
        "text is OCR as it came, with the reading order of tables and tweets lost",
        (
            "copies in circulation (Mr.Harm's) hold 532 Harm-P rows and repeats in test.jsonl: ids memes_* are "
            "left out here"
        ),
    ),
    memelens=("Harmful_Covid_en__HarMeme", "Target_Covid_en__HarMeme"),
)
_MMF = "data/datasets/memes/defaults"
_FILES = {
    f"train.jsonl | annotations/train.jsonl | {_MMF}/annotations/train.jsonl": "train",
    f"val.jsonl | annotations/val.jsonl | {_MMF}/annotations/val.jsonl": "val",
    f"test.jsonl | annotations/test.jsonl | {_MMF}/annotations/test.jsonl": "test",
}
_TARGET_FILES = {
    "target_train.jsonl | annotations/target_train.jsonl": "train",
    "target_val.jsonl | annotations/target_val.jsonl": "val",
    "target_test.jsonl | annotations/target_test.jsonl": "test",
}


def _read(folder: Path, problems: Problems, variant: str) -> Iterator[Row]:
    for row in read_harmeme(folder, problems, _TARGET_FILES if variant == "targets" else _FILES):
        if row.id.startswith("memes_"):
            problems.add("left-out", row.where, "a Harm-P meme, which some copies append", row.id)
        else:
            yield row


SOURCE = Source(
    _CARD,
    _FILES,
    _read,
    pictures=("images", ".", f"{_MMF}/images"),
    folders=("harm-c", "harmeme_c"),
    variants={
        "memes": "train, val and test of all memes, for intensity and target",
        "targets": "the authors' separate split of the 1,249 harmful memes, for the target alone",
    },
)
