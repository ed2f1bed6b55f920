"""The label atlas: where datasets, annotators and tasks agree and where they do not, as tables a person can act on.

Leaves in a folder `atlas.md` (read it first), `conflicts.jsonl` (every conflict with its rows), `agreement.json`,
`cooccurrence.json`, and the plots of `memescope.curation.plots`.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from memescope.curation import plots
from memescope.curation.agreement import Agreement, label_agreement, vote_agreement
from memescope.curation.answers import shown
from memescope.curation.collection import Collection, collect, silent
from memescope.curation.conflicts import Conflict, PairRate, find_conflicts, pair_rates, record
from memescope.curation.cooccurrence import Together, together
from memescope.curation.grouping import Grouping, group
from memescope.curation.markdown import cell, plain, table
from memescope.taxonomy import load_taxonomy

WORST = 60
"""Conflicts shown in `atlas.md`; all are in `conflicts.jsonl`."""
_MOST_ROWS, _TEXT = 6, 110
_SURE = 0.995
_SIGNS = {
    "name": "same picture name or id",
    "parallel": "one meme in several languages",
    "picture": "same pixels",
    "near": "nearly the same picture, and texts that agree",
    "text": "same text, a picture missing (weak)",
    "linked": "through other rows (weak)",
}


@dataclass(frozen=True)
class Atlas:
    """What was found. `conflicts` are sorted by evidence and gravity; indices point into `collection.memes`."""

    collection: Collection
    grouping: Grouping
    conflicts: list[Conflict]
    pairs: list[PairRate]
    agreement: list[Agreement]
    together: list[Together]

    def summary(self) -> dict[str, Any]:
        """The figures as JSON values, without the rows."""
        return {
            "datasets": [
                {**asdict(one), "path": str(one.path), "problems": one.problems} for one in self.collection.opened
            ],
            "unread": [{"path": str(path), "error": error} for path, error in self.collection.unread],
            "memes": len(self.grouping.units(len(self.collection.memes))),
            "groups": len(self.grouping.groups),
            "conflicts": len(self.conflicts),
            "pairs": [asdict(pair) for pair in self.pairs],
            "agreement": [_plain_nan(asdict(one)) for one in self.agreement],
        }


def make_atlas(paths: Sequence[Path], progress: Callable[[str, int, int], None] = silent) -> Atlas:
    """Read everything under `paths` and compare. Raises `UsageError` when there is nothing to read."""
    collection = collect(paths, progress)
    grouping = group(collection.memes, progress)
    of = collection.memes, collection.names, grouping
    return Atlas(
        collection,
        grouping,
        find_conflicts(*of),
        pair_rates(*of),
        label_agreement(*of) + vote_agreement(*of),
        together(*of),
    )


def write_atlas(atlas: Atlas, out: Path) -> list[Path]:
    """Write the files, and name them. The plots need the extra `data` (`MissingExtra`)."""
    plots.require()
    out.mkdir(parents=True, exist_ok=True)
    memes, names = atlas.collection.memes, atlas.collection.names
    written = [
        _write(out / "conflicts.jsonl", (_line(record(c, memes, names)) for c in atlas.conflicts)),
        _write(out / "agreement.json", [_json([_plain_nan(asdict(one)) for one in atlas.agreement])]),
        _write(out / "cooccurrence.json", [_json([_plain_nan(asdict(one)) for one in atlas.together])]),
    ]
    drawn = [
        plots.conflict_rates(atlas.pairs, out / "conflicts.png"),
        plots.agreement(atlas.agreement, out / "agreement.png"),
        plots.heat_map(atlas.together, out / "cooccurrence.png"),
    ]
    pictures = [path for path in drawn if path is not None]
    return [_write(out / "atlas.md", [page(atlas, [path.name for path in pictures])]), *written, *pictures]


def page(atlas: Atlas, pictures: Sequence[str] = ()) -> str:
    """The text of `atlas.md`."""
    collection = atlas.collection
    parts = [
        "# Label atlas\n",
        (
            f"{len(collection.memes)} rows, {len(atlas.grouping.units(len(collection.memes)))} memes, of which "
            f"{len(atlas.grouping.groups)} have several rows. {len(atlas.conflicts)} conflicts (one meme, one task).\n"
        ),
        "## What was read\n",
        table(
            ("dataset", "rows", "joined", "pictures", "problems", "folder"),
            (
                (
                    o.name,
                    o.rows,
                    o.copies,
                    o.pictures,
                    ", ".join(f"{n} {k}" for k, n in o.problems.items()) or "none",
                    o.path,
                )
                for o in collection.opened
            ),
        ),
    ]
    if collection.unread:
        parts += ["Not read:\n", "".join(f"- {plain(str(p))}: {plain(why)}\n" for p, why in collection.unread)]
    parts += [
        "## Conflicts by task and pair of datasets\n",
        "Shared memes, how many of them get different labels, the rate with its 95 % interval (Wilson), and which "
        "labels differ (first dataset first). Evidence: " + "; ".join(f"*{k}*: {v}" for k, v in _SIGNS.items()) + ".\n",
        _pair_table(atlas.pairs),
        _picture(pictures, "conflicts.png"),
        "## The worst conflicts\n",
        (
            "A meme a row: the surest evidence and the gravest difference first, pairs of datasets in turn. A finer "
            "task is left out where the coarse one is in conflict too. All of them: `conflicts.jsonl`.\n"
        ),
        _worst_table(atlas),
        "## Agreement\n",
        (
            "Krippendorff's alpha with its 95 % interval (bootstrap over memes): 1 is agreement, 0 is chance. Of "
            "votes: annotators of one dataset. Of labels: what two datasets, languages or rows say of one meme.\n"
        ),
        table(
            ("of", "where", "task", "level", "memes", "votes", "alpha", "low", "high"),
            ((a.of, a.where, a.task, a.level, a.memes, a.votes, a.alpha, a.low, a.high) for a in atlas.agreement),
        ),
        _picture(pictures, "agreement.png"),
        "## Tasks that go together\n",
        (
            "Bias-corrected Cramér's V of two tasks on the same memes: 0 unrelated, 1 one tells the other. Left out "
            "here: a task and its own coarse form.\n"
        ),
        table(
            ("task", "task", "where", "memes", "V", "low", "high"),
            ((t.first, t.second, t.where, t.memes, t.v, t.low, t.high) for t in _telling(atlas.together)),
        ),
        _same(atlas.together),
        _picture(pictures, "cooccurrence.png"),
    ]
    return "\n".join(part for part in parts if part)


def _pair_table(pairs: Iterable[PairRate]) -> str:
    rows = []
    for p in pairs:
        differ = ", ".join(f"{labels} {n}" for labels, n in list(p.labels.items())[:3])
        more = f", {len(p.labels) - 3} more" if len(p.labels) > 3 else ""
        rows.append(
            (p.task, p.first, p.second, p.evidence, p.shared, p.conflicts, p.rate, p.low, p.high, differ + more)
        )
    header = ("task", "dataset", "dataset", "evidence", "shared", "differ", "rate", "low", "high", "labels that differ")
    return table(header, rows)


def _worst(atlas: Atlas) -> list[list[Conflict]]:
    """Conflicts by meme, without those that a coarser task's conflict on the same meme explains.

    Each pair of datasets has its turn, so that one large pair does not hide all others.
    """
    tasks = load_taxonomy().tasks
    there = {(c.group, c.task, c.aspect) for c in atlas.conflicts}
    of_meme: dict[tuple[int, str, int], list[Conflict]] = {}
    for conflict in atlas.conflicts:
        if (conflict.group, tasks[conflict.task].coarse_task, conflict.aspect) not in there:
            same = of_meme.setdefault((conflict.group, conflict.aspect, conflict.rows[0]), [])
            if all(_words(conflict) != _words(other) for other in same):
                same.append(conflict)
    turns: Counter[tuple[str, ...]] = Counter()
    order = []
    for conflicts in of_meme.values():
        who = conflicts[0].evidence, *sorted({atlas.collection.names[row] for row in conflicts[0].rows})
        turns[who] += 1
        order.append((turns[who], conflicts))
    return [conflicts for _, conflicts in sorted(order, key=lambda pair: pair[0])][:WORST]


def _words(conflict: Conflict) -> tuple[tuple[int, ...], list[str]]:
    """Equal for two tasks that say the same of every row, as a target and the list of targets do."""
    return conflict.rows, [shown(answer).strip("()") for answer in conflict.answers]


def _worst_table(atlas: Atlas) -> str:
    memes, names = atlas.collection.memes, atlas.collection.names
    rows = []
    for number, conflicts in enumerate(_worst(atlas), 1):
        labels: dict[int, list[str]] = {}
        for conflict in conflicts:
            for row, answer in zip(conflict.rows, conflict.answers, strict=True):
                labels.setdefault(row, []).append(shown(answer))
        said = []
        for row, its in list(labels.items())[:_MOST_ROWS]:
            meme = memes[row]
            place = Path(meme.image).name if isinstance(meme.image, Path) else "no picture"
            said.append(
                f"**{cell(', '.join(its))}** {cell(names[row])} {cell(meme.split)} {cell(meme.id)} ({cell(place)}): "
                f"{cell(meme.text, _TEXT)}"
            )
        if len(labels) > _MOST_ROWS:
            said.append(f"and {len(labels) - _MOST_ROWS} more rows")
        tasks = ", ".join(dict.fromkeys(c.task for c in conflicts))
        about = f" of {conflicts[0].aspect}" if conflicts[0].aspect else ""
        todo = "; ".join(dict.fromkeys(c.suggestion for c in conflicts))
        cells = (str(number), cell(tasks + about), conflicts[0].evidence, "<br>".join(said), cell(todo))
        rows.append("| " + " | ".join(cells) + " |")
    head = "| | task | evidence | labels, dataset, split, id (picture): text | what to do |\n|---:|---|---|---|---|\n"
    return head + "\n".join(rows) + "\n" if rows else "None.\n"


def _telling(found: Sequence[Together]) -> list[Together]:
    return [t for t in found if not t.defined and t.v < _SURE][:WORST]


def _same(found: Sequence[Together]) -> str:
    """Pairs of which one tells the other, in a line."""
    pairs = dict.fromkeys(f"{t.first} and {t.second}" for t in found if not t.defined and t.v >= _SURE)
    return f"One tells the other (V at least {_SURE}): {cell('; '.join(pairs))}.\n" if pairs else ""


def _picture(names: Sequence[str], name: str) -> str:
    return f"![{name.removesuffix('.png')}]({name})\n" if name in names else ""


def _plain_nan(values: dict[str, Any]) -> dict[str, Any]:
    """JSON has no NaN."""
    return {k: None if isinstance(v, float) and v != v else v for k, v in values.items()}


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, indent=1) + "\n"


def _line(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False) + "\n"


def _write(path: Path, parts: Iterable[str]) -> Path:
    path.write_text("".join(parts), "utf-8")
    return path
