"""German Hateful Memes: FHM's dev_seen in German.

`dev_seen_deutsch.jsonl` is the file of FHM with machine-translated texts; `de_test_second.tsv` has no header, a line is
`id TAB German text TAB Hate|None`, memes of FHM's dev sets newly worded and labelled in German.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from memescope.datasets.native import json_lines, table
from memescope.datasets.problems import Problems
from memescope.datasets.source import Card, Row, Source
from memescope.datasets.sources._fields import files_there, label, padded, picture, text
from memescope.datasets.sources._strict import keys

_CARD = Card(
    name="german_fhm",
    title="German Hateful Memes (translated FHM dev set)",
    paper="none found for the German files; the memes are those of Kiela et al., https://arxiv.org/abs/2005.04790",
    licence="none stated; the memes are under Facebook's Hateful Memes licence (research only)",
    get="pictures: as fhm; the two files come from a public student repository that names no paper",
    languages=("de",),
    rows={"val": 500, "test": 72},
    warning="hateful by design, as fhm",
    verified="real-file",
    flaws=(
        (
            "val is a machine translation (DeepL) of fhm's dev_seen with its labels unchanged: wordplay is lost, "
            "6 texts are identical to the English ones"
        ),
        (
            "the 72 test memes are fhm's too (61 of dev_unseen, 11 of dev_seen alone); 45 of them are in "
            "val as well, with other German words"
        ),
        "8 test labels differ from fhm's: 6 memes hateful there are None here, 2 the other way round",
        "ids are numbers without the zeros of fhm: padded here; the test file names no pictures: img/ID.png",
    ),
)
_FILES = {"dev_seen_deutsch.jsonl": "val", "de_test_second.tsv": "test"}
_LABELS = {"0": "not_hateful", "1": "hateful", "None": "not_hateful", "Hate": "hateful"}


def _read(folder: Path, problems: Problems, variant: str) -> Iterator[Row]:
    for path, split in files_there(folder, _FILES):
        if path.suffix == ".tsv":
            rows = table(path, problems, "\t", header=("id", "text", "label"), quoted=False)
        else:
            rows = keys(json_lines(path, problems), ("id", "text", "label"), problems)
        for where, row in rows:
            id = padded(row.get("id"), 5)
            yield Row(
                id=id,
                image=picture(row.get("img")) or f"img/{id}.png",
                text=text(row.get("text")),
                labels={"hate": label(row.get("label"), _LABELS)},
                lang="de",
                split=split,
                where=where,
            )


SOURCE = Source(_CARD, _FILES, _read, pictures=(".", "fhm", "hateful_memes"))
