"""Public datasets that are made of the same memes, and which of them correct which.

Facts from their papers: HatReD, the fine-grained labels (WOAH 2021 shared task) and the German captions annotate the
memes of Facebook Hateful Memes; MMSD2.0 relabels MMSD, MORE explains part of it; SemEval-2021 task 6 labels the texts
of memes whose pictures are in propaganda-techniques-in-memes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Family:
    """Datasets that name the same meme the same way: by the picture's file name, or by the row's id.

    `confounders`: one caption stands on several pictures by design, so an equal text never means the same meme.
    `reused`: a file name stands for several memes or posts, so that the text must be the same too.
    """

    datasets: tuple[str, ...]
    by: Literal["picture", "id"]
    confounders: bool = False
    reused: bool = False


FAMILIES = (
    Family(("fhm", "fhm_fine_grained", "german_fhm", "hatred"), "picture", confounders=True),
    Family(("mmsd", "mmsd2", "muse_more"), "id"),
    Family(("semeval21t6", "propaganda_memes"), "id"),
    Family(("twitter2015",), "picture", reused=True),
    Family(("twitter2017",), "picture", reused=True),
    Family(("memotion7k",), "picture", reused=True),
    Family(("toxicn_mm",), "picture"),
)
FAMILY_OF = {name: family for family in FAMILIES for name in family.datasets}

POSTS = frozenset({"masad", "mmhs150k", "mmsd", "mmsd2", "muse_more", "mvsa_multiple", "mvsa_single"})
POSTS |= {"twitter2015", "twitter2017"}
"""The text is a post's, beside the picture and not in it: no OCR slip excuses other words, they are another post."""

CORRECTS = {
    "fhm_fine_grained": "fhm",
    "mmsd2": "mmsd",
    "toxicn_mm": "toxicn_mm[1.0]",
    "propaganda_memes": "semeval21t6",
}
"""Labels that came later and were made with more to go on: a second look, or the picture beside the text."""
