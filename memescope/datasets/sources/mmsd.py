"""MMSD (Cai et al., ACL 2019): sarcastic tweets with pictures; a line is a Python list.

`train.txt`: `[id, text, label]`; `valid2.txt` and `test2.txt`: `[id, text, label by hashtag, label by a person]`. The
repository of MMSD2.0 has the same as JSON arrays (`text_json_clean`), with one label.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from memescope.datasets.native import json_array, lines
from memescope.datasets.problems import Problems
from memescope.datasets.source import Card, Row, Source
from memescope.datasets.sources._fields import files_there, label, text
from memescope.datasets.sources._literals import literal
from memescope.datasets.sources._strict import keys

_CARD = Card(
    name="mmsd",
    title="MMSD: multimodal sarcasm detection on Twitter",
    paper="Cai, Cai and Wan, Multi-Modal Sarcasm Detection in Twitter with Hierarchical Fusion Model, ACL 2019, "
    "https://aclanthology.org/P19-1239",
    licence="none stated; tweets and their pictures (research use)",
    get="https://github.com/headacheboy/data-of-multimodal-sarcasm-detection (text and links to the pictures)",
    languages=("en",),
    rows={"train": 19816, "val": 2410, "test": 2409},
    warning="ordinary tweets; few are rude",
    verified="real-file",
    flaws=(
        "hashtags and emoji give the label away: MMSD2.0 (mmsd2) was made to remove them",
        (
            "train labels come from the hashtag alone; in val and test the person disagrees with the hashtag in "
            "87 of 2,410 and 144 of 2,409 rows"
        ),
        (
            "the authors' code leaves out tweets with the words sarcasm, sarcastic, reposting, <url>, joke, "
            "jokes, humour, humor, irony, ironic, exgag, and their pictures were never published: so does "
            "the usual reading; val and test hold no such tweet"
        ),
        "checked on the val and test files; the form of train is after the authors' README and code",
    ),
)
_FILES = {
    "train.txt | text/train.txt | text_json_clean/train.json": "train",
    "valid2.txt | text/valid2.txt | text_json_clean/valid.json": "val",
    "test2.txt | text/test2.txt | text_json_clean/test.json": "test",
}
_LEFT_OUT = frozenset(
    ("sarcasm", "sarcastic", "reposting", "<url>", "joke", "jokes", "humour", "humor", "irony", "ironic", "exgag")
)
_LABELS = {"0": "not_sarcastic", "1": "sarcastic"}


def _read(folder: Path, problems: Problems, variant: str) -> Iterator[Row]:
    for path, split in files_there(folder, _FILES):
        for where, found in (_arrays if path.suffix == ".json" else _lists)(path, problems):
            id, words = text(found[0]), text(found[1])
            if variant != "all" and not _LEFT_OUT.isdisjoint(words.split()):
                problems.add("left-out", where, "a word of the authors' list", id)
                continue
            by_hashtag = label(found[2], _LABELS)
            yield Row(
                id=id,
                image=f"{id}.jpg" if id else None,
                text=words,
                labels={"sarcasm": by_hashtag if variant == "hashtag" else label(found[-1], _LABELS)},
                lang="en",
                split=split,
                where=where,
                meta={"label_by_hashtag": by_hashtag} if len(found) == 4 else {},
            )


def _lists(path: Path, problems: Problems) -> Iterator[tuple[str, list[Any]]]:
    """(where, list) of each line that holds a Python list of three or four."""
    for number, line in lines(path, problems):
        where = f"{path.name}:{number}"
        if not line.strip():
            continue
        try:
            row = literal(line)
        except ValueError as error:
            problems.add("broken-line", where, str(error))
            continue
        if isinstance(row, list) and len(row) in (3, 4):
            yield where, row
        else:
            problems.add("broken-line", where, f"expected a list of 3 or 4, found {str(row)[:60]!r}")


def _arrays(path: Path, problems: Problems) -> Iterator[tuple[str, list[Any]]]:
    """The same of a JSON array of objects."""
    for where, row in keys(json_array(path, problems), ("image_id", "text", "label"), problems):
        yield where, [row["image_id"], row["text"], row["label"]]


SOURCE = Source(
    _CARD,
    _FILES,
    _read,
    pictures=("dataset_image", "."),
    folders=("data-of-multimodal-sarcasm-detection",),
    variants={
        "person": "val and test by the person's label, without the tweets that the authors' code leaves out",
        "hashtag": "val and test by the hashtag, as train is",
        "all": "by the person's label, every tweet kept",
    },
)
