"""Twitter-2017 (Yu and Jiang, IJCAI 2019): aspect sentiment of tweets with pictures. Not memes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from memescope.datasets.problems import Problems
from memescope.datasets.source import Card, Row, Source
from memescope.datasets.sources._twitter import FILES, read_twitter

_CARD = Card(
    name="twitter2017",
    title="Twitter-2017: feeling towards a phrase of a tweet",
    paper="Yu and Jiang, Adapting BERT for Target-Oriented Multimodal Sentiment Classification, IJCAI 2019, "
    "https://www.ijcai.org/proceedings/2019/0751.pdf",
    licence="none stated; tweets and their pictures (research use)",
    get="https://github.com/jefferyYu/TomBERT (absa_data/twitter2017; the pictures are linked there)",
    languages=("en",),
    rows={"train": 3562, "val": 1176, "test": 1234},
    warning="ordinary tweets about people and places",
    verified="real-file",
    flaws=(
        "not memes: tweets with photographs",
        (
            "the header's names fit neither the train nor the test columns (two columns share one name, "
            "test has one name less): read by position"
        ),
        (
            "33 train, 8 val and 6 test tweets name the same phrase twice: two rows with one text and one "
            "aspect, which the mask tells apart (meta text_masked)"
        ),
        "two train rows stand in the file twice, one picture is in train and test",
        "checked on the .tsv form; the .txt form (four lines a row, labels -1, 0, 1) is after the authors' README",
    ),
)


def _read(folder: Path, problems: Problems, variant: str) -> Iterator[Row]:
    return read_twitter(folder, problems, FILES)


SOURCE = Source(
    _CARD,
    FILES,
    _read,
    pictures=("twitter2017_images", "images", "."),
    folders=("tombert_twitter2017",),
)
