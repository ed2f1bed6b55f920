"""The authors' real files, read whole: every row and every label counted, every problem accounted for."""

from __future__ import annotations

import csv
import json
from collections import Counter
from pathlib import Path

import pytest

from memescope.datasets.catalogue import load_source
from memescope.datasets.harmonise import read_source
from memescope.datasets.problems import Problems
from memescope.meme import Meme

pytestmark = pytest.mark.real

FOLDERS = {"araieval24": "araieval24_task2", "twitter2015": "tombert_twitter2015", "twitter2017": "tombert_twitter2017"}


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


# Rows by split, and labels by split and native field, as the files hold them (FORMATS.md of the shared data).
HATE = ("not_hateful", "hateful")
ROWS = {
    "araieval24": {"train": 2143, "val": 312},
    "fhm": {"train": 8500, "val": 540, "test": 2000, "val_seen": 500, "test_seen": 1000},
    "fhm_fine_grained": {"train": 8500, "val": 540, "val_seen": 500, "test_seen": 1000},
    # FORMATS.md counts 71 rows in the second file: it takes the first of the 72 for a header.
    "german_fhm": {"val": 500, "test": 72},
    "harmc": {"train": 3013, "val": 177, "test": 354},
    "harmp": {"train": 2938, "val": 177, "test": 355},
    "hatred": {"train": 2982, "test": 246},
    "indonesian_misogyny": {"test": 628},
    "mami": {"train": 9000, "val": 1000, "test": 1000},
    "memecap": {"test": 559},
    "memotion7k": {"train": 6992},
    "mmsd": {"val": 2410, "test": 2409},
    "mmsd2": {"val": 2410, "test": 2409},
    "multi3hate": {"test": 1500},
    # One more in each file than FORMATS.md counts, for the same reason.
    "muse_more": {"train": 2983, "val": 175, "test": 352},
    "propaganda_memes": {"train": 687, "val": 63, "test": 200},
    "romemes": {"train": 369, "val": 46, "test": 47},
    "romemes_sample": {"train": 100},
    "semeval21t6": {"train": 688, "val": 63, "test": 200},
    "toxicn_mm": {"train": 9600, "test": 2400},
    "twitter2015": {"train": 3179, "val": 1122, "test": 1037},
    "twitter2017": {"train": 3562, "val": 1176, "test": 1234},
}
PROBLEMS = {
    # 45 hateful rows without an attack type and 2 without a category that a majority chose.
    "fhm_fine_grained": {"contradiction": 47},
    # 40 harmful rows without a target and one without an intensity; 12 harmless ones with a target.
    "harmp": {"missing-field": 41, "contradiction": 12},
    "mami": {"contradiction": 4},
    # 481 rows of the release cut out of other rows' cells; 9 pictures that match none of its rows.
    "memotion7k": {"columns": 481, "missing-field": 9},
    "toxicn_mm": {"contradiction": 1},
}


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


LABELS = [
    ("araieval24", "train", "class", {"not_propaganda": 1540, "propaganda": 603}),
    ("araieval24", "val", "class", {"not_propaganda": 224, "propaganda": 88}),
    ("fhm", "train", "hate", {"not_hateful": 5481, "hateful": 3019}),
    ("fhm", "val", "hate", {"not_hateful": 340, "hateful": 200}),
    ("fhm", "test", "hate", {"not_hateful": 1250, "hateful": 750}),
    ("fhm", "val_seen", "hate", {"not_hateful": 253, "hateful": 247}),
    ("fhm", "test_seen", "hate", {"not_hateful": 510, "hateful": 490}),
    ("fhm_fine_grained", "train", "hate", {"not_hateful": 5493, "hateful": 3007}),
    ("fhm_fine_grained", "val", "hate", {"not_hateful": 341, "hateful": 199}),
    ("fhm_fine_grained", "val_seen", "hate", {"not_hateful": 254, "hateful": 246}),
    ("fhm_fine_grained", "test_seen", "hate", {}),
    (
        "fhm_fine_grained",
        "train",
        "protected_category",
        {"religion": 1078, "race": 1008, "sex": 746, "nationality": 325, "disability": 255},
    ),
    (
        "fhm_fine_grained",
        "train",
        "attack",
        {
            "dehumanizing": 1318,
            "inferiority": 658,
            "inciting_violence": 407,
            "mocking": 378,
            "contempt": 235,
            "slurs": 205,
            "exclusion": 114,
        },
    ),
    ("german_fhm", "val", "hate", {"not_hateful": 253, "hateful": 247}),
    ("german_fhm", "test", "hate", {"not_hateful": 48, "hateful": 24}),
    ("harmc", "train", "harm_intensity", {"not_harmful": 1949, "somewhat_harmful": 882, "very_harmful": 182}),
    ("harmc", "val", "harm_intensity", {"not_harmful": 116, "somewhat_harmful": 51, "very_harmful": 10}),
    ("harmc", "test", "harm_intensity", {"not_harmful": 230, "somewhat_harmful": 103, "very_harmful": 21}),
    (
        "harmc",
        "train",
        "target",
        {"none": 1949, "individual": 413, "community": 321, "society": 255, "organization": 75},
    ),
    ("harmc", "test", "target", {"none": 230, "individual": 119, "community": 3, "society": 2}),
    # The authors count 123 very harmful train memes; the intensity of one row is empty.
    ("harmp", "train", "harm_intensity", {"not_harmful": 1450, "somewhat_harmful": 1365, "very_harmful": 122}),
    ("harmp", "val", "harm_intensity", {"not_harmful": 88, "somewhat_harmful": 81, "very_harmful": 8}),
    ("harmp", "test", "harm_intensity", {"not_harmful": 184, "somewhat_harmful": 159, "very_harmful": 12}),
    ("hatred", "train", "hate", {"hateful": 2982}),
    ("indonesian_misogyny", "test", "hate", {"not hate": 421, "hate": 207}),
    ("indonesian_misogyny", "test", "appropriateness", {"appropriate": 374, "not appropriate": 254}),
    *(
        ("mami", split, field, {"no": no, "yes": yes})
        for split, fields in {
            "train": {
                "misogynous": (4500, 4500),
                "shaming": (7849, 1151),
                "stereotype": (6466, 2534),
                "objectification": (7026, 1974),
                "violence": (8147, 853),
            },
            "val": {
                "misogynous": (500, 500),
                "shaming": (877, 123),
                "stereotype": (724, 276),
                "objectification": (772, 228),
                "violence": (900, 100),
            },
            "test": {
                "misogynous": (500, 500),
                "shaming": (854, 146),
                "stereotype": (650, 350),
                "objectification": (652, 348),
                "violence": (847, 153),
            },
        }.items()
        for field, (no, yes) in fields.items()
    ),
    (
        "memotion7k",
        "train",
        "sentiment5",
        {"positive": 3127, "neutral": 2201, "very_positive": 1033, "negative": 480, "very_negative": 151},
    ),
    ("memotion7k", "train", "humour", {"funny": 2447, "very_funny": 2237, "not_funny": 1648, "hilarious": 651}),
    ("mmsd", "val", "sarcasm", {"not_sarcastic": 1451, "sarcastic": 959}),
    ("mmsd", "test", "sarcasm", {"not_sarcastic": 1450, "sarcastic": 959}),
    ("mmsd2", "val", "sarcasm", {"not_sarcastic": 1368, "sarcastic": 1042}),
    ("mmsd2", "test", "sarcasm", {"not_sarcastic": 1372, "sarcastic": 1037}),
    ("muse_more", "train", "sarcasm", {"sarcastic": 2983}),
    ("propaganda_memes", "train", "propaganda", {"propaganda": 658, "none": 29}),
    ("romemes", "train", "sentiment", {"Negative": 176, "Neutral": 125, "Positive": 68}),
    ("romemes", "val", "sentiment", {"Negative": 22, "Neutral": 13, "Positive": 11}),
    ("romemes", "test", "sentiment", {"Negative": 23, "Neutral": 14, "Positive": 10}),
    (
        "romemes",
        "train",
        "emotion",
        {"Surprise": 111, "Sadness": 88, "Joy": 70, "Anger": 63, "Fear": 29, "Love": 8},
    ),
    ("romemes", "val", "emotion", {"Surprise": 15, "Sadness": 7, "Anger": 7, "Joy": 7, "Fear": 7, "Love": 3}),
    ("romemes", "test", "emotion", {"Surprise": 12, "Sadness": 11, "Joy": 10, "Anger": 9, "Love": 3, "Fear": 2}),
    ("romemes", "train", "real_fake", {"Real": 230, "Fake": 125, "DeepFake": 14}),
    ("romemes", "test", "political", {"No": 34, "Yes": 13}),
    ("romemes_sample", "train", "real_fake", {"Real": 71, "Fake": 29}),
    (
        "romemes_sample",
        "train",
        "emotion",
        {"Surpriza": 27, "Tristete": 24, "Frica": 17, "Manie": 13, "Bucurie": 12, "Dragoste": 7},
    ),
    ("romemes_sample", "train", "complexity", {"Simple": 81, "Combination": 19}),
    ("toxicn_mm", "train", "harmful", {"not_harmful": 6525, "harmful": 3075}),
    # FORMATS.md counts type 0 6,526 times: once in a harmful row, which has no type here.
    (
        "toxicn_mm",
        "train",
        "type",
        {
            "not_harmful": 6525,
            "general_offense": 1211,
            "targeted": 777,
            "sexual_innuendo": 756,
            "dispirited_culture": 330,
        },
    ),
    ("toxicn_mm", "train", "modality", {"text": 1768, "image": 275}),
    ("toxicn_mm", "test", "harmful", {"not_harmful": 1659, "harmful": 741}),
    (
        "toxicn_mm",
        "test",
        "type",
        {
            "not_harmful": 1659,
            "general_offense": 295,
            "targeted": 204,
            "sexual_innuendo": 166,
            "dispirited_culture": 76,
        },
    ),
    ("toxicn_mm", "test", "modality", {"text": 418, "image": 70}),
    *(
        (name, split, "aspect_sentiment", dict(zip(("negative", "neutral", "positive"), counts, strict=True)))
        for name, splits in {
            "twitter2015": {"train": (368, 1883, 928), "val": (149, 670, 303), "test": (113, 607, 317)},
            "twitter2017": {"train": (416, 1638, 1508), "val": (144, 517, 515), "test": (168, 573, 493)},
        }.items()
        for split, counts in splits.items()
    ),
]


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
