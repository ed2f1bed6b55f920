"""How sparse a relation graph is at each threshold, and how many memes it leaves alone (question O2, the axis of it).

    rows = sweep(vectors)                       # of the modality that edges are drawn by
    plot_sweep({"text": rows, "image": ...}, "sparsity.png")

Sparsity is counted over all pairs, tile by tile, without keeping them. Isolated memes and pieces are counted where at
least nine in ten pairs are not joined: denser graphs are as good as connected, and too large to be worth keeping.

Shape letters: `n` memes, `w` width.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from memescope.errors import MissingExtra, UsageError
from memescope.models.mmorient.graph import BLOCK, build
from memescope.models.mmorient.thresholds import pairs
from memescope.models.mmorient.tiles import Vectors

THRESHOLDS = tuple(round(-0.2 + 0.05 * i, 2) for i in range(24))
SPARSE = 0.9


def sweep(vectors: Tensor, thresholds: Sequence[float] = THRESHOLDS) -> list[dict[str, Any]]:
    """For each threshold, ascending, over vectors (n, w): `threshold`, `memes`, `sparsity`, `mean_degree`, and
    `isolated`, `components`, `largest_component`, which are None in a dense graph.

    Raises `UsageError` for fewer than two memes, and for thresholds outside -1 to 1.
    """
    wanted = sorted(set(thresholds))
    if not wanted or not -1 <= wanted[0] <= wanted[-1] <= 1:
        raise UsageError(f"sweep: expected thresholds from -1 to 1, found {list(thresholds)}")
    rows = Vectors(vectors, "vectors")
    total = pairs(rows, rows)
    if total == 0:
        raise UsageError(f"sweep: expected two memes or more, found {rows.count}")
    above = _above(rows, np.array(wanted, np.float32))
    found = []
    for threshold, count in zip(wanted, above.tolist(), strict=True):
        row: dict[str, Any] = {
            "threshold": threshold,
            "memes": rows.count,
            "sparsity": 1 - count / total,
            "mean_degree": 2 * count / rows.count,
            "isolated": None,
            "components": None,
            "largest_component": None,
        }
        if row["sparsity"] >= SPARSE:
            its = build(vectors, threshold=threshold).statistics()
            row |= {name: its[name] for name in ("isolated", "components", "largest_component")}
        found.append(row)
    return found


def _above(rows: Vectors, thresholds: np.ndarray) -> np.ndarray:
    """How many pairs are above each of ascending thresholds, in float32."""
    counts = np.zeros(len(thresholds) + 1, np.int64)
    for top in range(0, rows.count, BLOCK):
        part = rows.unit[top : top + BLOCK]
        for left in range(top, rows.count, BLOCK):
            tile = (part @ rows.unit[left : left + BLOCK].T).numpy()
            cosines = tile[np.triu_indices(len(tile), 1)] if left == top else tile.ravel()
            # thresholds below a cosine, strictly: so many of them it passes
            counts += np.bincount(np.searchsorted(thresholds, cosines), minlength=len(counts))
    return np.cumsum(counts[::-1])[::-1][1:]


def plot_sweep(sweeps: Mapping[str, Sequence[Mapping[str, Any]]], path: str | Path, title: str = "") -> Path:
    """Sparsity, and dashed the share of memes without an edge, against the threshold: a line for each name."""
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError:
        raise MissingExtra("drawing plots", "train") from None
    figure = Figure(figsize=(6, 3.6), dpi=120, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    for (name, rows), colour in zip(sweeps.items(), ("#0072B2", "#D55E00", "#009E73", "#CC79A7"), strict=False):
        axes.plot([r["threshold"] for r in rows], [r["sparsity"] for r in rows], "o-", ms=3, c=colour, label=name)
        nodes = [(r["threshold"], r["isolated"] / r["memes"]) for r in rows if r["isolated"] is not None]
        axes.plot([x for x, _ in nodes], [y for _, y in nodes], "--", c=colour, label=f"{name}: memes without an edge")
    axes.set(xlabel="cosine above which two memes are joined", ylabel="share of pairs not joined", ylim=(-0.02, 1.02))
    axes.grid(alpha=0.3)
    axes.legend(fontsize=8)
    figure.suptitle(title, fontsize=10, x=0.01, ha="left")
    path = Path(path)
    # No date and no version inside: the same data give the same bytes.
    metadata = {"Software": None} if path.suffix == ".png" else None
    figure.savefig(path, metadata=metadata)
    return path
