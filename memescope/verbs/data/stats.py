"""memescope data stats."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from memescope.verbs.progress import progress


def stats_command(
    paths: Annotated[
        list[Path],
        typer.Argument(help="Prepared sets, folders with native files of a public dataset, or a folder with many."),
    ],
    out: Annotated[Path, typer.Option(help="Folder for the tables and plots.")] = Path("stats"),
    as_json: Annotated[bool, typer.Option("--json", help="Print the figures as JSON only.")] = False,
) -> None:
    """What datasets are made of: rows, labels and their shift between splits, languages, texts, pictures, repeated
    rows, distinctive words, tasks that go together.

    Leaves stats.md (read it first), stats.json and plots.

    Example: memescope data stats drawn --out stats
    """
    from memescope.curation import plots
    from memescope.curation.stats import make_stats, summary
    from memescope.curation.statspage import write_stats

    plots.require()
    with progress("data stats", quiet=as_json) as report:
        collection, found = make_stats(paths, report)
        written = write_stats(collection, found, out)
    if as_json:
        figures = {
            "datasets": [summary(stats) for stats in found],
            "unread": [{"path": str(path), "error": why} for path, why in collection.unread],
        }
        print(json.dumps({**figures, "out": str(out), "files": [path.name for path in written]}))
        return
    for where, why in collection.unread:
        print(f"not read: {where}: {why}")
    for stats in found:
        rows = ", ".join(f"{split} {number}" for split, number in stats.splits.items())
        print(f"{stats.name}: {rows}; {len(stats.labels)} tasks; {stats.pictures['missing']} pictures missing")
    print(f"tables and plots: {out / 'stats.md'}")
