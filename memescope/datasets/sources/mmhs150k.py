"""MMHS150K (Gomez et al., WACV 2020): tweets with a picture, each put into one of six classes by three people.

`MMHS150K_GT.json` is one object `{tweet id: {"img_url", "labels": [0-5, three of them], "labels_str", "tweet_url",
"tweet_text"}}`; `splits/{train,val,test}_ids.txt` have an id a line; `img_resized/ID.jpg` are the pictures and
`img_txt/ID.json` (`{"img_text"}`) the text that OCR found in them, where it found any.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from memescope.datasets.native import lines
from memescope.datasets.problems import Problems
from memescope.datasets.source import Card, Row, Source

_CARD = Card(
    name="mmhs150k",
    title="MMHS150K: multimodal hate speech on Twitter",
    paper="Gomez et al., Exploring Hate Speech Detection in Multimodal Publications, WACV 2020, "
    "https://arxiv.org/abs/1910.03814",
    licence="none stated; tweets and their pictures, for research",
    get="https://gombru.github.io/2019/10/09/MMHS (archive of 6 GB)",
    languages=("en",),
    rows={"train": 134823, "val": 5000, "test": 10000},
    warning="slurs in nearly every tweet: they were found by a list of hate words",
    verified="loader-code",
    flaws=(
        (
            "tweets, not memes: most pictures carry no text, and the text here is the tweet's; the text in the "
            "picture, where the authors' OCR found any, is in meta as picture_text"
        ),
        (
            "the annotators hardly agree: what counts as hateful depends on the rule (see the variants), and by the "
            "rule of MemeLens many more tweets are hateful than by the authors'"
        ),
        "MemeLens keeps about 59,300 tweets of it; by which rule is not stated",
    ),
    memelens=("Hateful_en__MMHS",),
)
_FILES = {
    "MMHS150K_GT.json": "",
    "splits/train_ids.txt": "train",
    "splits/val_ids.txt": "val",
    "splits/test_ids.txt": "test",
}
_CLASSES = ("NotHate", "Racist", "Sexist", "Homophobe", "Religion", "OtherHate")
_MIXED = "Hate"
"""The label of a tweet that is hateful by its votes though no class of hate was chosen twice."""


def _read(folder: Path, problems: Problems, variant: str) -> Iterator[Row]:
    tweets = _tweets(folder / "MMHS150K_GT.json", problems)
    if not tweets:
        return
    for name, split in _FILES.items():
        path = folder / name
        if not split or not path.is_file():
            continue
        for number, line in lines(path, problems):
            where, id = f"{path.name}:{number}", line.strip()
            if not id:
                continue
            tweet = tweets.get(id)
            if not isinstance(tweet, dict):
                problems.add("missing-field", where, f"tweet {id} is not in MMHS150K_GT.json", id)
                continue
            votes = _votes(tweet.get("labels"), where, id, problems)
            text = _picture_text(folder / "img_txt" / f"{id}.json", problems)
            meta: dict[str, Any] = {"votes": {"hate": votes}} if votes else {}
            yield Row(
                id=id,
                image=f"{id}.jpg",
                text=str(tweet.get("tweet_text") or ""),
                labels={"hate": decide(votes, variant) if votes else None},
                lang="en",
                split=split,
                where=where,
                meta=meta | ({"picture_text": text} if text else {}),
            )


def decide(votes: Sequence[str], variant: str) -> str:
    """One label from three votes: hateful where at least two people (`majority`) or one (`any`) chose a class of hate.

    The label is the class chosen most often if that is at least twice, `Hate` otherwise, or `NotHate`.
    """
    hate = [vote for vote in votes if vote != _CLASSES[0]]
    if len(hate) < (1 if variant == "any" else 2):
        return _CLASSES[0]
    name, times = Counter(hate).most_common(1)[0]
    return name if times > 1 else _MIXED


def _votes(found: Any, where: str, id: str, problems: Problems) -> list[str]:
    """The three votes by name; none, and a problem, for anything but three numbers from 0 to 5."""
    if (
        isinstance(found, list)
        and len(found) == 3
        and all(type(vote) is int and 0 <= vote < len(_CLASSES) for vote in found)
    ):
        return [_CLASSES[vote] for vote in found]
    problems.add("unknown-label", where, f"expected three labels from 0 to 5, found {found!r}", id, kept=True)
    return []


def _tweets(path: Path, problems: Problems) -> dict[str, Any]:
    if not path.is_file():
        problems.add("missing-file", path.name, "without it no row has a label or a text")
        return {}
    try:
        found = json.loads("\n".join(line for _, line in lines(path, problems)))
    except (json.JSONDecodeError, RecursionError) as error:
        problems.add("broken-line", path.name, f"not JSON: {error}")
        return {}
    if not isinstance(found, dict):
        problems.add("broken-line", path.name, f"expected an object of tweets by id, found {type(found).__name__}")
        return {}
    return found


def _picture_text(path: Path, problems: Problems) -> str:
    if not path.is_file():
        return ""
    try:
        found = json.loads("\n".join(line for _, line in lines(path, problems)))
    except (json.JSONDecodeError, RecursionError) as error:
        problems.add("broken-line", path.name, f"not JSON: {error}", kept=True)
        return ""
    return str(found.get("img_text") or "") if isinstance(found, dict) else ""


SOURCE = Source(
    _CARD,
    _FILES,
    _read,
    pictures=("img_resized",),
    folders=("mmhs",),
    variants={
        "majority": "hateful where at least two of the three annotators chose a class of hate, as the authors do",
        "any": "hateful where any annotator chose a class of hate, as MemeLens collapses the classes",
    },
)
