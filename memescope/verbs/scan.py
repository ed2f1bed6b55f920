"""`memescope scan`."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated, cast, get_args

import typer

from memescope.verbs.options import AllowRemote, KeyEnv

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def scan(
    paths: Annotated[
        list[str],
        typer.Argument(help="Folders, pictures, globs, zip files, or JSONL/CSV lists with image,text columns."),
    ],
    out: Annotated[
        Path | None, typer.Option(help="Folder for the results. Default: memescope-NAME, NAME being the first path's.")
    ] = None,
    model: Annotated[str, typer.Option(help="Model by name, a run folder, or openai:URL (a server).")] = "starter",
    policy: Annotated[Path | None, typer.Option(help="YAML file with what to flag and what to review.")] = None,
    hashlist: Annotated[Path | None, typer.Option(help="PDQ list of known pictures (match and allow).")] = None,
    workers: Annotated[int | None, typer.Option(min=1, help="Memes read at a time. Default: one a core.")] = None,
    timeout: Annotated[
        float | None, typer.Option(min=1.0, help="Most seconds one meme may take. Default: 60; with a server 900.")
    ] = None,
    reasons: Annotated[
        str, typer.Option(help="Of which memes a model that writes reasons is asked why: acted-on, all or none.")
    ] = "acted-on",
    allow_remote: AllowRemote = None,
    key_env: KeyEnv = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON summary only.")] = False,
) -> None:
    """Read memes and write verdicts: memescope.db, results.jsonl, results.csv, report.html.

    Works offline. Stopped half-way, the same command goes on where it was.

    Example:  memescope scan examples/memes --out my-scan
    """
    from memescope.errors import UsageError
    from memescope.models import with_access
    from memescope.models.reasons import Reasons
    from memescope.scanning.pipeline import scan as run_scan
    from memescope.verbs.progress import progress

    if reasons not in get_args(Reasons):
        raise UsageError(f"--reasons {reasons!r}: expected one of {', '.join(get_args(Reasons))}")
    chosen = cast(Reasons, reasons)
    with progress("scan", quiet=as_json) as report_progress:
        result = run_scan(
            paths,
            out,
            model=with_access(model, allow_remote, key_env),
            policy=policy,
            hashlist=hashlist,
            workers=workers,
            timeout=timeout,
            reasons=chosen,
            progress=report_progress,
        )
    found = result.results
    if as_json:
        summary = {
            "out": str(result.out),
            "seconds": round(result.seconds, 2),
            "read_now": result.read_now,
            "known": result.known,
        }
        print(json.dumps(summary | found.to_dict()))
        return
    rate = f"{result.read_now / result.seconds:.1f} memes/s" if result.seconds and result.read_now else ""
    lines = [
        f"{found.memes} memes in {result.seconds:.1f} s" + (f" ({rate})" if rate else ""),
        f"  flagged {found.actions['flag']}   to review {found.actions['review']}   pass {found.actions['pass']}",
        f"  duplicates {found.duplicates}   errors {found.errors}",
    ]
    if result.known:
        lines.append(f"  {result.known} needed no reading: the same content had been read")
    print("\n".join(lines), file=sys.stderr)
    print(f"report: {found.report}")
