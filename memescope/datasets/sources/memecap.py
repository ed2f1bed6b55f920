"""MemeCap (Hwang and Shwartz, EMNLP 2023): what a meme means, in people's words, with its visual metaphors.

A JSON array of `{"post_id", "img_fname", "title", "url", "img_captions", "meme_captions", "metaphors", "category"}`.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from memescope.datasets.native import json_array
from memescope.datasets.problems import Problems
from memescope.datasets.source import Card, Row, Source
from memescope.datasets.sources._fields import files_there, picture, strings, text
from memescope.datasets.sources._strict import keys

_CARD = Card(
    name="memecap",
    title="MemeCap",
    paper="Hwang and Shwartz, MemeCap: A Dataset for Captioning and Interpreting Memes, EMNLP 2023, "
    "https://arxiv.org/abs/2305.13703",
    licence="none stated; memes from r/memes on Reddit",
    get="https://github.com/eujhwang/meme-cap (data/*.json; pictures at the Google Drive address in its README)",
    languages=("en",),
    rows={"train": 5823, "test": 559},
    warning="ordinary Reddit humour; some crude",
    verified="real-file",
    flaws=(
        "no text of the meme and no class labels: meme captions are the rationale, the post's title is in meta",
        "test memes have 2 to 4 meme captions; the first is the rationale, all are in meta",
        "val is a random tenth of train that the authors did not publish",
        "checked on the test file; the train file has the same keys according to public loaders",
    ),
)
_FILES = {
    "memes-trainval.json | data/memes-trainval.json": "train",
    "memes-test.json | data/memes-test.json": "test",
}


def _read(folder: Path, problems: Problems, variant: str) -> Iterator[Row]:
    for path, split in files_there(folder, _FILES):
        for where, row in keys(json_array(path, problems), ("post_id", "meme_captions"), problems):
            id, meanings = text(row.get("post_id")), strings(row.get("meme_captions"))
            if not meanings:
                problems.add("missing-field", where, "no meme captions", id, kept=True)
            yield Row(
                id=id,
                image=picture(row.get("img_fname")),
                text="",
                labels={},
                lang="en",
                split=split,
                where=where,
                rationale=meanings[0] if meanings else None,
                meta={
                    "title": text(row.get("title")),
                    "url": text(row.get("url")),
                    "category": text(row.get("category")),
                    "rationales": meanings,
                    "captions": strings(row.get("img_captions")),
                    "metaphors": row.get("metaphors") or [],
                },
            )


SOURCE = Source(_CARD, _FILES, _read, pictures=("memes", "images", "."), folders=("meme-cap",))
