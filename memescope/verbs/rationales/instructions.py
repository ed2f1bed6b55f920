"""memescope rationales instructions."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from memescope.verbs.rationales import options
from memescope.verbs.rationales.options import Reach


def instructions_command(
    teacher: options.TeacherUrl,
    model: options.ModelName,
    out: Annotated[Path, typer.Option(help="YAML file to write, for a recipe's model.instructions.")],
    task: Annotated[list[str] | None, typer.Option(help="Only this task; repeat for several. Default: all.")] = None,
    count: Annotated[int, typer.Option(min=1, max=40, help="Clauses asked for, for each task.")] = 10,
    seed: Annotated[int | None, typer.Option(help="Sent along.")] = None,
    allow_remote: options.AllowRemote = None,
    key_env: options.KeyEnv = None,
    concurrency: options.Concurrency = 8,
    timeout: options.Timeout = 120.0,
    retries: options.Retries = 5,
    budget_tokens: options.BudgetTokens = None,
    as_json: options.AsJson = False,
) -> None:
    """Have a teacher say MemeLens' instructions in other words. No meme is sent.

    Example:  memescope rationales instructions --teacher URL --model MODEL --out more.yaml
    """
    from memescope.rationales.wordings import more_asks, write_asks
    from memescope.taxonomy import load_taxonomy

    opened = Reach(teacher, model, allow_remote, key_env, concurrency, timeout, retries, budget_tokens).open()
    found = more_asks(opened, task or list(load_taxonomy().tasks), count, seed)
    write_asks(found, out)
    counts = {name: len(some) for name, some in found.items()}
    if as_json:
        print(json.dumps({"out": str(out), "clauses": counts}))
    else:
        print(f"{sum(counts.values())} clauses for {len(counts)} tasks, in {out}")
