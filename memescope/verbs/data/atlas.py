"""memescope data atlas."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from memescope.verbs.progress import progress


def atlas_command(
    paths: Annotated[
        list[Path],
        typer.Argument(
            help="Prepared sets, folders with a public dataset's native files, or a folder that holds many."
        ),
    ],
    out: Annotated[Path, typer.Option(help="Folder for the tables and plots.")] = Path("atlas"),
    as_json: Annotated[bool, typer.Option("--json", help="Print the figures as JSON only.")] = False,
) -> None:
    """Where labels disagree: the same meme with other labels within and between datasets, how far annotators agree,
    and which tasks go together.

    Leaves atlas.md (read it first), conflicts.jsonl, agreement.json, cooccurrence.json and plots.

    Example: memescope data atlas downloads --out atlas
    """
    from memescope.curation import plots
    from memescope.curation.atlas import make_atlas, write_atlas

    plots.require()
    with progress("data atlas", quiet=as_json) as report:
        atlas = make_atlas(paths, report)
        written = write_atlas(atlas, out)
    if as_json:
        print(json.dumps({**atlas.summary(), "out": str(out), "files": [path.name for path in written]}))
        return
    for where, why in atlas.collection.unread:
        print(f"not read: {where}: {why}")
    found = atlas.summary()
    print(
        f"{len(atlas.collection.opened)} datasets, {len(atlas.collection.memes)} rows, {found['memes']} memes, "
        f"{found['groups']} of them with several rows: {found['conflicts']} conflicts"
    )
    print(f"tables and plots: {out / 'atlas.md'}")
