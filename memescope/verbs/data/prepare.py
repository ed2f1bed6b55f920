"""memescope data prepare."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from memescope.errors import UsageError
from memescope.verbs.progress import progress


def prepare_command(
    paths: Annotated[list[Path], typer.Argument(help="Downloads, a dataset's folder, or your own file or folder.")],
    out: Annotated[Path | None, typer.Option(help="Folder for the prepared set; new, empty or an earlier one.")] = None,
    source: Annotated[
        list[str] | None, typer.Option(metavar="NAME[:VARIANT]", help="Only this dataset; repeat for several.")
    ] = None,
    column: Annotated[
        list[str] | None,
        typer.Option(
            metavar="ROLE=NAME",
            help="Which column of your own data holds what: id, image, text, label, split, lang, aspect or rationale; "
            "repeat for several.",
        ),
    ] = None,
    mapping: Annotated[Path | None, typer.Option(help="Label map of your own data (YAML).")] = None,
    draft_mapping: Annotated[
        Path | None, typer.Option(help="Write a draft of the label map to this new file, and prepare nothing.")
    ] = None,
    name: Annotated[str | None, typer.Option(help="What your own data is called. Default: its file or folder.")] = None,
    embed: Annotated[bool, typer.Option("--embed", help="Put the pictures' bytes into the set.")] = False,
    strict: Annotated[bool, typer.Option("--strict", help="Stop at the first problem in the data.")] = False,
    pictures: Annotated[str, typer.Option(help="required: leave out rows without a readable picture.")] = "optional",
    empty_text: Annotated[
        str, typer.Option(help="Rows without text: keep, drop, or memelens (drops those of punctuation alone too).")
    ] = "keep",
    split_by: Annotated[
        str, typer.Option(help="What stays in one split where the data has none: content, or a column's name.")
    ] = "content",
    ratio: Annotated[str, typer.Option(help="Shares of train, val and test where the data has no splits.")] = (
        "0.7/0.1/0.2"
    ),
    workers: Annotated[int | None, typer.Option(min=1, help="Processes that check pictures. Default: all cores.")] = (
        None
    ),
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON only.")] = False,
) -> None:
    """Bring datasets into one harmonised set that train and eval read.

    Example:  memescope data prepare downloads/fhm --out prepared/fhm
    """
    from memescope.datasets.prepare import draft, prepare

    columns = [_pair(text) for text in column or ()]
    if draft_mapping is not None:
        if len(paths) != 1:
            raise UsageError("--draft-mapping: give the one file or folder whose labels are to be mapped")
        text = draft(paths[0], draft_mapping, columns=columns, name=name)
        drafted = {"draft": str(draft_mapping), "unsure": text.count(': "?"')}
        print(json.dumps(drafted) if as_json else f"{draft_mapping}: {drafted['unsure']} places to fill in\n\n{text}")
        return
    if out is None:
        raise UsageError("--out FOLDER: say where the prepared set is to be written")
    with progress("data", quiet=as_json) as report:
        done = prepare(
            paths,
            out,
            sources=source or (),
            columns=columns,
            mapping=mapping,
            name=name,
            embed=embed,
            strict=strict,
            pictures=pictures,  # type: ignore[arg-type]
            empty_text=empty_text,  # type: ignore[arg-type]
            split_by=split_by,
            ratio=_shares(ratio),
            workers=workers,
            progress=report,
        )
    for name, about in done.record["sources"].items():
        if about["verified"] not in (None, "real-file"):
            print(f"memescope data: {name}: not checked on real files ({about['verified']})", file=sys.stderr)
    if not any(done.record["labels"].values()):
        told = "no labels: name the columns that have them with --column label=NAME, if there are any"
        print(f"memescope data: {told}", file=sys.stderr)
    if as_json:
        print(json.dumps({"out": str(done.folder), **done.record}, ensure_ascii=False))
        return
    rows = ", ".join(f"{split} {number}" for split, number in done.record["rows"].items())
    print(f"{sum(done.record['rows'].values())} memes ({rows}) in {out}; fingerprint {done.record['fingerprint'][:16]}")
    if len(done.problems):
        told = ", ".join(f"{number} {kind}" for kind, number in done.problems.counts.items())
        print(f"problems, each named in {out / 'problems.jsonl'}: {told}")


def _pair(text: str) -> tuple[str, str]:
    role, equals, name = text.partition("=")
    if not equals:
        raise UsageError(f"--column {text}: expected ROLE=NAME, such as text=ocr_text")
    return role, name


def _shares(text: str) -> list[float]:
    try:
        return [float(part) for part in text.split("/")]
    except ValueError:
        raise UsageError(f"--ratio {text}: expected three shares, such as 0.7/0.1/0.2") from None
