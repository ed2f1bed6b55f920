"""memescope rationales audit."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from memescope.errors import UsageError
from memescope.verbs.progress import progress
from memescope.verbs.rationales import options


def audit_command(
    rationales: Annotated[
        Path,
        typer.Argument(
            help="Ours, as `generate` and `import` write them; a published file; a model's predictions.jsonl."
        ),
    ],
    data: Annotated[Path, typer.Option(help="The prepared set, or dataset's folder, that they belong to.")],
    task: Annotated[
        str | None, typer.Option(help="Task whose label they explain. Default: the only one, or only binary one.")
    ] = None,
    captions: options.Captions = None,
    model: Annotated[
        str, typer.Option(help="Model or run folder for necessity; none leaves necessity out.")
    ] = "starter",
    split: options.Split = None,
    out: Annotated[Path, typer.Option(help="Folder for audit.jsonl, audit.json and audit.md.")] = Path(
        "rationale-audit"
    ),
    filter_out: Annotated[
        Path | None, typer.Option(help="File of JSON lines to write: the rationales that pass the filter.")
    ] = None,
    drop: Annotated[
        list[str] | None,
        typer.Option(metavar="FLAG", help="Flag that the filter drops; repeat for several. Default: see the page."),
    ] = None,
    least_sufficiency: Annotated[
        float | None,
        typer.Option(
            min=0, max=1, help="The filter also drops rationales that tell their label with less probability."
        ),
    ] = None,
    seed: Annotated[int, typer.Option(help="Of folds, random words and intervals.")] = 0,
    as_json: options.AsJson = False,
) -> None:
    """Check rationales before anyone learns from them: flags and scores for each, rates for all, and a filter.

    Example:  memescope rationales audit harmc.jsonl --data data/harmc --out audit --filter-out harmc-kept.jsonl
    """
    from memescope.models import load
    from memescope.rationales.audit import DROPPED, audit, keep
    from memescope.rationales.audit_input import read_any
    from memescope.rationales.audit_report import summary, write
    from memescope.rationales.generate import choose_task
    from memescope.rationales.store import load_captions, save

    memes = options.chosen_memes(data, split, None)
    chosen = choose_task(memes, task)
    without = tuple(drop) if drop else DROPPED
    keep([], without)  # an unknown flag is named before the work is done
    stored = read_any(rationales, memes, chosen.name)
    if not any(meme.id in stored for meme in memes):
        raise UsageError(f"{rationales}: holds no rationale of a meme in {data}; is it of another dataset?")
    with progress("rationales audit", quiet=as_json) as report:
        found = audit(
            memes,
            stored,
            chosen,
            captions=load_captions(captions) if captions else None,
            model=None if model == "none" else load(model),
            seed=seed,
            progress=report,
        )
    written = [str(path) for path in write(out, found, memes, stored)]
    kept = keep(found.rows, without, least_sufficiency)
    if filter_out is not None:
        save(filter_out, [stored[its] for its in kept])
        written.append(str(filter_out))
    told = summary(found)
    told["filter"] = {"drops": list(without), "least_sufficiency": least_sufficiency, "keeps": len(kept)}
    if as_json:
        print(json.dumps({"out": written, **told}))
        return
    print(f"{len(found.rows)} rationales, task {found.task}; the filter keeps {len(kept)}")
    for flag, its in told["flags"].items():
        if its["count"]:
            print(f"  {flag:<16}{its['count']:>6}  {its['rate']:6.1%}  ({its['low']:.1%} to {its['high']:.1%})")
    for reading, figures in (told["sufficiency"] or {"read_from": {}})["read_from"].items():
        its = figures["auroc"]
        print(f"  label read from {reading:<10} AUROC {its['value']:.3f} ({its['low']:.3f} to {its['high']:.3f})")
    if told["necessity"]:
        its = told["necessity"]["difference"]
        print(f"  cited words move the answer by {its['value']:+.3f} more than random ones", end=" ")
        print(f"({its['low']:+.3f} to {its['high']:+.3f}), of {told['necessity']['rationales']} rationales")
    print("  in " + ", ".join(written))
