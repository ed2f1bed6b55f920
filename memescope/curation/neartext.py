"""All pairs of texts that share most of their letter groups, exactly: the prefix filter of set-similarity joins
(Bayardo, Ma and Srikant, WWW 2007; Xiao et al., PPJoin, WWW 2008).

Two sets with a Jaccard similarity of t share at least one element among the rarest n - ceil(t n) + 1 of each, in one
order of all elements. So only texts that share a rare group are compared.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Sequence

_ROWS = 2000  # texts joined at a time


def near_texts(groups: Sequence[frozenset[str]], least: float) -> Iterator[tuple[int, int, float]]:
    """(first, second, similarity) of every two sets with a Jaccard similarity of at least `least` (above 0), once.

    Empty sets are like nothing.
    """
    import numpy as np
    from scipy.sparse import csr_matrix

    often = Counter(group for its in groups for group in its)
    place = {
        group: number for number, (group, _) in enumerate(sorted(often.items(), key=lambda item: (item[1], item[0])))
    }
    columns: list[int] = []
    starts = [0]
    for its in groups:
        ranks = sorted(place[group] for group in its)
        columns += ranks[: len(ranks) - math.ceil(least * len(ranks) - 1e-9) + 1]
        starts.append(len(columns))
    ones = np.ones(len(columns), np.int32)
    prefixes = csr_matrix((ones, columns, starts), (len(groups), max(1, len(place))))
    turned = prefixes.T.tocsr()
    for start in range(0, len(groups), _ROWS):
        shared = (prefixes[start : start + _ROWS] @ turned).tocoo()
        for a, b in zip((shared.row + start).tolist(), shared.col.tolist(), strict=True):
            if a < b and min(len(groups[a]), len(groups[b])) >= least * max(len(groups[a]), len(groups[b])):
                common = len(groups[a] & groups[b])
                similarity = common / (len(groups[a]) + len(groups[b]) - common)
                if similarity >= least - 1e-9:
                    yield a, b, similarity
