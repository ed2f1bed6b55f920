"""memescope data audit."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from memescope.verbs.progress import progress

if TYPE_CHECKING:
    from memescope.curation.audit import Audit


def audit_command(
    paths: Annotated[
        list[Path],
        typer.Argument(metavar="PATH...", help="Prepared sets, or folders with a known dataset's native files."),
    ],
    out: Annotated[
        Path | None, typer.Option(help="Folder for pairs.jsonl, clean.json, audit.json and audit.html.")
    ] = None,
    inpaint: Annotated[
        bool,
        typer.Option(
            "--inpaint",
            help="Compare pictures without their letters too: finds templates and captions set anew. Slower the first "
            "time, then cached.",
        ),
    ] = False,
    templates: Annotated[
        bool, typer.Option("--templates", help="Count one template with another text as a leak as well.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON only.")] = False,
) -> None:
    """Find the same meme in several splits or datasets, and write a clean split.

    Pairs are classed: exact, re-encoded or cropped, parallel, template with another text, same text with another
    picture (by design in some datasets, never removed), same text with a missing picture. Test rows stay; the training
    row of a leaking pair goes.

    Example:  memescope data synth drawn --splits  and then  memescope data audit drawn --out audited
    """
    from memescope.curation.audit import audit, write_audit

    with progress("data audit", quiet=as_json) as report:
        found = audit(paths, inpainted=inpaint, templates=templates, progress=report)
    page = write_audit(found, out) if out else None
    summary = found.summary() | {"out": str(out) if out else None}
    if as_json:
        print(json.dumps(summary, ensure_ascii=False))
        return
    _print(found, summary)
    if page:
        print(f"page: {page}\nclean split: {page.parent / 'clean.json'}")


def _print(found: Audit, summary: dict[str, Any]) -> None:
    from rich.console import Console
    from rich.table import Table

    console = Console()
    # A file or a pipe has no width: wide enough that no cell is cut.
    console = console if console.is_terminal else Console(width=150)
    table = Table("where", "class", "pairs", "labels differ", title="Pairs", title_justify="left")
    for scope, kinds in summary["counts"].items():
        for kind, its in kinds.items():
            table.add_row(scope, kind, str(its["pairs"]), str(its["labels_differ"]))
    console.print(table)
    if found.shared:
        names = ("dataset", "splits", "pictures", "texts", "rows with such a text", "other label", "leaking rows")
        table = Table(*names, title="Identical in two splits (rows: of the second)", title_justify="left")
        for one in found.shared:
            cells = (one.pictures, one.texts, one.rows, one.opposite, one.leaking)
            table.add_row(one.set, f"{one.earlier} - {one.later}", *map(str, cells))
        console.print(table)
    if summary["across_datasets"]:
        table = Table(
            "split", "split", "pairs", "labels differ", title="One meme in two datasets", title_justify="left"
        )
        for its in summary["across_datasets"]:
            table.add_row(its["first"], its["second"], str(its["pairs"]), str(its["labels_differ"]))
        console.print(table)
    table = Table("dataset", "split", "rows", "clean", "pictures read", title="Clean split", title_justify="left")
    for name, its in summary["sets"].items():
        for split, counts in its["splits"].items():
            table.add_row(name, split, str(counts["rows"]), str(counts["kept"]), f"{its['pictures']} of {its['rows']}")
    console.print(table)
    for where, why in [*summary["unread"].items(), *summary["unreadable_pictures"].items()][:10]:
        console.print(f"not read: {where}: {why}", highlight=False, markup=False)
    unread = len(summary["unread"]) + len(summary["unreadable_pictures"])
    if unread > 10:
        console.print(f"not read: {unread - 10} more; all in audit.json")
