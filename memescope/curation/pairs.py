"""Which rows of one or several datasets are the same meme, the same picture or the same text: pairs, each with a class.

Candidates come from equal bytes, pixels and names, PDQ hashes of the plain and of the inpainted picture, mirrored
hashes, equal and nearly equal texts, and the dataset's own ids of parallel versions. Keypoints (`geometry.align`) then
verify what no hash settles. Thresholds are those of `duplicates` (`docs/duplicates.md`); what each class means for a
split is said in `docs/data/audit.md`.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Literal, get_args

import numpy as np

from memescope.curation.duplicates import (
    AGREES,
    AGREES_THROUGHOUT,
    MIRROR,
    MIRROR_BITS,
    MOST_LOST,
    PDQ_BITS,
    POINTS_ALONE,
    SHARE_THROUGHOUT,
    SURE_BITS,
)
from memescope.curation.families import FAMILY_OF
from memescope.curation.fingerprints import FilePrint, fingerprint_files
from memescope.curation.geometry import LEAST_OVERLAP, Alignment, align
from memescope.curation.hashes import MIN_QUALITY, Fingerprint
from memescope.curation.identity import PARALLEL, Progress
from memescope.curation.neartext import near_texts
from memescope.curation.neighbours import near_pairs
from memescope.curation.sametext import compare, letter_groups
from memescope.meme import Meme
from memescope.perception.cleaning import letters

Class = Literal["exact", "re-encoded", "parallel", "template", "same-text", "text-only"]
CLASSES: tuple[Class, ...] = get_args(Class)
MEANING: dict[Class, str] = {
    "exact": "same picture (bytes, pixels or name) and same text",
    "re-encoded": "same meme, re-encoded, rescaled, mirrored, cropped or overlaid",
    "parallel": "one meme in several languages, by the dataset's own id",
    "template": "same picture or template, other text",
    "same-text": "same text, other picture (a benign confounder, or a common phrase)",
    "text-only": "same text, picture unknown",
}
LEAKS: tuple[Class, ...] = ("exact", "re-encoded", "parallel")
"""Classes that are one meme: a test row of such a pair with a training row says nothing about new memes."""
Text = Literal["equal", "same", "doubtful", "other", "unknown"]
"""`equal` letters; otherwise `sametext.compare` of the letter groups. `unknown` where either is empty."""

CANDIDATE_TEXT, NEAR_TEXT = 0.6, 0.8
"""Least Jaccard similarity of letter groups for a pair's pictures to be compared; for two texts to be called the same
where no picture agrees."""
LEAST_OVERLAP_EQUAL = 0.2
"""As `geometry.LEAST_OVERLAP`, where the texts are equal: a crop by half of width and height leaves .25."""
BARE_SURE_BITS = 12
"""Hashes of inpainted pictures up to here are believed where keypoints are too few to tell."""
_NOTHING = frozenset({"null", "nan", "none"})
"""What stands in some datasets where there was no text."""
_ALL_PAIRS = 24
"""More rows than this with one text or picture are each paired with the first of every split only."""


@dataclass(slots=True, eq=False)
class Entry:
    """One row. `set` is its dataset's name here; `letters` and `groups` are its text's (`sametext`); `print` is None
    where the picture is missing or cannot be read; `bare` the fingerprint of the inpainted picture, where asked for."""

    meme: Meme
    set: str
    letters: str
    groups: frozenset[str]
    print: FilePrint | None = None
    bare: Fingerprint | None = None

    @property
    def place(self) -> tuple[str, str]:
        """Dataset and split."""
        return self.set, self.meme.split or ""

    @property
    def marks(self) -> Fingerprint | None:
        """The plain picture's fingerprint."""
        return None if self.print is None else self.print.marks


@dataclass(frozen=True, slots=True)
class Pair:
    """Entries `first` < `second`. `how` they were found the same: by the pictures' `bytes`, `pixels`, `name`, `hash`,
    `mirrored hash` or `keypoints`, by those of the `inpainted` pictures, by `id` or by `text` alone. `bits` and
    `bare_bits`: differing bits of the plain and of the inpainted pictures' hashes, where there are two; `similarity`:
    Jaccard, of the letter groups."""

    first: int
    second: int
    kind: Class
    how: str
    text: Text
    similarity: float
    bits: int | None = None
    bare_bits: int | None = None


def enter(
    memes: Sequence[Meme], names: Sequence[str], *, inpainted: bool = False, progress: Progress = lambda s, d, t: None
) -> tuple[list[Entry], dict[int, str]]:
    """An entry for each meme, its pictures read, and by row why a picture that is there could not be read.

    A picture that is not there is no error: the row is known by its text and names.
    """
    entries = []
    known: dict[str, frozenset[str]] = {}
    for meme, name in zip(memes, names, strict=True):
        joined = letters(meme.text)
        entries.append(Entry(meme, name, joined, known.setdefault(joined, letter_groups(meme.text))))
    there = [row for row, entry in enumerate(entries) if _is_there(entry.meme.image)]
    files = [entries[row].meme.image for row in there]
    errors = {}
    for row, its in zip(there, fingerprint_files(files, progress=progress), strict=True):
        if its.error is None:
            entries[row].print = its
        else:
            errors[row] = its.error
    if inpainted:
        for row, its in zip(there, fingerprint_files(files, inpainted=True, progress=progress), strict=True):
            entries[row].bare = its.marks
    return entries, errors


def find_pairs(entries: Sequence[Entry], progress: Progress = lambda stage, done, total: None) -> list[Pair]:
    """All pairs of `entries`, by first and second row, each once and with one class."""
    search = _Search(entries)
    search.by_keys()
    search.by_hashes()
    search.by_texts()
    return search.classified(progress)


def _is_there(image: object) -> bool:
    return isinstance(image, bytes) or (isinstance(image, Path) and image.is_file())


class _Search:
    def __init__(self, entries: Sequence[Entry]) -> None:
        self._entries = entries
        self._candidates: set[tuple[int, int]] = set()

    def by_keys(self) -> None:
        """What shares a file, its pixels, a name, a parallel id or the letters of its text."""
        self._link(entry.print and entry.print.file for entry in self._entries)
        self._link(entry.print and entry.print.pixels for entry in self._entries)
        self._link(map(_name, self._entries))
        self._link(map(_parallel, self._entries))
        self._link(entry.letters for entry in self._entries)

    def by_hashes(self) -> None:
        """What is near by the plain, the mirrored and the inpainted picture's hash."""
        plain = [entry.marks for entry in self._entries]
        self._near(plain, PDQ_BITS)
        self._near(plain, MIRROR_BITS, MIRROR)
        self._near([entry.bare for entry in self._entries], PDQ_BITS)

    def by_texts(self) -> None:
        """What says nearly the same."""
        rows: dict[str, list[int]] = defaultdict(list)
        for row, entry in enumerate(self._entries):
            if entry.groups:
                rows[entry.letters].append(row)
        texts = list(rows)
        groups = [self._entries[rows[text][0]].groups for text in texts]
        for a, b, _ in near_texts(groups, CANDIDATE_TEXT):
            self._across(rows[texts[a]], rows[texts[b]])

    def classified(self, progress: Progress) -> list[Pair]:
        found = []
        for done, (a, b) in enumerate(sorted(self._candidates), 1):
            pair = _classify(a, b, self._entries[a], self._entries[b])
            if pair is not None:
                found.append(pair)
            if done % 256 == 0 or done == len(self._candidates):
                progress("compare pairs", done, len(self._candidates))
        return found

    def _link(self, keys: Iterable[Hashable]) -> None:
        rows: dict[Hashable, list[int]] = defaultdict(list)
        for row, key in enumerate(keys):
            if key:
                rows[key].append(row)
        for its in rows.values():
            self._among(its)

    def _near(self, marks: Sequence[Fingerprint | None], bits: int, mask: np.ndarray | None = None) -> None:
        rows: dict[bytes, list[int]] = defaultdict(list)
        for row, one in enumerate(marks):
            if one is not None and one.quality >= MIN_QUALITY:
                rows[one.pdq].append(row)
        distinct = list(rows)
        hashes = np.frombuffer(b"".join(distinct), np.uint8).reshape(-1, 32)
        if mask is None:
            for its in rows.values():
                self._among(its)
        for pairs in near_pairs(hashes, bits, mask=mask):
            for a, b in zip(pairs.first.tolist(), pairs.second.tolist(), strict=True):
                self._across(rows[distinct[a]], rows[distinct[b]])

    def _among(self, rows: Sequence[int]) -> None:
        if len(rows) <= _ALL_PAIRS:
            self._candidates.update(combinations(rows, 2))
        else:
            self._across(rows, rows)

    def _across(self, some: Sequence[int], others: Sequence[int]) -> None:
        """Pairs between two groups of rows; of large groups each row with the first of every split of the other."""
        if len(some) * len(others) > _ALL_PAIRS**2:
            pairs = [(a, b) for a in some for b in self._firsts(others)]
            pairs += [(a, b) for a in self._firsts(some) for b in others]
        else:
            pairs = [(a, b) for a in some for b in others]
        self._candidates.update((min(pair), max(pair)) for pair in pairs if pair[0] != pair[1])

    def _firsts(self, rows: Sequence[int]) -> list[int]:
        firsts: dict[tuple[str, str], int] = {}
        for row in rows:
            firsts.setdefault(self._entries[row].place, row)
        return list(firsts.values())


def _name(entry: Entry) -> Hashable:
    """What datasets that share memes call the picture; within one dataset its path."""
    meme, family = entry.meme, FAMILY_OF.get(entry.meme.source or "")
    if family is not None and family.by == "id":
        return family.datasets, meme.id
    if not isinstance(meme.image, Path):
        return None
    return (family.datasets, meme.image.stem.lstrip("0")) if family else (entry.set, str(meme.image))


def _parallel(entry: Entry) -> Hashable:
    return (entry.set, str(entry.meme.meta[PARALLEL])) if PARALLEL in entry.meme.meta else None


def _classify(first: int, second: int, a: Entry, b: Entry) -> Pair | None:
    """The pair with its class, or None where neither picture nor text is the same."""
    text, similarity = _texts(a, b)
    bits, bare = _bits(a.marks, b.marks), _bits(a.bare, b.bare)

    def pair(kind: Class, how: str) -> Pair:
        return Pair(first, second, kind, how, text, round(similarity, 3), bits, bare)

    found: Pair | None
    if (same := _same_file(a, b)) is not None:
        found = pair("template" if text == "other" else "exact", same)
    elif a.marks is None or b.marks is None:
        found = pair("text-only", "text") if text == "equal" or similarity >= NEAR_TEXT else None
    else:
        kind, how = _compare_pictures(a, b, a.marks, b.marks, text, similarity, bits, bare)
        found = pair(kind, how) if kind is not None else None
    if (found is None or found.kind not in LEAKS) and (name := _parallel(a)) is not None and name == _parallel(b):
        return pair("parallel", "id" if found is None else found.how)
    return found


def _compare_pictures(
    a: Entry,
    b: Entry,
    marks: Fingerprint,
    others: Fingerprint,
    text: Text,
    similarity: float,
    bits: int | None,
    bare: int | None,
) -> tuple[Class | None, str]:
    near = bits is not None and bits <= PDQ_BITS
    found = align(marks, others, LEAST_OVERLAP if text != "equal" else LEAST_OVERLAP_EQUAL)
    if _one_meme(found, text, near, bits):
        return "re-encoded", "hash" if near else "keypoints"
    mirrored = _bits(marks, others, MIRROR)
    if mirrored is not None and mirrored <= MIRROR_BITS:
        return ("template" if text == "other" else "re-encoded"), "mirrored hash"
    if near:
        return "template", "hash"
    said = text == "equal" or similarity >= NEAR_TEXT
    if (said or (bare is not None and bare <= PDQ_BITS)) and _one_picture(a.bare, b.bare, bare):
        return ("re-encoded" if said else "template"), "inpainted"
    return ("same-text" if said else None), "text"


def _one_picture(a: Fingerprint | None, b: Fingerprint | None, bits: int | None) -> bool:
    """Whether two pictures are the same beneath their letters: one caption set anew, or one template."""
    if a is None or b is None:
        return False
    found = align(a, b)
    return bits is not None and bits <= BARE_SURE_BITS if found is None else found.lost <= MOST_LOST


def _one_meme(found: Alignment | None, text: Text, near: bool, bits: int | None) -> bool:
    """Whether two pictures are one meme, given what their texts are to each other."""
    if found is None:
        # Too plain for keypoints, or not held together by any transform: the hash is all there is.
        return near and bits is not None and (text == "equal" or (text in ("same", "unknown") and bits <= SURE_BITS))
    if text == "equal":
        return near or found.lost <= MOST_LOST
    if text == "same":
        return found.lost <= MOST_LOST and found.replaced <= AGREES
    if text == "doubtful":
        return near and found.replaced <= AGREES_THROUGHOUT and found.share >= SHARE_THROUGHOUT
    if text == "unknown":
        return found.replaced <= AGREES and found.points >= POINTS_ALONE
    return False


def _texts(a: Entry, b: Entry) -> tuple[Text, float]:
    if not a.letters or not b.letters or a.letters in _NOTHING or b.letters in _NOTHING:
        return "unknown", 0.0
    if a.letters == b.letters:
        return "equal", 1.0
    common = len(a.groups & b.groups)
    relation: Text = compare(a.groups, b.groups)
    if relation == "unknown":
        # Short, but given and not read by OCR: two that differ are two, unless one may have lost some of its words.
        relation = "doubtful" if a.letters in b.letters or b.letters in a.letters else "other"
    return relation, common / max(1, len(a.groups) + len(b.groups) - common)


def _same_file(a: Entry, b: Entry) -> str | None:
    if a.print is not None and b.print is not None:
        if a.print.file == b.print.file:
            return "bytes"
        return "pixels" if a.print.pixels == b.print.pixels else None
    return "name" if (name := _name(a)) is not None and name == _name(b) else None


def _bits(a: Fingerprint | None, b: Fingerprint | None, mask: np.ndarray | None = None) -> int | None:
    """Differing bits of two hashes, or None where there are not two that say something."""
    if a is None or b is None or min(a.quality, b.quality) < MIN_QUALITY:
        return None
    differ = np.frombuffer(a.pdq, np.uint8) ^ np.frombuffer(b.pdq, np.uint8)
    return int(np.bitwise_count(differ if mask is None else differ ^ mask).sum())
