"""Harm-P (HarMeme, US politics; Sharma et al., Findings of EMNLP 2021), cleaned release V1 and first release V0."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from memescope.datasets.problems import Problems
from memescope.datasets.source import Card, Row, Source
from memescope.datasets.sources._harmeme import read_harmeme

_CARD = Card(
    name="harmp",
    title="Harm-P (HarMeme, US politics), V1",
    paper="Pramanick et al., MOMENTA, Findings of EMNLP 2021, https://aclanthology.org/2021.findings-emnlp.379",
    licence="annotations: MIT (LCS2-IIITD/MOMENTA); pictures: third-party web images without a licence of their own",
    get="https://github.com/LCS2-IIITD/MOMENTA (HarMeme_V1/Annotations/Harm-P; the pictures are linked there)",
    languages=("en",),
    rows={"train": 2938, "val": 177, "test": 355},
    warning="insults aimed at US politicians, parties and minorities",
    verified="real-file",
    flaws=(
        "V0's train and val files were not at hand: their reader was checked on rows of our own",
        (
            "V0, used by most papers up to 2023, is contaminated: of 319 test memes 228 stand in train, and its "
            "3,020 train rows are 1,531 memes; use V1"
        ),
        "V1 shares no ids between splits, but 11 wordings stand in train and test and 10 in train and val",
        "train has one row whose intensity is empty (the authors count 123 very harmful, the file holds 122)",
        (
            "12 train rows are not harmful with a target, 40 are somewhat harmful without one, 16 harmful "
            "ones and the one without an intensity have two (in `targets`; no single `target`)"
        ),
        "of 62 wordings that stand there several times 25 are harmful here and not harmful there",
        "text is OCR as it came",
    ),
    memelens=("Harmful_en__HarMeme", "Target_en__HarMeme"),
)
_FILES = {
    "train_v1.jsonl | Annotations/Harm-P/train_v1.jsonl": "train",
    "val_v1.jsonl | Annotations/Harm-P/val_v1.jsonl": "val",
    "test_v1.jsonl | Annotations/Harm-P/test_v1.jsonl": "test",
}
_V0_FILES = {"train.jsonl": "train", "val.jsonl": "val", "test.jsonl": "test"}


def _read(folder: Path, problems: Problems, variant: str) -> Iterator[Row]:
    return read_harmeme(folder, problems, _V0_FILES if variant == "v0" else _FILES)


SOURCE = Source(
    _CARD,
    _FILES,
    _read,
    pictures=("images", "."),
    folders=("harm-p", "harmeme_p"),
    variants={
        "v1": "the release of 2023 without the duplicates",
        "v0": "the first release (train.jsonl, val.jsonl, test.jsonl), which leaks: only to compare with older papers",
    },
)
