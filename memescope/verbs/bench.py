"""`memescope bench`."""

from __future__ import annotations

import json
import sys
from importlib import import_module
from pathlib import Path
from typing import Annotated

import typer

from memescope.errors import UsageError

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)

BENCHMARKS = {
    "scan": "throughput of a scan against one picture at a time, share of time by stage, distance from the ideal",
    "memory": "peak memory of a scan as the number of memes grows",
    "start": "seconds for `import memescope` and for a scan of one picture from a cold start",
    "ocr": "character error and milliseconds a meme, against the OCR library as it comes",
    "prepare": "rows a second of data prepare, against datasets and its map written plainly",
    "duplicates": "recall of near-duplicates by kind of change, false matches, throughput",
    "mrharm": "scored against written answers, cached features, batches by length, writing: each against its ideal",
    "vlm": "learning against the plain loop, labels scored behind one reading against generate and the ideal, depths",
    "mmorient": "relation graphs against torch and the published way, steps and answers against concatenation",
    "ssm": "selective scan against transformers and mambapy, alone and in whole models; growth, distance from a floor",
    "mamba": "a small Mamba of text against attention of equal size as texts grow: time and memory (question M8)",
    "audit": "all near pairs of a million hashes, recall of the audit by kind of change, pictures hashed a second",
}
"""Every benchmark and what it measures; the function is `memescope.bench.NAME.run`."""


@app.command()
def bench(
    name: Annotated[str, typer.Argument(help=f"One of: {', '.join(BENCHMARKS)}.")],
    quick: Annotated[bool, typer.Option("--quick", help="Smaller numbers, done in about a minute.")] = False,
    data: Annotated[
        Path | None, typer.Option(help="Folder with real data, for the benchmarks that can use it.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON only.")] = False,
) -> None:
    """Measure this machine; nothing else should run meanwhile.

    Example:  memescope bench scan --quick
    """
    if name not in BENCHMARKS:
        raise UsageError(f"no benchmark {name!r}; there are: {', '.join(BENCHMARKS)}")
    measured = import_module(f"memescope.bench.{name}").run(quick=quick, data=data)
    if not as_json:
        print(f"memescope bench {name}: {BENCHMARKS[name]}", file=sys.stderr)
    print(json.dumps(measured, indent=None if as_json else 2, ensure_ascii=False))
