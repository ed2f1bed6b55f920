"""MVSA-Single (Niu et al., MMM 2016): tweets with a picture, text and picture each labelled by one annotator."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from memescope.datasets.problems import Problems
from memescope.datasets.source import Card, Row, Source
from memescope.datasets.sources._mvsa import RULES, read_mvsa

_CARD = Card(
    name="mvsa_single",
    title="MVSA-Single",
    paper="Niu et al., Sentiment Analysis on Multi-View Social Data, MMM 2016, "
    "https://doi.org/10.1007/978-3-319-27674-8_2",
    licence="for research, on request; tweets and pictures belong to their authors",
    get="https://mcrlab.net/research/mvsa-sentiment-analysis-on-multi-view-social-data",
    languages=("en",),
    rows={"all": 4511},
    warning="ordinary tweets; a few violent or sexual",
    verified="loader-code",
    flaws=(
        "not memes: tweets with photographs",
        (
            "4,869 tweets, of which the usual merge of text and picture label leaves 4,511; other merges have names "
            "(see the variants), and papers do not always say theirs"
        ),
        "no split is given: published ones are made at random, 8 to 1 to 1",
        "one annotator each; texts come in mixed encodings",
    ),
)
_FILES = {"labelResultAll.txt": ""}


def _read(folder: Path, problems: Problems, variant: str) -> Iterator[Row]:
    return read_mvsa(folder, problems, 1, variant)


SOURCE = Source(
    _CARD,
    _FILES,
    _read,
    pictures=("data", "."),
    folders=("mvsa-single", "mvsa"),
    variants=dict(RULES.items()),
)
