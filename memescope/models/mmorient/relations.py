"""Thresholds of the graphs, set on training memes; what the graphs look like; warnings about those that say nothing.

CLIP's cosines live where the published thresholds are, other encoders' elsewhere: a threshold can be named by the share
of pairs that it leaves without an edge. It becomes a cosine once, on the training memes, and is kept with the model, so
that a meme is joined to the same memes whenever it is asked about.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor

from memescope.errors import UsageError
from memescope.models.mmorient.cmrl import edges_of
from memescope.models.mmorient.config import GRAPHS
from memescope.models.mmorient.graph import build

ALL = "all"


def named(values: Mapping[str, float | None], graph: str) -> float | None:
    """The entry of a graph, or that of `all`."""
    return values.get(graph, values.get(ALL))


def thresholds_of(
    pooled: Mapping[str, Tensor],
    graphs: Sequence[str],
    thresholds: Mapping[str, float | None],
    quantiles: Mapping[str, float | None],
) -> dict[str, float]:
    """Graph -> cosine, to five digits. `UsageError` for a graph with neither threshold nor quantile, or with both."""
    unknown = (set(thresholds) | set(quantiles)) - {ALL, *GRAPHS}
    if unknown:
        raise UsageError(f"thresholds of {', '.join(sorted(unknown))}: the graphs are {', '.join(GRAPHS)}, or all")
    found: dict[str, float] = {}
    measured: dict[tuple[str, float], float] = {}
    for graph in graphs:
        threshold, quantile = named(thresholds, graph), named(quantiles, graph)
        if (threshold is None) == (quantile is None):
            raise UsageError(f"graph {graph!r}: expected a threshold or a quantile, found {threshold} and {quantile}")
        if threshold is None:
            assert quantile is not None
            at = edges_of(graph), quantile
            if at not in measured:
                measured[at] = at_share(pooled[at[0]], quantile)
            threshold = measured[at]
        found[graph] = round(float(threshold), 5)
    return found


def at_share(vectors: Tensor, quantile: float) -> float:
    """The cosine that a share `quantile` of the pairs does not pass."""
    from memescope.models.mmorient.thresholds import at_quantile
    from memescope.models.mmorient.tiles import Vectors

    rows = Vectors(vectors.float(), "vectors")
    return float(at_quantile(rows, rows, quantile)[0])


def described(pooled: Mapping[str, Tensor], thresholds: Mapping[str, float]) -> dict[str, Any]:
    """Statistics of each graph over some memes (`Graph.statistics`)."""
    return {
        graph: build(pooled[edges_of(graph)].float(), threshold=threshold).statistics()
        for graph, threshold in thresholds.items()
    }
