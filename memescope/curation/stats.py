"""What a dataset is made of: rows, labels, languages, texts, pictures, duplicates, label shift, distinctive words."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np

from memescope.curation.collection import Collection, collect, silent
from memescope.curation.cooccurrence import Together, together
from memescope.curation.grouping import Grouping
from memescope.curation.headers import Header, read_headers
from memescope.curation.identity import normal_text
from memescope.curation.shift import Shift, shift
from memescope.curation.wording import Distinctive, distinctive, tokens
from memescope.datasets.prepared import in_order
from memescope.meme import Meme
from memescope.taxonomy import load_taxonomy

Progress = Callable[[str, int, int], None]
Counts = dict[str, dict[str, int]]
QUANTILES = {"median": 0.5, "p95": 0.95}


@dataclass(frozen=True)
class Repeats:
    """Rows that have what another row has: `rows` beyond the first of each, `across` how many of all such rows stand in
    another split than one of their like."""

    rows: int
    across: int


@dataclass(frozen=True)
class DatasetStats:
    """One dataset. Counts are rows. `labels`: task -> split -> label -> rows, labels in the taxonomy's order, splits in
    reading order. `lengths`: split -> characters or words of each text that is not empty; `sizes`: width and height of
    each picture that could be read. `imbalance`: task -> most common label's rows over the rarest's, over all splits.
    `together`: tasks on the same rows."""

    name: str
    path: Path
    problems: dict[str, int]
    splits: dict[str, int]
    languages: Counts
    labels: dict[str, Counts]
    imbalance: dict[str, float]
    empty: dict[str, int]
    characters: dict[str, list[int]]
    words: dict[str, list[int]]
    pictures: dict[str, int]
    formats: dict[str, int]
    sizes: list[tuple[int, int]]
    repeats: dict[str, Repeats]
    shifts: list[Shift]
    distinctive: dict[str, dict[str, list[Distinctive]]]
    together: list[Together]


def make_stats(paths: Sequence[Path], progress: Progress = silent) -> tuple[Collection, list[DatasetStats]]:
    """Read every dataset under `paths` and count. Raises `UsageError` when there is nothing to read."""
    collection = collect(paths, progress, compare=False)
    headers = read_headers([meme.image for meme in collection.memes], progress)
    found, start = [], 0
    for done, opened in enumerate(collection.opened):
        progress("count", done, len(collection.opened))
        part = slice(start, start + opened.rows)
        found.append(count(opened.name, opened.path, collection.memes[part], headers[part], opened.problems))
        start += opened.rows
    progress("count", len(collection.opened), len(collection.opened))
    return collection, found


def count(
    name: str, path: Path, memes: Sequence[Meme], headers: Sequence[Header | None], problems: Mapping[str, int]
) -> DatasetStats:
    """The figures of one dataset; `headers[i]` is of the picture of `memes[i]`."""
    of_split: dict[str, list[int]] = defaultdict(list)
    for row, meme in enumerate(memes):
        of_split[meme.split or "all"].append(row)
    splits = {split: of_split[split] for split in in_order(list(of_split))}
    labels = _labels(memes, splits)
    characters = {s: [len(memes[r].text) for r in rows if memes[r].text.strip()] for s, rows in splits.items()}
    words = {s: [len(tokens(memes[r].text)) for r in rows if memes[r].text.strip()] for s, rows in splits.items()}
    alone = Grouping([], [frozenset()] * len(memes), 0, 0)
    texts = [normal_text(meme.text) for meme in memes]
    return DatasetStats(
        name=name,
        path=path,
        problems=dict(problems),
        splits={split: len(rows) for split, rows in splits.items()},
        languages={split: _count(memes[r].lang for r in rows) for split, rows in splits.items()},
        labels=labels,
        imbalance={task: _imbalance(by_split) for task, by_split in labels.items()},
        empty={split: len(rows) - len(characters[split]) for split, rows in splits.items()},
        characters=characters,
        words=words,
        pictures={
            "there": sum(h is not None for h in headers),
            "missing": sum(h is None for h in headers),
            "unreadable": sum(h is not None and h.error is not None for h in headers),
        },
        formats=_count(h.format for h in headers if h is not None and h.format is not None),
        sizes=[(h.width, h.height) for h in headers if h is not None and h.error is None],
        repeats={
            "picture files": _repeats([h.digest if h else "" for h in headers], memes),
            "texts": _repeats(texts, memes),
            "picture and text": _repeats(
                [(h.digest, text) if h and h.digest else "" for h, text in zip(headers, texts, strict=True)], memes
            ),
        },
        shifts=_shifts(labels),
        distinctive=_distinctive(memes, labels),
        together=together(memes, [name] * len(memes), alone),
    )


def _labels(memes: Sequence[Meme], splits: Mapping[str, Sequence[int]]) -> dict[str, Counts]:
    """Of a multilabel task each label's rows, and `(none)`; of a row that repeats a label one."""
    tasks = load_taxonomy().tasks
    found: dict[str, Counts] = {}
    for task in tasks.values():
        by_split: Counts = {}
        for split, rows in splits.items():
            counts: Counter[str] = Counter()
            for row in rows:
                if (label := memes[row].labels.get(task.name)) is not None:
                    counts.update([label] if isinstance(label, str) else set(label) or ["(none)"])
            if counts:
                by_split[split] = {one: counts[one] for one in (*task.labels, "(none)") if counts[one]}
        if by_split:
            found[task.name] = by_split
    return found


def _imbalance(by_split: Counts) -> float:
    total: Counter[str] = Counter()
    for counts in by_split.values():
        total.update(counts)
    return max(total.values()) / min(total.values())


def _count(values: Iterable[str]) -> dict[str, int]:
    return dict(Counter(values).most_common())


def _repeats(keys: Sequence[Hashable], memes: Sequence[Meme]) -> Repeats:
    rows: dict[Hashable, list[int]] = defaultdict(list)
    for row, key in enumerate(keys):
        if key:
            rows[key].append(row)
    several = [its for its in rows.values() if len(its) > 1]
    across = [its for its in several if len({memes[row].split for row in its}) > 1]
    return Repeats(sum(len(its) - 1 for its in several), sum(map(len, across)))


def _shifts(labels: Mapping[str, Counts]) -> list[Shift]:
    """Every two splits of every task that gives one label; a row with several labels has no share."""
    tasks = load_taxonomy().tasks
    return [
        shift(task, (first, second), (by_split[first], by_split[second]))
        for task, by_split in labels.items()
        if tasks[task].kind != "multilabel"
        for first, second in combinations(by_split, 2)
    ]


def _distinctive(memes: Sequence[Meme], labels: Iterable[str]) -> dict[str, dict[str, list[Distinctive]]]:
    """Task -> label -> words; a task without any is left out, and so is one whose coarse form says the same."""
    found = {}
    for task in labels:
        rows = [meme for meme in memes if task in meme.labels and meme.aspect is None]
        given = [meme.labels[task] for meme in rows]
        words = distinctive([m.text for m in rows], [[one] if isinstance(one, str) else one for one in given])
        order = [label for label in load_taxonomy()[task].labels if words.get(label)]
        if order:
            found[task] = {label: words[label] for label in order}
    return found


def spread(values: Sequence[float]) -> dict[str, float]:
    """Mean, quantiles and largest of some values; empty without any."""
    if not values:
        return {}
    array = np.asarray(values, float)
    quantiles = {name: float(np.quantile(array, q)) for name, q in QUANTILES.items()}
    return {"mean": float(array.mean()), **quantiles, "most": float(array.max())}


def summary(stats: DatasetStats) -> dict[str, Any]:
    """The figures as JSON values, without the single lengths and sizes."""
    from dataclasses import asdict

    plain = asdict(stats)
    for kind in ("characters", "words"):
        plain[kind] = {split: spread(values) for split, values in plain[kind].items()}
    widths, heights = [w for w, _ in stats.sizes], [h for _, h in stats.sizes]
    plain["sizes"] = {"width": spread(widths), "height": spread(heights)}
    plain["path"] = str(stats.path)
    return dict(_finite(plain))


def _finite(value: Any) -> Any:
    """JSON has no NaN."""
    if isinstance(value, dict):
        return {key: _finite(its) for key, its in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(its) for its in value]
    return None if isinstance(value, float) and value != value else value
