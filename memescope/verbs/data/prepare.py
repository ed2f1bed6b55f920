"""memescope data prepare."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from memescope.verbs.progress import progress


def prepare_command(
    paths: Annotated[list[Path], typer.Argument(help="Downloads, a dataset's folder, or your own file or folder.")],
    out: Annotated[Path, typer.Option(help="Folder for the prepared set; new, empty or an earlier one.")],
    source: Annotated[
        list[str] | None, typer.Option(metavar="NAME[:VARIANT]", help="Only this dataset; repeat for several.")
    ] = None,
    embed: Annotated[bool, typer.Option("--embed", help="Put the pictures' bytes into the set.")] = False,
    strict: Annotated[bool, typer.Option("--strict", help="Stop at the first problem in the data.")] = False,
    pictures: Annotated[str, typer.Option(help="required: leave out rows without a readable picture.")] = "optional",
    empty_text: Annotated[
        str, typer.Option(help="Rows without text: keep, drop, or memelens (drops those of punctuation alone too).")
    ] = "keep",
    workers: Annotated[int | None, typer.Option(min=1, help="Processes that check pictures. Default: all cores.")] = (
        None
    ),
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON only.")] = False,
) -> None:
    """Bring datasets into one harmonised set that train and eval read.

    Example:  memescope data prepare downloads/fhm --out prepared/fhm
    """
    from memescope.datasets.prepare import prepare

    with progress("data", quiet=as_json) as report:
        done = prepare(
            paths,
            out,
            sources=source or (),
            embed=embed,
            strict=strict,
            pictures=pictures,  # type: ignore[arg-type]
            empty_text=empty_text,  # type: ignore[arg-type]
            workers=workers,
            progress=report,
        )
    for name, about in done.record["sources"].items():
        if about["verified"] not in (None, "real-file"):
            print(f"memescope data: {name}: not checked on real files ({about['verified']})", file=sys.stderr)
    if as_json:
        print(json.dumps({"out": str(done.folder), **done.record}, ensure_ascii=False))
        return
    rows = ", ".join(f"{split} {number}" for split, number in done.record["rows"].items())
    print(f"{sum(done.record['rows'].values())} memes ({rows}) in {out}; fingerprint {done.record['fingerprint'][:16]}")
    if len(done.problems):
        told = ", ".join(f"{number} {kind}" for kind, number in done.problems.counts.items())
        print(f"problems, each named in {out / 'problems.jsonl'}: {told}")
