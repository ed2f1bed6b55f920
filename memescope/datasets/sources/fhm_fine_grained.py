"""Fine-grained Hateful Memes (WOAH 2021 shared task): protected categories and attack types of the FHM memes.

A line of `train|dev_seen|dev_unseen.json` is `{"id", "set_name", "img", "text", "gold_hate", "gold_pc", "gold_attack",
"pc", "attack"}`: gold labels by majority, `pc` and `attack` what each of up to three annotators chose. `test.jsonl` has
no labels.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from memescope.datasets.native import json_lines
from memescope.datasets.problems import Problems
from memescope.datasets.source import Card, Row, Source
from memescope.datasets.sources._fields import files_there, padded, picture, strings, text
from memescope.datasets.sources._strict import keys

_CARD = Card(
    name="fhm_fine_grained",
    title="Fine-grained Hateful Memes (WOAH 2021)",
    paper="Mathias et al., Findings of the WOAH 5 Shared Task on Fine Grained Hateful Memes Detection, WOAH 2021, "
    "https://aclanthology.org/2021.woah-1.21",
    licence="annotations: Apache 2.0 (repository facebookresearch/fine_grained_hateful_memes); pictures as fhm",
    get="annotations: https://github.com/facebookresearch/fine_grained_hateful_memes; pictures: as fhm",
    languages=("en",),
    rows={"train": 8500, "val": 540, "val_seen": 500, "test_seen": 1000},
    warning="hateful by design: attacks on people for religion, race, sex, disability, nationality",
    verified="real-file",
    flaws=(
        (
            "13 memes (12 of train, one of both dev sets) are not_hateful here and hateful in fhm; none the "
            "other way round"
        ),
        "dev_seen and dev_unseen share 400 memes; choose one of them",
        "45 hateful rows have no attack type and 2 no protected category that a majority chose: left unlabelled here",
        "annotators' votes are given for hateful memes only; votes can be empty",
        "ids are numbers without the zeros of fhm: padded here",
        "the test file has no labels",
    ),
)
_FILES = {
    "train.json | data/annotations/train.json": "train",
    "dev_unseen.json | data/annotations/dev_unseen.json": "val",
    "dev_seen.json | data/annotations/dev_seen.json": "val_seen",
    "test.jsonl | data/annotations/test.jsonl": "test_seen",
}


def _read(folder: Path, problems: Problems, variant: str) -> Iterator[Row]:
    for path, split in files_there(folder, _FILES):
        needed = ("id", "text") if split.startswith("test") else ("id", "text", "gold_hate", "gold_pc", "gold_attack")
        for where, row in keys(json_lines(path, problems), needed, problems):
            id = padded(row.get("id"), 5)
            labels: dict[str, str | list[str] | None] = {"hate": None, "protected_category": None, "attack": None}
            if "gold_hate" in row:
                labels["hate"] = ", ".join(strings(row["gold_hate"]))
                for field, gold, empty in (
                    ("protected_category", "gold_pc", "pc_empty"),
                    ("attack", "gold_attack", "attack_empty"),
                ):
                    chosen = strings(row.get(gold))
                    if chosen == [empty] and labels["hate"] == "hateful":
                        problems.add("contradiction", where, f"hateful, but {gold} is {empty}", id, kept=True)
                        continue
                    labels[field] = [] if chosen == [empty] else chosen
            yield Row(
                id=id,
                image=picture(row.get("img")),
                text=text(row.get("text")),
                labels=labels,
                lang="en",
                split=split,
                where=where,
                meta={"votes": votes} if (votes := _votes(row)) else {},
            )


def _votes(row: dict[str, Any]) -> dict[str, list[list[str]]]:
    """What each annotator chose, by native field; memes that are not hateful have none ("None")."""
    fields = {"protected_category": row.get("pc"), "attack": row.get("attack")}
    return {field: [strings(one) for one in votes] for field, votes in fields.items() if isinstance(votes, list)}


SOURCE = Source(
    _CARD,
    _FILES,
    _read,
    pictures=(".", "fhm", "hateful_memes"),
    folders=("fine_grained_hateful_memes",),
)
