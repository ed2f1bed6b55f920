"""ToxiCN-MM (Lu et al., NeurIPS 2024 D&B): Chinese harmful memes; a JSON array, in two editions with different keys.

2.0: `path, text, label, type, text_modal, image_modal, target` and model-written descriptions; 1.0: `new_path, text,
label, type, modal: [text, image]`. Numbers as in the README and `target_info.csv`.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from memescope.datasets.native import json_array
from memescope.datasets.problems import Problems
from memescope.datasets.source import Card, Row, Source
from memescope.datasets.sources._fields import files_of_variant, label, picture, text
from memescope.datasets.sources._strict import keys

_CARD = Card(
    name="toxicn_mm",
    title="ToxiCN-MM: Chinese harmful memes",
    paper="Lu et al., Towards Comprehensive Detection of Chinese Harmful Memes, NeurIPS 2024 Datasets and Benchmarks, "
    "https://arxiv.org/abs/2410.02378",
    licence="CC BY-NC-ND 4.0",
    get="https://github.com/DUT-lujunyu/ToxiCN_MM (data/*.json; pictures linked there)",
    languages=("zh",),
    rows={"train": 9600, "test": 2400},
    warning="insults by gender and region, sexual innuendo, hopelessness",
    verified="real-file",
    flaws=(
        (
            "edition 2.0 changes 6 of the 2,400 test rows of 1.0 (2 of them from harmful to not): papers before "
            "December 2024 used 1.0"
        ),
        "one train row of 2.0 (7630.jpg) is harmful of type non-harmful: its type is left unlabelled here",
        (
            "71 texts stand in train and test (no picture does by name); of 177 that stand there several times "
            "17 have both labels"
        ),
        "only targeted memes have a target group: 0 means harmless as well as harmful in another way",
        "descriptions of text and picture are model-written",
    ),
)
_NAME = "data_discription"
_FILES = {
    f"train_{_NAME}_2.0.json | data/train_{_NAME}_2.0.json": "train",
    f"test_{_NAME}_2.0.json | data/test_{_NAME}_2.0.json": "test",
}
_FILES_1 = {
    f"train_{_NAME}.json | data/train_{_NAME}.json": "train",
    f"test_{_NAME}.json | data/test_{_NAME}.json": "test",
}
_HARMFUL = {"0": "not_harmful", "1": "harmful"}
_TYPES = {
    "0": "not_harmful",
    "1": "targeted",
    "2": "sexual_innuendo",
    "3": "general_offense",
    "4": "dispirited_culture",
}


def _read(folder: Path, problems: Problems, variant: str) -> Iterator[Row]:
    for path, split in files_of_variant(folder, _FILES_1 if variant == "1.0" else _FILES, problems):
        for where, row in keys(json_array(path, problems), ("text", "label", "type"), problems):
            named = text(row.get("path", row.get("new_path")))
            harmful, kind = label(row.get("label"), _HARMFUL), label(row.get("type"), _TYPES)
            if harmful in _HARMFUL.values() and kind is not None and (harmful == "harmful") != (kind != "not_harmful"):
                problems.add("contradiction", where, f"{harmful} of type {kind}: type unlabelled", named, kept=True)
                kind = None
            yield Row(
                id=named.rsplit(".", 1)[0],
                image=picture(named),
                text=text(row.get("text")),
                labels={
                    "harmful": harmful,
                    "type": kind,
                    "modality": _modality(row),
                    "target": text(row["target"]) if "target" in row else None,
                },
                lang="zh",
                split=split,
                where=where,
                meta={
                    "text_description": text(row.get("text_discription")),
                    "picture_description": text(row.get("meme_discription")),
                },
            )


def _modality(row: dict[str, Any]) -> list[str] | None:
    """What is harmful by itself; empty for harmless memes and for those harmful only as a whole."""
    modal = row.get("modal", [row.get("text_modal"), row.get("image_modal")])
    if not isinstance(modal, list) or len(modal) != 2 or any(text(one) not in ("0", "1") for one in modal):
        return None
    return [name for name, one in zip(("text", "image"), modal, strict=True) if text(one) == "1"]


SOURCE = Source(
    _CARD,
    _FILES,
    _read,
    pictures=("meme", "images", "."),
    folders=("toxicn",),
    variants={"2.0": "the edition of December 2024, with target groups", "1.0": "the edition of the paper"},
)
