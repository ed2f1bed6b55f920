"""Facebook Hateful Memes (Kiela et al., NeurIPS 2020): a line is `{"id", "img", "label", "text"}`, a file a split."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from memescope.datasets.native import json_lines
from memescope.datasets.problems import Problems
from memescope.datasets.source import Card, Row, Source
from memescope.datasets.sources._fields import files_there, label, padded, picture, text
from memescope.datasets.sources._strict import keys

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
        "dev_seen and dev_unseen share 400 rows (the same ids with the same labels); choose one of them",
        (
            "benign confounders: the same caption or picture again with the other label, by design, also "
            "across splits: captions of 171 distinct wordings stand in train and test_seen (184 of the 226 "
            "train rows concerned carry the label opposite to a test row), of 164 in train and test_unseen "
            "(208 of 228 rows)"
        ),
        "test_seen and test_unseen share 505 captions",
        "13 memes labelled hateful are not hateful in the fine-grained annotation of the same memes (fhm_fine_grained)",
        "papers differ in the split they call test: test_seen, test_unseen, or dev_seen (MaskPrompt, Mr.Harm)",
    ),
    memelens=("Hateful_en_FHM",),
)
_FILES = {
    "train.jsonl": "train",
    "dev_unseen.jsonl": "val",
    "test_unseen.jsonl": "test",
    # Phase 1 of the challenge named these two dev.jsonl and test.jsonl (the latter without labels).
    "dev_seen.jsonl | dev.jsonl": "val_seen",
    "test_seen.jsonl | test.jsonl": "test_seen",
}
_SPLITS = {
    "unseen": {},
    "seen": {"val": "val_unseen", "test": "test_unseen", "val_seen": "val", "test_seen": "test"},
    "maskprompt": {"val_seen": "test", "val": "val_unseen", "test": "test_unseen"},
}
_LABELS = {"0": "not_hateful", "1": "hateful"}


def _read(folder: Path, problems: Problems, variant: str) -> Iterator[Row]:
    for path, split in files_there(folder, _FILES):
        # Files for the challenge's own evaluation have no labels.
        needed = ("id", "text") if split.startswith("test") else ("id", "text", "label")
        for where, row in keys(json_lines(path, problems), needed, problems):
            yield Row(
                id=padded(row.get("id"), 5),
                image=picture(row.get("img")),
                text=text(row.get("text")),
                labels={"hate": label(row.get("label"), _LABELS)},
                lang="en",
                split=_SPLITS[variant].get(split, split),
                where=where,
            )


SOURCE = Source(
    _CARD,
    _FILES,
    _read,
    folders=("hateful_memes", "hateful-memes", "facebook_hateful_memes"),
    variants={
        "unseen": "val is dev_unseen and test is test_unseen, as in phase 2 of the challenge; val_seen, "
        "test_seen beside",
        "seen": "val is dev_seen and test is test_seen, as in phase 1 and most papers of 2020 and 2021",
        "maskprompt": "test is dev_seen, as in MaskPrompt, PromptHate and Mr.Harm; there is no val",
    },
)
