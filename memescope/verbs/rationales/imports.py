"""memescope rationales import."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from memescope.errors import UsageError
from memescope.verbs.rationales import options


def import_command(
    data: Annotated[Path, typer.Argument(help="The prepared set, or dataset's folder, that the rationales belong to.")],
    rationales: Annotated[Path, typer.Argument(help="A published file: id -> text (Mr.Harm), or chains (MulCoT-RD).")],
    out: Annotated[Path, typer.Option(help="File of JSON lines to write.")],
    task: Annotated[
        str | None, typer.Option(help="Task whose label they explain. Default: the only one, or only binary one.")
    ] = None,
    model: Annotated[str, typer.Option(help="Who wrote them, as the record shall say.")] = "",
    split: options.Split = None,
    as_json: options.AsJson = False,
) -> None:
    """Bring published rationales into memescope's form, and say how many memes have one.

    Example:  memescope rationales import data/harmc harmc_rationales.json --model gpt-3.5-turbo --out harmc.jsonl
    """
    from memescope.rationales.generate import choose_task
    from memescope.rationales.published import import_rationales
    from memescope.rationales.store import coverage, save

    memes = options.chosen_memes(data, split, None)
    found = import_rationales(rationales, memes, choose_task(memes, task).name, model)
    if not found:
        raise UsageError(f"{rationales}: holds no rationale of a meme in {data}; is it of another dataset?")
    save(out, found)
    covered = coverage(memes, {one.id: one for one in found})
    if as_json:
        by_split = {one.split: {"memes": one.memes, "with_rationale": one.covered} for one in covered}
        print(json.dumps({"out": str(out), "rationales": len(found), "coverage": by_split}))
        return
    print(f"{len(found)} rationales in {out}")
    for one in covered:
        print(f"  {one.split}: {one.covered} of {one.memes} memes have one")
