"""The table of MemeLens (arXiv 2601.12539), written here as data from the paper's figures and its released label map,
against the catalogue: who stands behind each configuration, its task, its labels, its language."""

import json
from collections import Counter

import pytest
from native_files import lines, read, told, write

from memescope.datasets.catalogue import load_source, load_sources
from memescope.datasets.configurations import CONFIGURATIONS
from memescope.datasets.harmonise import read_source
from memescope.datasets.problems import Problems
from memescope.errors import UsageError
from memescope.taxonomy import load_label_map, load_taxonomy

HATE = "not-hateful hateful"
HARM = "not-harmful partially-harmful very-harmful"
TARGET = "none individual organization community society"
MET_OFFENSIVE = "not-offensive slightly-offensive moderately-offensive very-offensive"
MET_EMOTION = "Fear Anger Sorrow Hate Surprise Love Happiness"

# Configuration: (the paper's task, language, labels, our source, our task).
TABLE = {
    "Hateful_en_FHM": ("Hateful", "en", HATE, "fhm", "hateful"),
    "Hateful_en__MMHS": ("Hateful", "en", HATE, "mmhs150k", "hateful"),
    "Hateful_en__MIMIC_Islamophpbia": ("Hateful", "en", HATE, "mimic_islamophobia", "hateful"),
    "Hateful_en__Multi3Hate": ("Hateful", "en", HATE, "multi3hate", "hateful"),
    "Hateful_de__Multi3Hate": ("Hateful", "de", HATE, "multi3hate", "hateful"),
    "Hateful_es__Multi3Hate": ("Hateful", "es", HATE, "multi3hate", "hateful"),
    "Hateful_hi__Multi3Hate": ("Hateful", "hi", HATE, "multi3hate", "hateful"),
    "Hateful_zh__Multi3Hate": ("Hateful", "zh", HATE, "multi3hate", "hateful"),
    "Hateful_bn__MUTE": ("Hateful", "bn", HATE, "mute", "hateful"),
    "Hateful_ar__Prop2Hate-Meme": ("Hateful", "ar", HATE, "prop2hate_meme", "hateful"),
    "Harmful_Covid_en__HarMeme": ("Harmful", "en", HARM, "harmc", "harm_intensity"),
    "Harmful_en__HarMeme": ("Harmful", "en", HARM, "harmp", "harm_intensity"),
    "toxic_ru__Toxic_Memes_Detection_Dataset": ("Toxic", "ru", "not-toxic toxic", "toxic_memes_ru", "toxic"),
    "offensive_en__memotion": (
        "Offensive",
        "en",
        "not-offensive slightly-offensive very-offensive hateful-offensive",
        "memotion7k",
        "offensive_level",
    ),
    "offensiveness_detection_en__MET_Meme": ("Offensive", "en", MET_OFFENSIVE, "met_meme", "offensive_level"),
    "offensiveness_detection_zh__MET_Meme": ("Offensive", "zh", MET_OFFENSIVE, "met_meme", "offensive_level"),
    "abuse_bn__BanglaAbuseMeme": ("Abuse", "bn", "not-abusive abusive", "bangla_abuse_meme", "abuse"),
    "misogynous_en__MAMI": ("Misogyny", "en", "not-misogynous misogynous", "mami", "misogyny"),
    "Misogyny_hi_en__MIMIC2024": ("Misogyny", "hi-en", "not-misogynous misogynous", "mimic2024", "misogyny"),
    "Misogyny_Categories_hi_en__MIMIC2024": (
        "Misogyny",
        "hi-en",
        "Objectification Prejudice Humiliation Unspecified",
        "mimic2024",
        "misogyny_categories",
    ),
    "shaming_en__MAMI": ("Shaming", "en", "not-shaming shaming", "mami", "shaming"),
    "stereotype_en__MAMI": ("Stereotype", "en", "not-stereotype stereotype", "mami", "stereotype"),
    "objectification_en__MAMI": (
        "Objectification",
        "en",
        "not-objectification objectification",
        "mami",
        "objectification",
    ),
    "violence_en__MAMI": ("Violence", "en", "not-violence violence", "mami", "violence"),
    "Target_Covid_en__HarMeme": ("Target", "en", TARGET, "harmc", "target"),
    "Target_en__HarMeme": ("Target", "en", TARGET, "harmp", "target"),
    "intention_detection_en__MET_Meme": (
        "Intention",
        "en",
        "Entertaining Expressive Interactive Offensive",
        "met_meme",
        "intention",
    ),
    "intention_detection_zh__MET_Meme": (
        "Intention",
        "zh",
        "Entertaining Expressive Interactive Offensive Other",
        "met_meme",
        "intention",
    ),
    "metaphor_occurrence_en__MET_Meme": ("Metaphor", "en", "Literal Metaphorical", "met_meme", "metaphor"),
    "metaphor_occurrence_zh__MET_Meme": ("Metaphor", "zh", "Literal Metaphorical", "met_meme", "metaphor"),
    "motivational_en__memotion": ("Motivational", "en", "not-motivational motivational", "memotion7k", "motivational"),
    "propoganda_ar_ArMeme": ("Propaganda", "ar", "not-propaganda propaganda", "armeme", "propaganda"),
    "political_ro__RoMemes": ("Political", "ro", "not-political political", "romemes", "political"),
    "deepfake_ro__RoMemes": ("Deepfake", "ro", "Real Fake DeepFake", "romemes", "deepfake"),
    "humour_en__memotion": ("Humor", "en", "not-funny funny very-funny hilarious", "memotion7k", "humour_level"),
    "sarcasm_en__memotion": (
        "Sarcasm",
        "en",
        "not-sarcastic general-sarcasm twisted-meaning very-twisted",
        "memotion7k",
        "sarcasm_level",
    ),
    "sarcasm_bn__BanglaAbuseMeme": ("Sarcasm", "bn", "not-sarcasm sarcasm", "bangla_abuse_meme", "sarcasm"),
    "vulgar_bn__BanglaAbuseMeme": ("Vulgarity", "bn", "not-vulgar vulgar", "bangla_abuse_meme", "vulgarity"),
    # The eight that are released but counted neither among the 38 datasets nor among the 20 tasks.
    "emotion_ro__RoMemes": (None, "ro", "Love Fear Anger Joy Sadness Surprise", "romemes", "emotion"),
    "sentiment_ro__RoMemes": (None, "ro", "negative neutral positive", "romemes", "sentiment"),
    "sentiment_bn__BanglaAbuseMeme": (None, "bn", "negative neutral positive", "bangla_abuse_meme", "sentiment"),
    "overall_sentiment_en__memotion": (
        None,
        "en",
        "very-negative negative neutral positive very-positive",
        "memotion7k",
        "sentiment_level",
    ),
    "sentiment_category_en__MET_Meme": (None, "en", MET_EMOTION, "met_meme", "emotion"),
    "sentiment_category_zh__MET_Meme": (None, "zh", MET_EMOTION, "met_meme", "emotion"),
    "sentiment_degree_en__MET_Meme": (None, "en", "slightly moderately very", "met_meme", "sentiment_degree"),
    "sentiment_degree_zh__MET_Meme": (None, "zh", "slightly moderately very", "met_meme", "sentiment_degree"),
}
# Where our label is not the paper's in small letters.
OURS = {"not-sarcasm": "not-sarcastic", "sarcasm": "sarcastic", "Happiness": "joy", "Sorrow": "sadness"}
# Labels that the original has and the configuration does not.
BEYOND = {"intention_detection_en__MET_Meme": {"other"}}
FOLDERS = {"hi-en": "hi"}
TASKS = [
    "Hateful",
    "Harmful",
    "Toxic",
    "Offensive",
    "Abuse",
    "Misogyny",
    "Shaming",
    "Stereotype",
    "Objectification",
    "Violence",
    "Target",
    "Intention",
    "Metaphor",
    "Motivational",
    "Humor",
    "Sarcasm",
    "Vulgarity",
    "Propaganda",
    "Political",
    "Deepfake",
]

every = pytest.mark.parametrize("name", TABLE)


def translated(labels: str) -> list[str]:
    return [OURS.get(label, label.lower()) for label in labels.split()]


def test_the_counts_of_the_paper():
    paper = {name: row for name, row in TABLE.items() if row[0]}
    assert (len(TABLE), len(paper)) == (46, 38)
    assert [task for task in TASKS if task not in {row[0] for row in paper.values()}] == []
    assert len(TASKS) == len({row[0] for row in paper.values()}) == 20
    languages = Counter(row[1] for row in paper.values())
    assert languages == {"en": 20, "bn": 4, "zh": 4, "ar": 2, "ro": 2, "hi-en": 2, "de": 1, "es": 1, "hi": 1, "ru": 1}


def test_the_package_holds_the_same_table():
    found = {name: (one.task, one.lang, one.source, one.folder) for name, one in CONFIGURATIONS.items()}
    assert found == {
        name: (task, lang, source, FOLDERS.get(lang, lang)) for name, (task, lang, _, source, _) in TABLE.items()
    }


def test_each_configuration_is_claimed_by_exactly_one_source():
    claims = [(name, source.name) for source in load_sources().values() for name in source.card.memelens]
    assert Counter(name for name, _ in claims).most_common(1)[0][1] == 1
    assert dict(claims) == {name: row[3] for name, row in TABLE.items()}
    assert load_source("memelens").card.memelens == ()


def test_the_papers_tasks_are_in_the_taxonomy():
    assert sorted(task.memelens for task in load_taxonomy().tasks.values() if task.memelens) == sorted(TASKS)


@every
def test_the_original_gives_the_task_with_these_labels_in_this_language(name):
    paper_task, lang, labels, source, task = TABLE[name]
    fields = [field for field in load_label_map(source).fields.values() if field[0] == task]
    assert fields, f"{source} has no field for {task}"
    given = {label for _, known in fields for label in known.values()}
    assert given == set(translated(labels)) | BEYOND.get(name, set())
    assert lang in load_source(source).card.languages
    taxonomy = load_taxonomy()
    assert (taxonomy[task].category == "affect") == (paper_task is None)
    # The paper's task is this one of ours, or the one that grades it, or the one whose forms it lists.
    near = {task, *(one.name for one in taxonomy.tasks.values() if one.coarse_task == task)}
    near |= {"misogyny"} if task == "misogyny_categories" else set()
    assert paper_task is None or paper_task in {taxonomy[one].memelens for one in near}


@every
def test_the_release_gives_the_task_with_these_labels(name):
    _, _, labels, _, task = TABLE[name]
    ours, known = load_label_map("memelens").fields[name]
    assert ours == task
    assert known == dict(zip(labels.split(), translated(labels), strict=True))


def test_all_46_folders_of_the_release_are_read(tmp_path):
    for name, (_, lang, labels, _, _) in TABLE.items():
        folder = tmp_path / FOLDERS.get(lang, lang) / name
        folder.mkdir(parents=True)
        for i, label in enumerate(labels.split()):
            row = {"id": i, "image": f"images/{i}.jpg", "text": f"words {i}", "label": label, "explanation": "because"}
            with (folder / ("train", "val", "test")[i % 3]).with_suffix(".jsonl").open("a") as file:
                file.write(json.dumps(row) + "\n")
    problems = Problems()
    memes = read_source(load_source("memelens"), tmp_path, problems)
    assert problems.counts == {"missing-picture": len(memes)}
    assert Counter(meme.meta["configuration"] for meme in memes) == {
        name: len(row[2].split()) for name, row in TABLE.items()
    }
    for meme in memes:
        name, number = meme.id.split("/")
        _, lang, labels, source, task = TABLE[name]
        expected = translated(labels)[int(number)]
        assert meme.labels[task] == ([expected] if task == "misogyny_categories" else expected)
        assert (meme.lang, meme.meta["dataset"], meme.source, meme.rationale) == (lang, source, "memelens", "because")
        assert meme.split == ("train", "val", "test")[int(number) % 3]
    paper = read_source(load_source("memelens"), tmp_path, Problems(), variant="paper")
    assert {meme.meta["configuration"] for meme in paper} == {name for name, row in TABLE.items() if row[0]}


class TestErrorsOfTheReleasedCode:
    """`explanations/config.py`, `convert_seq_cls.py` and `generate_train_scripts.py` of it are not followed."""

    def labels(self, name: str) -> set[str]:
        return set(load_label_map("memelens").fields[name][1].values())

    def test_harm_in_the_pandemic_has_three_levels(self):
        assert self.labels("Harmful_Covid_en__HarMeme") == self.labels("Harmful_en__HarMeme") == set(HARM.split())

    def test_intentions_are_those_of_the_authors(self):
        for lang in ("en", "zh"):
            found = self.labels(f"intention_detection_{lang}__MET_Meme")
            assert not found & {"motivational", "satirical", "informative", "provocative"}
        assert load_taxonomy()["intention"].labels == (
            "entertaining",
            "expressive",
            "interactive",
            "offensive",
            "other",
        )

    def test_sentiment_categories_are_emotions(self):
        for lang in ("en", "zh"):
            assert len(self.labels(f"sentiment_category_{lang}__MET_Meme")) == 7
            assert not self.labels(f"sentiment_category_{lang}__MET_Meme") & {"negative", "neutral", "positive"}

    def test_categories_of_misogyny_are_those_of_mimic_not_of_mami(self):
        found = self.labels("Misogyny_Categories_hi_en__MIMIC2024")
        assert found == {"objectification", "prejudice", "humiliation", "unspecified"}

    def test_nobody_is_misogynistic_objectifying_or_stereotyping(self):
        every = {label for task in load_taxonomy().tasks.values() for label in task.labels}
        assert not [label for label in every if label.endswith(("misogynistic", "ifying", "typing", "violent"))]

    def test_deepfake_is_a_configuration_and_fakenews_is_not(self):
        assert "deepfake_ro__RoMemes" in CONFIGURATIONS
        assert not [name for name in CONFIGURATIONS if "fakenews" in name]

    def test_misspelt_names_are_names_of_folders_alone(self):
        ours = {*load_sources(), *load_taxonomy().tasks}
        ours |= {label for task in load_taxonomy().tasks.values() for label in task.labels}
        assert not [name for name in ours if "propoganda" in name or "phpbia" in name]
        assert {"propoganda_ar_ArMeme", "Hateful_en__MIMIC_Islamophpbia"} <= set(CONFIGURATIONS)

    @pytest.mark.parametrize("label", ["Non-hateful", "not-specified", "0", "hatefull"])
    def test_an_unknown_label_is_refused_never_the_first_class(self, tmp_path, label):
        folder = tmp_path / "en" / "Hateful_en_FHM"
        folder.mkdir(parents=True)
        rows = [{"id": i, "image": "a.jpg", "text": "t", "label": one} for i, one in enumerate([label, "hateful"])]
        (folder / "test.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        problems = Problems()
        memes = read_source(load_source("memelens"), tmp_path, problems)
        assert [meme.id for meme in memes] == ["Hateful_en_FHM/1"]
        [refused] = [one for one in problems if one.kind == "unknown-label"]
        assert refused.where == "Hateful_en_FHM/test.jsonl:1"
        assert repr(label) in refused.message
        assert "known: not-hateful, hateful" in refused.message
        with pytest.raises(UsageError, match=r"Hateful_en_FHM/test\.jsonl:1"):
            read_source(load_source("memelens"), tmp_path, Problems(strict=True))


def test_memelens_fields(tmp_path):
    row = {
        "id": "m1",
        "image": "images/m1.jpg",
        "text": "Guten Morgen",
        "label": "not-hateful",
        "task_description": "t",
        "explanation": "It greets.",
        "native_label": "nicht hasserfüllt",
        "native_task_description": "",
        "native_explanation": "Es grüßt.",
        "clarity": 4.5,
        "extra": 1,
    }
    home = "de/Hateful_de__Multi3Hate"
    write(
        tmp_path,
        {
            f"{home}/test.jsonl": lines(
                row, {"id": "m2", "image": "elsewhere/m2.jpg", "label": "hateful", "text": None}
            ),
            f"{home}/train.jsonl": lines({"id": "m3", "text": "no picture named", "label": "hateful"}),
            f"{home}/images/m1.jpg": b"a",
            f"{home}/images/m2.jpg": b"b",
        },
    )
    memes, problems = read("memelens", tmp_path)
    first = memes["Hateful_de__Multi3Hate/m1"]
    assert first.image == tmp_path / home / "images" / "m1.jpg"
    assert (first.text, first.lang, first.rationale, first.split) == ("Guten Morgen", "de", "It greets.", "test")
    kept = {name: first.meta[name] for name in first.meta if name not in ("where", "native_labels")}
    assert kept == {
        "configuration": "Hateful_de__Multi3Hate",
        "dataset": "multi3hate",
        "task_description": "t",
        "native_label": "nicht hasserfüllt",
        "native_explanation": "Es grüßt.",
        "clarity": 4.5,
    }
    second = memes["Hateful_de__Multi3Hate/m2"]
    assert second.image == tmp_path / home / "images" / "m2.jpg"
    assert (second.text, second.rationale) == ("", None)
    [(_, message)] = told(problems, "missing-field")
    assert message == "expected the keys id, image, label; found id, text, label"


def test_memelens_as_the_hub_has_it(tmp_path):
    pa = pytest.importorskip("pyarrow")
    import pyarrow.parquet as pq

    name = "Misogyny_Categories_hi_en__MIMIC2024"
    (tmp_path / name).mkdir()
    rows = [
        {"id": "1", "image": {"bytes": b"p", "path": "1.jpg"}, "text": "kya", "label": "Objectification, Humiliation"},
        {"id": "2", "image": {"bytes": b"q", "path": "2.jpg"}, "text": "x", "label": "Unspecified"},
        {"id": "3", "image": {"bytes": b"r", "path": "3.jpg"}, "text": "x", "label": ""},
    ]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / name / "validation-00000-of-00001.parquet")
    memes, problems = read("memelens", tmp_path)
    assert [(meme.split, meme.lang, meme.image) for meme in memes.values()] == [
        *[("val", "hi-en", picture) for picture in (b"p", b"q", b"r")]
    ]
    assert [meme.labels for meme in memes.values()] == [
        {"misogyny_categories": ["objectification", "humiliation"]},
        {"misogyny_categories": ["unspecified"]},
        {},
    ]
    assert told(problems, "missing-field") == [(f"{name}/validation-00000-of-00001.parquet:3", "no label")]


@pytest.mark.real
def test_the_released_task_definitions_name_the_same_configurations(real_data):
    path = real_data / "native" / "memelens" / "task_definitions.json"
    if not path.is_file():
        pytest.skip(f"{path}: not there")
    assert set(json.loads(path.read_text("utf-8"))) == set(TABLE)
