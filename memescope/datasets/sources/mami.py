"""MAMI (SemEval-2022 task 5; Fersini et al.): misogyny and four kinds of it, each yes or no.

Official release: `training.csv` (tab-separated) with `file_name, misogynous, shaming, stereotype, objectification,
violence, Text Transcription`; `Test.csv` has the texts and `test_labels.txt`, without a header, the labels. A copy in
circulation cuts 1,000 training rows off as validation and renames two columns `label` and `text`.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from memescope.datasets.native import table
from memescope.datasets.problems import Problems
from memescope.datasets.source import Card, Row, Source
from memescope.datasets.sources._fields import files_there, first_file, picture
from memescope.datasets.sources._strict import columns

_KINDS = ("shaming", "stereotype", "objectification", "violence")
_CARD = Card(
    name="mami",
    title="MAMI: Multimedia Automatic Misogyny Identification",
    paper="Fersini et al., SemEval-2022 Task 5, https://aclanthology.org/2022.semeval-1.74",
    licence="on request, for academic purposes; no redistribution",
    get="form at https://github.com/MIND-Lab/MAMI (the archive's password comes by mail)",
    languages=("en",),
    rows={"train": 9000, "val": 1000, "test": 1000},
    warning="misogyny: insults, sexual content, violence against women",
    verified="real-file",
    flaws=(
        "the official CSV form was not at hand: its reader was checked on rows of our own",
        (
            "rows by split are those of the copy with a validation set; the official release has 10,000 for "
            "training, no val"
        ),
        "4 memes are not misogynous and yet carry a kind of misogyny (3 train, 1 val); 248 misogynous ones carry none",
        "of 76 wordings that stand there several times 31 are misogynous here and not there",
        "the kinds are much commoner in the test set (stereotype 35 % against 28 %, objectification 35 % against 22 %)",
        (
            "wordings shared between splits: 10 of train and val, 5 of train and test; picture names of 4 "
            "train and 1 val memes come again in test"
        ),
    ),
    memelens=(
        "misogynous_en__MAMI",
        "shaming_en__MAMI",
        "stereotype_en__MAMI",
        "objectification_en__MAMI",
        "violence_en__MAMI",
    ),
)
_FILES = {
    "train.tsv | training.csv | TRAINING/training.csv": "train",
    "validation.tsv": "val",
    "test.tsv | Test.csv | test/Test.csv": "test",
}
_TEST_LABELS = "test_labels.txt | test/test_labels.txt"


def _read(folder: Path, problems: Problems, variant: str) -> Iterator[Row]:
    for path, split in files_there(folder, _FILES):
        official = path.suffix == ".csv"
        apart = _labels_apart(folder, problems) if path.name == "Test.csv" else {}
        needed = ["file_name", "Text Transcription" if official else "text"]
        if path.name != "Test.csv":
            needed += ["misogynous" if official else "label", *_KINDS]
        for where, row in columns(table(path, problems, "\t"), path, needed, problems):
            name = row.get("file_name", "").strip()
            values = {**row, **apart.get(name, {})}
            misogynous = _yes_or_no(values.get("misogynous", values.get("label")))
            kinds = {kind: _yes_or_no(values.get(kind)) for kind in _KINDS}
            if misogynous == "no" and "yes" in kinds.values():
                held = [kind for kind, value in kinds.items() if value == "yes"]
                problems.add("contradiction", where, f"not misogynous, but {', '.join(held)}", name, kept=True)
            yield Row(
                id=name.rsplit(".", 1)[0],
                image=picture(name),
                text=row["Text Transcription" if official else "text"],
                labels={"misogynous": misogynous, **kinds},
                lang="en",
                split=split,
                where=where,
            )


def _labels_apart(folder: Path, problems: Problems) -> dict[str, dict[str, str]]:
    """Labels of the official test set by picture name, from their own file."""
    path = first_file(folder, _TEST_LABELS)
    if path is None:
        problems.add("missing-file", "test_labels.txt", "the labels of Test.csv", kept=True)
        return {}
    header = ("file_name", "misogynous", *_KINDS)
    return {row["file_name"]: row for _, row in table(path, problems, "\t", header=header)}


def _yes_or_no(value: str | None) -> str | None:
    plain = (value or "").strip()
    return {"0": "no", "1": "yes", "": None}.get(plain, plain)


SOURCE = Source(
    _CARD,
    _FILES,
    _read,
    pictures=("images", ".", "training", "TRAINING", "test"),
    folders=("semeval2022_task5",),
)
