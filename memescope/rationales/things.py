"""People, places and objects that a rationale mentions and neither the meme's text, nor its caption or tags know of.

No tagger is needed. *Names*: those of `names.txt`, anywhere; and, where a rationale keeps capitals, its capitalised
words. *Things*: those of `things.txt`, only where the rationale speaks of the picture, since elsewhere they are
examples or consequences. What the words before say is an allusion (a popular film, a play on a slogan) is background
knowledge, not an invention. Each line of the two lists says what else accounts for its words: who reads "Wuhan" may
speak of China. *Details*: what a claim about the picture ("the image shows ...") says beyond what is known of it.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from memescope.rationales.matching import allowed, content_words, edits, fold, listed, squeeze, stem, words
from memescope.rationales.quotes import from_elsewhere
from memescope.rationales.rules import sentences_in

_PICTURE = re.compile(
    r"\b(?:image|picture|photo|photograph)s?\s(?:itself\s|also\s|further\s)*"
    r"(?:of|shows?|showing|depicts?|depicting|features?|featuring|contains?|portrays?|displays?|includes?)\b"
)
_DENIED = re.compile(r"\b(?:not|no|nor|without|never|neither|any|rather than|instead of|such as|like|as if|if)\b|n't\b")
_NEAR = 8
_CLAIM = re.compile(
    r"\b(?:image|picture|photo|photograph)s?\s(?:itself\s|also\s|further\s)*"
    r"(?:of|shows?|showing|depicts?|depicting|features?|featuring|portrays?|displays?|includes?)\s([^.,;:\"]*?)"
    r"(?=[.,;:\"]|\s(?:which|that|who|suggest\w*|impl\w+|adds?|further|may|could|can|might|is|are|seems?|appears?|"
    r"reinforc\w*|does|do|as|to|while|and the text|with the|creates?|serves?)\b|$)"
)
"""What a rationale says the picture shows, up to what it makes of it."""
_PLAIN = listed("plain")
"""Words of such claims that say little of what is seen."""
_DETAILS = 2
"""Words without grounds that make a claim about the picture an invented one: with one it is often a paraphrase."""
_CAPITAL = re.compile(r"(?<=[a-z,;] )[A-Z][\w.'’-]*[a-z](?:\s(?:[A-Z][\w.'’-]*[a-z]))*")


@dataclass(frozen=True)
class Entry:
    """One line of a list: the words that name a thing, and what besides them accounts for it."""

    forms: tuple[str, ...]
    grounds: frozenset[str]


@cache
def lexicon(name: str) -> tuple[tuple[Entry, ...], re.Pattern[str], dict[str, int]]:
    """Entries of `names` or `things`, a pattern of their forms, and the entry of each form."""
    entries: list[Entry] = []
    places: dict[str, int] = {}
    for line in files("memescope.rationales").joinpath(f"{name}.txt").read_text("utf-8").splitlines():
        if not line.strip() or line.startswith("#"):
            continue
        left, _, right = line.partition("|")
        forms = tuple(form.strip() for form in left.split(",") if form.strip())
        further = [one.strip() for one in right.split(",") if one.strip()]
        for form in forms:
            places.setdefault(form, len(entries))
        entries.append(Entry(forms, frozenset([*forms, *further])))
    longest = sorted(places, key=len, reverse=True)
    pattern = re.compile(rf"(?<![\w@#-])(?:{'|'.join(map(re.escape, longest))})(?![\w-])")
    return tuple(entries), pattern, places


class Ground:
    """What is on a meme or said of it, ready to be asked for words: text, caption and tags as one."""

    def __init__(self, texts: Sequence[str]) -> None:
        joined = fold("\n".join(texts))
        self.text = f" {' '.join(joined.split())} "
        tokens = words(joined)
        self.stems = {stem(token) for token in tokens} | set(tokens)
        self._run = squeeze(joined)
        self._long = [token for token in tokens if len(token) >= 5]

    def knows(self, word: str) -> bool:
        """Whether the word, an inflection of it, it with an OCR slip, is there; of several words, each."""
        word = fold(word)
        if not any(c.isalnum() for c in word):
            return word in self.text
        parts = words(word)
        if len(parts) > 1:
            return squeeze(word) in self._run or all(self.knows(part) for part in parts)
        part = parts[0] if parts else word
        if part in self.stems or stem(part) in self.stems:
            return True
        if len(part) == 4 and any(part in one and len(one) <= 6 for one in self.stems):
            return True  # OCR joins short words: `amask`
        if len(part) < 5:
            return False
        if part in self._run:
            return True
        room = min(allowed(len(part)), 2)
        return any(abs(len(one) - len(part)) <= room and edits(part, one, False) <= room for one in self._long)


def unaccounted_names(rationale: str, ground: Ground) -> list[str]:
    """The names in a rationale that `ground` does not account for, lower-case, in order of sentences."""
    found: dict[str, None] = {}
    for sentence in sentences_in(rationale):
        found.update(dict.fromkeys(_absent("names", fold(sentence), ground)))
        if sentence != sentence.lower():
            for match in _CAPITAL.finditer(sentence):
                name = fold(re.sub(r"['’]s$", "", match[0]))
                if name not in lexicon("names")[2] and not any(ground.knows(part) for part in words(name)):
                    found.setdefault(name)
    return list(found)


def unaccounted_things(rationale: str, ground: Ground) -> list[str]:
    """The people and things that a rationale sees in the picture and `ground` does not account for, in order."""
    found: dict[str, None] = {}
    for sentence in sentences_in(fold(rationale)):
        if picture := _PICTURE.search(sentence):
            found.update(dict.fromkeys(_absent("things", sentence[picture.start() :], ground)))
    return list(found)


def invented_details(rationale: str, ground: Ground, usual: Collection[str] = ()) -> list[str]:
    """Words of claims about the picture that `ground` does not account for, where a claim has several of them.

    `usual` are stems of words that many rationales have: the vocabulary of judging, not of what is seen.
    """
    found: dict[str, None] = {}
    for claim in _CLAIM.finditer(fold(rationale)):
        details = [
            word
            for word in content_words(claim[1])
            if word not in _PLAIN and stem(word) not in usual and not ground.knows(word)
        ]
        if len(set(details)) >= _DETAILS and not _DENIED.search(claim[0]):
            found.update(dict.fromkeys(details))
    return list(found)


def _absent(name: str, sentence: str, ground: Ground) -> list[str]:
    entries, pattern, places = lexicon(name)
    absent = []
    for match in pattern.finditer(sentence):
        before = " ".join(sentence[: match.start()].split()[-_NEAR:])
        if _DENIED.search(before) or (name == "names" and from_elsewhere(sentence[: match.start()])):
            continue
        if not any(ground.knows(one) for one in entries[places[match[0]]].grounds):
            absent.append(match[0])
    return absent
