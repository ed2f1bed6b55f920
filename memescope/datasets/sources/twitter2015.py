"""Twitter-2015 (Yu and Jiang, IJCAI 2019): aspect sentiment of tweets with pictures. Not memes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from memescope.datasets.problems import Problems
from memescope.datasets.source import Card, Row, Source
from memescope.datasets.sources._twitter import FILES, read_twitter

_CARD = Card(
    name="twitter2015",
    title="Twitter-2015: feeling towards a phrase of a tweet",
    paper="Yu and Jiang, Adapting BERT for Target-Oriented Multimodal Sentiment Classification, IJCAI 2019, "
    "https://www.ijcai.org/proceedings/2019/0751.pdf",
    licence="none stated; tweets and their pictures (research use)",
    get="https://github.com/jefferyYu/TomBERT (absa_data/twitter2015; the pictures are linked there)",
    languages=("en",),
    rows={"train": 3179, "val": 1122, "test": 1037},
    warning="ordinary tweets about people and places",
    verified="real-file",
    flaws=(
        "not memes: tweets with photographs",
        (
            "the header's names fit neither the train nor the test columns (two columns share one name, "
            "test has one name less): read by position"
        ),
        (
            "24 train, 14 val and 5 test tweets name the same phrase twice: two rows with one text and one "
            "aspect, which the mask tells apart (meta text_masked)"
        ),
        (
            "tweets of one picture stay in one split by name, yet 3 pictures of different names are identical "
            "across splits"
        ),
        "checked on the .tsv form; the .txt form (four lines a row, labels -1, 0, 1) is after the authors' README",
    ),
)


def _read(folder: Path, problems: Problems, variant: str) -> Iterator[Row]:
    return read_twitter(folder, problems, FILES)


SOURCE = Source(
    _CARD,
    FILES,
    _read,
    pictures=("twitter2015_images", "images", "."),
    folders=("tombert_twitter2015",),
)
