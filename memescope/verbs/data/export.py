"""memescope data export."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer


def export_command(
    prepared: Annotated[Path, typer.Argument(help="Prepared set.")],
    to: Annotated[str, typer.Option(help="hub, csv, ms-swift, llama-factory, sharegpt or label-studio.")],
    out: Annotated[Path, typer.Option(help="Folder to write; new or empty.")],
    task: Annotated[list[str] | None, typer.Option(help="Only this task; repeat for several.")] = None,
    split: Annotated[list[str] | None, typer.Option(help="Only this split; repeat for several.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON only.")] = False,
) -> None:
    """A prepared set in the form another tool reads, pictures included.

    Example:  memescope data export prepared/fhm --to llama-factory --out fhm-llama-factory
    """
    from memescope.datasets.export import export

    done = export(prepared, to, out, tasks=task or (), splits=split or ())
    if as_json:
        told = {"out": str(out), "files": done.files, "rows": done.rows, "without_picture": done.without_picture}
        print(json.dumps(told, ensure_ascii=False))
        return
    rows = ", ".join(f"{name} {number}" for name, number in done.rows.items())
    print(f"{', '.join(done.files)} in {out}: {rows}")
    if done.without_picture:
        kept = "kept without one" if to in ("hub", "csv") else "left out"
        print(f"{done.without_picture} memes have no picture: {kept}")
