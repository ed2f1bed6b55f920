"""The MemeLens release (arXiv 2601.12539): 46 configurations of 16 datasets with written explanations.

Two forms: `LANGUAGE/CONFIGURATION/{train,val,test}.jsonl` with pictures in `images/`, as the released code expects, and
`CONFIGURATION/{train,validation,test}-*.parquet` with the pictures inside, as the hub has it. Fields: `id, image, text,
label, task_description, explanation, native_label, native_task_description, native_explanation`, on test also a judge's
marks. Any part of it is read; each configuration's rows carry one task.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from memescope.datasets.configurations import CONFIGURATIONS, Configuration
from memescope.datasets.problems import Problems
from memescope.datasets.source import Card, Row, Source
from memescope.datasets.sources._fields import files_there, text
from memescope.datasets.sources._strict import records

_CARD = Card(
    name="memelens",
    title="MemeLens: the unified release",
    paper="MemeLens: Multilingual Multitask VLMs for Memes, 2026, https://arxiv.org/abs/2601.12539",
    licence="stated as MIT and as CC BY-NC 4.0; the licences of the datasets in it still apply",
    get="https://huggingface.co/datasets/QCRI/MemeLens (88 GB with pictures; parts can be fetched)",
    languages=("ar", "bn", "de", "en", "es", "hi", "hi-en", "ro", "ru", "zh"),
    rows={},
    warning="hate, misogyny, abuse, propaganda of sixteen datasets",
    verified="loader-code",
    flaws=(
        "271,835 rows in all, 46,401 of them test, counted once a task: a meme of MAMI comes five times",
        "do not mix it with the originals across splits: whether its splits are theirs is not stated",
        "explanations are written by GPT-4.1 that was shown the label, and were kept without a check",
        "rows without text (empty or punctuation alone) were left out, except in MMHS150K",
        "the released converter turns a label it does not know into the first class; here such a row is refused",
        "its Parquet form holds the pictures' bytes, which take as much memory as they are large: read it in parts",
    ),
)
_NATIVE = ("native_label", "native_task_description", "native_explanation")
_JUDGE = ("informativeness", "clarity", "plausibility", "faithfulness", "llm_judge")


def _patterns(one: Configuration) -> dict[str, str]:
    """The configuration's files, each with its split."""
    found = {}
    for split, long in (("train", "train"), ("val", "validation"), ("test", "test")):
        line = f"{one.name}/{split}.jsonl"
        found[f"{one.folder}/{line} | {line} | {one.name}/{long}-*.parquet | data/{one.name}/{long}-*.parquet"] = split
    return found


# Any part of the release is a download of it: which configurations are there shows in the rows.
_FILES = {
    "*/*/train.jsonl | */train.jsonl | */train-*.parquet | data/*/train-*.parquet": "train",
    "*/*/val.jsonl | */val.jsonl | */validation-*.parquet | data/*/validation-*.parquet": "val",
    "*/*/test.jsonl | */test.jsonl | */test-*.parquet | data/*/test-*.parquet": "test",
}


def _read(folder: Path, problems: Problems, variant: str) -> Iterator[Row]:
    for one in CONFIGURATIONS.values():
        if variant == "paper" and one.task is None:
            continue
        for path, split in files_there(folder, _patterns(one)):
            for where, row in records(path, ("id", "image", "label"), problems):
                yield _row(one, folder, path, split, f"{one.name}/{where}", row, problems)


def _row(
    one: Configuration, folder: Path, path: Path, split: str, where: str, row: Mapping[str, Any], problems: Problems
) -> Row:
    # Ids repeat: each task of a dataset has the same memes.
    id = f"{one.name}/{text(row['id'])}"
    label = text(row["label"]).strip()
    if not label:
        problems.add("missing-field", where, "no label", id, kept=True)
    kept = {name: row[name] for name in ("task_description", *_NATIVE, *_JUDGE) if row.get(name) not in (None, "")}
    return Row(
        id=id,
        image=_image(row["image"], folder, path),
        text=text(row.get("text")),
        labels={one.name: (_several(label) if one.name == _SEVERAL else label) if label else None},
        lang=one.lang,
        split=split,
        where=where,
        rationale=text(row.get("explanation")) or None,
        meta={"configuration": one.name, "dataset": one.source, **kept},
    )


_SEVERAL = "Misogyny_Categories_hi_en__MIMIC2024"


def _several(label: str) -> list[str]:
    """The labels of a meme in the one configuration with several: `Objectification, Humiliation`."""
    return [part.strip() for part in label.split(",")]


def _image(value: Any, folder: Path, path: Path) -> str | bytes | None:
    """The picture's bytes, or its path from the release's folder: as the row names it, or by its name in `images`."""
    if isinstance(value, bytes) or value in (None, ""):
        return value or None
    named, home = text(value), path.parent.relative_to(folder)
    plain = named.replace("\\", "/")
    inside = home / "images" / plain.rsplit("/", 1)[-1]
    return inside.as_posix() if (folder / inside).is_file() else (home / plain).as_posix()


SOURCE = Source(
    _CARD,
    _FILES,
    _read,
    folders=("memelens-vlm",),
    variants={
        "release": "all 46 configurations",
        "paper": "the 38 that the paper counts, without sentiment and emotion",
    },
)
