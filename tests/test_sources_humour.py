"""Sources of humour, sarcasm, feelings and meanings: each native format, byte for byte, with invented rows."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from native_rows import noted, picture, read, rows

_HEADER = (
    "Image_name,Image_URL,OCR_extracted_text,corrected_text,Humour,Sarcasm,offensive,Motivational,Motivational\r\n"
)
_FUNNY = "funny,general,not_offensive,not_motivational,positive"
_GRIM = "not_funny,not_sarcastic,very_offensive,motivational,very_negative"
_FUNNY_LABELS = {
    "humour_level": "funny",
    "humour": "funny",
    "sarcasm_level": "general-sarcasm",
    "sarcasm": "sarcastic",
    "offensive_level": "not-offensive",
    "offensive": "not-offensive",
    "motivational": "not-motivational",
    "sentiment_level": "positive",
    "sentiment": "positive",
}


def test_memotion_cuts_swallowed_rows_out_of_a_cell(tmp_path: Path) -> None:
    release = (
        _HEADER
        + f"a.jpg,http://x/a,TEA FIRST,TEA  FIRST,{_FUNNY}\r\n"
        # One shifted by a column: the URL's cell took b's own texts, c whole, and the beginning of d.
        + f'b.jpg,"http://x/b,B OCR,B TEXT,{_GRIM}\nc.jpg,http://x/c,,C TEXT,{_FUNNY}\nd.jpg,http://x/d,D OCR",'
        + f"D TEXT,{_GRIM},\r\n"
        # One shifted by two columns and alone.
        + f'e.jpg,"http://x/e,E OCR,E TEXT",{_FUNNY},,\r\n'
        + f"f.jpg,http://x/f,,,{_FUNNY}\r\n"
    )
    memes, problems = read("memotion7k", tmp_path, {"data_7000_new.csv": release}, "release")
    assert [(meme.id, meme.text, meme.meta["url"], meme.meta["repaired"]) for meme in memes] == [
        ("a.jpg", "TEA  FIRST", "http://x/a", False),
        ("b.jpg", "B TEXT", "http://x/b", True),
        ("c.jpg", "C TEXT", "http://x/c", True),
        ("d.jpg", "D TEXT", "http://x/d", True),
        ("e.jpg", "E TEXT", "http://x/e", True),
        ("f.jpg", "", "http://x/f", False),
    ]
    assert [meme.labels["humour"] for meme in memes] == ["funny", "not-funny", "funny", "not-funny", "funny", "funny"]
    assert memes[0].labels == _FUNNY_LABELS
    assert [meme.meta["where"] for meme in memes] == [f"data_7000_new.csv:{number}" for number in (2, 3, 4, 5, 6, 7)]
    assert noted(problems) == [("columns", f"data_7000_new.csv:{number}", True) for number in (3, 4, 5, 6)]


def test_memotion_names_a_row_without_labels_and_reads_on(tmp_path: Path) -> None:
    release = (
        _HEADER + f"a.jpg,http://x/a,A,A,funny,general,maybe,not_motivational,positive\r\nb.jpg,u,B,B,{_FUNNY}\r\n"
    )
    memes, problems = read("memotion7k", tmp_path, {"data_7000_new.csv": release}, "release")
    assert [meme.id for meme in memes] == ["b.jpg"]
    assert noted(problems) == [("broken-line", "data_7000_new.csv:2", False)]


def test_memotions_trial_file_has_no_header_and_one_column_more(tmp_path: Path) -> None:
    trial = f"a.jpg,http://x/a,A OCR , ,{_FUNNY},image_and_text \nb.jpg,http://x/b,,B TEXT,{_GRIM},image\n"
    memes, problems = read("memotion7k", tmp_path, {"data1_trial.csv": trial}, "release")
    assert [(meme.split, meme.text, meme.meta["said_with"]) for meme in memes] == [
        ("trial", "A OCR", "image_and_text"),
        ("trial", "B TEXT", "image"),
    ]
    assert noted(problems) == []


def test_memotions_pictures_get_their_graded_labels_by_text_and_order(tmp_path: Path) -> None:
    release = (
        _HEADER
        + f"a.jpg,u,TEA FIRST,TEA FIRST,{_FUNNY}\r\n"
        + f"b.jpg,u,,,{_FUNNY}\r\n"
        + f"c.jpg,u,MILK,MILK,{_GRIM}\r\n"
        + f"d.jpg,u,LAST,LAST,{_GRIM}\r\n"
    )
    labels = (
        ",image_name,text_ocr,text_corrected,overall_sentiment\n"
        # The release has d last; the order of the rest agrees, the text's spaces need not.
        '0,image_1.jpg,LAST,"LAST, NOT LEAST",very_negative\n'
        "1,image_2.png,tea  first,,positive\n"
        "2,image_3.jpg,,,positive\n"
        "3,image_4.jpg,MILK,MILK,very_negative\n"
        "4,image_5.jpg,UNKNOWN,UNKNOWN,neutral\n"
    )
    memes, problems = read("memotion7k", tmp_path, {"labels.csv": labels, "data_7000_new.csv": release})
    assert [(meme.id, meme.text, meme.meta.get("release_name")) for meme in memes] == [
        ("image_1", "LAST, NOT LEAST", "d.jpg"),
        ("image_2", "tea  first", "a.jpg"),
        ("image_3", "", "b.jpg"),
        ("image_4", "MILK", "c.jpg"),
        ("image_5", "UNKNOWN", None),
    ]
    assert memes[1].labels == _FUNNY_LABELS
    assert memes[4].labels == {"sentiment_level": "neutral", "sentiment": "neutral"}
    assert picture(memes[1], tmp_path) == "images/image_2.png"
    assert noted(problems) == [("missing-field", "labels.csv:6", True)]


def test_memotions_full_labels_need_no_release(tmp_path: Path) -> None:
    labels = (
        ",image_name,text_ocr,text_corrected,humour,sarcasm,offensive,motivational,overall_sentiment\n"
        f"0,image_1.jpg,TEA,TEA,{_FUNNY}\n"
        "1,image_2.jpg,TEA,TEA,funny,general,not_offensive,perhaps,positive\n"
    )
    memes, problems = read("memotion7k", tmp_path, {"labels.csv": labels})
    assert rows(memes) == [("train", "image_1", "TEA", _FUNNY_LABELS)]
    assert noted(problems) == [("unknown-label", "labels.csv:3", False)]


def test_mmsd_reads_lists_and_takes_the_persons_label(tmp_path: Path) -> None:
    valid = (
        "['1', 'i love rain , it \\'s wet', 1, 0]\r\n"
        "['2', \"don 't ask\", 1, 1]\r\n"
        "['3', 'such sarcasm', 1, 1]\r\n"
        "['4', 'cut off', 1\r\n"
        "__import__('os').system('true')\r\n"
        "['5', 'tea', 7, 7]\r\n"
        "['6', 'tea', 1]\r\n"
        "('7', 'tea', 1, 1)\r\n"
    )
    files = {"valid2.txt": valid, "train.txt": "['8', 'unsarcastic tea', 0]\n"}
    memes, problems = read("mmsd", tmp_path, files)
    assert rows(memes) == [
        ("train", "8", "unsarcastic tea", {"sarcasm": "not-sarcastic"}),
        ("val", "1", "i love rain , it 's wet", {"sarcasm": "not-sarcastic"}),
        ("val", "2", "don 't ask", {"sarcasm": "sarcastic"}),
        ("val", "6", "tea", {"sarcasm": "sarcastic"}),
    ]
    assert picture(memes[0], tmp_path) == "dataset_image/8.jpg"
    assert noted(problems) == [
        ("left-out", "valid2.txt:3", False),
        ("broken-line", "valid2.txt:4", False),
        ("broken-line", "valid2.txt:5", False),
        ("unknown-label", "valid2.txt:6", False),
        ("broken-line", "valid2.txt:8", False),
    ]
    by_hashtag, _ = read("mmsd", tmp_path, {}, "hashtag")
    assert [meme.labels["sarcasm"] for meme in by_hashtag] == ["not-sarcastic", "sarcastic", "sarcastic", "sarcastic"]
    every, _ = read("mmsd", tmp_path, {}, "all")
    assert [meme.id for meme in every] == ["8", "1", "2", "3", "6"]


def test_mmsd_as_json_arrays_has_one_label(tmp_path: Path) -> None:
    array = '[{"image_id": 7, "text": "tea", "label": 1}, {"image_id": 8, "text": "a joke", "label": 0}]'
    memes, problems = read("mmsd", tmp_path, {"text_json_clean/train.json": array})
    assert rows(memes) == [("train", "7", "tea", {"sarcasm": "sarcastic"})]
    assert "label_by_hashtag" not in memes[0].meta
    assert noted(problems) == [("left-out", "train.json:1", False)]


def test_mmsd2_has_numbers_for_ids(tmp_path: Path) -> None:
    array = '[{"image_id": 862902619928506372, "text": "tea", "label": 1}, {"image_id": 9, "text": "tea"}]'
    memes, problems = read("mmsd2", tmp_path, {"text_json_final/valid.json": array})
    assert rows(memes) == [("val", "862902619928506372", "tea", {"sarcasm": "sarcastic"})]
    assert noted(problems) == [("missing-field", "valid.json:1", False)]


def test_more_unquotes_tweets_and_leaves_other_posts_alone(tmp_path: Path) -> None:
    table = (
        "1\t'it 's tea time'\tthe author dislikes tea.\n"
        '2\t"\'it \\\'s "" tea "" time \'"\t"they say ""tea""."\n'
        "3_4\t'Tea?' Nooooo, milk\tthe author likes milk.\n"
        "5\tPlain words\tplain.\n"
        "6\t'tea'\t \n"
        "7\ttoo few\n"
    )
    memes, problems = read("muse_more", tmp_path, {"train_df.tsv": table})
    assert [(meme.id, meme.text, meme.rationale) for meme in memes] == [
        ("1", "'it 's tea time'", "the author dislikes tea."),
        ("2", 'it \'s " tea " time', 'they say "tea".'),
        ("3_4", "'Tea?' Nooooo, milk", "the author likes milk."),
        ("5", "Plain words", "plain."),
        ("6", "tea", None),
    ]
    assert all(meme.labels == {"sarcasm": "sarcastic"} for meme in memes)
    assert noted(problems) == [("missing-field", "train_df.tsv:5", True), ("columns", "train_df.tsv:6", False)]


_TSV = "index\t#1 Label\t#2 ImageID\t#3 String\t#3 String\n"


@pytest.mark.parametrize("name", ["twitter2015", "twitter2017"])
def test_twitters_tables_are_read_by_position(tmp_path: Path, name: str) -> None:
    files = {
        "train.tsv": _TSV + '1\t2\t7.jpg\tRT @ me : $T$ says " tea\tAnn Lee\n2\t0\t7.jpg\t$T$ late\t# MCM\n',
        "test.tsv": "index\t#1 ImageID\t#2 String\t#2 String\n"
        "1\t1\t8.jpg\t$T$ ?\tTea\n2\t1\t8.jpg\t$T$\n3\t5\t9.jpg\t$T$\tA\n",
    }
    memes, problems = read(name, tmp_path, files)
    assert rows(memes) == [
        ("train", "train_1", 'RT @ me : Ann Lee says " tea', {"aspect_sentiment": "positive"}),
        ("train", "train_2", "# MCM late", {"aspect_sentiment": "negative"}),
        ("test", "test_1", "Tea ?", {"aspect_sentiment": "neutral"}),
    ]
    assert (memes[0].aspect, memes[0].meta["text_masked"]) == ("Ann Lee", 'RT @ me : $T$ says " tea')
    assert picture(memes[0], tmp_path) == f"{name}_images/7.jpg"
    assert noted(problems) == [("columns", "test.tsv:3", False), ("unknown-label", "test.tsv:4", False)]


def test_twitters_four_line_form_gives_the_same_rows(tmp_path: Path) -> None:
    tsv, _ = read(
        "twitter2015", tmp_path / "tsv", {"dev.tsv": _TSV + "1\t2\t7.jpg\t$T$ tea\tAnn\n2\t0\t8.jpg\tno $T$\tBo\n"}
    )
    txt, problems = read(
        "twitter2015", tmp_path / "txt", {"dev.txt": "$T$ tea\nAnn\n1\n7.jpg\nno $T$\nBo\n-1\n8.jpg\n"}
    )
    assert rows(txt) == rows(tsv)
    assert [meme.aspect for meme in txt] == ["Ann", "Bo"]
    assert noted(problems) == []


def test_a_broken_block_of_four_lines_costs_itself_alone(tmp_path: Path) -> None:
    dev = "$T$ one\nA\n1\n1.jpg\n$T$ two\nB\n2.jpg\n$T$ three\nC\n0\n3.jpg\n$T$ four\nD\n"
    memes, problems = read("twitter2017", tmp_path, {"dev.txt": dev})
    assert [meme.text for meme in memes] == ["A one", "C three"]
    assert noted(problems) == [("broken-line", f"dev.txt:{number}", False) for number in (5, 6, 7, 12, 13)]


_ROMEMES = (
    ",ID,Text,Extension,Complexity,Real_Fake,Sentiment1,Sentiment2,Political\r\n"
    '0,100001,"CEAI\nFIERBINTE",jpg,Simple,Fake,Negative,Sadness,Yes\r\n'
    "1,100002,LAPTE,webp,Combination,DeepFake,Positive,Love,No\r\n"
    "2,100003,APA,png,Simple,Real,Neutral,Boredom,No\r\n"
    "3,100004,VIN,png,Simple,Real,Neutral,Joy,No\r\n"
)


def test_romemes_takes_splits_and_translations_by_row_number(tmp_path: Path) -> None:
    split = ",Complexity,Real_Fake,Political,TextUppercase,TextLowercase,text,label\r\n"
    files = {
        "baseline_sentiment/romemes.csv": _ROMEMES,
        "baseline_sentiment/EN/sent1_split_EN/train_df.csv": split
        + "1,Combination,DeepFake,No,No,No,LAPTE,Positive\r\n",
        "baseline_sentiment/EN/sent1_split_EN/dev_df.csv": split + "0,Simple,Fake,Yes,No,No,CEAI,Negative\r\n",
        "baseline_sentiment/translated_df.csv": ",Original_text,Text\r\n1,LAPTE,MILK\r\n3,BERE,BEER\r\n",
    }
    memes, problems = read("romemes", tmp_path, files)
    assert rows(memes) == [
        (
            "val",
            "100001",
            "CEAI\nFIERBINTE",
            {
                "deepfake": "fake",
                "political": "political",
                "sentiment": "negative",
                "emotion": "sadness",
                "composition": "simple",
            },
        ),
        (
            "train",
            "100002",
            "LAPTE",
            {
                "deepfake": "deepfake",
                "political": "not-political",
                "sentiment": "positive",
                "emotion": "love",
                "composition": "combination",
            },
        ),
        (
            "train",
            "100004",
            "VIN",
            {
                "deepfake": "real",
                "political": "not-political",
                "sentiment": "neutral",
                "emotion": "joy",
                "composition": "simple",
            },
        ),
    ]
    assert [meme.meta.get("text_en") for meme in memes] == [None, "MILK", None]
    assert picture(memes[1], tmp_path) == "images/100002.webp"
    assert noted(problems) == [
        ("missing-field", "romemes.csv:5", True),
        ("unknown-label", "romemes.csv:5", False),
        ("missing-field", "romemes.csv:6", True),
    ]
    whole, _ = read("romemes", tmp_path, {}, "whole")
    assert [meme.split for meme in whole] == ["train"] * 3


def test_the_romemes_sample_speaks_romanian_and_keeps_its_ocr(tmp_path: Path) -> None:
    data = (
        "Image;Source;URL;Text;Complexity;Real/Fake;Sentiment1;Sentiment2;Political\n"
        " -2.jpg;reddit.com;http://x;CEAI;Simple;Real;Neutral;Surpriza;No\n"
        "b.webp;reddit.com;http://y;LAPTE;Simple;Real;Neutral;Plictiseala;No\n"
    )
    memes, problems = read(
        "romemes_sample", tmp_path, {"data.csv": data, "data2.csv": "id;gold;tess_preproc\r\n -2.jpg;CEAI;CEA1\r\n"}
    )
    [meme] = memes
    assert (meme.id, meme.text, meme.lang, meme.labels["emotion"]) == ("-2.jpg", "CEAI", "ro", "surprise")
    assert meme.meta["ocr"] == {"gold": "CEAI", "tess_preproc": "CEA1"}
    assert picture(meme, tmp_path) == "images/ -2.jpg"
    assert noted(problems) == [("unknown-label", "data.csv:3", False)]


def test_memecap_gives_meanings_and_metaphors(tmp_path: Path) -> None:
    row = {
        "category": "memes",
        "img_captions": ["A cup"],
        "meme_captions": ["Tea is good.", "The poster likes tea."],
        "title": "Tea",
        "url": "https://example.org/1.jpg",
        "img_fname": "memes_1.png",
        "metaphors": [{"metaphor": "cup", "meaning": "comfort"}],
        "post_id": "1",
    }
    bare = {**row, "post_id": "2", "meme_captions": []}
    other = {"post_id": "3", "title": "no captions"}
    memes, problems = read("memecap", tmp_path, {"memes-test.json": json.dumps([row, bare, other])})
    assert [(meme.id, meme.rationale, meme.labels, meme.text) for meme in memes] == [
        ("1", "Tea is good.", {}, ""),
        ("2", None, {}, ""),
    ]
    assert memes[0].meta["rationales"] == row["meme_captions"]
    assert memes[0].meta["metaphors"] == row["metaphors"]
    assert picture(memes[0], tmp_path) == "memes/memes_1.png"
    assert [(kind, kept) for kind, _, kept in noted(problems)] == [("missing-field", True), ("missing-field", False)]
