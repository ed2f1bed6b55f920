"""Sources of propaganda: each native format with invented rows."""

from __future__ import annotations

import json
from pathlib import Path

from native_rows import noted, picture, read, rows


def test_propaganda_memes_derive_the_coarse_label(tmp_path: Path) -> None:
    home = "data/datasets/propaganda/defaults/annotations"
    train = (
        '{"id": "1", "labels": ["Transfer", "Thought-terminating clich\\u00e9"], "text": "TEA\\n", '
        '"image": "1_image.png"}\n'
        '{"id": "2", "labels": [], "text": "MILK", "image": "2_image.png"}\n'
        '{"id": "3", "labels": ["Tea"], "text": "MILK", "image": "3_image.png"}\n'
        '{"id": "4", "text": "MILK", "image": "4_image.png"}\n'
    )
    memes, problems = read("propaganda_memes", tmp_path, {f"{home}/train.jsonl": train})
    assert rows(memes) == [
        (
            "train",
            "1",
            "TEA\n",
            {"propaganda_techniques": ["transfer", "thought-terminating-cliche"], "propaganda": "propaganda"},
        ),
        ("train", "2", "MILK", {"propaganda_techniques": [], "propaganda": "not-propaganda"}),
    ]
    assert picture(memes[0], tmp_path) == "data/datasets/propaganda/defaults/images/1_image.png"
    assert noted(problems) == [("unknown-label", "train.jsonl:3", False), ("missing-field", "train.jsonl:4", False)]


def test_semeval_joins_words_spans_and_whole_memes(tmp_path: Path) -> None:
    span = {"start": 0, "end": 3, "technique": "Loaded Language", "text_fragment": "TEA"}
    files = {
        "training_set_task1.txt": json.dumps(
            [
                {"id": "1", "labels": ["Loaded Language"], "text": "TEA"},
                {"id": "2", "labels": [], "text": "MILK"},
                {"id": "2", "labels": [], "text": "MILK AGAIN"},
                {"labels": [], "text": "no id"},
            ]
        ),
        "training_set_task2.txt": json.dumps(
            [{"id": "1", "text": "TEA", "labels": [span]}, {"id": "3", "text": "TEA", "labels": [span, span]}]
        ),
        "data/training_set_task3/training_set_task3.txt": json.dumps(
            [{"id": "1", "labels": ["Loaded Language", "Transfer"], "text": "TEA", "image": "1_image.png"}]
        ),
        "dev_set_task1.txt": "not json",
        "data/dev_set_task3/dev_set_task3.txt": json.dumps([{"id": "9", "text": "TEA", "image": "9_image.png"}]),
        "data/dev_set_task3_labeled/dev_set_task3_labeled.txt": json.dumps(
            [{"id": "9", "labels": ["Transfer"], "text": "TEA", "image": "9_image.png"}]
        ),
    }
    memes, problems = read("semeval21t6", tmp_path, files)
    assert rows(memes) == [
        (
            "train",
            "1",
            "TEA",
            {
                "text_propaganda_techniques": ["loaded-language"],
                "propaganda_techniques": ["loaded-language", "transfer"],
            },
        ),
        ("train", "2", "MILK", {"text_propaganda_techniques": []}),
        ("train", "3", "TEA", {"text_propaganda_techniques": ["loaded-language"]}),
        ("val", "9", "TEA", {"propaganda_techniques": ["transfer"]}),
    ]
    assert memes[0].meta["spans"] == [span]
    assert memes[1].image is None
    assert picture(memes[0], tmp_path) == "data/training_set_task3/1_image.png"
    assert [(kind, kept) for kind, _, kept in noted(problems)] == [
        ("duplicate-id", False),
        ("missing-field", False),
        ("broken-line", False),
    ]


def test_araieval_ids_are_picture_paths(tmp_path: Path) -> None:
    name = "arabic_memes_propaganda_araieval_24"
    row = {"id": "data/a/1.jpg", "img_path": "data/a/1.jpg", "text": "شاي", "class_label": "propaganda"}
    files = {
        f"{name}_train.json": json.dumps([row, {**row, "id": "2", "class_label": "perhaps"}, {"id": "3", "text": "x"}]),
        f"{name}_test.json": json.dumps([{"id": "data/a/4.jpg", "img_path": "data/a/4.jpg", "text": "حليب"}]),
    }
    memes, problems = read("araieval24", tmp_path, files)
    assert rows(memes) == [
        ("train", "data/a/1.jpg", "شاي", {"propaganda": "propaganda"}),
        ("test", "data/a/4.jpg", "حليب", {}),
    ]
    assert (memes[0].lang, picture(memes[0], tmp_path)) == ("ar", "data/a/1.jpg")
    assert [kind for kind, _, _ in noted(problems)] == ["unknown-label", "missing-field"]
