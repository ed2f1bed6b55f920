"""memescope rationales generate."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from memescope.errors import MemescopeError, UsageError
from memescope.verbs.progress import progress
from memescope.verbs.rationales import options
from memescope.verbs.rationales.options import Reach

if TYPE_CHECKING:
    from memescope.rationales.generate import Estimate


def generate_command(
    data: Annotated[Path, typer.Argument(help="A prepared set, or a public dataset's folder.")],
    teacher: options.TeacherUrl,
    model: options.ModelName,
    out: Annotated[Path | None, typer.Option(help="File of JSON lines to write; needed unless --dry-run.")] = None,
    prompt: Annotated[
        str, typer.Option(help="abductive, brief, explanation, chain, paraphrase, or a file of your own (.yaml).")
    ] = "abductive",
    task: Annotated[
        str | None, typer.Option(help="Task whose label is explained. Default: the only one, or only binary one.")
    ] = None,
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
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be sent and cost; send nothing.")] = False,
    as_json: options.AsJson = False,
) -> None:
    """Have a teacher write reasons for the labels of memes.

    Replies are kept as they come: a run that was stopped or killed goes on where it was. OUT gets the valid rationales,
    OUT's name with .errors.jsonl the memes that have none and why. Nothing leaves this machine without --allow-remote.

    Example:  memescope rationales generate harmc --teacher http://127.0.0.1:8081/v1 --model smollm2-135m --out r.jsonl
    """
    from memescope.rationales.generate import choose_task, estimate, generate, subjects_of
    from memescope.rationales.prompts import load_prompt
    from memescope.rationales.store import Failure, Rationale, errors_beside, load_captions, save

    if out is None and not dry_run:
        raise UsageError("--out: say where the rationales go (or --dry-run to see what would be sent)")
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
    source = reach.open()
    chosen = load_prompt(prompt)
    memes = options.chosen_memes(data, split, None)
    asked = choose_task(memes, task) if chosen.needs_task else None
    subjects = subjects_of(memes, chosen, asked, load_captions(captions) if captions else None)[:limit]
    if not subjects:
        raise UsageError(f"{data}: no meme is labelled for {asked.name if asked else 'any task'}")
    if dry_run:
        _tell_estimate(
            estimate(subjects, chosen, source, seed=seed, tries=tries, pictures=with_pictures), reach, as_json
        )
        return
    assert out is not None
    with progress("rationales", quiet=as_json) as report:
        found, summary = generate(
            subjects,
            chosen,
            source,
            seed=seed,
            tries=tries,
            pictures=with_pictures,
            concurrency=concurrency,
            progress=lambda done, total: report("memes", done, total),
        )
    save(out, [one for one in found if isinstance(one, Rationale)])
    save(errors_beside(out), [one for one in found if isinstance(one, Failure)])
    if as_json:
        print(json.dumps({"out": str(out), "errors_in": str(errors_beside(out)), **summary.to_dict()}))
    else:
        print(f"{summary.rationales} rationales of {summary.memes} memes in {out}")
        for name, count in summary.errors.items():
            print(f"  {count} without: {name} (see {errors_beside(out).name})")
        print(
            f"{summary.asked} replies from {source.address.host}, {summary.from_cache} from the cache; "
            f"{summary.tokens_in} tokens in, {summary.tokens_out} out"
            + (f", {summary.usd:.4f} US dollars" if price_in or price_out else "")
        )
    if summary.stopped:
        raise MemescopeError(f"stopped before the end: {summary.stopped}")


def _tell_estimate(figures: Estimate, reach: Reach, as_json: bool) -> None:
    if as_json:
        print(json.dumps({"dry_run": True, "teacher": reach.teacher, **figures.to_dict()}))
        return
    print(
        f"nothing was sent; {figures.memes} memes ({figures.from_cache} answered already) would go to {reach.teacher}:"
    )
    print(f"  about {figures.requests} requests, {figures.tokens_in} tokens in, {figures.tokens_out} out")
    print(f"  at most {figures.most_tokens} tokens, were every reply asked for to its bound and to its full length")
    if reach.price_in is not None or reach.price_out is not None:
        print(f"  about {figures.usd:.2f} US dollars, at most {figures.most_usd:.2f}")
    else:
        print("  cost: give --price-in and --price-out", file=sys.stderr)
