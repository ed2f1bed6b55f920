"""memescope rationales judge."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from memescope.errors import MemescopeError, UsageError
from memescope.verbs.progress import progress
from memescope.verbs.rationales import options
from memescope.verbs.rationales.options import Reach


def judge_command(
    data: Annotated[Path, typer.Argument(help="The prepared set, or dataset's folder, that the rationales belong to.")],
    rationales: Annotated[Path, typer.Option(help="Stored rationales, as `generate` and `import` write them.")],
    teacher: options.TeacherUrl,
    model: options.ModelName,
    out: Annotated[Path, typer.Option(help="File of JSON lines to write: the scores of each rationale.")],
    prompt: Annotated[str, typer.Option(help="judge, or a file of your own (.yaml) whose kind is scores.")] = "judge",
    split: options.Split = None,
    limit: options.Limit = None,
    captions: options.Captions = None,
    with_pictures: options.WithPictures = False,
    allow_remote: options.AllowRemote = None,
    key_env: options.KeyEnv = None,
    concurrency: options.Concurrency = 8,
    timeout: options.Timeout = 120.0,
    retries: options.Retries = 5,
    tries: Annotated[int, typer.Option(min=1, max=20, help="Replies asked for at most where one is not valid.")] = 3,
    seed: Annotated[int | None, typer.Option(help="Sent along; another seed asks everything anew.")] = None,
    budget_tokens: options.BudgetTokens = None,
    budget_usd: options.BudgetUsd = None,
    price_in: options.PriceIn = None,
    price_out: options.PriceOut = None,
    as_json: options.AsJson = False,
) -> None:
    """Have a language model mark stored rationales: informativeness, clarity, plausibility, faithfulness, 1 to 5.

    Example:  memescope rationales judge harmc --rationales r.jsonl --teacher URL --model MODEL --out marks.jsonl
    """
    from memescope.rationales.judge import SCALES, Judged, judge
    from memescope.rationales.prompts import load_prompt
    from memescope.rationales.store import Failure, errors_beside, load_captions, load_rationales, save

    reach = Reach(
        teacher,
        model,
        allow_remote,
        key_env,
        concurrency,
        timeout,
        retries,
        budget_tokens,
        budget_usd,
        price_in,
        price_out,
    )
    judging = reach.open()
    chosen = load_prompt(prompt)
    if chosen.kind != "scores":
        raise UsageError(f"--prompt {prompt}: asks for {chosen.kind}; a judge's prompt has kind: scores")
    stored = load_rationales(rationales)
    memes = [meme for meme in options.chosen_memes(data, split, None) if meme.id in stored][:limit]
    if not memes:
        raise UsageError(f"{rationales}: holds no rationale of a meme in {data}")
    with progress("rationales", quiet=as_json) as report:
        found, told = judge(
            memes,
            stored,
            chosen,
            judging,
            captions=load_captions(captions) if captions else None,
            seed=seed,
            tries=tries,
            pictures=with_pictures,
            concurrency=concurrency,
            progress=lambda done, total: report("rationales", done, total),
        )
    save(out, [one.to_dict() for one in found if isinstance(one, Judged)])
    save(errors_beside(out), [one for one in found if isinstance(one, Failure)])
    if as_json:
        print(json.dumps({"out": str(out), **told.to_dict()}))
    else:
        print(f"{told.run.rationales} of {told.run.memes} rationales marked by {model}, in {out}")
        for scale in SCALES if told.scales else ():
            figures = told.scales[scale]
            low, high, counts = figures["low"], figures["high"], figures["counts"]
            print(f"  {scale:<16}{figures['mean']:.2f}  ({low:.2f} to {high:.2f})  {counts}")
        for name, count in told.run.errors.items():
            print(f"  {count} without marks: {name}")
        if told.own:
            print(f"  {told.own} of them were written by {model} itself, which flatters them")
    if told.run.stopped:
        raise MemescopeError(f"stopped before the end: {told.run.stopped}")
