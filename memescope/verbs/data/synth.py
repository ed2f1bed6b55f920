"""memescope data synth."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Annotated

import typer

from memescope.errors import UsageError
from memescope.verbs.progress import progress


def synth_command(
    out: Annotated[Path, typer.Argument(help="Folder to draw into; must be new or empty.")],
    count: Annotated[int, typer.Option(min=0, help="Number of original memes.")] = 200,
    seed: Annotated[int, typer.Option(help="The same seed draws the same bytes.")] = 0,
    lang: Annotated[
        list[str] | None, typer.Option(help="Language of the captions; repeat for several. Default: all ten.")
    ] = None,
    near_duplicates: Annotated[int, typer.Option(min=0, help="Number of changed copies of originals.")] = 0,
    change: Annotated[
        list[str] | None,
        typer.Option(
            help="How copies are changed, in turn; repeat for several: crop, recompress, rescale, watermark, border, "
            "flip. Default: all but flip."
        ),
    ] = None,
    confounders: Annotated[
        int, typer.Option(min=0, help="Number of memes with an original's picture and other text, or the reverse.")
    ] = 0,
    broken: Annotated[bool, typer.Option("--broken", help="Add a folder of broken and hostile files.")] = False,
    splits: Annotated[bool, typer.Option("--splits", help="Also write train, val and test.jsonl (70/10/20).")] = False,
    sides: Annotated[
        str, typer.Option(metavar="LOW-HIGH", help="Width and height in pixels lie between these.")
    ] = "500-900",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON only.")] = False,
) -> None:
    """Draw harmless memes with known truth: captions in ten languages, near-duplicates, confounders, broken files.

    The folder is a prepared set: truth.jsonl says of every file what is lettered on it, its labels and how it was made.

    Example: memescope data synth drawn --count 50 --lang en --lang hi --near-duplicates 10 --broken
    """
    from memescope.curation.synth import USUAL_CHANGES, synth

    with progress("data", quiet=as_json) as report:
        rows = synth(
            out,
            count,
            seed,
            languages=lang or (),
            near_duplicates=near_duplicates,
            changes=change or USUAL_CHANGES,
            confounders=confounders,
            broken=broken,
            splits=splits,
            sides=_sides(sides),
            progress=lambda done, total: report("drawn", done, total),
        )
    kinds = Counter(row["meta"]["kind"] for row in rows)
    if as_json:
        print(json.dumps({"out": str(out), "truth": str(out / "truth.jsonl"), "files": len(rows), "kinds": kinds}))
    else:
        print(f"{len(rows)} files in {out}: " + ", ".join(f"{number} {kind}" for kind, number in kinds.items()))
        print(f"truth: {out / 'truth.jsonl'}")


def _sides(text: str) -> tuple[int, int]:
    try:
        low, high = (int(part) for part in text.split("-"))
    except ValueError:
        raise UsageError(f"--sides: expected LOW-HIGH in pixels, such as 500-900, found {text!r}") from None
    return low, high
