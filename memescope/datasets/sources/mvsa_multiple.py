"""MVSA-Multiple (Niu et al., MMM 2016): tweets with a picture, text and picture each labelled by three annotators."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from memescope.datasets.problems import Problems
from memescope.datasets.source import Card, Row, Source
from memescope.datasets.sources._mvsa import RULES, TIE, read_mvsa

_CARD = Card(
    name="mvsa_multiple",
    title="MVSA-Multiple",
    paper="Niu et al., Sentiment Analysis on Multi-View Social Data, MMM 2016, "
    "https://doi.org/10.1007/978-3-319-27674-8_2",
    licence="for research, on request; tweets and pictures belong to their authors",
    get="https://mcrlab.net/research/mvsa-sentiment-analysis-on-multi-view-social-data",
    languages=("en",),
    rows={"all": 17024},
    warning="ordinary tweets; a few violent or sexual",
    verified="loader-code",
    flaws=(
        "not memes: tweets with photographs",
        (
            "of about 19,600 tweets the splits in use hold 17,024 (13,624, 1,700 and 1,700) after the usual merge: "
            "majority of three for text and for picture, then as in MVSA-Single; other merges have names"
        ),
        "no split is given: published ones are made at random, 8 to 1 to 1",
        "texts come in mixed encodings; some pictures are empty files",
    ),
)
_FILES = {"labelResultAll.txt": ""}


def _read(folder: Path, problems: Problems, variant: str) -> Iterator[Row]:
    return read_mvsa(folder, problems, 3, variant)


SOURCE = Source(
    _CARD,
    _FILES,
    _read,
    pictures=("data", "."),
    folders=("mvsa-multiple",),
    variants={
        **{name: f"majority of three for text and for picture; {meaning}" for name, meaning in RULES.items()},
        "balance": RULES["balance"] + ", over all six labels",
        TIE: "as usual, but three different labels count as neutral instead of leaving the tweet out",
    },
)
