"""memescope data list."""

from __future__ import annotations

import json
import sys
from typing import Annotated

import typer


def list_command(
    name: Annotated[str | None, typer.Argument(help="Show this dataset's whole card.")] = None,
    markdown: Annotated[
        bool, typer.Option("--markdown", help="Print all cards as one page (docs/data/sources.md).")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON only.")] = False,
) -> None:
    """The public datasets memescope reads: languages, rows, tasks, licence, how the reader was checked.

    Example:  memescope data list fhm
    """
    from memescope.datasets.catalogue import load_source, load_sources
    from memescope.datasets.listing import card, facts, table
    from memescope.datasets.listing import markdown as page

    if markdown:
        sys.stdout.write(page())
    elif name is not None:
        source = load_source(name)
        print(json.dumps(facts(source), ensure_ascii=False) if as_json else card(source))
    elif as_json:
        print(json.dumps([facts(source) for source in load_sources().values()], ensure_ascii=False))
    else:
        _print(table(list(load_sources().values())))


def _print(rows: list[dict[str, str]]) -> None:
    from rich.console import Console
    from rich.table import Table

    shown = Table(*rows[0], box=None, pad_edge=False)
    for row in rows:
        shown.add_row(*row.values())
    Console(width=None if sys.stdout.isatty() else 200, markup=False).print(shown)
    print("\nmemescope data list NAME shows how to get one, its flaws and its variants.")
