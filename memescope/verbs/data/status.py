"""memescope data status."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from memescope.verbs.progress import progress


def status_command(
    root: Annotated[Path, typer.Argument(help="Folder with downloads, or one dataset's folder.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON only.")] = False,
) -> None:
    """What is in a folder of downloads: each dataset, what of it is missing, its licence and its known flaws.

    Example:  memescope data status downloads
    """
    from memescope.datasets.status import Found, status

    with progress("data", quiet=as_json) as report:
        found, rest = status(root, report)
    if as_json:
        print(json.dumps({"datasets": [one.to_dict() for one in found], "not_recognised": rest}, ensure_ascii=False))
        return

    def show(one: Found) -> None:
        card = one.source.card if one.source else None
        print(f"{one.source.name if one.source else one.set}  ({one.folder}, known by its {one.known_by})")
        if one.rows:
            stated = card.rows if card else {}
            told = (f"{s} {n}" + (f" of {stated[s]}" if s in stated else "") for s, n in one.rows.items())
            print(f"  rows      {', '.join(told)}")
        print(f"  missing   {'; '.join(one.missing) or 'nothing'}")
        if one.missing and card:
            print(f"  get       {card.get}")
        if one.problems:
            print(f"  problems  {', '.join(f'{number} {kind}' for kind, number in one.problems.items())}")
        if one.error:
            print(f"  error     {one.error}")
        if card:
            print(f"  licence   {card.licence}")
            print(f"  verified  {card.verified}")
            for flaw in card.flaws:
                print(f"  flaw      {flaw}")
        print()

    for one in found:
        show(one)
    if rest:
        print(f"not recognised in {root}: {', '.join(rest)}")
        print("your own data? memescope data prepare reads it by its columns; see docs/data/prepare.md")
    if not found:
        print(f"no dataset found in {root}; memescope data list says what their folders and files are called")
