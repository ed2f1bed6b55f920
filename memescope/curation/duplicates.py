"""The same meme again, among many: found by PDQ hash, mirrored hash, and for crops, bars, stickers and rotations by
picture embedding, then verified by keypoints and by what the memes say.

A meme is its picture with its text. Two entries are duplicates when the picture is the same and the text is too; the
same picture with another text is another meme, reported as `alike`. Where one of the texts is missing or too short to
tell, the pictures alone decide and must agree everywhere. Reasons and measurements: `docs/duplicates.md`.

Nothing depends on the order of the entries except which of a cluster is its representative: the first.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal, Protocol

import numpy as np

from memescope.curation.geometry import align
from memescope.curation.hashes import MIN_QUALITY, Fingerprint
from memescope.curation.neighbours import RADIUS, first_equal, near_pairs
from memescope.curation.sametext import TextRelation, compare, letter_groups

Kind = Literal["exact", "re-encoded", "mirrored", "cropped or overlaid"]
PDQ_BITS = RADIUS
"""Most differing bits of 256 for the same picture. Pictures of a quality below `MIN_QUALITY` are duplicates only byte
for byte or by keypoints."""
SURE_BITS = 10
"""Up to here the hash alone is believed where no text tells; other captions on one picture start at 14."""
MIRROR_BITS = 24
POINTS_ALONE = 16
"""Least agreeing keypoints where the texts do not agree too."""
AGREES = 0.25
"""Most replaced places of pictures that show the same; other captions on one picture replace more in 19 of 20."""
MOST_LOST = 0.62
"""The same where the texts agree: different pictures under one long caption agree in its letters only."""
AGREES_THROUGHOUT, SHARE_THROUGHOUT = 0.08, 0.45
"""Pictures that agree to this degree may have the same letters too, if OCR read some of them alike."""
COSINE, NEIGHBOURS = 0.6, 24
OTHER_TEXT_COSINE, OTHER_TEXT_NEIGHBOURS = 0.75, 8
_BLOCK, _WIDE_BLOCK = 128, 1024
_MOST_PER_HASH, _MOST_LOOKED = 128, 16
_PLAIN = np.zeros(32, np.uint8)
MIRROR = np.tile(np.packbits(np.arange(16) % 2 == 1), 16)
"""Mirroring a picture negates every second DCT term of a row."""


class Fingerprints(Protocol):
    """A list of fingerprints, or anything that loads them when asked."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int, /) -> Fingerprint: ...


@dataclass(frozen=True, slots=True)
class Duplicate:
    """An entry is the same meme as entry `of`, the first of its cluster. `distance`: differing bits of their hashes
    (for `mirrored`, of the mirrored hash)."""

    of: int
    kind: Kind
    distance: int


@dataclass(frozen=True, slots=True)
class Clusters:
    """For each entry its duplicate, or None; and the first entry with the same picture and another text, or None."""

    duplicates: list[Duplicate | None]
    alike: list[int | None]


def cluster(
    fingerprints: Fingerprints,
    *,
    keys: Sequence[str] | None = None,
    texts: Sequence[str] | None = None,
    given: Sequence[bool] | None = None,
    embeddings: np.ndarray | None = None,
) -> Clusters:
    """Find what is the same among `n` fingerprints.

    `keys` name the pictures' bytes (equal keys: equal files). `texts` are what the memes say; `given` marks those that
    were not read by OCR: two of them are never taken for one text misread. `embeddings` (n, d) are unit vectors of the
    pictures; without them, copies that no hash shows are not found. Fingerprints are read once in order, then only
    where two are compared, so they may stay on disk. Raises `ValueError` for lengths that differ.
    """
    n = len(fingerprints)
    for name, values in (("keys", keys), ("texts", texts), ("given", given), ("embeddings", embeddings)):
        if values is not None and len(values) != n:
            raise ValueError(f"{name}: expected {n}, one for each fingerprint, found {len(values)}")
    search = _Search(fingerprints, keys, texts, given)
    if n:
        search.by_hash()
        search.by_mirrored_hash()
        if embeddings is not None:
            search.by_embedding(embeddings)
    return search.result()


class _Groups:
    """Union-find; the root of a group is its first entry."""

    def __init__(self, n: int) -> None:
        self._parent = list(range(n))

    def root(self, a: int) -> int:
        parent = self._parent
        while parent[a] != a:
            parent[a] = parent[parent[a]]
            a = parent[a]
        return a

    def join(self, a: int, b: int) -> None:
        a, b = self.root(a), self.root(b)
        self._parent[max(a, b)] = min(a, b)

    def joined(self, a: int, b: int) -> bool:
        return self.root(a) == self.root(b)


class _Search:
    """One clustering. Pairs are visited in an order that follows from the entries' content (`_nodes`), never from
    their order, so that limits and ties cut the same pairs whatever comes first."""

    def __init__(
        self,
        fingerprints: Fingerprints,
        keys: Sequence[str] | None,
        texts: Sequence[str] | None,
        given: Sequence[bool] | None,
    ) -> None:
        n = len(fingerprints)
        self._keys, self._given = keys, given
        self._texts = texts if texts is not None else [""] * n
        self._hashes, self._good = np.zeros((n, 32), np.uint8), np.zeros(n, bool)
        for i in range(n):
            marks = fingerprints[i]
            self._hashes[i], self._good[i] = np.frombuffer(marks.pdq, np.uint8), marks.quality >= MIN_QUALITY
        self._load = lru_cache(maxsize=4096)(fingerprints.__getitem__)
        self._groups_of = lru_cache(maxsize=16384)(lambda i: letter_groups(self._texts[i]))
        self._same, self._alike = _Groups(n), _Groups(n)
        self._nodes = np.array(self._collapse(), dtype=np.int64)

    def _collapse(self) -> list[int]:
        """One entry for all with one hash and text, which are the same by any rule; sorted by content."""
        firsts: dict[tuple[bytes, str, str], int] = {}
        for i in range(len(self._hashes)):
            key = str(i) if self._keys is None else self._keys[i]
            content = (self._hashes[i].tobytes(), self._texts[i], "" if self._good[i] else key)
            first = firsts.setdefault(content, i)
            if first != i:
                self._join(first, i)
        return [firsts[content] for content in sorted(firsts)]

    def by_hash(self) -> None:
        """Join what is within `PDQ_BITS` and says the same, or says nothing and agrees everywhere."""
        for a, near in self._within(_PLAIN, PDQ_BITS):
            looked = 0
            for b, bits in near:
                if self._same.joined(a, b):
                    continue
                relation = self._say(a, b)
                if relation == "same" or (relation == "unknown" and bits <= SURE_BITS):
                    self._join(a, b)
                elif looked < _MOST_LOOKED:
                    looked += 1
                    self._look(a, b, relation, hash_agrees=True)

    def by_mirrored_hash(self) -> None:
        """Join what is within `MIRROR_BITS` of the mirrored hash, whatever the texts: OCR reads no mirrored letters."""
        for a, near in self._within(MIRROR, MIRROR_BITS):
            for b, _ in near:
                if not self._alike.joined(a, b):
                    self._join(a, b)

    def by_embedding(self, embeddings: np.ndarray) -> None:
        """Compare keypoints of the nearest by cosine; fewer where the texts differ, which can only be `alike`."""
        for a, b, close in self._neighbours(embeddings):
            if not self._same.joined(a, b):
                relation = self._say(a, b)
                if close or relation in ("same", "unknown"):
                    self._look(a, b, relation, hash_agrees=False)

    def result(self) -> Clusters:
        duplicates: list[Duplicate | None] = []
        alike: list[int | None] = []
        for i in range(len(self._hashes)):
            first, family = self._same.root(i), self._alike.root(i)
            duplicates.append(None if first == i else self._describe(i, first))
            alike.append(None if self._same.joined(i, family) else family)
        return Clusters(duplicates, alike)

    def _describe(self, i: int, first: int) -> Duplicate:
        plain, mirrored = (int(_bits(self._hashes[i] ^ mask, self._hashes[first])) for mask in (_PLAIN, MIRROR))
        good = self._good[i] and self._good[first]
        if self._keys is not None and self._keys[i] == self._keys[first]:
            return Duplicate(first, "exact", 0)
        if plain <= PDQ_BITS and good:
            return Duplicate(first, "re-encoded", plain)
        if mirrored <= MIRROR_BITS and good:
            return Duplicate(first, "mirrored", mirrored)
        return Duplicate(first, "cropped or overlaid", plain)

    def _join(self, a: int, b: int) -> None:
        self._same.join(a, b)
        self._alike.join(a, b)

    def _say(self, a: int, b: int) -> TextRelation:
        if self._texts[a] == self._texts[b] and self._texts[a]:
            return "same"
        relation = compare(self._groups_of(a), self._groups_of(b))
        if relation == "doubtful" and self._given is not None and self._given[a] and self._given[b]:
            return "other"
        return relation

    def _look(self, a: int, b: int, relation: TextRelation, hash_agrees: bool) -> None:
        """Align the pictures, and join the entries as the same, as alike, or not at all."""
        found = align(self._load(a), self._load(b))
        if found is None:
            # Too plain for keypoints: the hash is all there is.
            if hash_agrees:
                (self._join if relation == "unknown" else self._alike.join)(a, b)
            return
        if relation == "same":
            agrees = found.lost <= MOST_LOST
        elif relation == "doubtful":
            agrees = found.replaced <= AGREES_THROUGHOUT and found.share >= SHARE_THROUGHOUT
        else:
            agrees = relation == "unknown" and found.replaced <= AGREES and found.points >= POINTS_ALONE
        if agrees:
            self._join(a, b)
        elif hash_agrees or (found.points >= POINTS_ALONE and found.lost <= MOST_LOST):
            self._alike.join(a, b)

    def _within(self, mask: np.ndarray, bits: int) -> Iterator[tuple[int, list[tuple[int, int]]]]:
        """For each entry the later ones whose hash, negated where `mask` is set, is within so many bits: nearest
        first, at most `_MOST_PER_HASH`."""
        nodes = self._nodes[self._good[self._nodes]]
        if len(nodes) == 0:
            return
        # Hashes once each, with the entries that have them: pairs of equal ones are made as they are asked for.
        first = first_equal(self._hashes[nodes])
        distinct, group = np.unique(first, return_inverse=True)
        members = np.split(np.argsort(group, kind="stable"), np.cumsum(np.bincount(group))[:-1])
        near: dict[int, list[tuple[int, int]]] = {}
        for pairs in near_pairs(self._hashes[nodes[distinct]], bits, mask=mask):
            for a, b, apart in zip(*(part.tolist() for part in pairs), strict=True):
                near.setdefault(a, []).append((apart, b))
                near.setdefault(b, []).append((apart, a))
        # Negating as many bits as a mirror does leaves no hash near itself.
        equal = [0] if not mask.any() else []
        for own, its in enumerate(group.tolist()):
            found: list[tuple[int, int]] = []
            for apart, other in sorted([*near.get(its, []), *((bits, its) for bits in equal)]):
                later = members[other][np.searchsorted(members[other], own, side="right") :][:_MOST_PER_HASH]
                found += [(apart, place) for place in later.tolist()]
            if found:
                yield int(nodes[own]), [(int(nodes[o]), d) for d, o in sorted(found)[:_MOST_PER_HASH]]

    def _neighbours(self, embeddings: np.ndarray) -> Iterator[tuple[int, int, bool]]:
        """Pairs of entries near by cosine, each once, and whether they are near enough to be looked at in any case."""
        import faiss

        count = len(self._nodes)
        vectors = np.nan_to_num(embeddings[self._nodes].astype(np.float32))
        index = faiss.IndexFlatIP(vectors.shape[1])
        index.add(vectors)
        wide, close = [], []
        for start in range(0, count, _WIDE_BLOCK):
            cosines, found = index.search(vectors[start : start + _WIDE_BLOCK], min(NEIGHBOURS + 1, count))
            own = np.arange(start, start + len(found))[:, None]
            pairs = np.minimum(found, own) * count + np.maximum(found, own)
            real = (found != own) & (found >= 0)
            wide.append(pairs[real & (cosines >= COSINE)])
            first = np.arange(found.shape[1]) <= OTHER_TEXT_NEIGHBOURS
            close.append(pairs[real & (cosines >= OTHER_TEXT_COSINE) & first])
        codes = np.unique(np.concatenate(wide))
        marked = np.isin(codes, np.concatenate(close))
        for code, is_close in zip(codes.tolist(), marked.tolist(), strict=True):
            yield int(self._nodes[code // count]), int(self._nodes[code % count]), is_close


def _bits(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Differing bits of hashes uint8 (..., 32)."""
    return np.bitwise_count(first ^ second).sum(-1, dtype=np.int64)
