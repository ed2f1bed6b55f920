"""Datasets whose files are not at hand, in their native formats: rows of our own, the Memes, and what is refused."""

import json
from itertools import permutations
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from native_files import read, told, workbook, write

from memescope.datasets.catalogue import load_source
from memescope.datasets.sources import mmhs150k

# MMHS150K


def tweets(folder: Path) -> Path:
    ground = {
        "1001": {
            "img_url": "http://x/1.jpg",
            "labels": [0, 0, 0],
            "tweet_text": "good morning",
            "tweet_url": "http://t/1",
        },
        "1002": {"labels": [0, 2, 0], "labels_str": ["NotHate", "Sexist", "NotHate"], "tweet_text": "one of three"},
        "1003": {"labels": [1, 2, 0], "tweet_text": "two of three, not the same"},
        "1004": {"labels": [5, 5, 4], "tweet_text": "three of three"},
        "1005": {"labels": [0, 6, 0], "tweet_text": "there is no class 6"},
        "1006": {"labels": [0, 1], "tweet_text": "two annotators"},
    }
    return write(
        folder,
        {
            "MMHS150K_GT.json": json.dumps(ground),
            "splits/train_ids.txt": "1001\n1002\n1005\n1006\n",
            "splits/val_ids.txt": "1003\n",
            "splits/test_ids.txt": "1004\n9999\n",
            "img_resized/1001.jpg": b"\xff\xd8",
            "img_txt/1001.json": '{"img_text": "rise and shine"}',
        },
    )


def test_mmhs150k(tmp_path):
    memes, problems = read("mmhs150k", tweets(tmp_path))
    assert list(memes) == ["1001", "1002", "1005", "1006", "1003", "1004"]
    first = memes["1001"]
    assert (first.text, first.lang, first.split) == ("good morning", "en", "train")
    assert first.image == tmp_path / "img_resized" / "1001.jpg"
    assert first.meta["picture_text"] == "rise and shine"
    assert first.meta["votes"] == {"hate": ["NotHate", "NotHate", "NotHate"]}
    assert {id: meme.labels.get("hateful") for id, meme in memes.items()} == {
        "1001": "not-hateful",
        "1002": "not-hateful",
        "1003": "hateful",
        "1004": "hateful",
        "1005": None,
        "1006": None,
    }
    assert [memes[id].meta["native_labels"] for id in ("1003", "1004")] == [{"hate": "Hate"}, {"hate": "OtherHate"}]
    assert [memes[id].split for id in ("1003", "1004")] == ["val", "test"]
    assert told(problems, "unknown-label") == [
        ("train_ids.txt:3", "expected three labels from 0 to 5, found [0, 6, 0]"),
        ("train_ids.txt:4", "expected three labels from 0 to 5, found [0, 1]"),
    ]
    assert told(problems, "missing-field") == [("test_ids.txt:2", "tweet 9999 is not in MMHS150K_GT.json")]


def test_mmhs150k_as_memelens_collapses_it(tmp_path):
    memes, _ = read("mmhs150k", tweets(tmp_path), "any")
    assert {id: memes[id].labels["hateful"] for id in ("1001", "1002", "1003", "1004")} == {
        "1001": "not-hateful",
        "1002": "hateful",
        "1003": "hateful",
        "1004": "hateful",
    }


@given(st.lists(st.sampled_from(mmhs150k._CLASSES), min_size=3, max_size=3))
def test_mmhs150k_votes_against_the_plain_statement(votes):
    hateful = sum(vote != "NotHate" for vote in votes)
    assert (mmhs150k.decide(votes, "any") == "NotHate") == (hateful == 0)
    assert (mmhs150k.decide(votes, "majority") == "NotHate") == (hateful <= 1)
    assert {mmhs150k.decide(list(order), "majority") for order in permutations(votes)} == {
        mmhs150k.decide(votes, "majority")
    }


@pytest.mark.parametrize(
    ("content", "kind", "message"),
    [
        (None, "missing-file", "without it no row has a label"),
        ("[1, 2]", "broken-line", "expected an object of tweets by id, found list"),
        ('{"1": ', "broken-line", "not JSON"),
    ],
)
def test_mmhs150k_without_its_ground_truth(tmp_path, content, kind, message):
    write(tmp_path, {"splits/test_ids.txt": "1\n"} | ({"MMHS150K_GT.json": content} if content else {}))
    memes, problems = read("mmhs150k", tmp_path)
    assert memes == {}
    assert [(one.kind, one.where) for one in problems] == [(kind, "MMHS150K_GT.json")]
    assert message in next(iter(problems)).message


# MIMIC (Islamophobia)


def test_mimic_islamophobia(tmp_path):
    write(
        tmp_path,
        {
            "final_dataset.csv": 'index,image,content,label\n0,images/10.jpg,"A cat, says\nthe model.",0\n'
            "1,images/10.jpeg,,1\n2,images/x.png,A dog.,2\n3,images/y.png,A bird.,\n",
            "images/10.jpg": b"a",
            "images/10.jpeg": b"b",
        },
    )
    memes, problems = read("mimic_islamophobia", tmp_path)
    assert {id: meme.labels for id, meme in memes.items()} == {
        "10.jpg": {"hateful": "not-hateful"},
        "10.jpeg": {"hateful": "hateful"},
        "y.png": {},
    }
    assert memes["10.jpg"].image == tmp_path / "images" / "10.jpg"
    # A description is not the meme's text.
    assert (memes["10.jpg"].text, memes["10.jpg"].meta["description"]) == ("", "A cat, says\nthe model.")
    assert not memes["10.jpg"].split
    [(where, message)] = told(problems, "unknown-label")
    assert where == "final_dataset.csv:5"
    assert "unknown native label '2'" in message
    assert told(problems, "missing-field") == [("final_dataset.csv:6", "no label in 'label'")]


def test_mimic_islamophobia_in_its_short_form(tmp_path):
    memes, _ = read("mimic_islamophobia", write(tmp_path, {"dataset.csv": "image,label\nimages/1.jpg,1\n"}))
    assert memes["1.jpg"].labels == {"hateful": "hateful"}
    assert memes["1.jpg"].meta["native_labels"] == {"label": "1"}


# MUTE


@pytest.mark.parametrize("inline", [False, True])
def test_mute_from_workbooks(tmp_path, inline):
    header: list[str | int | None] = ["image_name", "Captions", "Label"]
    write(
        tmp_path,
        {
            "train_hate.xlsx": workbook(
                [header, ["a.jpg", "আজ <ভালো> দিন", "not-hate"], [None, None, None], ["b.png", None, "hate"]], inline
            ),
            "valid_hate.xlsx": workbook([header, ["c.jpg", "& so on", "Hate"]], inline),
            "test_hate.csv": "image_name,Captions,Label\nd.jpg,শেষ,hate\n",
            "Memes/a.jpg": b"a",
        },
    )
    memes, problems = read("mute", tmp_path)
    assert {id: (meme.text, meme.split, meme.labels) for id, meme in memes.items()} == {
        "a.jpg": ("আজ <ভালো> দিন", "train", {"hateful": "not-hateful"}),
        "b.png": ("", "train", {"hateful": "hateful"}),
        "d.jpg": ("শেষ", "test", {"hateful": "hateful"}),
    }
    assert memes["a.jpg"].lang == "bn"
    assert memes["a.jpg"].image == tmp_path / "Memes" / "a.jpg"
    [(where, message)] = told(problems, "unknown-label")
    assert where == "valid_hate.xlsx:2"
    assert "'Hate' in 'Label'; known: not-hate, hate" in message


def test_a_table_with_other_columns_is_refused_and_named(tmp_path):
    write(tmp_path, {"train_hate.xlsx": workbook([["name", "Captions", "label"], ["a.jpg", "x", "hate"]])})
    memes, problems = read("mute", tmp_path)
    assert memes == {}
    assert told(problems, "columns") == [
        (
            "train_hate.xlsx",
            (
                "expected the columns image_name, Captions, Label; found name, Captions, label: "
                "without image_name, Label no row of it can be read"
            ),
        )
    ]


# BanglaAbuseMeme


def test_bangla_abuse_meme(tmp_path):
    write(
        tmp_path,
        {
            "BanglaAbuseMeme_annotation.csv": "Ids,sentiment,sarcasm,vulgar,abuse,target\n"
            "1.jpg,Negative,Yes,Not Vulgar,Abusive,Political#Gender\n"
            "2.jpg,Neutral,No,Vulgar,Non-abusive,None\n"
            "3.jpg,Neutral,Maybe,Vulgar,Non-abusive,None\n",
            "Images/1.jpg": b"a",
        },
    )
    memes, problems = read("bangla_abuse_meme", tmp_path)
    assert {id: meme.labels for id, meme in memes.items()} == {
        "1.jpg": {"abuse": "abusive", "vulgarity": "not-vulgar", "sarcasm": "sarcastic", "sentiment": "negative"},
        "2.jpg": {"abuse": "not-abusive", "vulgarity": "vulgar", "sarcasm": "not-sarcastic", "sentiment": "neutral"},
    }
    assert memes["1.jpg"].image == tmp_path / "Images" / "1.jpg"
    assert (memes["1.jpg"].meta["targets"], memes["2.jpg"].meta["targets"]) == (["Political", "Gender"], [])
    assert (memes["1.jpg"].text, memes["1.jpg"].lang) == ("", "bn")
    assert "'Maybe' in 'sarcasm'; known: No, Yes" in told(problems, "unknown-label")[0][1]


# MIMIC 2024 (misogyny)

MIMIC = (
    "FileName,ExtractedText,Misogyny,Objectification,Prejudice,Humiliation\n"
    "a.jpg,ek do teen,1,1,0,1\nb.jpg,namaste,0,0,0,0\nc.jpg,,1,0,0,0\nd.jpg,x,0,1,0,0\ne.jpg,y,1,0,yes,0\n"
)


def test_mimic2024(tmp_path):
    memes, problems = read("mimic2024", write(tmp_path, {"MIMIC2024.csv": MIMIC, "Files/a.jpg": b"a"}))
    assert {id: (meme.labels["misogyny"], meme.labels.get("misogyny_categories")) for id, meme in memes.items()} == {
        "a.jpg": ("misogynous", ["objectification", "humiliation"]),
        "b.jpg": ("not-misogynous", ["unspecified"]),
        "c.jpg": ("misogynous", ["unspecified"]),
        "d.jpg": ("not-misogynous", ["objectification"]),
        "e.jpg": ("misogynous", None),
    }
    assert (memes["a.jpg"].text, memes["a.jpg"].lang) == ("ek do teen", "hi-en")
    assert memes["a.jpg"].image == tmp_path / "Files" / "a.jpg"
    assert told(problems, "contradiction") == [("MIMIC2024.csv:5", "not misogynous, but Objectification")]
    assert told(problems, "unknown-label") == [("MIMIC2024.csv:6", "expected 0 or 1, found Prejudice 'yes'")]


def test_mimic2024_as_the_papers_second_task_asks(tmp_path):
    memes, _ = read("mimic2024", write(tmp_path, {"MIMIC2024.csv": MIMIC}), "misogynous")
    assert {id for id, meme in memes.items() if "misogyny_categories" in meme.labels} == {"a.jpg", "c.jpg"}


# Toxic memes (Russian)


def test_toxic_memes_ru(tmp_path):
    write(
        tmp_path,
        {"labels.csv": "filename,text,label\n1.png,доброе утро,0\n2.png,,1\n3.png,х,2\n", "images/1.png": b"a"},
    )
    memes, problems = read("toxic_memes_ru", tmp_path)
    assert {id: (meme.text, meme.labels) for id, meme in memes.items()} == {
        "1.png": ("доброе утро", {"toxic": "not-toxic"}),
        "2.png": ("", {"toxic": "toxic"}),
    }
    assert memes["1.png"].lang == "ru"
    assert memes["1.png"].image == tmp_path / "images" / "1.png"
    assert "'2'" in told(problems, "unknown-label")[0][1]


@pytest.mark.parametrize("header", ["picture,label", "image,file,label", "image,verdict"])
def test_toxic_memes_ru_with_columns_that_are_not_clear(tmp_path, header):
    memes, problems = read(
        "toxic_memes_ru", write(tmp_path, {"labels.csv": header + "\n" + "1," * header.count(",") + "1\n"})
    )
    assert memes == {}
    [(where, message)] = told(problems, "columns")
    assert where == "labels.csv"
    assert f"found {header.replace(',', ', ')}" in message


# MET-Meme


def met_meme(folder: Path) -> Path:
    empty = "," * 20
    return write(
        folder,
        {
            "label_E.csv": "file_name,sentiment category,sentiment degree,intention detection,offensiveness detection,"
            "metaphor occurrence,metaphor category,target domain,source domain,target modality,source modality"
            f"{empty}\n"
            "image_ (0).jpg,4(sorrow),2(moderately),4(offensive),1(slightly),1,complementary,exam,storm,text,image"
            f"{empty}\n"
            f"image_ (1).jpg,1(happiness),1(slightly),5(other),0(non-offensive),0,,,,,{empty}\n"
            f"image_ (2).jpg,1(happiness),1(slightly),2(expressive),5(extreme),0,,,,,{empty}\n"
            f"image_ (3).jpg,,1(slightly),2(expressive),3(very),0,,,,,{empty}\n",
            "E_text.csv": f'file_name,text{empty}\nimage_ (0).jpg,"Me before\nthe ""easy"" exam\n",{empty[:-1]}\n'
            f"image_ (1).jpg,{empty}\nimage_ (2).jpg,x{empty}\n",
            "label_C.csv": "images_name,sentiment category,sentiment degree,intention detection,"
            "offensiveness detection,metaphor occurrence,metaphor category,source domain,target domain,"
            "target modality,source modality\n"
            "Image_(1).jpg,7(surprise),3(very),表达情感,2(moderately),0,,,,,\n",
            "C_text.csv": "images_name,text,,\nImage_(1).jpg,今天天气很好,,\n",
            "Eimages/image_ (0).jpg": b"a",
            "Cimages/Image_(1).jpg": b"b",
        },
    )


def test_met_meme(tmp_path):
    memes, problems = read("met_meme", met_meme(tmp_path))
    first = memes["image_ (0).jpg"]
    assert first.labels == {
        "emotion": "sadness",
        "sentiment_degree": "moderately",
        "intention": "offensive",
        "offensive_level": "slightly-offensive",
        "offensive": "offensive",
        "metaphor": "metaphorical",
    }
    assert (first.text, first.lang) == ('Me before\nthe "easy" exam', "en")
    assert first.image == tmp_path / "Eimages" / "image_ (0).jpg"
    assert (first.meta["metaphor category"], first.meta["target domain"]) == ("complementary", "exam")
    second = memes["image_ (1).jpg"]
    assert (second.text, second.labels["emotion"], second.labels["intention"]) == ("", "joy", "other")
    assert "emotion" not in memes["image_ (3).jpg"].labels
    chinese = memes["Image_(1).jpg"]
    assert (chinese.text, chinese.lang) == ("今天天气很好", "zh")
    assert chinese.labels["intention"] == "expressive"
    assert chinese.image == tmp_path / "Cimages" / "Image_(1).jpg"
    assert "'5(extreme)' in 'offensiveness detection'" in told(problems, "unknown-label")[0][1]
    assert told(problems, "missing-field") == [
        ("label_E.csv:5", "image_ (3).jpg has no row of text"),
        ("label_E.csv:5", "no label in 'sentiment category'"),
    ]


def test_met_meme_in_one_language(tmp_path):
    met_meme(tmp_path)
    assert {meme.lang for meme in read("met_meme", tmp_path, "zh")[0].values()} == {"zh"}
    assert {meme.lang for meme in read("met_meme", tmp_path, "en")[0].values()} == {"en"}
    (tmp_path / "C_text.csv").unlink()
    memes, problems = read("met_meme", tmp_path, "zh")
    assert memes["Image_(1).jpg"].text == ""
    assert told(problems, "missing-file") == [("C_text.csv", "without it these memes have no text")]


# MASAD


def test_masad_in_both_forms(tmp_path):
    write(
        tmp_path,
        {
            "masadDev.json": json.dumps(
                [
                    {"id": "77", "text": "a quiet lake", "aspect": "lake", "polarity": "positive"},
                    {"id": "77", "text": "a quiet lake", "aspect": "storm", "polarity": "negative"},
                    {"id": "78", "text": "x", "aspect": "lake", "polarity": "2"},
                    {"id": "79", "text": "x", "polarity": "positive"},
                ]
            ),
            "test_raw.tsv": "index\t#1 Label\tImage\tString\tString2\n"
            "0\tpositive\t5.jpg\t5###Title###Autumn \\(leaves\\)###http://x/5.jpg###a<tag>b\tautumn\n"
            "1\tpositive\t6.jpg\tno marks\tautumn\n2\tpositive\t6.jpg\n",
            "MASAD_imgs/77.jpg": b"a",
        },
    )
    memes, problems = read("masad", tmp_path)
    assert {id: (meme.text, meme.aspect, meme.labels, meme.split) for id, meme in memes.items()} == {
        "77/lake": ("a quiet lake", "lake", {"aspect_sentiment": "positive"}, "val"),
        "77/storm": ("a quiet lake", "storm", {"aspect_sentiment": "negative"}, "val"),
        "5/autumn": ("Autumn (leaves)", "autumn", {"aspect_sentiment": "positive"}, "test"),
    }
    assert memes["77/lake"].image == tmp_path / "MASAD_imgs" / "77.jpg"
    assert "unknown native label '2'" in told(problems, "unknown-label")[0][1]
    assert [where for where, _ in told(problems, "missing-field")] == ["masadDev.json:1", "test_raw.tsv:3"]
    assert told(problems, "columns") == [("test_raw.tsv:4", "expected 5 columns, found 3")]


# Cards


@pytest.mark.parametrize(
    "name",
    [
        *("armeme", "bangla_abuse_meme", "masad", "memelens", "met_meme", "mimic2024", "mimic_islamophobia"),
        *("mmhs150k", "mute", "mvsa_multiple", "mvsa_single", "prop2hate_meme", "toxic_memes_ru"),
    ],
)
def test_cards_do_not_claim_the_authors_file(name):
    source = load_source(name)
    assert source.card.verified == ("paper" if name == "toxic_memes_ru" else "loader-code")
    card = source.card
    assert all([card.title, card.paper, card.licence, card.get, card.languages, card.warning, card.flaws])
    assert source.folders == tuple(folder.lower() for folder in source.folders)
