"""`memescope train`."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from memescope.training.recipe import Recipe

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command("train")
def train_model(
    recipe: Annotated[str, typer.Argument(help="A recipe: a YAML file, such as recipes/starter.yaml.")],
    settings: Annotated[
        list[str] | None, typer.Argument(help="key=value, in place of the recipe's own values.")
    ] = None,
    export: Annotated[
        str | None,
        typer.Option(metavar="FORM", help="Train nothing: write data and configuration for ms-swift or llama-factory."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the run's folder and metrics only.")] = False,
) -> None:
    """Train a model from a recipe and leave a run folder, which `load`, `scan` and `eval` take by its path.

    Keys of a recipe are overridden as KEY=VALUE: data.root=FOLDER says where the prepared sets are, out=DIR where the
    run goes, data.limit=N takes N memes of each split and train.max_steps=N stops early, to try a recipe in a minute.

    Example:  memescope train recipes/starter.yaml data.root=../shared/data/ready out=runs/starter data.limit=200
    """
    from memescope.training import train
    from memescope.training.processes import is_first
    from memescope.training.recipe import load_recipe
    from memescope.verbs.progress import progress

    loaded = load_recipe(recipe, settings or [])
    if export is not None:
        from memescope.errors import UsageError
        from memescope.training.memelens import MemeLensRecipe
        from memescope.training.memelens_export import export_recipe

        if not isinstance(loaded, MemeLensRecipe):
            raise UsageError(f"{recipe}: only recipes of the family memelens can be exported")
        rows = export_recipe(loaded, export, loaded.out)
        if as_json:
            print(json.dumps({"folder": str(loaded.out), "rows": rows}))
        else:
            print(f"{loaded.out}: {', '.join(f'{count} {name}' for name, count in rows.items())}; start run.sh there")
        return
    _say_precision(loaded)
    with progress("train", quiet=as_json) as report:
        run = train(loaded, progress=report)
    if not is_first():
        return
    if as_json:
        print(json.dumps({"run": str(run.folder), **run.metrics}))
        return
    if "pretrained" in run.metrics:  # a backbone for other recipes: there is nothing it answers
        loss, rows, where = (run.metrics[name] for name in ("loss", "val_rows", "pretrained"))
        print(f"loss {loss:.4f} on {rows} held out; weights: {where}")
        return
    # A fit on folds has out-of-fold figures; what is trained in stages, those of the split that chose the checkpoint.
    found, of = ("out_of_fold", "out of fold, on training memes") if "out_of_fold" in run.metrics else ("val", "on val")
    print(f"{'task':<24}{'memes':>7}{'macro-F1':>10}{'log-loss':>10}   ({of})")
    for task, figures in run.metrics[found].items():
        print(f"{task:<24}{figures['n']:>7}{figures['macro_f1']:>10.3f}{figures['log_loss']:>10.3f}")
    for line in run.metrics.get("warnings", []):
        print(f"memescope train: warning: {line}", file=sys.stderr)
    print(f"\n{run.folder}: measure it with: memescope eval {run.folder} --data FOLDER")


def _say_precision(recipe: Recipe) -> None:
    """A line where the recipe's precision is not what this device is fast at."""
    wanted = getattr(getattr(recipe, "train", None), "precision", "float32")
    if wanted == "float32":
        return
    from memescope.backbones.precision import trains_in
    from memescope.training.processes import is_first

    if trains_in(wanted) != wanted and is_first():
        print(
            f"memescope train: this device does not multiply {wanted} by itself: computed in {trains_in(wanted)}, "
            "which takes longer (docs/train.md, train.precision)",
            file=sys.stderr,
        )
