"""The errors of a table's rows by meme: which memes a row was measured on, what it got wrong, error by stratum.

A row's JSON holds predictions by place in the split; the split's own files say which meme stands there. Nothing is
trained or answered again.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from memescope.datasets import read_split, split_hash
from memescope.errors import UsageError
from memescope.evaluation.metrics import DECIDING_ROWS
from memescope.evaluation.score import without_nan
from memescope.evaluation.strata import FEWEST, Errors, by_stratum, errors_of
from memescope.evaluation.tables import cell
from memescope.meme import Meme
from memescope.rationales.background import background, kinds
from memescope.taxonomy import load_taxonomy
from memescope.training.table import Table
from memescope.training.table_measured import RESULTS, Measured, measured, predictions
from memescope.training.table_text import lined

ANY = "names any of these"
WAYS: dict[str, dict[str, Callable[[Meme], bool]]] = {
    "background": {
        ANY: lambda meme: bool(background(meme.text)),
        **{f"names {kind}": lambda meme, kind=kind: kind in background(meme.text) for kind in kinds()},  # type: ignore[misc]
    }
}
"""Way of cutting memes into strata -> stratum -> whether a meme is in it. Strata may overlap."""


_SAYS = f"""Error: share of memes answered wrongly, mean over seeds. More: less the error of all other memes at one mix
of labels; it decides nothing with under {DECIDING_ROWS} memes, or {FEWEST} of a label, on either side. Intervals: 95 %,
bootstrap over distinct memes. Strata may overlap.
"""


def row_errors(table: Table, name: str, root: Path, results: Path = RESULTS) -> dict[str, Errors]:
    """Task -> the errors of one row over its seeds, with the ids of its memes; of a row in folds, on those that were
    run. `UsageError` where it was not run, or the split is not the one it was measured on."""
    row = next((one for one in table.rows if one.name == name), None)
    if row is None:
        raise UsageError(f"no row {name!r}; there are: {', '.join(one.name for one in table.rows)}")
    systems = predictions(table, results, whole=False)
    if name not in systems:
        raise UsageError(f"row {name!r} has not been run: memescope table {table.name} --run --row {name!r}")
    there = measured(table, results, whole=False)
    memes = _memes(table, next((one for one in there if one.row == name), there[0]), root)
    found = {}
    for task in table.tasks:
        its = errors_of(systems[name], load_taxonomy()[task])
        found[task] = replace(its, ids=tuple(memes[int(place)].id for place in its.ids))
    return found


def strata_of(table: Table, way: str, root: Path, results: Path = RESULTS) -> dict[str, Any]:
    """Row -> task -> strata, as JSON values: each stratum's error and how it differs from all other memes."""
    if way not in WAYS:
        raise UsageError(f"--by {way}: expected one of {', '.join(WAYS)}")
    texts = {meme.id: meme for meme in read_split(root / table.data, table.split)}
    found: dict[str, Any] = {}
    for name in predictions(table, results, whole=False):
        found[name] = {}
        for task, errors in row_errors(table, name, root, results).items():
            found[name][task] = []
            for stratum, belongs in WAYS[way].items():
                inside = ["in" if belongs(texts[its]) else "out" for its in errors.ids]
                parts = {one.name: one for one in by_stratum(errors, inside)}
                shown = [("in", stratum), *([("out", "names none")] if stratum == ANY else [])]
                found[name][task] += [
                    asdict(parts[side]) | {"name": label, "verdict": parts[side].verdict}
                    for side, label in shown
                    if side in parts
                ]
    return found


def strata_markdown(table: Table, way: str, root: Path, results: Path = RESULTS) -> str:
    """The same for people, one part for each row and task."""
    found = strata_of(table, way, root, results)
    if not found:
        return f"# {table.title}: errors by {way}\n\nNo row has been run: `memescope table {table.name} --run`\n"
    parts = [
        f"# {table.title}: errors by {way}\n",
        _SAYS,
    ]
    for name, tasks in found.items():
        for task, strata in tasks.items():
            parts.append(f"## {name}, {task}\n")
            labels = list(strata[0]["by_label"])
            rows = [
                [
                    its["name"],
                    its["n"],
                    its["distinct"],
                    cell(without_nan(its["error"])),
                    *[its["by_label"][label][1] for label in labels],
                    cell(without_nan(its["more"])) if its["more"] else "",
                    its["verdict"],
                ]
                for its in strata
            ]
            parts.append(
                lined(
                    ["stratum", "n", "distinct", "error", *(f"on {label}" for label in labels), "more", "verdict"], rows
                )
            )
    return "\n".join(parts)


def _memes(table: Table, one: Measured, root: Path) -> list[Meme]:
    """The memes that a row's places count: those of the split that could be read."""
    memes = read_split(root / table.data, table.split)
    if split_hash(memes) != one.content["split_hash"]:
        raise UsageError(
            f"{root / table.data}: the {table.split} split is {split_hash(memes)}, but row {one.row!r} was measured on "
            f"{one.content['split_hash']}: its places name other memes"
        )
    if "held_out" in one.content:
        return memes
    unread = set(one.content.get("errors", {}))
    return [meme for meme in memes if meme.id not in unread]
