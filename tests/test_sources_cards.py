"""Every source tells its user what they must know, and its label map fits the taxonomy."""

from __future__ import annotations

import re
from collections import Counter
from typing import get_args

import pytest

from memescope.datasets.catalogue import load_sources
from memescope.datasets.source import Source, Verified
from memescope.taxonomy import load_label_map, load_taxonomy
from memescope.taxonomy.labels import mapped_datasets

SOURCES = load_sources()
REAL = {
    "araieval24", "fhm", "fhm_fine_grained", "german_fhm", "harmc", "harmp", "hatred", "indonesian_misogyny", "mami",
    "memecap", "memotion7k", "mmsd", "mmsd2", "multi3hate", "muse_more", "propaganda_memes", "romemes",
    "romemes_sample", "semeval21t6", "toxicn_mm", "twitter2015", "twitter2017",
}  # fmt: skip


@pytest.mark.parametrize("source", SOURCES.values(), ids=SOURCES)
def test_a_card_is_complete(source: Source) -> None:
    card = source.card
    assert card.name == source.name == source.name.lower()
    for field in ("title", "paper", "licence", "get", "warning"):
        value = getattr(card, field)
        assert len(value) > 3, field
        assert value == value.strip(), field
        assert "  " not in value, field
    assert card.languages
    assert all(re.fullmatch("[a-z]{2}(-[a-z]{2})?", lang) for lang in card.languages)
    assert card.rows or card.verified != "real-file"
    assert all(count > 0 for count in card.rows.values())
    assert card.verified in get_args(Verified)
    assert card.flaws
    for flaw in card.flaws:
        assert flaw == flaw.strip()
        assert "  " not in flaw
        assert not flaw.endswith(".")
    assert len(set(card.memelens)) == len(card.memelens)


@pytest.mark.parametrize("source", SOURCES.values(), ids=SOURCES)
def test_a_label_map_belongs_to_each_source_and_its_tasks_exist(source: Source) -> None:
    label_map = load_label_map(source.name)
    assert label_map.dataset == source.name
    tasks = load_taxonomy().tasks
    for task, labels in label_map.fields.values():
        assert task in tasks
        assert set(labels.values()) <= set(tasks[task].labels)


@pytest.mark.parametrize("source", SOURCES.values(), ids=SOURCES)
def test_files_and_ways_to_read_are_told(source: Source) -> None:
    assert source.files
    assert all(pattern and pattern.strip() == pattern for pattern in source.files)
    assert source.pictures
    assert all(name and told for name, told in source.variants.items())
    assert source.name not in source.folders


def test_those_whose_files_were_at_hand_say_so() -> None:
    assert {source.name for source in SOURCES.values() if source.card.verified == "real-file"} >= REAL


def test_a_memelens_configuration_stands_behind_one_dataset_only() -> None:
    counted = Counter(name for source in SOURCES.values() if source.name != "memelens" for name in source.card.memelens)
    assert [name for name, count in counted.items() if count > 1] == []
    assert set(SOURCES["mami"].card.memelens) == {
        f"{task}_en__MAMI" for task in ("misogynous", "shaming", "stereotype", "objectification", "violence")
    }
    assert len(SOURCES["multi3hate"].card.memelens) == len(SOURCES["memotion7k"].card.memelens) == 5


def test_every_task_is_asked_by_some_dataset() -> None:
    asked = {task for name in mapped_datasets() for task, _ in load_label_map(name).fields.values()}
    coarse = {task.coarse_task for task in load_taxonomy().tasks.values() if task.coarse_task}
    assert set(load_taxonomy().tasks) == asked | coarse
