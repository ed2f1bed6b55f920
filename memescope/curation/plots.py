"""Plots of `data atlas` and `data stats`: PNG files, drawn without a display, in colours that all eyes tell apart.

Colours: Okabe and Ito (2008) for groups, `cividis` for amounts. Each plot returns its path, or None where there is
nothing to draw. Other rooms draw their own with `panels`, `cycle`, `entitle` and `save`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from memescope.errors import MissingExtra

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from memescope.curation.agreement import Agreement
    from memescope.curation.conflicts import PairRate
    from memescope.curation.cooccurrence import Together

COLOURS = ("#0072B2", "#E69F00", "#009E73", "#D55E00", "#CC79A7", "#56B4E9", "#000000", "#F0E442")
STROKES = (("-", "o"), ("--", "s"), (":", "^"), ("-.", "D"))
_MOST_BARS, _MOST_TASKS = 50, 40
_INK = "#222222"


def require() -> None:
    """Raise `MissingExtra` when matplotlib is not installed."""
    try:
        import matplotlib  # noqa: F401
    except ImportError:
        raise MissingExtra("drawing plots", "data") from None


def _figure(width: float, height: float) -> tuple[Figure, Axes]:
    """A figure that belongs to no window system and no global state."""
    require()
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), dpi=120, layout="constrained")
    FigureCanvasAgg(figure)
    return figure, figure.add_subplot()


def entitle(figure: Figure, text: str) -> None:
    """At the figure's left edge, so that long names of rows leave it room."""
    figure.suptitle(text, fontsize=10, x=0.01, ha="left")


def panels(count: int, width: float, height: float, across: int = 4) -> tuple[Figure, list[Axes]]:
    """A figure of so many axes, at most `across` beside each other, each of this width and height in inches."""
    require()
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    across = min(count, across)
    down = -(-count // across)
    figure = Figure(figsize=(across * width, down * height + 0.8), dpi=120, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(down, across, squeeze=False).ravel().tolist()
    for axis in axes[count:]:
        axis.set_axis_off()
    return figure, axes[:count]


def cycle(count: int) -> list[tuple[str, str, str]]:
    """Colour, dashes and marker of so many lines: when the eight colours begin again, the other two change."""
    return [
        (COLOURS[number % len(COLOURS)], *STROKES[number // len(COLOURS) % len(STROKES)]) for number in range(count)
    ]


def save(figure: Figure, path: Path) -> Path:
    """Write the PNG; gives its path."""
    # No date and no version inside: the same data give the same bytes.
    figure.savefig(path, format="png", metadata={"Software": None})
    return path


def _whiskers(rows: Sequence[tuple[str, float, float, float, int]], title: str, path: Path, label: str) -> Path:
    """One line a row (name, value, low, high, colour), the first on top."""
    figure, axes = _figure(9, 1.2 + 0.24 * len(rows))
    for at, (_, value, low, high, colour) in enumerate(rows):
        ink = COLOURS[colour % len(COLOURS)]
        axes.plot([low, high], [at, at], color=ink, linewidth=2, solid_capstyle="butt")
        axes.plot(value, at, "o", color=ink, markersize=5)
    axes.set_yticks(range(len(rows)), [name for name, *_ in rows], fontsize=8, color=_INK)
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.set_xlabel(label)
    entitle(figure, title)
    axes.grid(axis="x", color="#dddddd", linewidth=0.6)
    axes.set_axisbelow(True)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    return save(figure, path)


def conflict_rates(pairs: Sequence[PairRate], path: Path) -> Path | None:
    """Rates of conflict with their intervals, for pairs with 20 shared memes or more, most conflicts first."""
    kept = sorted((p for p in pairs if p.shared >= 20), key=lambda p: -p.conflicts)[:_MOST_BARS]
    kept.sort(key=lambda p: (p.task, -p.rate))
    if not kept:
        return None
    signs = list(dict.fromkeys(p.evidence for p in kept))
    rows = [
        (
            f"{p.task}: {p.first}"
            + (f" / {p.second}" if p.second != p.first else " with itself")
            + f" ({p.evidence}, {p.shared})",
            p.rate,
            p.low,
            p.high,
            signs.index(p.evidence),
        )
        for p in kept
    ]
    title = "Share of shared memes with different labels, 95 % interval (evidence, shared memes)"
    return _whiskers(rows, title, path, "rate of conflict")


def agreement(found: Sequence[Agreement], path: Path) -> Path | None:
    """Alphas with their intervals."""
    kept = [a for a in found if a.alpha == a.alpha and a.low == a.low]
    # Tasks before the single labels of multilabel tasks, then by size.
    kept = sorted(kept, key=lambda a: ("=" in a.task, -a.memes))[:_MOST_BARS]
    kept.sort(key=lambda a: (a.of, a.task, -a.alpha))
    if not kept:
        return None
    kinds = ["votes", "labels"]
    rows = [(f"{a.task}: {a.where} ({a.of}, {a.memes})", a.alpha, a.low, a.high, kinds.index(a.of)) for a in kept]
    return _whiskers(rows, "Krippendorff's alpha, 95 % interval (of what, memes)", path, "alpha")


def heat_map(found: Sequence[Together], path: Path) -> Path | None:
    """Cramér's V of tasks with one label each; of several tables of two tasks the largest. Grey: never together."""
    kept = [t for t in found if "=" not in t.first + t.second and t.v == t.v]
    tasks = sorted({task for t in kept for task in (t.first, t.second)})[:_MOST_TASKS]
    if not tasks:
        return None
    values = np.full((len(tasks), len(tasks)), np.nan)
    defined = set()
    for t in sorted(kept, key=lambda t: t.memes):
        if t.first in tasks and t.second in tasks:
            a, b = tasks.index(t.first), tasks.index(t.second)
            values[a, b] = values[b, a] = t.v
            if t.defined:
                defined |= {(a, b), (b, a)}
    side = 3 + 0.42 * len(tasks)
    figure, axes = _figure(side + 1, side)
    axes.set_facecolor("#e6e6e6")
    image = axes.imshow(values, cmap="cividis", vmin=0, vmax=1)
    for a, b in zip(*np.nonzero(~np.isnan(values)), strict=True):
        # By definition: the coarse form of the same task.
        said = "def." if (a, b) in defined else f"{values[a, b]:.2f}"
        axes.text(b, a, said, ha="center", va="center", fontsize=6, color="white" if values[a, b] < 0.5 else "black")
    axes.set_xticks(range(len(tasks)), tasks, rotation=90, fontsize=8)
    axes.set_yticks(range(len(tasks)), tasks, fontsize=8)
    entitle(figure, "Cramér's V of two tasks on the same memes")
    figure.colorbar(image, ax=axes, shrink=0.6)
    return save(figure, path)


def shares(tables: Mapping[str, Mapping[str, Mapping[str, int]]], path: Path) -> Path | None:
    """Shares of labels: task -> split -> label -> count, a bar for each split. Of more labels than there are colours
    the commonest are shown, the rest as `other`."""
    bars = [(task, split) for task, splits in tables.items() for split in splits][:_MOST_BARS]
    if not bars:
        return None
    colours = {task: _label_colours(tables[task]) for task, _ in bars}
    figure, axes = _figure(10, 1.2 + 0.32 * len(bars))
    for at, (task, split) in enumerate(bars):
        counts: dict[str, int] = dict.fromkeys([*colours[task], "other"], 0)
        for label, count in tables[task][split].items():
            counts[label if label in colours[task] else "other"] += count
        total, left = sum(counts.values()) or 1, 0.0
        for label, count in counts.items():
            share, ink = count / total, colours[task].get(label, "#bbbbbb")
            axes.barh(at, share, left=left, color=ink, edgecolor="white", height=0.8)
            if share > 0.02 + 0.008 * len(label):
                pale = "white" if ink in ("#0072B2", "#000000") else "black"
                said = f"{label} {share:.0%}"
                axes.text(left + share / 2, at, said, ha="center", va="center", fontsize=6, color=pale)
            left += share
    axes.set_yticks(range(len(bars)), [f"{task}: {split}" for task, split in bars], fontsize=8)
    axes.set_ylim(len(bars) - 0.5, -0.5)
    axes.set_xlim(0, 1)
    entitle(figure, "Labels by task and split")
    return save(figure, path)


def _label_colours(by_split: Mapping[str, Mapping[str, int]]) -> dict[str, str]:
    """A colour for each label of a task, the same in every split; without the rarest where there are too many."""
    total: Counter[str] = Counter()
    for counts in by_split.values():
        total.update(counts)
    kept = {label for label, _ in total.most_common(len(COLOURS) if len(total) <= len(COLOURS) else len(COLOURS) - 1)}
    order = dict.fromkeys(label for counts in by_split.values() for label in counts if label in kept)
    return {label: COLOURS[number] for number, label in enumerate(order)}


def cumulative(values: Mapping[str, Sequence[float]], title: str, label: str, path: Path) -> Path | None:
    """For each name the share of its values up to each value, on a logarithmic axis: splits of any size compare, and no
    choice of bins shows."""
    kept = {name: np.sort([value for value in its if value > 0]) for name, its in values.items()}
    kept = {name: its for name, its in kept.items() if len(its)}
    if not kept:
        return None
    figure, axes = _figure(8, 4)
    for number, (name, its) in enumerate(kept.items()):
        style: dict[str, Any] = {
            "color": COLOURS[number % len(COLOURS)],
            "linestyle": ("-", "--", ":", "-.")[number % 4],
        }
        shares = np.arange(1, len(its) + 1) / len(its)
        axes.plot(its, shares, label=f"{name} ({len(its)})", drawstyle="steps-post", linewidth=1.6, **style)
    axes.set_xscale("log")
    axes.set_ylim(0, 1)
    axes.grid(color="#dddddd", linewidth=0.6)
    axes.set_xlabel(label)
    axes.set_ylabel("share of rows up to here")
    entitle(figure, title)
    axes.legend(fontsize=8)
    return save(figure, path)


def scatter(widths: Sequence[int], heights: Sequence[int], path: Path) -> Path | None:
    """Picture sizes, one transparent dot each."""
    if not widths:
        return None
    figure, axes = _figure(5.5, 5)
    axes.scatter(widths, heights, s=8, alpha=0.25, color=COLOURS[0], linewidths=0)
    axes.set_xlabel("width, pixels")
    axes.set_ylabel("height, pixels")
    axes.set_xlim(left=0)
    axes.set_ylim(bottom=0)
    entitle(figure, f"Sizes of {len(widths)} pictures")
    return save(figure, path)
