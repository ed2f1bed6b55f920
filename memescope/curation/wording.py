"""Words that set one label apart from the others: log-odds with an informative Dirichlet prior.

Monroe, Colaresi and Quinn, Fightin' Words, Political Analysis 2008, equations 15, 16, 20 and 22. The prior is the whole
set's own word counts, shrunk to `PRIOR` words, so that rare words do not come out on top. A word counts once a meme.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from memescope.curation.identity import normal_text

PRIOR = 500.0
FEWEST = 5
"""Words on fewer memes are left out."""
SURE = 1.96
_CHINESE = re.compile(r"[\u2e80-\u9fff\uf900-\ufaff]")
_TOKEN = re.compile(r"[\u2e80-\u9fff\uf900-\ufaff]|[^\s\u2e80-\u9fff\uf900-\ufaff]+")


@dataclass(frozen=True)
class Distinctive:
    """A word of a label: `z` is its log-odds against all other labels in standard deviations, `memes` and `others` on
    how many memes of the label and of the others it stands."""

    word: str
    z: float
    memes: int
    others: int


def tokens(text: str) -> list[str]:
    """The words of a text, normalised. Chinese is written without spaces: each character is one, so that lengths
    compare."""
    return _TOKEN.findall(normal_text(text))


def terms(text: str) -> set[str]:
    """What is counted: the words of a text, of Chinese the pairs of neighbouring characters."""
    found = set()
    for word in normal_text(text).split():
        if _CHINESE.search(word):
            found |= {word[i : i + 2] for i in range(len(word) - 1)} if len(word) > 1 else {word}
        else:
            found.add(word)
    return found


def log_odds(inside: int, inside_all: int, outside: int, outside_all: int, prior: float, prior_all: float) -> float:
    """z of one word: its counts and all words' in the label and outside it, and the prior's."""
    first, second = inside + prior, outside + prior
    odds = first / (inside_all + prior_all - first), second / (outside_all + prior_all - second)
    return math.log(odds[0] / odds[1]) / math.sqrt(1 / first + 1 / second)


def distinctive(texts: Sequence[str], labels: Sequence[Sequence[str]], most: int = 12) -> dict[str, list[Distinctive]]:
    """For each label its most distinctive words, z at least 1.96, best first. A row may have several labels; the same
    text with the same labels counts once."""
    rows = list(dict.fromkeys((text, tuple(its)) for text, its in zip(texts, labels, strict=True) if text.strip()))
    counts: dict[str, Counter[str]] = {}
    everything: Counter[str] = Counter()
    for text, its in rows:
        words = terms(text)
        everything.update(words)
        for label in its:
            counts.setdefault(label, Counter()).update(words)
    total = sum(everything.values())
    return {label: _best(counted, everything, total, most) for label, counted in counts.items()}


def _best(counted: Mapping[str, int], everything: Mapping[str, int], total: int, most: int) -> list[Distinctive]:
    here = sum(counted.values())
    if here == total:
        return []
    found = []
    for word, memes in counted.items():
        if everything[word] >= FEWEST:
            others = everything[word] - memes
            z = log_odds(memes, here, others, total - here, PRIOR * everything[word] / total, PRIOR)
            if z >= SURE:
                found.append(Distinctive(word, z, memes, others))
    return sorted(found, key=lambda d: (-d.z, d.word))[:most]
