"""`memescope models`: which models and backbones there are, and bringing one in."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from memescope.backbones.catalogue import HUB, PULLABLE, Entry, packaged
from memescope.errors import UsageError

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, no_args_is_help=True)

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON only.")]


@app.callback()
def _models() -> None:
    """Which models and backbones there are; bring one in."""


@app.command("list")
def list_command(as_json: AsJson = False) -> None:
    """List models and backbones: what for, size, licence, and whether each is there.

    Packaged ones work offline at once. Others need the extra 'train'; those named OWNER/MODEL come from the hub.

    Example:  memescope models list
    """
    entries = everything()
    if as_json:
        print(json.dumps([as_dict(entry) for entry in entries], indent=2))
        return
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("name", "kind", "state", "MB", "licence", "what for"):
        table.add_column(column, justify="right" if column == "MB" else "left", overflow="fold")
    for entry in entries:
        table.add_row(entry.name, entry.kind, entry.state, f"{entry.megabytes:.0f}", entry.licence, entry.use)
    # a pipe has no width of its own: one line for each entry
    Console(width=None if sys.stdout.isatty() else 240).print(table)


@app.command("pull")
def pull_command(
    name: Annotated[str, typer.Argument(help="A name that `memescope models list` shows as `pull it`.")],
    file: Annotated[
        Path | None, typer.Option(help="Use this file instead of downloading; it must be the pinned one.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Bring in a model: fetch a pinned file, convert it to safetensors once, check it, keep it in the cache.

    Where it is there already nothing is done. The cache is $MEMESCOPE_CACHE or ~/.cache/memescope.

    Example:  memescope models pull smollm2-135m
    """
    from memescope.backbones.pull import pull

    folder = pull(name, file, say=lambda line: print(f"memescope models: {line}", file=sys.stderr, flush=True))
    print(json.dumps({"name": name, "folder": str(folder)}) if as_json else folder)


@app.command("merge")
def merge_models(
    runs: Annotated[list[Path], typer.Argument(help="Run folders of the family memelens, one stage each.")],
    out: Annotated[Path, typer.Option(help="Folder of the new run.")],
    how: Annotated[str, typer.Option(help="linear, ties, dare_linear or dare_ties.")] = "ties",
    weight: Annotated[
        list[float] | None, typer.Option(help="Weight of a run; repeat, one for each. Default: 1.")
    ] = None,
    density: Annotated[float, typer.Option(help="Share of an adapter's changes that TIES and DARE keep.")] = 0.2,
    seed: Annotated[int, typer.Option(help="Of what DARE drops.")] = 0,
) -> None:
    """Make one model of the adapters of several runs that started from the same weights.

    Example:  memescope models merge runs/harmc runs/multi3hate --how ties --out runs/merged
    """
    from memescope.models.memelens.merging import merge_runs

    print(merge_runs(runs, out, how, weight or (), density, seed=seed))  # type: ignore[arg-type]


@app.command("export")
def export_model(
    run: Annotated[Path, typer.Argument(help="Run folder of a vision-language family.")],
    out: Annotated[Path, typer.Option(help="New or empty folder for the model.")],
) -> None:
    """Write a run's vision-language model with its adapter merged, as transformers, vLLM and other servers read it.

    Example:  memescope models export runs/memelens-unified --out served
    """
    from memescope.models import load
    from memescope.models.vlm import VlmModel, export

    if out.exists() and any(out.iterdir()):
        raise UsageError(f"{out}: exists and is not an empty folder; name a new one")
    model = load(run)
    if not isinstance(model, VlmModel):
        raise UsageError(f"{run}: is no vision-language model; only those can be served elsewhere")
    export(model, out)
    print(out)


def everything() -> list[Entry]:
    """Models in the package, packaged backbones, those to pull, hub ids."""
    return [*shipped_models(), *packaged(), *PULLABLE, *HUB]


def shipped_models() -> list[Entry]:
    """The trained models in the package, as far as their weights are there."""
    from memescope.models import PACKAGED

    entries = []
    for name, folder in PACKAGED.items():
        if (folder / "config.json").is_file():
            size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) / 1e6
            use = "what a scan uses unless told otherwise; every task its card names"
            entries.append(Entry(name, "model", "packaged", size, "research use: see its NOTICE", use))
    return entries


def as_dict(entry: Entry) -> dict[str, str | float]:
    """An entry as plain values, `state` included."""
    return {
        "name": entry.name,
        "kind": entry.kind,
        "state": entry.state,
        "how": entry.how,
        "megabytes": round(entry.megabytes, 1),
        "licence": entry.licence,
        "use": entry.use,
    }
