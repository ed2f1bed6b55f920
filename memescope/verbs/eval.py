"""`memescope eval`."""

from __future__ import annotations

import json
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from memescope.errors import UsageError
from memescope.verbs.options import AllowRemote, KeyEnv, refuse

if TYPE_CHECKING:
    from memescope.evaluation.results import Evaluation

BATCH = 32

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


class Text(StrEnum):
    """Which text the systems are given."""

    given = "given"
    ocr = "ocr"


@app.command("eval")
def evaluate_model(
    run: Annotated[str | None, typer.Argument(help="Model by name, a run folder, or openai:URL.")] = None,
    data: Annotated[Path | None, typer.Option(help="Prepared set: a folder with SPLIT.jsonl and pictures.")] = None,
    split: Annotated[str, typer.Option(help="Which split to measure on: test, val or train.")] = "test",
    text: Annotated[Text, typer.Option(help="The set's own text, or what our OCR reads.")] = Text.given,
    out: Annotated[
        Path | None, typer.Option(help="Folder for metrics.json. Default: RUN/eval/..., or memescope-eval/... here.")
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Of folds, resamples and simulations. Default: 0.")] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Only that many rows, spread over the split.")] = None,
    batch: Annotated[
        int, typer.Option(min=1, help="Memes given to the model at once; matters where answers depend on each other.")
    ] = BATCH,
    baselines: Annotated[bool, typer.Option(help="Fit the baselines on the train split and compare.")] = True,
    clean: Annotated[
        Path | None,
        typer.Option(
            help="What memescope data audit --out wrote: clean figures leave out the rows it found to leak. Default: "
            "DATA/clean.json where there is one, else rows that share a picture or a text with training."
        ),
    ] = None,
    learnt: Annotated[
        list[str] | None,
        typer.Option(
            help="A split the model was trained on; repeat for several. Baselines learn from it. Default: train."
        ),
    ] = None,
    rationales: Annotated[
        Path | None,
        typer.Option(help="A teacher's rationales of this split: the model's own are measured against them."),
    ] = None,
    written: Annotated[int, typer.Option(min=0, help="With --rationales: for so many memes; 0: all.")] = 0,
    again: Annotated[
        Path | None,
        typer.Option("--from", help="Score again what an earlier eval left in this folder; no model needed."),
    ] = None,
    allow_remote: AllowRemote = None,
    key_env: KeyEnv = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the content of metrics.json only.")] = False,
) -> None:
    """Measure a model on a prepared set, beside simple baselines fitted in the same run.

    Every figure comes with n and an interval, every task with a paired comparison to the best baseline: better, worse,
    or no difference shown. Leaves metrics.json and predictions.jsonl.

    Example:  memescope data synth drawn --splits  and then  memescope eval starter --data drawn --text ocr
    """
    from memescope.evaluation.evaluate import evaluate
    from memescope.evaluation.results import rescore, write
    from memescope.verbs.progress import progress

    if again is not None:
        given: dict[str, object] = {"RUN": run, "--data": data, "--clean": clean, "--learnt": learnt}
        given |= {"--split": split != "test", "--text": text is not Text.given, "--no-baselines": not baselines}
        given |= {"--limit": limit, "--batch": batch != BATCH, "--rationales": rationales, "--written": written}
        refuse("with --from", given | {"--allow-remote": allow_remote, "--key-env": key_env})
        with progress("eval", quiet=as_json) as report:
            evaluation = rescore(again, seed=seed, progress=report)
        out = out or again
    else:
        if run is None or data is None:
            raise UsageError("which model on which data? memescope eval starter --data FOLDER, or --from FOLDER")
        if rationales is None:
            refuse("without --rationales", {"--written": written})
        from memescope.models import load, with_access

        model = load(with_access(run, allow_remote, key_env))
        with progress("eval", quiet=as_json) as report:
            evaluation = evaluate(
                model,
                data,
                split=split,
                text="ocr" if text is Text.ocr else "given",
                seed=seed or 0,
                limit=limit,
                batch=batch,
                baselines=baselines,
                clean=clean,
                learnt=learnt or ("train",),
                references=_references(rationales, data, split) if rationales is not None else None,
                written=written,
                progress=report,
            )
        home = Path(run) / "eval" if Path(run).is_dir() else Path("memescope-eval") / model.name
        out = out or home / f"{evaluation.metrics['data']}-{split}-{text.value}"
    _tell(evaluation, write(evaluation, out), as_json)


def _tell(evaluation: Evaluation, path: Path, as_json: bool) -> None:
    """Print what was measured, and where it was written."""
    from rich.console import Console

    from memescope.evaluation.tables import print_tables

    if as_json:
        print(json.dumps(evaluation.metrics))
        return
    console = Console()
    # A file or a pipe has no width: wide enough that no figure is cut.
    print_tables(evaluation.metrics, console if console.is_terminal else Console(width=150))
    print(f"metrics: {path}")


def _references(path: Path, data: Path, split: str) -> dict[str, str]:
    """Rationales by meme id, of the first task that the memes are labelled for."""
    from memescope.datasets import read_split
    from memescope.rationales.audit_input import read_any

    memes = read_split(data, split)
    task = next((task for meme in memes for task in meme.labels), "")
    return {its: one.rationale for its, one in read_any(path, memes, task).items()}
