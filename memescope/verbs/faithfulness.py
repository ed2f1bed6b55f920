"""`memescope explain SET --check N`: do a model's explanations point at what moves its answers, against chance."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np

from memescope.errors import UsageError
from memescope.explanation.faithfulness import GRID, Curves, Score, cell_versions, curves, resampled, word_versions
from memescope.explanation.heat import Heat, painted
from memescope.meme import Meme
from memescope.models import HEATS, Model, heat

RESAMPLES = 1000
FEWEST = 10
"""Memes below which no verdict is given."""


def report(model: Model, data: Path, asked: Sequence[str], count: int, out: Path | None, as_json: bool) -> None:
    """Measure `count` memes of the test split, spread evenly; print a table and write faithfulness.json into `out`.

    A meme counts for the tasks that it is answered; `UsageError` for a task of `asked` that can be measured on none.
    """
    from memescope.datasets import read_split, spread

    memes = read_split(data, "test")
    if not memes:
        raise UsageError(f"{data}: its test split is empty")
    memes = spread(memes, count)
    found: dict[str, list[Curves]] = {}
    for number, meme in enumerate(memes):
        for task in asked or model.tasks:
            for name, one in measured(model, meme, task, number):
                found.setdefault(f"{task}, {name}", []).append(one)
        print(f"memescope explain: {number + 1} of {len(memes)}", file=sys.stderr, end="\r")
    there = {name.partition(",")[0] for name in found}
    if silent := [task for task in asked or model.tasks if task not in there and (asked or not there)]:
        raise UsageError(f"{data}: {', '.join(silent)}: no meme of {len(memes)} is answered and has parts to take out")
    record = {
        "model": f"{model.name} {model.version}",
        "data": str(data.name),
        "memes": len(memes),
        "methods": {name: _summary(some) for name, some in found.items()},
    }
    if out is not None:
        out.mkdir(parents=True, exist_ok=True)
        (out / "faithfulness.json").write_text(json.dumps(record, indent=1) + "\n", "utf-8")
    if as_json:
        print(json.dumps(record))
        return
    print(f"{'':<44}{'memes':>6}{'deletion':>16}{'insertion':>16}   gain over chance")
    for name, its in record["methods"].items():  # type: ignore[attr-defined]
        low, high = its["gain_interval"]
        print(
            f"{name:<44}{its['n']:>6}{its['deletion']:>8.3f} ({its['random_deletion']:.3f}){its['insertion']:>8.3f} "
            f"({its['random_insertion']:.3f})   {its['gain']:+.3f} [{low:+.3f}, {high:+.3f}]: {its['verdict']}"
        )
    print("areas under the curves, in brackets those of random orders; a low deletion and a high insertion are good")


def measured(model: Model, meme: Meme, task: str, seed: int) -> Iterator[tuple[str, Curves]]:
    """The curves of each method the model has, over the words and over the cells of the picture; none for a task that
    the meme gets no answer to, and none over parts that the answer does not depend on even all together."""
    answer = model.answer([meme])[0].answers.get(task)
    if answer is None:
        return
    label = answer.label if isinstance(answer.label, str) else max(answer.probabilities, key=answer.probabilities.get)  # type: ignore[arg-type]

    def probability(memes: list[Meme]) -> np.ndarray:
        return np.array([reading.answers[task].probabilities[label] for reading in model.answer(memes)])

    def of_heat(method: str, view: Heat) -> Iterator[tuple[str, Curves]]:
        shown = replace(meme, text=view.text or meme.text, image=view.picture or meme.image)
        parts: list[tuple[str, Score, Sequence[float] | np.ndarray]] = []
        if len(view.words) > 1:
            weights = [span.weight for span in view.words]
            parts.append(("words", lambda m: probability(word_versions(shown, view.words, m)), weights))
        if view.places is not None:
            cells = resampled(view.places, GRID)
            parts.append((f"{GRID} x {GRID} cells", lambda m: probability(cell_versions(shown, m)), cells))
        for name, score, its in parts:
            whole, nothing = score(np.array([[True] * len(its), [False] * len(its)]))
            if whole != nothing:
                yield f"{method}, {name}", curves(score, its, seed=seed)

    evidence = model.explain(meme, [task])[task]
    places = None if meme.image is None else painted(evidence.regions)
    yield from of_heat("occlusion", Heat(evidence.spans, places))
    family = getattr(getattr(model, "config", None), "family", "")
    for method in HEATS.get(family, ("", ()))[1]:
        try:
            view = heat(model, meme, task, method)
        except UsageError:  # this model lacks the part that the method looks at
            continue
        yield from of_heat(method, view)


def _summary(some: Sequence[Curves]) -> dict[str, Any]:
    """Means, and for the gain over chance a bootstrap interval over memes."""
    rng = np.random.default_rng(0)
    gains = np.array([one.gain for one in some])
    means = gains[rng.integers(0, len(gains), (RESAMPLES, len(gains)))].mean(1)
    low, high = np.quantile(means, [0.025, 0.975]).tolist()
    verdict = "better than chance" if low > 0 else "worse than chance" if high < 0 else "not told from chance"
    if len(some) < FEWEST:  # an interval over two memes is theirs alone
        verdict = "too few memes to tell"
    shown = {name: round(float(np.mean([asdict(one)[name] for one in some])), 4) for name in asdict(some[0])}
    gain = {"gain": round(float(gains.mean()), 4), "gain_interval": [round(low, 4), round(high, 4)]}
    return {"n": len(some)} | shown | gain | {"verdict": verdict}
