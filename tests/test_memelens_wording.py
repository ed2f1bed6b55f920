"""MemeLens' instructions: every task in several ways, every label in nine languages, nothing left to chance."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from memescope.errors import UsageError
from memescope.models.memelens.wording import NATIVE, draw, language, listed, load_wording, names
from memescope.taxonomy import load_taxonomy

TASKS = load_taxonomy().tasks
SCRIPTS = {"ar": "؀-ۿ", "bn": "ঀ-৿", "hi": "ऀ-ॿ", "ru": "Ѐ-ӿ", "zh": "一-鿿"}


def test_every_task_is_asked_in_several_ways_that_differ() -> None:
    wording = load_wording()
    assert set(wording.asks) == set(TASKS)
    for task in TASKS:
        count = wording.variants(task)
        asked = {wording.ask(task, variant, "LABEL", "ASPECT") for variant in range(count)}
        assert len(asked) == count >= 10
        assert not any("{" in one for one in asked)
        assert wording.ask(task, count) == wording.ask(task, 0)


def test_multilabel_tasks_ask_of_a_label_and_aspect_tasks_of_a_phrase() -> None:
    wording = load_wording()
    for name, task in TASKS.items():
        for variant in range(wording.variants(name)):
            asked = wording.ask(name, variant, "LABEL", "ASPECT {label}")
            assert ("'LABEL'" in asked) == (task.kind == "multilabel")
            assert ("'ASPECT {label}'" in asked) == (name == "aspect_sentiment")


@pytest.mark.parametrize("lang", NATIVE)
def test_every_label_has_a_name_of_its_own_in_every_language(lang: str) -> None:
    for task in TASKS.values():
        its = names(task, lang)
        assert list(its) == list(task.labels)
        assert len(set(its.values())) == len(its), f"{task.name} in {lang}"
        assert all(name.strip() == name and "'" not in name for name in its.values())
        if lang in SCRIPTS:
            assert all(re.search(f"[{SCRIPTS[lang]}]", name) for name in its.values()), f"{task.name} in {lang}"


def test_label_names_belong_to_labels_that_exist() -> None:
    from memescope.models.memelens.wording import _native

    known = {label for task in TASKS.values() for label in task.labels}
    for lang in NATIVE:
        labels, own = _native(lang)
        assert set(labels) == known
        for task, some in own.items():
            assert set(some) <= set(TASKS[task].labels)


def test_hybrid_names_labels_in_the_memes_language_and_english_never_does() -> None:
    assert [language(lang, "hybrid") for lang in ("de", "hi-en", "en", "und", "fr", "ZH")] == [
        "de", "hi", "en", "en", "en", "zh"
    ]  # fmt: skip
    assert language("de", "english") == "en"
    assert names(TASKS["hateful"], "de") == {"not-hateful": "nicht hasserfüllt", "hateful": "hasserfüllt"}
    assert names(TASKS["intention"], "de")["offensive"] != names(TASKS["offensive"], "de")["offensive"]
    with pytest.raises(UsageError, match="expected one of hybrid, english"):
        language("de", "native")  # type: ignore[arg-type]


def test_further_wordings_come_behind_ours_and_change_the_version(tmp_path: Path) -> None:
    file = tmp_path / "more.yaml"
    file.write_text("frames: ['Tell me {ask}.']\nasks: {hateful: ['whether hate speaks from it']}\n", "utf-8")
    ours, more = load_wording(), load_wording(file)
    assert more.variants("hateful") == (len(ours.frames) + 1) * (len(ours.asks["hateful"]) + 1)
    assert more.ask("hateful", more.variants("hateful") - 1) == "Tell me whether hate speaks from it."
    assert more.version.startswith(f"{ours.version}+")
    for wrong, says in (
        ("frames: ['Tell me.']", "does not say {ask}"),
        ("asks: {targets: ['whether']}", "{label}"),
        ("asks: {nothing: ['whether']}", "no task 'nothing'"),
        ("[1]", "expected `frames`"),
    ):
        file = tmp_path / f"{draw(0, wrong)}.yaml"
        file.write_text(wrong, "utf-8")
        with pytest.raises(UsageError, match=re.escape(says)):
            load_wording(file)


def test_a_draw_is_the_same_everywhere_and_spreads() -> None:
    assert draw(0, "a", 1) == draw(0, "a", 1) != draw(1, "a", 1)
    counts = [0] * 15
    for i in range(3000):
        counts[draw(0, i) % 15] += 1
    assert min(counts) > 140  # 200 expected, sd 13.7
    assert listed(["a", "b", "c"]) == "'a', 'b' or 'c'"
