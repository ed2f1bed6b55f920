"""HatReD (Hee et al., IJCAI 2023): whom a hateful meme of FHM attacks and why it is hateful, in people's words.

A line is `{"id", "img", "target": [group], "reasonings": [sentence]}`; targets and reasonings run in parallel. The
texts are FHM's: its `train.jsonl` and `dev_seen.jsonl` are read for them where they lie in the folder or in `fhm/`.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from memescope.datasets.native import json_lines
from memescope.datasets.problems import Problems
from memescope.datasets.source import Card, Row, Source
from memescope.datasets.sources._fields import files_there, padded, picture, strings, text
from memescope.datasets.sources._strict import keys

_CARD = Card(
    name="hatred",
    title="HatReD: reasons of hateful memes",
    paper="Hee, Chong and Lee, Decoding the Underlying Meaning of Multimodal Hateful Memes, IJCAI 2023, "
    "https://arxiv.org/abs/2305.17678",
    licence="none stated for the annotations; the memes are under Facebook's Hateful Memes licence (research only)",
    get="annotations: https://github.com/Social-AI-Studio/HatReD (datasets/hatred/annotations); pictures: as fhm",
    languages=("en",),
    rows={"train": 2982, "test": 246},
    warning="hateful by design; the reasonings spell the attacks out",
    verified="real-file",
    flaws=(
        (
            "no texts: put fhm's train.jsonl and dev_seen.jsonl beside the files, or in a folder fhm, and they "
            "are joined by id"
        ),
        (
            "hateful memes only: the label hateful is by construction, all 3,228 are hateful in fhm and in its "
            "fine-grained version"
        ),
        "test is the hateful part of fhm's dev_seen (199 of the 246 are in dev_unseen, too), train that of fhm's train",
        (
            "71 memes have several targets with one reasoning each; the target is null where the annotator named none "
            "(2 times)"
        ),
        "ids are numbers without the zeros of fhm: padded here",
    ),
)
_FILES = {
    "fhm_train_reasonings.jsonl | datasets/hatred/annotations/fhm_train_reasonings.jsonl": "train",
    "fhm_test_reasonings.jsonl | datasets/hatred/annotations/fhm_test_reasonings.jsonl": "test",
}


# FHM's files that hold the memes of train and test.
_CAPTIONS = {
    "train.jsonl | fhm/train.jsonl | hateful_memes/train.jsonl": "train",
    "dev_seen.jsonl | fhm/dev_seen.jsonl | hateful_memes/dev_seen.jsonl": "test",
}


def _read(folder: Path, problems: Problems, variant: str) -> Iterator[Row]:
    captions = {
        padded(row.get("id"), 5): text(row.get("text"))
        for path, _ in files_there(folder, _CAPTIONS)
        for _, row in json_lines(path, problems)
    }
    for path, split in files_there(folder, _FILES):
        for where, row in keys(json_lines(path, problems), ("id", "target", "reasonings"), problems):
            id, reasonings = padded(row.get("id"), 5), strings(row.get("reasonings"))
            if not reasonings:
                problems.add("missing-field", where, "no reasonings", id, kept=True)
            yield Row(
                id=id,
                image=picture(row.get("img")),
                text=captions.get(id, ""),
                labels={"hate": "hateful"},
                lang="en",
                split=split,
                where=where,
                rationale="\n".join(reasonings) or None,
                meta={"hate_targets": strings(row.get("target")), "rationales": reasonings},
            )


SOURCE = Source(
    _CARD, _FILES, _read, pictures=("img", ".", "fhm/img", "hateful_memes/img"), folders=("HatReD", "hatred_dataset")
)
