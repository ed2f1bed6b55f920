"""Which entries of a scan are the same meme again."""

from __future__ import annotations

from dataclasses import dataclass, field

from memescope.store.journal import Journal


@dataclass(frozen=True)
class Repeat:
    of: str
    notes: list[str] = field(default_factory=list)


def find_repeats(journal: Journal) -> dict[int, Repeat]:
    first: dict[str, str] = {}
    found = {}
    for row in journal.rows():
        if row.stored and row.reading:
            if row.reading in first:
                found[row.seq] = Repeat(first[row.reading])
            else:
                first[row.reading] = row.id
    return found
