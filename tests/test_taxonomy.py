"""Tasks and label maps: nothing lost, nothing guessed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from memescope.datasets import read_split, split_hash
from memescope.errors import UsageError
from memescope.taxonomy import load_label_map, load_taxonomy
from memescope.taxonomy.labels import mapped_datasets, parse_label_map

MEMELENS = {
    "Hateful", "Harmful", "Toxic", "Offensive", "Abuse", "Misogyny", "Shaming", "Stereotype", "Objectification",
    "Violence", "Target", "Intention", "Metaphor", "Motivational", "Humor", "Sarcasm", "Vulgarity", "Propaganda",
    "Political", "Deepfake",
}  # fmt: skip


def test_the_twenty_tasks_of_memelens_are_there_once_each() -> None:
    named = [task.memelens for task in load_taxonomy().tasks.values() if task.memelens]
    assert sorted(named) == sorted(MEMELENS)


def test_binary_tasks_have_two_labels_and_techniques_are_twenty_two() -> None:
    tasks = load_taxonomy().tasks
    for task in tasks.values():
        assert task.category in load_taxonomy().categories
        assert len(set(task.labels)) == len(task.labels) >= 2
        assert (task.kind != "binary") or len(task.labels) == 2
    assert len(tasks["propaganda_techniques"].labels) == 22


def test_every_coarse_label_exists_and_every_fine_label_has_one() -> None:
    tasks = load_taxonomy().tasks
    graded = [task for task in tasks.values() if task.coarse_task]
    assert {task.name for task in graded} == {
        "harm_intensity",
        "harm_type",
        "offensive_level",
        "humour_level",
        "sarcasm_level",
        "sentiment_level",
    }
    for task in graded:
        assert set(task.coarse_labels) == set(task.labels)
        assert set(task.coarse_labels.values()) == set(tasks[str(task.coarse_task)].labels)


def test_very_harmful_is_also_harmful() -> None:
    labels = load_label_map("harmc").canonical({"harm_intensity": "very_harmful", "target": "society"}, 1)
    assert labels == {"harm_intensity": "very-harmful", "harmful": "harmful", "target": "society"}


def test_an_unknown_label_names_dataset_row_and_known_labels() -> None:
    with pytest.raises(UsageError, match=r"harmc, row train.jsonl:7: unknown native label 'awful'.*somewhat_harmful"):
        load_label_map("harmc").canonical({"harm_intensity": "awful"}, "train.jsonl:7")


def test_an_unknown_field_and_a_contradiction_are_errors() -> None:
    with pytest.raises(UsageError, match="no task for native field 'mood'"):
        load_label_map("harmc").canonical({"mood": "good"}, 3)
    with pytest.raises(UsageError, match="means harmful='harmful', but the row says 'not-harmful'"):
        load_label_map("harmc").canonical({"harmful": "not_harmful", "harm_intensity": "very_harmful"}, 3)


def test_missing_labels_are_left_out() -> None:
    assert load_label_map("harmc").canonical({"harmful": "harmful", "target": None}, 1) == {"harmful": "harmful"}


def test_a_map_to_a_label_that_does_not_exist_is_refused() -> None:
    with pytest.raises(UsageError, match="has no label 'evil'"):
        parse_label_map({"dataset": "x", "fields": {"f": {"task": "harmful", "labels": {"1": "evil"}}}})


def test_labels_of_the_wrong_kind_are_refused() -> None:
    taxonomy = load_taxonomy()
    with pytest.raises(UsageError, match="expects a list"):
        taxonomy.with_coarse({"propaganda_techniques": "smears"})
    with pytest.raises(UsageError, match="expects one label"):
        taxonomy.with_coarse({"harmful": ["harmful"]})
    with pytest.raises(UsageError, match="no task 'fun'"):
        taxonomy.with_coarse({"fun": "yes"})


def test_every_shipped_map_loads() -> None:
    assert set(mapped_datasets()) >= {
        "harmc",
        "memotion7k",
        "multi3hate",
        "propaganda_memes",
        "mvsa_single",
        "twitter2015",
    }
    for name in mapped_datasets():
        assert load_label_map(name).fields or name == "memecap"  # which has meanings, no labels
    with pytest.raises(UsageError, match="no label map for dataset 'nope'"):
        load_label_map("nope")


def _prepared(folder: Path, rows: list[dict]) -> Path:
    folder.mkdir()
    (folder / "test.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    return folder


def test_a_prepared_set_keeps_native_labels_beside_canonical_ones(tmp_path: Path) -> None:
    row = {
        "id": 7,
        "image": "images/7.jpg",
        "text": "hi",
        "labels": {"hate": "hateful"},
        "lang": "en",
        "meta": {"aspect": "a"},
    }
    [meme] = read_split(_prepared(tmp_path / "multi3hate", [row]), "test")
    assert (meme.id, meme.labels, meme.aspect, meme.source) == ("7", {"hateful": "hateful"}, "a", "multi3hate")
    assert meme.meta["native_labels"] == {"hate": "hateful"}


def test_a_prepared_set_with_canonical_labels_needs_no_map(tmp_path: Path) -> None:
    row = {"id": "a", "image": "a.jpg", "labels": {"humour_level": "hilarious"}}
    [meme] = read_split(_prepared(tmp_path / "mine", [row]), "test")
    assert meme.labels == {"humour_level": "hilarious", "humour": "funny"}
    assert meme.lang == "und"


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"id": "a", "image": "../a.jpg", "labels": {}}, "lies outside"),
        ({"id": "a", "labels": {}}, "test.jsonl:1"),
        ({"id": "a", "image": "a.jpg", "labels": {"hateful": "maybe"}}, "no label 'maybe'"),
    ],
)
def test_a_bad_row_is_named(tmp_path: Path, row: dict, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        read_split(_prepared(tmp_path / "mine", [row]), "test")


def test_a_missing_split_names_those_that_exist(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="splits there: test"):
        read_split(_prepared(tmp_path / "mine", []), "train")


def test_split_hash_changes_with_a_label() -> None:
    from memescope import Meme

    one = [Meme(id="a", labels={"harmful": "harmful"})]
    other = [Meme(id="a", labels={"harmful": "not-harmful"})]
    assert split_hash(one) == split_hash([Meme(id="a", labels={"harmful": "harmful"})]) != split_hash(other)


@pytest.mark.real
@pytest.mark.parametrize(
    ("name", "rows"),
    [("harmc", 354), ("memotion7k", 732), ("multi3hate", 310), ("propaganda_memes", 200), ("mvsa_single", 380)],
)
def test_real_test_splits_read_whole(real_data: Path, name: str, rows: int) -> None:
    memes = read_split(real_data / "ready" / name, "test")
    assert len(memes) == rows
    assert all(Path(meme.image).is_file() for meme in memes)
