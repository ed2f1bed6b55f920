"""memescope data perceive."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from memescope.errors import MemescopeError, UsageError
from memescope.verbs.progress import progress

if TYPE_CHECKING:
    from memescope.datasets.transforms import Lookup
    from memescope.meme import Meme

_SHOWN = 5


def perceive_command(
    path: Annotated[Path, typer.Argument(help="A prepared set, or a folder with a public dataset's native files.")],
    wanted: Annotated[
        list[str] | None,
        typer.Option(
            "--with",
            metavar="NAME[=VALUE]",
            help="What to make; repeat for several: ocr, inpainted[=telea|ns], grid[=ENCODER], captions[=FILE|MODEL], "
            "regions=DIR|FILE|MODEL, paraphrases=FILE.",
        ),
    ] = None,
    split: Annotated[
        list[str] | None, typer.Option(help="Only this split; repeat for several. Default: all there are.")
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(help="Also write it here: PNG, JSONL and safetensors. New or empty. Default: cache only."),
    ] = None,
    workers: Annotated[
        int | None, typer.Option(min=0, help="Processes; 0 does the work in this one. Default: one for each core.")
    ] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Only the first N memes.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON only.")] = False,
) -> None:
    """Make OCR, inpainted pictures, features and captions of a dataset's memes, once, on all cores, and keep them.

    What was made stays in the cache, where training finds it; after a kill the same command goes on where it stopped.

    Example: memescope data perceive data/ready/harmc --with inpainted --with grid --with ocr --split test
    """
    from memescope.backbones.derived import write_derived
    from memescope.backbones.perceiving import KINDS, perceive
    from memescope.datasets.opening import open_memes

    if not wanted:
        raise UsageError(f"nothing to make: name it with --with NAME, one of {', '.join(KINDS)}")
    memes = open_memes(path)
    if split:
        there = sorted({meme.split or "" for meme in memes})
        if missing := sorted(set(split) - set(there)):
            raise UsageError(f"{path} has no split {', '.join(missing)}; there are: {', '.join(there)}")
        memes = [meme for meme in memes if meme.split in split]
    memes = memes[:limit]
    perceived = perceive(memes, wanted)
    with progress("data perceive", quiet=as_json) as report:
        ran = perceived.run(workers, report)
        found = [_looked_up(kind, memes) for kind in perceived.lookups]
        files = write_derived(perceived, out, ran, report) if out else []
    told: dict[str, Any] = {"memes": len(memes), "made": [one.to_dict() for one in ran], "found": found}
    if out:
        told |= {"out": str(out), "files": files}
    if as_json:
        print(json.dumps(told))
    else:
        _print(told)


def _looked_up(kind: Lookup, memes: list[Meme]) -> dict[str, Any]:
    """How many memes a file or folder has something for, and what is wrong with it."""
    kind.check(memes)
    there, broken, missing = 0, [], []
    for meme in memes:
        try:
            if kind.of(meme) is None:
                missing.append(meme.id)
            else:
                there += 1
        except MemescopeError as error:
            broken.append({"id": meme.id, "error": str(error)})
    problems = [f"{problem.where}: {problem.id and problem.id + ': '}{problem.message}" for problem in kind.problems]
    return {"name": kind.name, "there": there, "missing": missing, "errors": broken, "problems": problems}


def _print(told: dict[str, Any]) -> None:
    for one in told["made"]:
        counts = f"{one['computed']} made, {one['cached']} from the cache, {len(one['errors'])} errors"
        print(f"{one['name']}: {counts}, {one['seconds']:.1f} s")
        _first(one["errors"])
    for one in told["found"]:
        print(f"{one['name']}: {one['there']} of {told['memes']} memes, {len(one['missing'])} without")
        _first(one["errors"])
        for problem in one["problems"][:_SHOWN]:
            print(f"  {problem}")
    if "out" in told:
        print(f"in {told['out']}: {', '.join(told['files'])}")


def _first(errors: list[dict[str, str]]) -> None:
    for error in errors[:_SHOWN]:
        print(f"  {error['id']}: {error['error']}")
    if len(errors) > _SHOWN:
        print(f"  and {len(errors) - _SHOWN} more (--json or --out lists them all)")
