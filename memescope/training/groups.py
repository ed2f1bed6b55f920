"""Rows that show or say nearly the same stay together: folds that do not leak, and test rows that training has seen.

Two memes are near when their normalised texts are equal, their pictures have close PDQ hashes, or they are made from
one template (`meta["template"]`). Near is transitive.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import numpy as np
from numpy.typing import NDArray

from memescope.cache import Cache, content_key
from memescope.datasets.transforms import picture_digest
from memescope.errors import PictureError
from memescope.meme import Meme

PDQ_DISTANCE = 31
"""Bits of 256 by which PDQ calls two pictures the same (the threshold its authors advise)."""
PDQ_QUALITY = 50
"""Below it a picture is too flat for its hash to say anything (the same source)."""
BATCH = 256
"""Pictures hashed between two writes to the cache."""
SHORTEST_TEXT = 12
"""Shorter normalised texts ("me", "when you") are no sign of the same meme."""


def normal(text: str) -> str:
    """Casefolded words with single spaces: texts that are equal in this form say the same."""
    return " ".join(re.findall(r"\w+", text.casefold()))


def near_groups(memes: Sequence[Meme]) -> NDArray[np.int64]:
    """A group number for each meme (b,); memes of different sources are never grouped by their pictures alone."""
    parent = list(range(len(memes)))

    def root(i: int) -> int:
        while parent[i] != i:
            parent[i] = parent[parent[i]]
            i = parent[i]
        return i

    together: dict[Any, list[int]] = defaultdict(list)
    for i, meme in enumerate(memes):
        text = normal(meme.text)
        if len(text) >= SHORTEST_TEXT:
            together["text", meme.source, text].append(i)
        if "template" in meme.meta:
            together["template", meme.source, meme.meta["template"]].append(i)
    pairs = [(rows[0], other) for rows in together.values() for other in rows[1:]] + _near_pictures(memes)
    for a, b in pairs:
        parent[root(a)] = root(b)
    return np.unique([root(i) for i in range(len(memes))], return_inverse=True)[1].astype(np.int64)


def _near_pictures(memes: Sequence[Meme]) -> list[tuple[int, int]]:
    import faiss
    import pdqhash

    from memescope.perception.pictures import open_picture

    cache = Cache("pdq")
    pairs = []
    for i, meme in enumerate(memes):
        # a picture that was never obtained is a path to nothing (data prepare tells): such memes are grouped by their
        # text, and so are those whose picture is broken, which a model of text alone learns from
        with suppress(PictureError):
            pairs.append((i, content_key("pdq", picture_digest(meme))))
    known = cache.get(key for _, key in pairs)
    for start in range(0, len(pairs), BATCH):
        fresh = {}
        for i, key in pairs[start : start + BATCH]:
            if key not in known:
                with suppress(PictureError):
                    bits, quality = pdqhash.compute(open_picture(memes[i].image).pixels)
                    fresh[key] = np.packbits(np.asarray(bits, np.uint8)).tobytes() + bytes([int(quality)])
        if fresh:
            cache.put(fresh)
            known |= fresh
    clear = [(i, known[key]) for i, key in pairs if key in known and known[key][-1] >= PDQ_QUALITY]
    keep = [i for i, _ in clear]
    hashes = [np.frombuffer(one[:-1], np.uint8) for _, one in clear]
    if not keep:
        return []
    index = faiss.IndexBinaryFlat(256)
    index.add(np.stack(hashes))
    limits, _, found = index.range_search(np.stack(hashes), PDQ_DISTANCE + 1)
    return [
        (keep[a], keep[int(b)])
        for a in range(len(keep))
        for b in found[limits[a] : limits[a + 1]]
        if int(b) > a and memes[keep[a]].source == memes[keep[int(b)]].source
    ]


def fold_of(groups: NDArray[np.int64], folds: int, seed: int) -> NDArray[np.int64]:
    """The fold (b,) of each row: groups shuffled by `seed`, the largest first, each to the smallest fold so far."""
    names, inverse, sizes = np.unique(groups, return_inverse=True, return_counts=True)
    order = np.random.default_rng(seed).permutation(len(names))
    order = order[np.argsort(-sizes[order], kind="stable")]
    fold_size = np.zeros(folds, dtype=np.int64)
    assigned = np.zeros(len(names), dtype=np.int64)
    for name in order:
        fold = int(fold_size.argmin())
        assigned[name] = fold
        fold_size[fold] += sizes[name]
    return assigned[inverse]
