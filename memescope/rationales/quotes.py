"""What a rationale puts in quotation marks, and whether the meme says it.

A quotation is `found` (on the meme), `caption` (only in the machine's caption, which no reader sees), `misplaced`
(the same, but given as text on the meme), `named` (the label in quotation marks), `alluded` (said to come from
elsewhere: a play on a slogan, a line of a film), `meant` (a word or two that nothing says are the meme's: the "right"
way), `unseen` (said of a picture that nobody has described) or `absent`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from memescope.rationales.matching import squeeze, stands_in
from memescope.rationales.naming import named_labels
from memescope.taxonomy.tasks import Task

# An opening mark follows no letter and a closing one is followed by none, so that a stray mark turns no pair around.
_DOUBLE = re.compile(r'(?<!\w)"([^"\n]{2,400})"(?!\w)|“([^”\n]{2,400})”|«([^»\n]{2,400})»|„([^“”\n]{2,400})[“”]')
_SINGLE = re.compile(r"(?:(?<=^)|(?<=[\s(\[—-]))['‘](?!s\s)([^\n\"“”]{1,300}?[^\s'’])['’](?=[\s.,;:!?)\]—-]|$)")
_ELSEWHERE = re.compile(
    r"\b(?:(?:play|pun|twist|spin|riff|variation) (?:on|of)|parody of|parodies|parodying|"
    r"reference to|references|referencing|refers to|referring to|allud\w+ to|reminiscent of|inspired by|based on|"
    r"known as|well-known|popular|famous|iconic|common|catchphrase|slogan|saying|proverb|idiom|expression|nickname|"
    r"stands? for|short for|replac\w+|declares?|declared|which means|meaning|associated with|quote by|acronym for|"
    r"abbreviation of|misspelling of|misspelled|version of|in place of|mentality|instead of|rather than|resembles|"
    r"similar to|movie|film|tv show|song|video game|franchise|series|novel|book|quote from|line from|spell)\b"
)
_ON_MEME = re.compile(r"\b(?:text|words?|wording|phrase|headline|written|reads?|says?|sentence|sign|caption)\b")
_OF_CAPTION = re.compile(r"\b(?:captions?|image|picture|photo)\b")
_IN_CAPTION = re.compile(r"[^.]{0,40}?\b(?:in|of|as|within) the (?:image |picture )?caption\b")
_SAID = re.compile(r"\b(?:text|words?|phrase|headline|written|reads?|reading|says?|saying|sign)\W+(?:\w+\W+){0,2}$")
_MEANT = 3
"""Fewer words may stand in quotation marks for another reason than that they are quoted."""
_REACH = 60
"""Characters before a quotation in which a cue says that it is from elsewhere."""


@dataclass(frozen=True)
class Quote:
    """A quotation and where it was found: `found`, `caption`, `misplaced`, `named`, `alluded`, `meant`, `unseen`,
    `absent`."""

    text: str
    where: str


def quoted(rationale: str) -> list[tuple[str, int]]:
    """What stands in quotation marks, with its place, in order. Apostrophes within words open nothing."""
    found = [(next(filter(None, match.groups())), match.start()) for match in _DOUBLE.finditer(rationale)]
    rest = _DOUBLE.sub(lambda match: '"' * len(match[0]), rationale)
    found += [(match[1], match.start()) for match in _SINGLE.finditer(rest)]
    return sorted(((text.strip(), at) for text, at in found if squeeze(text)), key=lambda one: one[1])


def check_quotes(
    rationale: str, text: str, caption: str = "", tags: Sequence[str] = (), task: Task | None = None
) -> list[Quote]:
    """Every quotation of a rationale and where it comes from. `text` and `tags` are what is on the meme."""
    found = []
    for its, at in quoted(rationale):
        before = re.split(r"[.!?]\s", rationale[:at].lower())[-1]
        after = rationale[at + len(its) :].lower()
        where = "found" if any(stands_in(its, one) for one in (text, *tags)) else ""
        if not where and caption and stands_in(its, caption):
            of_caption = _OF_CAPTION.search(before) or _IN_CAPTION.match(after)
            pretends = _ON_MEME.search(before) and not of_caption and not from_elsewhere(before)
            where = "misplaced" if pretends else "caption"
        if not where and task and named_labels(its, task) and len(its.split()) <= 4:
            where = "named"
        if not where and not caption and (_OF_CAPTION.search(before) or _in_picture(rationale[:at])):
            where = "unseen"
        if not where:
            where = "alluded" if from_elsewhere(before) else "absent" if _claims(its, before) else "meant"
        found.append(Quote(its, where))
    return found


def _in_picture(before: str) -> bool:
    """Whether a chain is in the part that reads the picture."""
    return before.rsplit("\n", 1)[-1].startswith("Image_analysis")


def _claims(its: str, before: str) -> bool:
    """Whether a quotation pretends to be words of the meme: a word or two in quotation marks may be meant, not
    quoted."""
    return len(its.split()) >= _MEANT or (len(squeeze(its)) > _MEANT and bool(_SAID.search(before)))


def from_elsewhere(before: str) -> bool:
    """Whether the words just before a quotation or name, lower-case, say that it comes from outside the meme."""
    return bool(_ELSEWHERE.search(before[-_REACH:]))
