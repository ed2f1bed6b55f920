"""`results.jsonl` (every verdict in full, for programs) and `results.csv` (one row a meme, safe in a spreadsheet).

Meme text is hostile input. A cell that begins with = + - @ is run as a formula by spreadsheets; so is what follows a
separator inside a quoted cell when the file is opened with another separator than the one it was written with (a
semicolon in much of Europe). Both get an apostrophe in front (OWASP: CSV injection).
"""

from __future__ import annotations

import csv
import io
import json
import re
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from memescope.atomic import atomic
from memescope.meme import Verdict
from memescope.report.encode import dumps
from memescope.taxonomy import load_taxonomy

COLUMNS = (
    "id",
    "path",
    "action",
    "error",
    "duplicate_of",
    "duplicate_kind",
    "same_picture_as",
    "lang",
    "because",
    "text",
    "ocr_text",
)
FORMULA_STARTS = "=+-@＝＋－＠"
# Separators, quotes and spaces may all stand between the true or supposed start of a cell and its formula.
_FORMULA = re.compile(rf"(^|[,;|\t])([\s\"']*)([{re.escape(FORMULA_STARTS)}])")
_LINE_ENDS = re.compile(r"\s*(?:\r\n|[\n\r\v\f\x1c-\x1e\x85\u2028\u2029])\s*")
# C0 and C1 controls, soft hyphen-like invisibles that hide a formula, bidirectional overrides, lone surrogates
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u200b\u200e\u200f\u202a-\u202e\u2060-\u206f\ufeff\ud800-\udfff]")


def write_jsonl(path: Path, verdicts: Iterable[Verdict]) -> None:
    """Write one Verdict a line, in the order given, atomically; `Verdict.from_dict(json.loads(line))` reads it back."""
    with atomic(Path(path)) as file:
        for verdict in verdicts:
            file.write((dumps(verdict.to_dict(), f"verdict {verdict.id!r}") + "\n").encode())


def write_csv(path: Path, verdicts: Iterable[Verdict]) -> None:
    """Write one row for each verdict in the order given, atomically.

    After `COLUMNS`, each task that any verdict answers has three: TASK (several labels joined by a space),
    TASK.confidence (0 to 1) and TASK.not_sure (yes or no). Line ends within a text become " / ", control characters
    go; the exact text is in `results.jsonl`. UTF-8 with a byte order mark, without which Excel misreads it.
    """
    # The columns are known only after the last verdict: rows wait on disk, not in memory.
    with tempfile.TemporaryFile("w+", encoding="utf-8") as waiting, atomic(Path(path)) as file:
        met: set[str] = set()
        for verdict in verdicts:
            met.update(verdict.answers)
            waiting.write(json.dumps([_fixed(verdict), _answers(verdict)]) + "\n")
        order = list(load_taxonomy().tasks)
        tasks = sorted(met, key=lambda task: (order.index(task) if task in order else len(order), task))
        text = io.TextIOWrapper(file, encoding="utf-8-sig", newline="", write_through=True)
        writer = csv.writer(text, lineterminator="\r\n")
        parts = ("", ".confidence", ".not_sure")
        writer.writerow([*COLUMNS, *(cell(f"{task}{part}") for task in tasks for part in parts)])
        waiting.seek(0)
        for line in waiting:
            fixed, answers = json.loads(line)
            writer.writerow([*fixed, *(value for task in tasks for value in answers.get(task, ("", "", "")))])
        text.detach()


def cell(text: str | None) -> str:
    """`text` as one line that no spreadsheet takes for a formula, whichever separator it is opened with."""
    plain = _CONTROL.sub("", _LINE_ENDS.sub(" / ", (text or "").replace("\t", " ").strip()))
    return _FORMULA.sub(r"\1\2'\3", plain)


def _fixed(verdict: Verdict) -> list[str]:
    record: dict[str, Any] = {
        "because": "; ".join(verdict.because),
        **{name: getattr(verdict, name) for name in COLUMNS if name != "because"},
    }
    return [cell(record[name]) for name in COLUMNS]


def _answers(verdict: Verdict) -> dict[str, list[str]]:
    return {
        task: [
            cell(answer.label if isinstance(answer.label, str) else " ".join(answer.label)),
            f"{answer.confidence:.4f}",
            "yes" if answer.abstain else "no",
        ]
        for task, answer in verdict.answers.items()
    }
