"""The rows of a results table that were measured, as they lie in `docs/results`.

`docs/results/NAME/ROW-SEED.json` holds one row and seed: figures, and predictions from which rows are compared paired.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from memescope.cache import content_key
from memescope.errors import UsageError
from memescope.evaluation.compact import unpack
from memescope.evaluation.predictions import MODEL, Row
from memescope.training.table import Table, file_stem, pieces

RESULTS = Path("docs/results")


@dataclass(frozen=True)
class Measured:
    """One row and seed that was measured: its small JSON; of a row in folds one for each fold."""

    row: str
    seed: int
    parts: tuple[dict[str, Any], ...]

    @property
    def systems(self) -> set[str]:
        """Whose predictions it holds: the model's, and baselines that were fitted beside it."""
        return {name for part in self.parts for its in part["predictions"]["tasks"].values() for name in its["systems"]}

    @property
    def tasks(self) -> set[str]:
        """The tasks it answers."""
        return set(self.content["predictions"]["tasks"])

    @property
    def content(self) -> dict[str, Any]:
        """The JSON; of a row in folds the first, which says of data and intervals what holds for all."""
        return self.parts[0]

    def rows(self) -> list[Row]:
        """The predictions; those of folds together, in the split's order, each fold's clusters for themselves."""
        if "held_out" not in self.content:
            return unpack(self.content["predictions"])
        found: list[tuple[int, Row]] = []
        for part in self.parts:
            before = 1 + max((row.cluster for _, row in found), default=-1)
            for place, row in zip(part["held_out"], unpack(part["predictions"]), strict=True):
                found.append((place, replace(row, id=str(place), cluster=row.cluster + before)))
        return [row for _, row in sorted(found, key=lambda pair: pair[0])]


def result_path(table: Table, row: str, seed: int, results: Path = RESULTS) -> Path:
    """Where one row and seed is kept: in the table that runs it."""
    shown = {name: one.of for one in table.rows for name in (one.name, *(piece.name for piece in pieces(one)))}
    return results / (shown.get(row) or table.name) / f"{file_stem(row)}-{seed}.json"


def measured(table: Table, results: Path = RESULTS, whole: bool = True) -> list[Measured]:
    """The rows and seeds that are there, in the table's order; not `whole`: with those of which some folds are."""
    found = []
    for (row, seed), paths in _files(table, results).items():
        there = [path for path in paths if path.is_file()]
        if len(there) == len(paths) or (there and not whole):
            found.append(Measured(row, seed, tuple(json.loads(path.read_text("utf-8")) for path in there)))
    return found


def _files(table: Table, results: Path) -> dict[tuple[str, int], list[Path]]:
    """Where each row and seed is kept, whether it is there or not."""
    return {
        (row.name, seed): [result_path(table, piece.name, seed, results) for piece in pieces(row)]
        for row in table.rows
        for seed in row.seeds
    }


def digest(table: Table, results: Path = RESULTS) -> str:
    """Twelve hexadecimal digits that stand for the rows and seeds that are there (see `measured`); none: empty."""
    whole = [paths for paths in _files(table, results).values() if all(path.is_file() for path in paths)]
    files = [path for paths in whole for path in paths]
    found = [(path.parent.name, path.name, hashlib.sha256(path.read_bytes()).hexdigest()) for path in files]
    return content_key(found)[:12] if found else ""


def predictions(table: Table, results: Path = RESULTS, whole: bool = True) -> dict[str, list[list[Row]]]:
    """Row -> the predictions of each seed that is there (see `measured`). A baseline's are those made beside the first
    of the rows that answer most tasks."""
    there = measured(table, results, whole)
    found: dict[str, list[list[Row]]] = {}
    for row in table.rows:
        if row.baseline is None:
            mine = [one.rows() for one in there if one.row == row.name]
        else:
            beside = [one for one in there if row.baseline in one.systems] or there
            most = sorted(beside, key=lambda one: -len(one.tasks))[:1]
            mine = [_as_model(one.rows(), row.baseline) for one in most]
        if mine:
            found[row.name] = mine
    return found


def _as_model(rows: list[Row], baseline: str) -> list[Row]:
    for row in rows:
        if baseline not in row.answers:
            raise UsageError(f"there is no baseline {baseline!r}; there are: {', '.join(sorted(row.answers))}")
        row.answers = {MODEL: row.answers[baseline]}
    return rows
