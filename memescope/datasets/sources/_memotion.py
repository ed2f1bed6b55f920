"""The SemEval-2020 release of Memotion (`data_7000_new.csv`, `data1_trial.csv`): rows broken in a regular way.

A row is `name, URL, OCR text, corrected text, humour, sarcasm, offensive, motivational, sentiment` (the trial file adds
what the meme says it with). URLs hold stray quotation marks, so that the program that wrote the file took all up to the
next mark, newlines and whole rows included, for one cell: such a row has its labels one or two columns to the left, or
hides up to 30 others. Every row can be had back: a line of the swallowed cell has its fields between commas (the texts
lost theirs before), and the last one goes on in the cells that follow.
"""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from pathlib import Path

from memescope.datasets.native import lines
from memescope.datasets.problems import Problems

FIELDS = ("humour", "sarcasm", "offensive", "motivational", "sentiment5")
VOCABULARY = (
    ("not_funny", "funny", "very_funny", "hilarious"),
    ("not_sarcastic", "general", "twisted_meaning", "very_twisted"),
    ("not_offensive", "slight", "very_offensive", "hateful_offensive"),
    ("not_motivational", "motivational"),
    ("very_negative", "negative", "neutral", "positive", "very_positive"),
)
_CELL = "\x1f"
"""Marks where a cell ended: a character that `native.lines` lets through in no text."""


@dataclass(frozen=True, slots=True)
class ReleaseRow:
    """One row of the release; `labels` by `FIELDS`; `repaired` says that it had to be cut out of another."""

    name: str
    url: str
    ocr: str
    text: str
    labels: dict[str, str]
    said_with: str
    where: str
    repaired: bool


def release_rows(path: Path, problems: Problems) -> Iterator[ReleaseRow]:
    """All rows of a release file in order, the swallowed ones in their places; each repaired row is noted."""
    reader = csv.reader(line + "\n" for _, line in lines(path, problems))
    start = 1
    while True:
        try:
            cells = next(reader, None)
        except csv.Error as error:
            problems.add("broken-line", f"{path.name}:{reader.line_num}", f"not a delimited row: {error}")
            start = reader.line_num + 1
            continue
        if cells is None:
            return
        first, start = start, reader.line_num + 1
        if any(cell.strip() for cell in cells) and cells[0] != "Image_name":
            yield from _record(cells, path.name, first, problems)


def _record(cells: Sequence[str], file: str, first: int, problems: Problems) -> Iterator[ReleaseRow]:
    """The rows that one record of the file holds: one as it should be, one shifted, or many."""
    sound = _labels_at(cells) == 4 and not any("\n" in cell for cell in cells[:4])
    rows = [cells] if sound else [re.split(f"[,{_CELL}]", line) for line in _CELL.join(cells).split("\n")]
    for number, row in enumerate(rows):
        where = f"{file}:{first + number}"
        at = _labels_at(row)
        if at is None or at < 4:
            # The file's last cell ends its last line, which leaves an empty one behind.
            if any(cell.strip() for cell in row):
                problems.add("broken-line", where, f"no five labels in a row that begins {row[0][:60]!r}")
            continue
        name = row[0].strip()
        if not sound:
            problems.add("columns", where, "cut out of a cell that a stray quotation mark began", name, kept=True)
        yield ReleaseRow(
            name=name,
            url=",".join(row[1 : at - 2]),
            ocr=row[at - 2].strip(),
            text=row[at - 1].strip(),
            labels={field: row[at + offset].strip() for offset, field in enumerate(FIELDS)},
            said_with=" ".join(cell.strip() for cell in row[at + 5 :]).strip(),
            where=where,
            repaired=not sound,
        )


def _labels_at(cells: Sequence[str]) -> int | None:
    """Where five cells in a row are a label of each field, looked for from the right."""
    for at in range(len(cells) - len(FIELDS), -1, -1):
        if all(cells[at + offset].strip() in known for offset, known in enumerate(VOCABULARY)):
            return at
    return None


def match(ours: Sequence[tuple[str, str]], theirs: Sequence[tuple[str, str]]) -> dict[int, int]:
    """Which of `theirs` each of `ours` is, both (text, sentiment) in nearly the same order.

    Runs that agree in order are paired first, then what is left and stands once on either side. Rows without a partner
    are left out.
    """
    left, right = [_key(*row) for row in ours], [_key(*row) for row in theirs]
    blocks = SequenceMatcher(None, left, right, autojunk=False).get_matching_blocks()
    found = {block.a + step: block.b + step for block in blocks for step in range(block.size)}
    taken = set(found.values())
    rest_left = [i for i in range(len(left)) if i not in found]
    rest_right = [i for i in range(len(right)) if i not in taken]
    once_left, once_right = Counter(left[i] for i in rest_left), Counter(right[i] for i in rest_right)
    place = {right[i]: i for i in rest_right if once_right[right[i]] == 1}
    found |= {i: place[left[i]] for i in rest_left if once_left[left[i]] == 1 and left[i] in place}
    return found


def _key(text: str, sentiment: str) -> tuple[str, str]:
    return re.sub(r"\W", "", text.lower()), sentiment
