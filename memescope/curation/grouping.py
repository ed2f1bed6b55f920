"""Which rows of one or several datasets are the same meme, and by what evidence.

From strong to weak: `name` (datasets that share pictures call them the same, or a row stands in two splits or copies of
one dataset), `parallel` (one meme in several languages or cultures), `picture` (equal pixels), `near` (PDQ hashes that
nearly agree), `text` (the same words where at least one of the pictures is missing). A picture with other words is
another meme, so `picture` and `near` ask that the texts do not contradict; `text` asks for words that say enough, and
is not used where the pictures are there and differ, between a meme and a post, or in datasets that put one caption on
several pictures by design.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Literal, NamedTuple, get_args

import numpy as np

from memescope.curation.duplicates import MIN_QUALITY
from memescope.curation.families import FAMILY_OF, POSTS
from memescope.curation.fingerprints import fingerprint_files
from memescope.curation.identity import NEAR_BITS, PARALLEL, normal_text
from memescope.curation.neighbours import near_pairs
from memescope.curation.sametext import TextRelation, compare, letter_groups
from memescope.datasets.harmonise import has_picture
from memescope.meme import Meme

Evidence = Literal["name", "parallel", "picture", "near", "text", "linked"]
EVIDENCE: tuple[Evidence, ...] = get_args(Evidence)
"""From strong to weak. `linked`: only through other rows of the group."""
WEAK: tuple[Evidence, ...] = ("text", "linked")
MISREAD_BITS = 6
"""In the sets at hand, pairs whose texts agree by half are misread copies up to here, templates from 10 bits on."""
FEWEST_GROUPS, FEWEST_WORDS = 20, 4
"""Fewer groups of letters, or words, say too little: "when you see it" stands on many memes."""
MOST_SHARED = 12
"""A text on more memes than this is a common phrase (a watermark, a template's own words), not a sign of one meme."""
Key = tuple[Evidence, Hashable]
_CHUNK = 4096


@dataclass(frozen=True)
class Grouping:
    """`groups`: rows that are one meme, each group with two rows or more. `keys[row]`: what links the row to others.

    `common` counts the texts that were too common to be a sign; `pictures` the rows whose picture was read.
    """

    groups: list[list[int]]
    keys: list[frozenset[Key]]
    common: int
    pictures: int

    def evidence(self, first: int, second: int) -> Evidence:
        """The strongest sign that two rows of one group are the same meme."""
        shared = self.keys[first] & self.keys[second]
        return min((kind for kind, _ in shared), key=EVIDENCE.index, default="linked")

    def sure_parts(self, rows: Sequence[int]) -> list[list[int]]:
        """A group's rows parted where only texts link them."""
        links = _Links(len(rows))
        links.join("linked", ([key for key in self.keys[row] if key[0] not in WEAK] for row in rows))
        parts: dict[int, list[int]] = defaultdict(list)
        for place, row in enumerate(rows):
            parts[links.root(place)].append(row)
        return list(parts.values())

    def units(self, rows: int) -> list[list[int]]:
        """All rows, each alone or with its group: what counts as one meme."""
        grouped = {row for group in self.groups for row in group}
        return [*self.groups, *([row] for row in range(rows) if row not in grouped)]


def group(memes: Sequence[Meme], progress: Callable[[str, int, int], None] = lambda s, d, t: None) -> Grouping:
    """Group rows that are the same meme. Pictures that are there are read (once: their marks are cached)."""
    links = _Links(len(memes))
    marks = _marks(memes, progress)
    texts = [normal_text(meme.text) for meme in memes]
    letters = _Letters(texts, [meme.source in POSTS for meme in memes])
    links.join("name", (_names(meme, text) for meme, text in zip(memes, texts, strict=True)))
    links.join("parallel", (_parallel(meme) for meme in memes))
    _join_pictures(links, marks, letters, progress)
    common = _join_texts(links, memes, texts, marks, letters)
    return Grouping(links.groups(), [frozenset(keys) for keys in links.keys], common, sum(m is not None for m in marks))


class _Marks(NamedTuple):
    """What a picture is known by: SHA-256 of its pixels, PDQ hash (32 bytes) and PDQ quality."""

    pixels: str
    pdq: bytes
    quality: int


def _marks(memes: Sequence[Meme], progress: Callable[[str, int, int], None]) -> list[_Marks | None]:
    """The marks of each meme's picture; None where it is not there or cannot be read."""
    paths = list(dict.fromkeys(m.image for m in memes if isinstance(m.image, bytes) or has_picture(m)))
    found: dict[Path | bytes, _Marks] = {}
    for start in range(0, len(paths), _CHUNK):
        # In chunks, since a fingerprint carries keypoints that are of no use here.
        chunk = paths[start : start + _CHUNK]

        def told(stage: str, done: int, total: int, before: int = start) -> None:
            progress(stage, before + done, len(paths))

        prints = fingerprint_files(chunk, progress=told)
        for path, known in zip(chunk, prints, strict=True):
            if known.marks is not None:
                found[path] = _Marks(known.pixels, known.marks.pdq, known.marks.quality)
    return [found.get(meme.image) if isinstance(meme.image, Path | bytes) else None for meme in memes]


class _Links:
    """Union-find over rows that remembers what each link rests on."""

    def __init__(self, rows: int) -> None:
        self.parent = list(range(rows))
        self.keys: list[set[Key]] = [set() for _ in range(rows)]

    def root(self, row: int) -> int:
        while self.parent[row] != row:
            self.parent[row] = self.parent[self.parent[row]]
            row = self.parent[row]
        return row

    def link(self, kind: Evidence, value: Hashable, rows: Iterable[int]) -> None:
        rows = list(rows)
        for row in rows:
            self.keys[row].add((kind, value))
            a, b = self.root(rows[0]), self.root(row)
            self.parent[max(a, b)] = min(a, b)

    def join(self, kind: Evidence, values: Iterable[Iterable[Hashable]]) -> None:
        """Link all rows that share a value."""
        shared: dict[Hashable, list[int]] = defaultdict(list)
        for row, its in enumerate(values):
            for value in its:
                shared[value].append(row)
        for value, rows in shared.items():
            if len(rows) > 1:
                self.link(kind, value, rows)

    def groups(self) -> list[list[int]]:
        found: dict[int, list[int]] = defaultdict(list)
        for row in range(len(self.parent)):
            found[self.root(row)].append(row)
        return [rows for rows in found.values() if len(rows) > 1]


class _Letters:
    """The letter groups of the texts that are asked for. `posts`: rows whose text stands beside the picture."""

    def __init__(self, texts: Sequence[str], posts: Sequence[bool]) -> None:
        self._texts, self._posts = texts, posts
        self._known: dict[str, frozenset[str]] = {}

    def __getitem__(self, row: int) -> frozenset[str]:
        text = self._texts[row]
        if text not in self._known:
            self._known[text] = letter_groups(text)
        return self._known[text]

    def contradict(self, first: int, second: int) -> bool:
        """Whether two rows with the same picture say something else, so that they are two memes or posts."""
        relation = self._relation(first, second)
        return relation == "other" or (relation == "doubtful" and self._posts[first] and self._posts[second])

    def agree(self, first: int, second: int, bits: int) -> bool:
        """Whether the texts of two rows whose pictures differ in `bits` bits allow that they are one meme.

        One template with two captions differs as little as a meme saved twice: only where the pictures hardly differ
        may a text be misread to this degree.
        """
        relation = self._relation(first, second)
        if relation == "doubtful":
            return bits <= MISREAD_BITS and not (self._posts[first] and self._posts[second])
        return relation == "same" or not (self._texts[first] and self._texts[second])

    def _relation(self, first: int, second: int) -> TextRelation:
        if self._texts[first] and self._texts[first] == self._texts[second]:
            return "same"
        return compare(self[first], self[second])


def _names(meme: Meme, text: str) -> list[Hashable]:
    source = meme.source or ""
    names: list[Hashable] = [("row", source, meme.id, text)]
    family = FAMILY_OF.get(source)
    if family and family.by == "id":
        names.append((family.datasets, meme.id))
    elif family and isinstance(meme.image, Path):
        named = [meme.image.name, meme.meta.get("orig_name") or meme.image.name]
        more = text if family.reused else ""
        names += [(family.datasets, Path(name).stem.lstrip("0"), more) for name in dict.fromkeys(named)]
    return names


def _parallel(meme: Meme) -> list[Hashable]:
    return [(meme.source, str(meme.meta[PARALLEL]))] if PARALLEL in meme.meta else []


def _join_pictures(
    links: _Links, marks: Sequence[_Marks | None], letters: _Letters, progress: Callable[[str, int, int], None]
) -> None:
    alike: dict[str, list[int]] = defaultdict(list)
    for row, mark in enumerate(marks):
        if mark is not None:
            alike[mark.pixels].append(row)
    for pixels, rows in alike.items():
        parts: list[list[int]] = []
        for row in rows:
            # Compared with each part's first row only: thousands of blank pictures stay cheap.
            part = next((part for part in parts if not letters.contradict(part[0], row)), None)
            parts.append([row]) if part is None else part.append(row)
        for number, part in enumerate(parts):
            if len(part) > 1:
                links.link("picture", (pixels, number), part)
    clear = [(row, mark) for row, mark in enumerate(marks) if mark is not None and mark.quality >= MIN_QUALITY]
    of_hash: dict[bytes, list[int]] = defaultdict(list)
    for row, mark in clear:
        of_hash[mark.pdq].append(row)
    hashes = list(of_hash)
    progress("compare", 0, len(hashes))
    close = [(n, n, 0) for n in range(len(hashes)) if len(of_hash[hashes[n]]) > 1]
    for pairs in near_pairs(np.frombuffer(b"".join(hashes), np.uint8).reshape(-1, 32), NEAR_BITS):
        close += zip(pairs.first.tolist(), pairs.second.tolist(), pairs.bits.tolist(), strict=True)
    for a, b, bits in close:
        for first, second in product(of_hash[hashes[a]], of_hash[hashes[b]]):
            if first != second and letters.agree(first, second, bits):
                pair = (min(first, second), max(first, second))
                links.link("near", pair, pair)
    progress("compare", len(hashes), len(hashes))


def _join_texts(
    links: _Links, memes: Sequence[Meme], texts: Sequence[str], marks: Sequence[_Marks | None], letters: _Letters
) -> int:
    """Link rows with the same telling text; the number of texts too common to tell."""
    # A row's picture may be known from another copy of the dataset: what the names link is looked at as one.
    unit = [links.root(row) for row in range(len(memes))]
    seen = {unit[row] for row, mark in enumerate(marks) if mark is not None}
    said: dict[tuple[str, bool], list[int]] = defaultdict(list)
    for row, (meme, text) in enumerate(zip(memes, texts, strict=True)):
        family = FAMILY_OF.get(meme.source or "")
        if text and not (family and family.confounders):
            said[text, meme.source in POSTS].append(row)
    common = 0
    for (text, _), rows in said.items():
        units = {unit[row] for row in rows}
        if len(units) < 2 or not telling(text, letters[rows[0]]):
            continue
        if len(units) > MOST_SHARED:
            common += 1
            continue
        # Two memes whose pictures are both known and were not found alike are two memes.
        unseen = [row for row in rows if unit[row] not in seen]
        known = [row for row in rows if unit[row] in seen]
        if len(unseen) > 1:
            links.link("text", (text, rows[0]), unseen)
        if unseen and len({unit[row] for row in known}) == 1:
            links.link("text", (text, rows[0]), [*unseen, *known])
    return common


def telling(text: str, groups: frozenset[str]) -> bool:
    """Whether a normalised text says enough to be one meme's: `groups` are its letter groups."""
    chinese = sum("\u2e80" <= c <= "\u9fff" for c in text) * 2 > len(text)
    return len(groups) >= (FEWEST_GROUPS // 2 if chinese else FEWEST_GROUPS) and (
        chinese or len(text.split()) >= FEWEST_WORDS
    )
