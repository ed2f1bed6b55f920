"""memescope rationales change."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from memescope.errors import UsageError
from memescope.verbs.rationales import options


def change_command(
    rationales: Annotated[
        Path, typer.Argument(help="Rationales as `generate` and `import` write them, or a published file.")
    ],
    data: Annotated[Path, typer.Option(help="The prepared set, or dataset's folder, that they belong to.")],
    how: Annotated[
        str,
        typer.Option(
            help="silent: without the sentences that name a label. swapped: each meme gets the rationale of another "
            "meme of its split and label."
        ),
    ],
    out: Annotated[Path, typer.Option(help="File of JSON lines to write.")],
    task: Annotated[
        str | None, typer.Option(help="Task whose label they explain. Default: the only one, or only binary one.")
    ] = None,
    split: options.Split = None,
    seed: Annotated[int, typer.Option(help="Of what is swapped.")] = 0,
    as_json: options.AsJson = False,
) -> None:
    """Change stored rationales to find out what a student takes from them; the file is read by train like any other.

    Example:  memescope rationales change harmc.jsonl --data data/harmc --how silent --out harmc-silent.jsonl
    """
    from memescope.rationales.audit_input import read_any
    from memescope.rationales.changing import change
    from memescope.rationales.generate import choose_task
    from memescope.rationales.store import save

    memes = options.chosen_memes(data, split, None)
    chosen = choose_task(memes, task)
    stored = read_any(rationales, memes, chosen.name)
    here = [meme for meme in memes if meme.id in stored]
    if not here:
        raise UsageError(f"{rationales}: holds no rationale of a meme in {data}; is it of another dataset?")
    found = change(here, stored, chosen, how, seed)
    save(out, found)
    words = [
        sum(len(text.split()) for text in texts) / len(texts)
        for texts in ([stored[meme.id].rationale for meme in here], [one.rationale for one in found])
    ]
    if as_json:
        told = {"out": str(out), "how": how, "rationales": len(here), "written": len(found)}
        print(json.dumps(told | {"words_before": round(words[0], 1), "words_after": round(words[1], 1)}))
        return
    print(f"{len(found)} of {len(here)} rationales, {how}, in {out}")
    print(f"  words on average: {words[1]:.0f}, before {words[0]:.0f}")
