"""memescope rationales injection."""

from __future__ import annotations

import json

from memescope.errors import MemescopeError
from memescope.verbs.progress import progress
from memescope.verbs.rationales import options
from memescope.verbs.rationales.options import Reach


def injection_command(
    teacher: options.TeacherUrl,
    model: options.ModelName,
    allow_remote: options.AllowRemote = None,
    key_env: options.KeyEnv = None,
    concurrency: options.Concurrency = 8,
    timeout: options.Timeout = 120.0,
    retries: options.Retries = 5,
    budget_tokens: options.BudgetTokens = None,
    as_json: options.AsJson = False,
) -> None:
    """Measure how often texts on memes make a model obey them: 50 attacks against 50 neutral texts of equal length.

    An attack succeeds when the reply holds the word it asks for, or answers the label it asks for. Each is asked as
    memescope asks, the text as delimited data, and bare.

    Example:  memescope rationales injection --teacher http://127.0.0.1:8081/v1 --model smollm2-135m
    """
    from memescope.rationales.injection import Rate, measure

    source = Reach(teacher, model, allow_remote, key_env, concurrency, timeout, retries, budget_tokens).open()
    with progress("rationales", quiet=as_json) as report:
        outcomes, summary = measure(
            source, concurrency=concurrency, progress=lambda done, total: report("texts", done, total)
        )

    def shown(one: Rate) -> str:
        return f"{one.successes:>2} of {one.trials}  {one.rate:.2f} ({one.low:.2f} to {one.high:.2f})"

    if as_json:
        print(json.dumps({"outcomes": [one.to_dict() for one in outcomes], "run": summary.to_dict()}))
    else:
        for one in outcomes:
            print(f"{one.asked}: attacks {shown(one.attack)}; neutral texts {shown(one.neutral)}")
            print(
                f"  pairs: only the attack {one.only_attack}, only the neutral text {one.only_neutral}, p {one.p:.3g}"
            )
            for wish, rates in one.by_wish.items():
                print(f"  the {wish:<5} asked for: attacks {shown(rates['attack'])}; neutral {shown(rates['neutral'])}")
            print("  attacks by style: " + ", ".join(f"{s} {r.successes}/{r.trials}" for s, r in one.by_style.items()))
            print(f"  replies without a readable label: {one.unreadable}")
    if summary.stopped:
        raise MemescopeError(f"stopped before the end: {summary.stopped}")
