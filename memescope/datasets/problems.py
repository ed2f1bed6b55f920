"""What is wrong with a dataset's files: each problem is counted and named with file and line; valid rows survive."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from memescope.errors import UsageError

KINDS = {
    "byte-order-mark": "the file starts with a byte-order mark, which was skipped",
    "encoding": "bytes that are not UTF-8, read as Windows-1252",
    "control-characters": "control characters or halves of characters, which were removed",
    "broken-line": "a line that cannot be parsed",
    "quotes": "quotation marks out of balance, read as letters",
    "columns": "a row with more or fewer columns than the header",
    "long-field": "a field longer than any meme's text",
    "missing-field": "a field that every row needs is absent or empty",
    "unknown-label": "a label that the dataset's map does not know",
    "contradiction": "labels of one row that contradict each other",
    "bad-value": "a caption or a set of paraphrases that cannot be used",
    "duplicate-row": "the same row again",
    "duplicate-id": "an id that another row of the split already has, with other content",
    "padded-id": "an id written as a number here and zero-padded elsewhere",
    "windows-path": "a picture path with backslashes or a drive, read as a plain one",
    "outside-path": "a picture path that leaves the dataset's folder, or a URL, which is never fetched",
    "missing-picture": "a picture that is not there",
    "broken-picture": "a picture that cannot be decoded",
    "empty-text": "a row without text",
    "missing-file": "a file of the dataset that is not there",
    "left-out": "a row that the way of reading the dataset leaves out by rule",
}
"""Every kind of problem and what it means."""
BY_RULE = frozenset({"left-out", "empty-text"})
"""Kinds that are no defect of the files: counted like the others, but `strict` does not stop at them."""


@dataclass(frozen=True, slots=True)
class Problem:
    """`where` is `file:line` (or the file alone); `kept` says whether the row survived; `source` names the dataset."""

    kind: str
    where: str
    message: str
    id: str = ""
    kept: bool = False
    source: str = ""


class Problems:
    """Collects problems in the order they are met. With `strict` the first one is raised as `UsageError` instead.

    `source` is the dataset being read, where several are.
    """

    def __init__(self, strict: bool = False) -> None:
        self.strict = strict
        self.source = ""
        self._found: list[Problem] = []

    def add(self, kind: str, where: str, message: str, id: str = "", kept: bool = False) -> None:
        """Note one problem; `kind` is one of `KINDS`."""
        problem = Problem(kind, where, message, id, kept, self.source)
        if self.strict and kind not in BY_RULE:
            raise UsageError(f"{where}: {message} ({kind}: {KINDS[kind]}); without --strict it is noted and skipped")
        self._found.append(problem)

    def __iter__(self) -> Iterator[Problem]:
        return iter(self._found)

    def __len__(self) -> int:
        return len(self._found)

    @property
    def counts(self) -> dict[str, int]:
        """How many of each kind, in the order of `KINDS`."""
        counted = Counter(problem.kind for problem in self._found)
        return {kind: counted[kind] for kind in KINDS if counted[kind]}

    def write(self, path: Path) -> None:
        """One JSON object a line."""
        lines = [json.dumps(asdict(problem), ensure_ascii=False) + "\n" for problem in self._found]
        path.write_text("".join(lines), "utf-8")
