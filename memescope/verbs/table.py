"""`memescope table`."""

from __future__ import annotations

import json
import sys
import traceback
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from memescope.verbs.options import refuse

if TYPE_CHECKING:
    from memescope.training.table import Table

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command("table")
def results_table(
    name: Annotated[str, typer.Argument(help="A table: its name in recipes/tables, or the path of its YAML file.")],
    run: Annotated[
        bool, typer.Option("--run", help="Train and measure the rows that are missing, one by one.")
    ] = False,
    row: Annotated[list[str] | None, typer.Option(help="With --run: only this row; repeat for several.")] = None,
    seed: Annotated[list[int] | None, typer.Option(help="With --run: only this seed; repeat for several.")] = None,
    most: Annotated[int | None, typer.Option(min=1, help="With --run: at most so many rows in this sitting.")] = None,
    root: Annotated[Path, typer.Option(help="Folder that holds the prepared sets.")] = Path("../shared/data/ready"),
    results: Annotated[Path, typer.Option(help="Folder of the rows' JSON files.")] = Path("docs/results"),
    keep: Annotated[
        bool, typer.Option("--keep", help="With --run: keep the run folders, in the cache folder.")
    ] = False,
    by: Annotated[
        str | None,
        typer.Option(metavar="WAY", help="Print the errors of each row by stratum of memes instead: background."),
    ] = None,
    curves: Annotated[
        Path | None, typer.Option(help="Draw the rows' learning curves into this PNG and print them instead.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the table as JSON only.")] = False,
) -> None:
    """Draw a table of results from the rows that are there, or run the rows that are not.

    Each row and seed is one small JSON file in docs/results/NAME; a row that is there is never run again, so a table
    grows over many sittings. Rows are compared paired, on the same memes. Several processes may run one table: each
    takes rows that no other is at.

    Example:  memescope table mrharm-harmc --run --row "two-stage" --most 1
    """
    from memescope.training.table import load_table
    from memescope.training.table_text import figures_of, markdown

    if not run:
        refuse("without --run", {"--row": row, "--seed": seed, "--most": most, "--keep": keep})
    if curves is not None:
        refuse("with --curves", {"--by": by})
    table = load_table(name)
    failed = 0
    if run:
        failed = _run(table, row or (), seed or (), most, root, results, keep, as_json)
    if curves is not None:
        _tell_curves(table, curves, results, as_json)
    elif by is not None:
        from memescope.evaluation.score import without_nan
        from memescope.training.table_errors import strata_markdown, strata_of

        print(
            json.dumps(without_nan(strata_of(table, by, root, results)))
            if as_json
            else strata_markdown(table, by, root, results)
        )
    elif as_json:
        print(json.dumps(figures_of(table, results)))
    else:
        print(markdown(table, results))
    if failed:
        raise typer.Exit(1)


def _run(
    table: Table,
    rows: Sequence[str],
    seeds: Sequence[int],
    most: int | None,
    root: Path,
    results: Path,
    keep: bool,
    quiet: bool,
) -> int:
    """Run what is missing, row by row; how many failed. A row that fails is named, and the next one is run."""
    from memescope.errors import MemescopeError
    from memescope.training.table_run import claim, missing, run_row
    from memescope.verbs.progress import progress

    done = failed = 0
    for one, seed in list(missing(table, rows, results)):
        if (seeds and seed not in seeds) or done == most:
            continue
        with claim(table, one, seed, results) as mine:
            if not mine:
                continue
            done += 1
            try:
                with progress(f"{one.name}, seed {seed}", quiet=quiet) as report:
                    print(run_row(table, one, seed, root, report, results, keep), file=sys.stderr)
            except Exception as error:  # one bad row never stops a table, whatever it breaks
                failed += 1
                known = isinstance(error, MemescopeError)
                told = str(error) if known else "".join(traceback.format_exception(error)).rstrip()
                print(f"{one.name}, seed {seed}: {told}", file=sys.stderr)
    return failed


def _tell_curves(table: Table, path: Path, results: Path, as_json: bool) -> None:
    from memescope.training.curves import curves, curves_markdown, draw

    found = curves(table, results)
    drawn = draw(found, path, table.title)
    if as_json:
        print(json.dumps({"out": str(drawn) if drawn else None, "curves": [asdict(curve) for curve in found]}))
    elif drawn is None:
        print(f"no row of {table.name} has been trained: memescope table {table.name} --run")
    else:
        print(curves_markdown(found))
        print(drawn, file=sys.stderr)
