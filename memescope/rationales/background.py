"""What a meme's text presumes that its reader knows: people, peoples, places, institutions, events, symbols, fiction.

A list of our own (`background.txt`, in English), whose names stand for all their forms in `names.txt`; no tagger. Site
marks and handles are taken out first. What a picture shows and the text does not name is not found.
"""

from __future__ import annotations

import re
from functools import cache
from importlib.resources import files

from memescope.perception.cleaning import clean
from memescope.rationales.matching import fold
from memescope.rationales.things import lexicon


@cache
def _kinds() -> dict[str, re.Pattern[str]]:
    """Kind -> a pattern of everything that is of it."""
    entries, _, places = lexicon("names")
    found = {}
    for line in files("memescope.rationales").joinpath("background.txt").read_text("utf-8").splitlines():
        if line.startswith("#") or not line.strip():
            continue
        kind, _, listed = line.partition(":")
        forms: dict[str, None] = {}
        for name in (fold(one.strip()) for one in listed.split(",")):
            forms.update(dict.fromkeys(entries[places[name]].forms if name in places else (name,)))
        longest = sorted(forms, key=len, reverse=True)
        found[kind] = re.compile(rf"(?<!\w)({'|'.join(map(re.escape, longest))})(?:'s|s)?(?!\w)")
    return found


def kinds() -> tuple[str, ...]:
    """The kinds of background knowledge that are told apart."""
    return tuple(_kinds())


def background(text: str) -> dict[str, list[str]]:
    """Kind -> what of it a meme's text names, lower-case, in order of appearance; empty where it names nothing."""
    cleaned = fold(clean(text))
    found = {kind: list(dict.fromkeys(pattern.findall(cleaned))) for kind, pattern in _kinds().items()}
    return {kind: names for kind, names in found.items() if names}
