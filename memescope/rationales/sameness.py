"""Rationales that could stand under any meme: near-duplicates of each other, formulas, nothing said of this meme."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from memescope.curation.neartext import near_texts
from memescope.rationales.matching import content_words, stem, words
from memescope.rationales.things import Ground

RUN = 4
"""Words in a row that make a formula, where many rationales have them."""
COMMON, FEWEST = 0.01, 5
"""Share of all rationales, and number of them at least, that must have a run of words for it to be a formula."""
NEAR = 0.5
"""Share of runs of three words that two rationales have in common (Jaccard) to be near-duplicates."""
FREQUENT = 0.1
"""Words in more than this share of the rationales tell nothing of one meme."""
FEW = 0.05
"""Words in at most this share of the rationales are said for a reason."""


@dataclass(frozen=True)
class Sameness:
    """`twin` is the place of the rationale most like it (None without one), `formula` the share of words inside
    formulas.

    `own` is the number of different words that it shares with its meme or caption and that tell this meme from others,
    `telling` the number of its different words that few rationales have, wherever they come from.
    """

    twin: int | None
    formula: float
    own: int
    telling: int


def sameness(rationales: Sequence[str], grounds: Sequence[Ground]) -> list[Sameness]:
    """Of each rationale, beside all others of the set. `grounds` are the memes they belong to, in the same order."""
    tokens = [words(text) for text in rationales]
    runs = [_runs(its, RUN) for its in tokens]
    often = Counter(run for its in runs for run in set(its))
    least = max(FEWEST, COMMON * len(rationales))
    formulas = {run for run, count in often.items() if count >= least}
    known = Counter(word for text in rationales for word in {stem(word) for word in content_words(text)})
    twins = _twins(tokens)
    rare = {one for one, count in known.items() if count <= max(1, FREQUENT * len(rationales))}
    found = []
    for row, (its, ground) in enumerate(zip(tokens, grounds, strict=True)):
        covered = {place + i for place, run in enumerate(runs[row]) if run in formulas for i in range(RUN)}
        stems = {stem(word): word for word in content_words(rationales[row])}
        own = sum(one in rare and ground.knows(word) for one, word in stems.items())
        telling = sum(known[one] <= max(1, FEW * len(rationales)) for one in stems)
        found.append(Sameness(twins[row], len(covered) / len(its) if its else 0.0, own, telling))
    return found


def _runs(tokens: Sequence[str], length: int) -> list[str]:
    return [" ".join(tokens[i : i + length]) for i in range(len(tokens) - length + 1)]


def _twins(tokens: Sequence[Sequence[str]]) -> list[int | None]:
    best: list[tuple[float, int] | None] = [None] * len(tokens)
    for a, b, likeness in near_texts([frozenset(_runs(its, 3)) for its in tokens], NEAR):
        for one, other in ((a, b), (b, a)):
            if best[one] is None or (likeness, -other) > (best[one][0], -best[one][1]):  # type: ignore[index]
                best[one] = (likeness, other)
    return [None if one is None else one[1] for one in best]
