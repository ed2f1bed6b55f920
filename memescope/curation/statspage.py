"""`data stats` as files: `stats.md`, `stats.json` and plots of each dataset."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path

from memescope.curation import plots
from memescope.curation.collection import Collection
from memescope.curation.markdown import cell, plain, table
from memescope.curation.stats import DatasetStats, spread, summary

_MOST_PAIRS, _MOST_WORDS = 15, 8


def write_stats(collection: Collection, found: Sequence[DatasetStats], out: Path) -> list[Path]:
    """Write the files, and name them. The plots need the extra `data` (`MissingExtra`)."""
    plots.require()
    out.mkdir(parents=True, exist_ok=True)
    written = [out / "stats.md", out / "stats.json"]
    parts = ["# Statistics\n", _overview(found)]
    if collection.unread:
        parts.append("Not read:\n\n" + "".join(f"- {plain(str(p))}: {plain(why)}\n" for p, why in collection.unread))
    for stats in found:
        drawn = _draw(stats, out)
        parts.append(section(stats, [path.name for path in drawn]))
        written += drawn
    written[0].write_text("\n".join(parts), "utf-8")
    written[1].write_text(json.dumps([summary(stats) for stats in found], ensure_ascii=False, indent=1) + "\n", "utf-8")
    return written


def _overview(found: Sequence[DatasetStats]) -> str:
    return table(
        ("dataset", "rows", "splits", "languages", "tasks", "empty texts", "pictures", "missing pictures"),
        (
            (
                s.name,
                sum(s.splits.values()),
                ", ".join(f"{split} {n}" for split, n in s.splits.items()),
                ", ".join(dict.fromkeys(lang for langs in s.languages.values() for lang in langs)),
                len(s.labels),
                sum(s.empty.values()),
                s.pictures["there"],
                s.pictures["missing"],
            )
            for s in found
        ),
    )


def _draw(stats: DatasetStats, out: Path) -> list[Path]:
    name = re.sub(r"[^\w.-]+", "_", stats.name).strip("_")
    drawn = [
        plots.shares(stats.labels, out / f"{name}-labels.png"),
        plots.cumulative(stats.words, f"{stats.name}: words a text", "words", out / f"{name}-lengths.png"),
        plots.scatter([w for w, _ in stats.sizes], [h for _, h in stats.sizes], out / f"{name}-sizes.png"),
        plots.heat_map(stats.together, out / f"{name}-tasks.png"),
    ]
    return [path for path in drawn if path is not None]


def section(stats: DatasetStats, pictures: Sequence[str] = ()) -> str:
    """One dataset's part of `stats.md`."""
    parts = [f"## {cell(stats.name)}\n", f"Folder {cell(stats.path)}.\n"]
    if stats.problems:
        parts.append("Problems: " + ", ".join(f"{n} {kind}" for kind, n in stats.problems.items()) + ".\n")
    parts += [
        "### Labels\n",
        "Rows and share of the split's labelled rows; imbalance is the commonest label's rows over the rarest's.\n",
        _labels(stats),
        "### Shift between splits\n" if stats.shifts else "",
        "Total variation of the label shares with its 95 % interval; splits drawn from one pool stay below `chance` 95 "
        "times of 100. Rows are taken as independent.\n"
        if stats.shifts
        else "",
        table(
            ("task", "split", "split", "distance", "low", "high", "chance", "chi-square p"),
            ((s.task, s.first, s.second, s.distance, s.low, s.high, s.chance, s.p) for s in stats.shifts),
        ),
        "### Texts\n",
        _texts(stats),
        "### Pictures\n",
        _pictures(stats),
        "### The same again\n",
        (
            "Rows beyond the first with equal bytes of the picture file or an equal normalised text, and rows whose "
            "like stands in another split. `memescope data audit` finds near-duplicates and classes them.\n"
        ),
        table(("what", "rows again", "rows across splits"), ((k, r.rows, r.across) for k, r in stats.repeats.items())),
        _words(stats),
        _pairs(stats),
        *(f"![{cell(name)}]({name})\n" for name in pictures),
    ]
    return "\n".join(part for part in parts if part)


def _labels(stats: DatasetStats) -> str:
    splits = list(stats.splits)
    rows = []
    for task, by_split in stats.labels.items():
        for label in dict.fromkeys(one for counts in by_split.values() for one in counts):
            cells = []
            for split in splits:
                counts = by_split.get(split, {})
                # A row of a multilabel task may count for several labels: shares are of all labels given.
                n = counts.get(label, 0)
                cells.append(f"{n} ({n / sum(counts.values()):.1%})" if counts else None)
            rows.append((task, label, *cells, stats.imbalance[task]))
    return table(("task", "label", *splits, "imbalance"), rows)


def _texts(stats: DatasetStats) -> str:
    rows = []
    for split in stats.splits:
        characters, words = spread(stats.characters[split]), spread(stats.words[split])
        langs = ", ".join(f"{lang} {n}" for lang, n in stats.languages[split].items())
        sizes = [f"{each.get(key, 0):.0f}" for each in (characters, words) for key in ("median", "p95", "most")]
        rows.append((split, stats.splits[split], stats.empty[split], langs, *(int(size) for size in sizes)))
    header = ("split", "rows", "empty", "languages", "letters, median", "95 %", "most", "words, median", "95 %", "most")
    return table(header, rows)


def _pictures(stats: DatasetStats) -> str:
    line = ", ".join(f"{n} {kind}" for kind, n in stats.pictures.items())
    formats = ", ".join(f"{name} {n}" for name, n in stats.formats.items())
    widths, heights = spread([w for w, _ in stats.sizes]), spread([h for _, h in stats.sizes])
    if not widths:
        return f"{line}.\n"
    return (
        f"{line}; {formats}. Median {widths['median']:.0f} x {heights['median']:.0f} pixels, largest width "
        f"{widths['most']:.0f}, largest height {heights['most']:.0f}.\n"
    )


def _words(stats: DatasetStats) -> str:
    if not stats.distinctive:
        return ""
    rows = [
        (task, label, ", ".join(f"{w.word} ({w.z:.1f}; {w.memes}/{w.others})" for w in words[:_MOST_WORDS]))
        for task, by_label in stats.distinctive.items()
        for label, words in by_label.items()
    ]
    return (
        "### Distinctive words\n\nLog-odds with an informative prior, in standard deviations; memes of the label and "
        "of the others with the word. May quote slurs.\n\n" + table(("task", "label", "words (z; memes/others)"), rows)
    )


def _pairs(stats: DatasetStats) -> str:
    found = [t for t in stats.together if not t.defined and t.v == t.v][:_MOST_PAIRS]
    if not found:
        return ""
    rows = ((t.first, t.second, t.memes, t.v, t.low, t.high) for t in found)
    return "### Tasks that go together\n\nBias-corrected Cramér's V with its 95 % interval.\n\n" + table(
        ("task", "task", "rows", "V", "low", "high"), rows
    )
