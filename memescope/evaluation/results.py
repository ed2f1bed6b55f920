"""An evaluation on disk: `metrics.json` and, beside it, the predictions from which it can be scored again."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from memescope.atomic import write_whole
from memescope.curation.identity import Progress
from memescope.errors import UsageError
from memescope.evaluation.predictions import Row, read_rows, to_lines
from memescope.evaluation.score import score
from memescope.evaluation.written import score_written
from memescope.taxonomy import load_taxonomy


@dataclass(frozen=True)
class Evaluation:
    """`metrics` is what `metrics.json` holds; `rows` what `predictions.jsonl` holds."""

    metrics: dict[str, Any]
    rows: list[Row]


def rescore(folder: str | Path, *, seed: int | None = None, progress: Progress = lambda *_: None) -> Evaluation:
    """The figures again from what `write` left in a folder, no model needed; another `seed` draws other resamples."""
    path = Path(folder) / "metrics.json"
    if not path.is_file():
        raise UsageError(f"{path}: not found; give a folder that `memescope eval` wrote")
    before = json.loads(path.read_text("utf-8"))
    rows = read_rows(Path(folder) / "predictions.jsonl")
    seed = before["seed"] if seed is None else seed
    tasks = [load_taxonomy()[name] for name in before["tasks"]]
    again = score(rows, tasks, seed=seed, resamples=before["resamples"], progress=progress)
    if (written := score_written(rows, seed, before["resamples"])) is not None:
        again["rationale"] = written
    return Evaluation(before | {"seed": seed} | again, rows)


def write(evaluation: Evaluation, folder: str | Path) -> Path:
    """Write `predictions.jsonl`, then `metrics.json`, each at once or not at all; gives the path of the latter."""
    folder = Path(folder)
    write_whole(folder / "predictions.jsonl", to_lines(evaluation.rows))
    path = folder / "metrics.json"
    write_whole(path, json.dumps(evaluation.metrics, indent=1, ensure_ascii=False, allow_nan=False) + "\n")
    return path
