"""The authors' real files, read whole: every row and every label counted, every problem accounted for."""

from __future__ import annotations

import csv
import json
from collections import Counter
from functools import cache
from pathlib import Path

import pytest
from native_counts import LABELS, PROBLEMS, ROWS

from memescope.datasets.catalogue import load_source
from memescope.datasets.harmonise import read_source
from memescope.datasets.problems import Problems
from memescope.meme import Meme

pytestmark = pytest.mark.real

FOLDERS = {"araieval24": "araieval24_task2", "twitter2015": "tombert_twitter2015", "twitter2017": "tombert_twitter2017"}


@cache
def _read(real_data: Path, name: str, variant: str | None = None) -> tuple[list[Meme], Problems]:
    problems = Problems()
    folder = real_data / "native" / FOLDERS.get(name, name)
    return read_source(load_source(name), folder, problems, variant=variant), problems


def _told(problems: Problems) -> dict[str, int]:
    """Problems by kind; pictures, none of which is at hand, are left out."""
    return {kind: count for kind, count in problems.counts.items() if kind != "missing-picture"}


def _counts(memes: list[Meme], field: str, split: str) -> dict[str, int]:
    """How often each native label of a field stands in a split."""
    native = (meme.meta["native_labels"].get(field) for meme in memes if meme.split == split)
    counted: Counter[str] = Counter()
    for label in native:
        if label is not None:
            counted.update(label if isinstance(label, list) else [label])
    return dict(counted)


@pytest.mark.parametrize("name", ROWS)
def test_every_row_is_read_and_every_problem_known(real_data: Path, name: str) -> None:
    memes, problems = _read(real_data, name)
    assert Counter(meme.split for meme in memes) == ROWS[name]
    assert _told(problems) == PROBLEMS.get(name, {})
    assert {meme.source for meme in memes} == {name}
    stated = load_source(name).card.rows
    assert all(stated[split] == count for split, count in ROWS[name].items())
    without_text = {"hatred", "indonesian_misogyny", "memecap"}
    empty = sum(not meme.text.strip() for meme in memes)
    assert empty == {"memotion7k": 4}.get(name, len(memes) if name in without_text else 0)


@pytest.fixture(scope="module")
def memes_by_name(real_data: Path) -> dict[str, list[Meme]]:
    """Every dataset's memes, read once."""
    return {name: _read(real_data, name)[0] for name in sorted({name for name, *_ in LABELS})}


@pytest.mark.parametrize(
    ("name", "split", "field", "counts"), LABELS, ids=[f"{name}-{split}-{field}" for name, split, field, _ in LABELS]
)
def test_labels_are_counted_as_in_the_files(
    memes_by_name: dict[str, list[Meme]], name: str, split: str, field: str, counts: dict[str, int]
) -> None:
    assert _counts(memes_by_name[name], field, split) == counts


def test_memotions_release_holds_the_memes_its_authors_state(real_data: Path) -> None:
    """6,599 records are 6,996 memes and 914 trial records the 1,000 stated; no label is lost with a shifted row."""
    with (real_data / "native/memotion7k/data_7000_new.csv").open(encoding="utf-8", newline="") as file:
        records = list(csv.reader(file))[1:]
    assert len(records) == 6599
    shifted = [record for record in records if not record[8]]
    assert len(shifted) == 78
    hidden = sum(cell.count("\n") for record in records for cell in record)
    assert len(records) + hidden == 6996
    memes, problems = _read(real_data, "memotion7k", "release")
    # One meme of the 6,996 stands there twice.
    assert Counter(meme.split for meme in memes) == {"train": 6995, "trial": 1000}
    assert _told(problems) == {"columns": 581, "duplicate-row": 1}
    train = {meme.id: meme for meme in memes if meme.split == "train"}
    assert sum(meme.meta["repaired"] for meme in train.values()) == 481
    sound = Counter(record[4] for record in records if record[8] and "\n" not in record[1])
    assert sound == Counter(
        str(meme.meta["native_labels"]["humour"]) for meme in train.values() if not meme.meta["repaired"]
    ) + Counter({"very_funny": 1})
    shared = [meme for meme in memes if meme.split == "trial" and meme.id in train]
    assert len(shared) == 776
    assert all(meme.labels == train[meme.id].labels for meme in shared)


def test_memotions_join_agrees_with_the_prepared_set(real_data: Path) -> None:
    """The prepared set joined pictures and grades in another way: where both have them they are the same."""
    memes = {meme.id: meme for meme in _read(real_data, "memotion7k")[0]}
    assert sum("humour_level" in meme.labels for meme in memes.values()) == 6983
    same = ungraded = 0
    for split in ("train", "val", "test"):
        for line in (real_data / "ready/memotion7k" / f"{split}.jsonl").read_text("utf-8").splitlines():
            row = json.loads(line)
            native = memes[row["id"]].meta["native_labels"]
            if "humour" not in native:
                ungraded += 1
                continue
            assert native == {field: row["labels"][field] for field in native}
            same += 1
    assert (same, ungraded) == (6912, 2)


def _sorted(labels: dict) -> dict:
    return {task: sorted(label) if isinstance(label, list) else label for task, label in labels.items()}


def test_the_native_files_give_the_labels_of_the_prepared_sets(real_data: Path) -> None:
    """Harm-C, propaganda, Twitter-2015, Multi3Hate: the same ids with the same canonical labels, split for split."""
    from memescope.datasets import read_split

    for name in ("harmc", "propaganda_memes", "twitter2015", "multi3hate"):
        native = {(meme.split, meme.id): meme for meme in _read(real_data, name)[0]}
        for split in ("train", "val", "test"):
            for meme in read_split(real_data / "ready" / name, split):
                theirs = native["test" if name == "multi3hate" else split, meme.id]
                ours = {task: label for task, label in theirs.labels.items() if task != "targets"}
                assert _sorted(ours) == _sorted(meme.labels), (name, meme.id)
                assert " ".join(theirs.text.split()) == " ".join(meme.text.split()), (name, meme.id)


def test_multi3hates_majority_of_votes_is_its_label(real_data: Path) -> None:
    memes, _ = _read(real_data, "multi3hate")
    assert Counter(meme.lang for meme in memes) == dict.fromkeys(("en", "de", "es", "hi", "zh"), 300)
    hateful = Counter(meme.lang for meme in memes if meme.labels["hateful"] == "hateful")
    assert hateful == {"en": 154, "de": 179, "es": 167, "hi": 180, "zh": 190}
    votes = Counter()
    for meme in memes:
        cast = meme.meta["votes"]["hate"]
        votes.update(cast)
        [(most, _)] = Counter(cast).most_common(1)
        assert most == meme.meta["native_labels"]["hate"]
        assert 2 * cast.count(most) > len(cast)
    assert votes == {"hateful": 3936, "not_hateful": 3147}
    folders = {meme.id: meme.image.parent.name for meme in memes}
    for split in ("train", "val", "test"):
        for line in (real_data / "ready/multi3hate" / f"{split}.jsonl").read_text("utf-8").splitlines():
            row = json.loads(line)
            # One of the 45 is written in small letters, which the reader sees where the pictures are there.
            assert folders[row["id"]].lower() == row["meta"]["template"].lower()


def test_techniques_of_the_text_are_those_of_the_meme_or_fewer(real_data: Path) -> None:
    whole = {meme.id: meme for meme in _read(real_data, "propaganda_memes")[0]}
    memes = _read(real_data, "semeval21t6")[0]
    # One meme stands in train and in test, with other labels; subtask 3 has it in test.
    [twice] = [id for id, count in Counter(meme.id for meme in memes).items() if count == 2]
    assert [(meme.split, meme.labels) for meme in memes if meme.id == twice == "474_batch_2"] == [
        ("train", {"text_propaganda_techniques": []}),
        ("test", {"text_propaganda_techniques": ["slogans"]}),
    ]
    words = {meme.id: meme for meme in memes}
    assert set(whole) == set(words)
    equal = fragments = off = 0
    for id, meme in ((meme.id, meme) for meme in memes):
        for span in meme.meta["spans"]:
            fragments += 1
            off += meme.text[span["start"] : span["end"]] != span["text_fragment"]
        if meme.split == whole[id].split:
            text, all_of_it = (
                set(meme.labels["text_propaganda_techniques"]),
                set(whole[id].labels["propaganda_techniques"]),
            )
            assert text <= all_of_it
            equal += text == all_of_it
    assert (equal, fragments, off) == (439, 2083, 5)


def test_fhm_and_its_kin_agree_but_for_what_their_cards_say(real_data: Path) -> None:
    fhm = {(meme.split, meme.id): meme for meme in _read(real_data, "fhm")[0]}
    by_id = {meme.id: meme for meme in fhm.values()}
    assert len({id for split, id in fhm if split == "val"} & {id for split, id in fhm if split == "val_seen"}) == 400
    differ = []
    for meme in _read(real_data, "fhm_fine_grained")[0]:
        theirs = fhm[str(meme.split), meme.id]
        assert meme.text == theirs.text
        if "hateful" in meme.labels and meme.labels["hateful"] != theirs.labels["hateful"]:
            assert meme.labels["hateful"] == "not-hateful"
            differ.append(meme.id)
    assert (len(differ), len(set(differ))) == (14, 13)
    assert all(by_id[meme.id].labels == {"hateful": "hateful"} for meme in _read(real_data, "hatred")[0])
    german = _read(real_data, "german_fhm")[0]
    test = [meme for meme in german if meme.split == "test"]
    assert sum(meme.labels != by_id[meme.id].labels for meme in test) == 8
    assert all(meme.labels == by_id[meme.id].labels for meme in german if meme.split == "val")


def test_captions_of_fhm_come_again_with_the_other_label(real_data: Path) -> None:
    """Benign confounders: wordings shared by train and a test set, train rows whose label a test row contradicts."""
    memes = _read(real_data, "fhm")[0]
    for split, wordings, rows, opposite in (("test_seen", 171, 226, 184), ("test", 164, 228, 208)):
        there: dict[str, set[object]] = {}
        for meme in memes:
            if meme.split == split:
                there.setdefault(" ".join(meme.text.lower().split()), set()).add(meme.labels["hateful"])
        shared = [(" ".join(m.text.lower().split()), m.labels["hateful"]) for m in memes if m.split == "train"]
        shared = [(words, label) for words, label in shared if words in there]
        assert len({words for words, _ in shared}) == wordings
        assert len(shared) == rows
        assert sum(bool(there[words] - {label}) for words, label in shared) == opposite


def test_other_ways_to_read(real_data: Path) -> None:
    targets, _ = _read(real_data, "harmc", "targets")
    assert Counter(meme.split for meme in targets) == {"train": 1063, "val": 62, "test": 124}
    main = {meme.id: meme for meme in _read(real_data, "harmc")[0]}
    assert all(meme.labels == main[meme.id].labels for meme in targets)
    moved = Counter(meme.split for meme in targets if main[meme.id].split != meme.split)
    assert moved == {"train": 80, "val": 62, "test": 60}
    old, _ = _read(real_data, "toxicn_mm", "1.0")
    assert _counts(old, "harmful", "test") == {"not_harmful": 1657, "harmful": 743}
    assert _counts(old, "type", "test") == {
        "not_harmful": 1657,
        "general_offense": 294,
        "targeted": 210,
        "sexual_innuendo": 165,
        "dispirited_culture": 74,
    }
    new = {meme.id: meme for meme in _read(real_data, "toxicn_mm")[0] if meme.split == "test"}
    assert sum(meme.labels["harm_type"] != new[meme.id].labels["harm_type"] for meme in old) == 6
    by_hashtag, _ = _read(real_data, "mmsd", "hashtag")
    by_person, _ = _read(real_data, "mmsd", "all")
    differ = Counter(a.split for a, b in zip(by_hashtag, by_person, strict=True) if a.labels != b.labels)
    assert differ == {"val": 87, "test": 144}
    corrected = {meme.id: meme.labels["sarcasm"] for meme in _read(real_data, "mmsd2")[0]}
    changed = Counter(
        (meme.split, meme.labels["sarcasm"]) for meme in by_person if corrected[meme.id] != meme.labels["sarcasm"]
    )
    assert changed == {("val", "not-sarcastic"): 83, ("test", "not-sarcastic"): 78}


def test_toxicns_target_groups_are_those_its_authors_count(real_data: Path) -> None:
    with (real_data / "native/toxicn_mm/target_info.csv").open(encoding="utf-8", newline="") as file:
        stated = {row["ID"]: int(row["Num"]) for row in csv.DictReader(file) if row["ID"].isdigit()}
    memes, _ = _read(real_data, "toxicn_mm")
    found = Counter(str(meme.meta["native_labels"]["target"]) for meme in memes)
    assert found.pop("0") == 11019
    assert found == stated
    assert sum(stated.values()) == 981


@pytest.mark.parametrize(
    ("name", "task", "repeated", "both"),
    [
        ("harmc", "harmful", 186, 46),
        ("harmp", "harmful", 62, 25),
        ("mami", "misogyny", 76, 31),
        ("toxicn_mm", "harmful", 177, 17),
    ],
)
def test_wordings_that_come_again_with_another_label(
    real_data: Path, name: str, task: str, repeated: int, both: int
) -> None:
    labels: dict[str, list[object]] = {}
    for meme in _read(real_data, name)[0]:
        labels.setdefault(" ".join(meme.text.lower().split()), []).append(meme.labels.get(task))
    several = [found for found in labels.values() if len(found) > 1]
    assert (len(several), sum(len(set(found)) > 1 for found in several)) == (repeated, both)


def test_more_leaves_no_quotation_behind(real_data: Path) -> None:
    memes, _ = _read(real_data, "muse_more")
    assert all(meme.rationale for meme in memes)
    assert sum(meme.text[:1] == meme.text[-1:] == "'" for meme in memes) == 0
    assert sum("\\'" in meme.text for meme in memes) == 0


def test_romemes_sample_is_part_of_romemes_with_the_same_labels(real_data: Path) -> None:
    def key(meme: Meme) -> str:
        return "".join(filter(str.isalnum, meme.text.lower()))

    memes = _read(real_data, "romemes")[0]
    whole = {(key(meme), *sorted(meme.labels.values())): meme for meme in memes}
    # Five texts stand there twice, four of them with other labels.
    assert (len({key(meme) for meme in memes}), len(whole)) == (457, 461)
    sample = _read(real_data, "romemes_sample")[0]
    assert all((key(meme), *sorted(meme.labels.values())) in whole for meme in sample)
    assert sum(bool(meme.meta["ocr"]) for meme in sample) == 100
    assert sum("text_en" in meme.meta for meme in memes) == len(memes) == 462
