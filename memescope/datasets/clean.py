"""A clean split: which rows of a dataset's official splits `memescope data audit` leaves out, and why.

`clean.json` is `{"rule", "leaks", "sets": {SOURCE: {"splits": {SPLIT: {"rows", "kept"}}, "dropped", "seen"}}}`.
`dropped` is `{SPLIT: {ID: {"because", "set", "split", "id"}}}`, rows that go, each with the row for whose sake; `seen`
is `{SPLIT: {ID: [CLASS]}}`, rows of an evaluation split that leak into one a model learns from, with the classes of
their pairs: what a model that was trained on the published splits may have seen.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from memescope.errors import UsageError
from memescope.meme import Meme

RULE = "audit/1"
"""Names how clean rows were chosen; changes whenever they could."""
CLEAN_FILE = "clean.json"


@dataclass(frozen=True)
class Dropped:
    """Why a row goes: the class of its pair with a row of `set`, `split` and `id`, which stays."""

    because: str
    set: str
    split: str
    id: str


@dataclass(frozen=True)
class CleanSet:
    """One dataset's part: rows by split, dropped rows and seen rows by (split, id)."""

    rows: dict[str, int]
    dropped: dict[tuple[str, str], Dropped]
    seen: dict[tuple[str, str], tuple[str, ...]]


@dataclass(frozen=True)
class Clean:
    """All of a `clean.json`. `leaks` are the classes of pairs that count as leaks."""

    rule: str
    leaks: tuple[str, ...]
    sets: dict[str, CleanSet]

    def keeps(self, meme: Meme) -> bool:
        """Whether the row stays in its split. Raises `UsageError` for a dataset that was not audited."""
        return (meme.split or "", meme.id) not in self._of(meme).dropped

    def seen(self, meme: Meme) -> tuple[str, ...]:
        """The classes of the row's leaks into training rows; () for a clean row. Raises `UsageError` as `keeps`."""
        return self._of(meme).seen.get((meme.split or "", meme.id), ())

    def _of(self, meme: Meme) -> CleanSet:
        name = meme.source or ""
        if name not in self.sets:
            raise UsageError(
                f"the clean split speaks of {', '.join(self.sets) or 'nothing'}, not of {name or 'an unnamed set'}: "
                "run memescope data audit on that set"
            )
        return self.sets[name]

    def write(self, path: Path) -> None:
        """Write `clean.json`."""
        sets: dict[str, Any] = {}
        for name, its in self.sets.items():
            gone = {split: sum(key[0] == split for key in its.dropped) for split in its.rows}
            part: dict[str, Any] = {
                "splits": {split: {"rows": rows, "kept": rows - gone[split]} for split, rows in its.rows.items()},
                "dropped": {split: {} for split in its.rows if gone[split]},
                "seen": {},
            }
            for (split, id), why in its.dropped.items():
                part["dropped"][split][id] = asdict(why)
            for (split, id), classes in its.seen.items():
                part["seen"].setdefault(split, {})[id] = list(classes)
            sets[name] = part
        content = {"rule": self.rule, "leaks": list(self.leaks), "sets": sets}
        path.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", "utf-8")


def read_clean(path: str | Path) -> Clean:
    """The clean split in a file, or in the folder that `memescope data audit --out` wrote.

    Raises `UsageError` for a file that is not there, broken, or made by another rule.
    """
    path = Path(path)
    path = path / CLEAN_FILE if path.is_dir() else path
    try:
        content = json.loads(path.read_text("utf-8"))
        sets = {name: _read_set(its) for name, its in content["sets"].items()}
        rule, leaks = content["rule"], tuple(content["leaks"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise UsageError(f"{path}: not a clean split as memescope data audit --out writes it: {error!r}") from None
    if rule != RULE:
        raise UsageError(f"{path}: made by rule {rule!r}, this version knows {RULE!r}: run memescope data audit again")
    return Clean(rule, leaks, sets)


def kept(memes: Sequence[Meme], clean: Clean | str | Path) -> list[Meme]:
    """The memes that a clean split keeps."""
    clean = clean if isinstance(clean, Clean) else read_clean(clean)
    return [meme for meme in memes if clean.keeps(meme)]


def _read_set(its: Any) -> CleanSet:
    return CleanSet(
        rows={split: int(counts["rows"]) for split, counts in its["splits"].items()},
        dropped={(split, id): Dropped(**why) for split, rows in its["dropped"].items() for id, why in rows.items()},
        seen={(split, id): tuple(classes) for split, rows in its["seen"].items() for id, classes in rows.items()},
    )
