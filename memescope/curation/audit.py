"""The audit of splits: which rows of a dataset's splits, or of several datasets, are the same meme, and what is clean.

A leak is one meme on both sides of a boundary that a model must not have seen across: train, val and test of one
dataset. The same text with another picture is no leak (Facebook's Hateful Memes are built that way), nor is a template
with a new text, unless asked for; both are counted, with the labels that differ. Pairs across datasets are reported
and leave each dataset's own clean split alone. Rules and figures: `docs/data/audit.md`.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

from memescope.curation.identity import Progress
from memescope.curation.pairs import CLASSES, LEAKS, Class, Entry, Pair, enter, find_pairs
from memescope.datasets.clean import CLEAN_FILE, RULE, Clean, CleanSet, Dropped
from memescope.datasets.opening import open_memes
from memescope.datasets.prepared import in_order
from memescope.errors import MemescopeError, UsageError
from memescope.meme import Meme

Scope = Literal["within a split", "versions of a split", "across splits", "across datasets"]
SCOPES: tuple[Scope, ...] = get_args(Scope)
"""`versions of a split`: two that are used for the same, such as `val` and `val_seen`."""
PAIRS_FILE, SUMMARY_FILE, PAGE_FILE = "pairs.jsonl", "audit.json", "audit.html"


@dataclass(frozen=True)
class Shared:
    """What two splits of a dataset have in common.

    `pictures` and `texts`: identical ones (by bytes, or by name where the pictures are missing; by letters). `rows`:
    rows of `later` with such a text; `opposite`: of these the ones that differ in a label from a row of `earlier` with
    the same text. `leaking`: rows of `later` that leak into `earlier`.
    """

    set: str
    earlier: str
    later: str
    pictures: int
    texts: int
    rows: int
    opposite: int
    leaking: int


@dataclass(frozen=True)
class Audit:
    """What was found. `errors`: by row, why its picture could not be read; `unread`: paths that hold no dataset."""

    entries: list[Entry]
    pairs: list[Pair]
    errors: dict[int, str]
    unread: dict[str, str]
    leaks: tuple[Class, ...]
    clean: Clean
    shared: list[Shared]
    inpainted: bool

    def scope(self, pair: Pair) -> Scope:
        """Where the pair stands."""
        return _scope(self.entries[pair.first], self.entries[pair.second])

    def is_leak(self, pair: Pair) -> bool:
        """Whether the pair makes a split unclean."""
        return pair.kind in self.leaks and self.scope(pair) == "across splits"

    def counts(self) -> dict[Scope, dict[Class, dict[str, int]]]:
        """By scope and class: how many pairs, and how many of them differ in the label of a task both have."""
        pairs: Counter[tuple[Scope, Class]] = Counter()
        differ: Counter[tuple[Scope, Class]] = Counter()
        for pair in self.pairs:
            key = (self.scope(pair), pair.kind)
            pairs[key] += 1
            differ[key] += bool(differing(self.entries[pair.first].meme, self.entries[pair.second].meme))
        return {
            scope: {
                kind: {"pairs": pairs[scope, kind], "labels_differ": differ[scope, kind]}
                for kind in CLASSES
                if pairs[scope, kind]
            }
            for scope in SCOPES
            if any(key[0] == scope for key in pairs)
        }

    def across(self) -> list[dict[str, Any]]:
        """For each two splits of different datasets, how many pairs are one meme, and how many differ in a label."""
        pairs: Counter[tuple[str, str]] = Counter()
        differ: Counter[tuple[str, str]] = Counter()
        for pair in self.pairs:
            a, b = self.entries[pair.first], self.entries[pair.second]
            if pair.kind in self.leaks and a.set != b.set:
                key = ("/".join(a.place), "/".join(b.place))
                pairs[key] += 1
                differ[key] += bool(differing(a.meme, b.meme))
        return [
            {"first": a, "second": b, "pairs": pairs[a, b], "labels_differ": differ[a, b]} for a, b in sorted(pairs)
        ]

    def summary(self) -> dict[str, Any]:
        """What `--json` prints and `audit.json` holds."""
        sets: dict[str, dict[str, Any]] = {}
        for entry in self.entries:
            its = sets.setdefault(entry.set, {"rows": 0, "pictures": 0, "splits": Counter()})
            its["rows"] += 1
            its["pictures"] += entry.print is not None
            its["splits"][entry.place[1]] += 1
        for name, its in sets.items():
            gone = Counter(split for split, _ in self.clean.sets[name].dropped)
            its["splits"] = {s: {"rows": its["splits"][s], "kept": its["splits"][s] - gone[s]} for s in its["splits"]}
        return {
            "rule": RULE,
            "leaks": list(self.leaks),
            "inpainted": self.inpainted,
            "sets": sets,
            "counts": self.counts(),
            "shared": [vars(one) for one in self.shared],
            "across_datasets": self.across(),
            "unreadable_pictures": {_where(self.entries[row]): error for row, error in self.errors.items()},
            "unread": self.unread,
        }


def audit(
    paths: Sequence[str | Path],
    *,
    inpainted: bool = False,
    templates: bool = False,
    progress: Progress = lambda stage, done, total: None,
) -> Audit:
    """Audit the datasets at `paths`: prepared sets, folders in their layout, or public datasets' native files.

    `inpainted` compares pictures without their letters too, which finds templates and captions set anew (text is
    detected in every picture: about a tenth of a second each, once). `templates` makes templates leaks. Raises
    `UsageError` when no path holds a dataset.
    """
    memes, names, unread = _open([Path(path) for path in paths])
    entries, errors = enter(memes, names, inpainted=inpainted, progress=progress)
    pairs = find_pairs(entries, progress)
    leaks: tuple[Class, ...] = (*LEAKS, "template") if templates else LEAKS
    clean = Clean(RULE, leaks, _clean_sets(entries, pairs, leaks))
    shared = _shared(entries, pairs, leaks)
    return Audit(entries, pairs, errors, unread, leaks, clean, shared, inpainted)


def write_audit(found: Audit, folder: str | Path) -> Path:
    """Write `pairs.jsonl`, `clean.json`, `audit.json` and `audit.html`; gives the path of the page."""
    from memescope.curation.auditpage import page

    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / PAIRS_FILE).open("w", encoding="utf-8") as lines:
        for pair in found.pairs:
            lines.write(json.dumps(_record(found, pair), ensure_ascii=False) + "\n")
    found.clean.write(folder / CLEAN_FILE)
    summary = json.dumps(found.summary(), indent=1, ensure_ascii=False)
    (folder / SUMMARY_FILE).write_text(summary + "\n", "utf-8")
    (folder / PAGE_FILE).write_text(page(found), "utf-8")
    return folder / PAGE_FILE


def differing(first: Meme, second: Meme) -> dict[str, tuple[Any, Any]]:
    """Tasks that both are labelled for, with their labels, where these differ."""
    both = first.labels.keys() & second.labels.keys()
    return {
        task: (first.labels[task], second.labels[task])
        for task in sorted(both)
        if _plain(first.labels[task]) != _plain(second.labels[task])
    }


def role(split: str) -> int:
    """What a split is for, by its name: 0 to learn from, 1 to choose with (val, dev), 2 to measure on (test)."""
    return 2 if split.startswith("test") else 1 if split.startswith(("val", "dev")) else 0


def _open(paths: Sequence[Path]) -> tuple[list[Meme], list[str], dict[str, str]]:
    memes: list[Meme] = []
    names: list[str] = []
    unread: dict[str, str] = {}
    taken: set[str] = set()
    for path in dict.fromkeys(path.resolve() for path in paths):
        try:
            found = open_memes(path)
        except MemescopeError as error:
            unread[str(path)] = str(error)
            continue
        # One folder may hold several datasets: the prepared set of many sources.
        mine = {source: _name(source or path.name, path, taken) for source in dict.fromkeys(m.source for m in found)}
        taken |= set(mine.values())
        memes += found
        names += [mine[meme.source] for meme in found]
    if not memes:
        raise UsageError("; ".join(unread.values()) or "nothing to audit: give a prepared set or a dataset's folder")
    return memes, names, unread


def _name(name: str, path: Path, taken: set[str]) -> str:
    """The dataset's name, with its folder's parent where another path has the same."""
    for choice in (name, f"{name} ({path.parent.name})"):
        if choice not in taken:
            return choice
    return f"{name} ({path})"


def _scope(first: Entry, second: Entry) -> Scope:
    if first.set != second.set:
        return "across datasets"
    a, b = first.place[1], second.place[1]
    return "within a split" if a == b else "versions of a split" if role(a) == role(b) else "across splits"


def _clean_sets(entries: Sequence[Entry], pairs: Iterable[Pair], leaks: Sequence[Class]) -> dict[str, CleanSet]:
    """Test rows stay and the row of the split that is learnt from goes; within a test split the first copy stays."""
    rows: dict[str, Counter[str]] = defaultdict(Counter)
    for entry in entries:
        rows[entry.set][entry.place[1]] += 1
    sets = {name: CleanSet({s: its[s] for s in in_order(list(its))}, {}, {}) for name, its in rows.items()}
    for pair in sorted((p for p in pairs if p.kind in leaks), key=lambda p: (p.second, p.first)):
        a, b = entries[pair.first], entries[pair.second]
        scope, its = _scope(a, b), sets[a.set]
        if scope == "across splits":
            stays, goes = (a, b) if role(a.place[1]) > role(b.place[1]) else (b, a)
            its.dropped.setdefault(_key(goes), Dropped(pair.kind, stays.set, *_key(stays)))
            classes = its.seen.get(_key(stays), ())
            its.seen[_key(stays)] = classes if pair.kind in classes else (*classes, pair.kind)
        elif scope == "within a split" and _again(a, b, pair) and _key(a) not in its.dropped:
            its.dropped.setdefault(_key(b), Dropped(pair.kind, a.set, *_key(a)))
    return sets


def _again(a: Entry, b: Entry, pair: Pair) -> bool:
    """Whether the second is the same test question again: aspects and languages of one meme are several."""
    return role(a.place[1]) == 2 and pair.kind in ("exact", "re-encoded") and a.meme.aspect == b.meme.aspect


def _shared(entries: Sequence[Entry], pairs: Iterable[Pair], leaks: Sequence[Class]) -> list[Shared]:
    by_place: dict[tuple[str, str], list[Entry]] = defaultdict(list)
    for entry in entries:
        by_place[entry.place].append(entry)
    leaking: dict[tuple[str, str, str], set[int]] = defaultdict(set)
    for pair in pairs:
        a, b = entries[pair.first], entries[pair.second]
        if pair.kind in leaks and _scope(a, b) == "across splits":
            leaking[a.set, a.place[1], b.place[1]].add(pair.second)
            leaking[a.set, b.place[1], a.place[1]].add(pair.first)
    found = []
    for name in dict.fromkeys(entry.set for entry in entries):
        splits = in_order([split for its, split in by_place if its == name])
        for place, earlier in enumerate(splits):
            for later in splits[place + 1 :]:
                its = _compare_splits(by_place[name, earlier], by_place[name, later])
                rows = len(leaking[name, earlier, later])
                if any(its) or rows:
                    found.append(Shared(name, earlier, later, *its, leaking=rows))
    return found


def _compare_splits(earlier: Sequence[Entry], later: Sequence[Entry]) -> tuple[int, int, int, int]:
    """Identical pictures, identical texts, rows of the later split with such a text, of these with other labels."""
    pictures = {_picture(entry) for entry in earlier} & {_picture(entry) for entry in later} - {None}
    said: dict[str, list[Meme]] = defaultdict(list)
    for entry in earlier:
        if entry.letters:
            said[entry.letters].append(entry.meme)
    again = [entry for entry in later if entry.letters in said]
    opposite = sum(any(differing(meme, entry.meme) for meme in said[entry.letters]) for entry in again)
    return len(pictures), len({entry.letters for entry in again}), len(again), opposite


def _picture(entry: Entry) -> str | None:
    if entry.print is not None:
        return entry.print.file
    return str(entry.meme.image) if isinstance(entry.meme.image, Path) else None


def _record(found: Audit, pair: Pair) -> dict[str, Any]:
    a, b = found.entries[pair.first], found.entries[pair.second]
    both = sorted(a.meme.labels.keys() & b.meme.labels.keys())
    other = differing(a.meme, b.meme)
    return {
        "class": pair.kind,
        "how": pair.how,
        "scope": found.scope(pair),
        "leak": found.is_leak(pair),
        "first": _row(a),
        "second": _row(b),
        "text": pair.text,
        "similarity": pair.similarity,
        "bits": pair.bits,
        "bare_bits": pair.bare_bits,
        "labels": {
            task: {"first": a.meme.labels[task], "second": b.meme.labels[task], "agree": task not in other}
            for task in both
        },
    }


def _row(entry: Entry) -> dict[str, Any]:
    image = entry.meme.image
    named = str(image) if isinstance(image, Path) else None
    return {"set": entry.set, "split": entry.place[1], "id": entry.meme.id, "image": named, "text": entry.meme.text}


def _key(entry: Entry) -> tuple[str, str]:
    return entry.place[1], entry.meme.id


def _where(entry: Entry) -> str:
    return "/".join((*entry.place, entry.meme.id))


def _plain(label: Any) -> Any:
    return sorted(label) if isinstance(label, list) else label
