"""SemEval-2021 task 6 (Dimitrov et al.): persuasion techniques in a meme's text (subtask 1), with spans (2), in the
whole meme (3). Each file is a JSON array; the three are joined by id.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from memescope.datasets.native import json_array
from memescope.datasets.problems import Problems
from memescope.datasets.source import Card, Row, Source
from memescope.datasets.sources._fields import first_file, picture, strings, text
from memescope.datasets.sources._strict import keys

_CARD = Card(
    name="semeval21t6",
    title="SemEval-2021 task 6: persuasion techniques in texts and images",
    paper="Dimitrov et al., SemEval-2021 Task 6, https://arxiv.org/abs/2105.09284",
    licence="free for general research use (README of the corpus)",
    get="https://github.com/di-dimitrov/SEMEVAL-2021-task6-corpus (data/; subtask 3 with pictures in its own folders)",
    languages=("en",),
    rows={"train": 688, "val": 63, "test": 200},
    warning="US politics, COVID-19, gender; smears and slurs",
    verified="real-file",
    flaws=(
        (
            "train has 688 memes, not the 687 that the README states: 474_batch_2 stands in train and in test, "
            "without a technique in train and with Slogans in test (in subtask 3 it is a test meme)"
        ),
        (
            "the text labels are a subset of the whole meme's (propaganda_memes) in all 950 shared rows and "
            "equal in 439: two questions, not a conflict"
        ),
        "5 of 403 test spans do not cut out the fragment they name (offsets are off); all 1,680 of train and dev do",
        "subtask 3's files are not at hand; their keys are those of the README",
    ),
)
_PARTS = {"train": "training_set", "val": "dev_set", "test": "test_set"}


def _choices(part: str, task: int) -> str:
    """Where a file is looked for: subtask 3's lie with their pictures, the dev set's twice, with labels and without."""
    name = f"{part}_task{task}"
    beside = [f"{name}.txt", f"data/{name}.txt"]
    if task == 3:
        beside += [f"{place}{one}/{one}.txt" for one in (f"{name}_labeled", name) for place in ("", "data/")]
    return " | ".join(beside)


_FILES = {_choices(part, task): split for split, part in _PARTS.items() for task in (1, 2)}


def _read(folder: Path, problems: Problems, variant: str) -> Iterator[Row]:
    for split, part in _PARTS.items():
        words, spans, whole = (_by_id(folder, _choices(part, task), problems) for task in (1, 2, 3))
        for id in dict.fromkeys((*words, *spans, *whole)):
            where, row = words.get(id) or spans.get(id) or whole[id]
            found = spans[id][1].get("labels") if id in spans else None
            techniques = strings(whole[id][1].get("labels")) if id in whole else None
            yield Row(
                id=id,
                image=picture(whole[id][1].get("image")) if id in whole else None,
                text=text(row.get("text")),
                labels={
                    "text_techniques": strings(words[id][1].get("labels")) if id in words else _techniques(found),
                    "techniques": techniques,
                },
                lang="en",
                split=split,
                where=where,
                meta={} if found is None else {"spans": found},
            )


def _by_id(folder: Path, choices: str, problems: Problems) -> Mapping[str, tuple[str, dict[str, Any]]]:
    """Rows of one file by id; a second row with an id is noted."""
    rows: dict[str, tuple[str, dict[str, Any]]] = {}
    path = first_file(folder, choices)
    for where, row in keys(json_array(path, problems), ("id", "labels", "text"), problems) if path else ():
        id = text(row.get("id"))
        if not id:
            problems.add("missing-field", where, "no id")
        elif id in rows:
            problems.add("duplicate-id", where, f"id {id!r} is at {rows[id][0]} already", id)
        else:
            rows[id] = (where, row)
    return rows


def _techniques(spans: Any) -> list[str] | None:
    """The techniques of some spans, each once, in order."""
    if not isinstance(spans, list):
        return None
    return list(dict.fromkeys(text(span.get("technique")) for span in spans if isinstance(span, dict)))


SOURCE = Source(
    _CARD,
    _FILES,
    _read,
    pictures=tuple(
        f"{place}{name}"
        for place in ("data/", "")
        for name in ("training_set_task3", "dev_set_task3_labeled", "test_set_task3", "images", "")
    ),
    folders=("semeval-2021-task6-corpus",),
)
