"""Sources of hateful and harmful memes: each native format, byte for byte, with harmless invented rows."""

from __future__ import annotations

import json
from pathlib import Path

from native_rows import noted, picture, read, rows


def _array(*objects: dict) -> str:
    return "[" + ",\n".join(json.dumps(one, ensure_ascii=False) for one in objects) + "]"


def _lines(*objects: dict) -> str:
    return "".join(json.dumps(one, ensure_ascii=False) + "\n" for one in objects)


def test_fhm_reads_five_files_and_names_the_splits_by_variant(tmp_path: Path) -> None:
    files = {
        "train.jsonl": '{"id": "00042", "img": "img/00042.png", "label": 0, "text": "tea first"}\n',
        "dev_unseen.jsonl": '{"id": 7, "img": "img/00007.png", "label": 1, "text": "milk first"}\n',
        "dev_seen.jsonl": '{"id": "00007", "img": "img/00007.png", "label": 1, "text": "milk first"}\n',
        "test_unseen.jsonl": '{"id": "00009", "img": "img/00009.png", "text": "no label here"}\n',
        "test_seen.jsonl": '{"id": "00010", "img": "img/00010.png", "label": "1", "text": "as text"}\n',
    }
    memes, problems = read("fhm", tmp_path, files)
    assert rows(memes) == [
        ("train", "00042", "tea first", {"hateful": "not-hateful"}),
        ("val", "00007", "milk first", {"hateful": "hateful"}),
        ("test", "00009", "no label here", {}),
        ("val_seen", "00007", "milk first", {"hateful": "hateful"}),
        ("test_seen", "00010", "as text", {"hateful": "hateful"}),
    ]
    assert picture(memes[1], tmp_path) == "img/00007.png"
    assert noted(problems) == []
    seen, _ = read("fhm", tmp_path, {}, "seen")
    assert [meme.split for meme in seen] == ["train", "val_unseen", "test_unseen", "val", "test"]
    maskprompt, _ = read("fhm", tmp_path, {}, "maskprompt")
    assert [meme.split for meme in maskprompt] == ["train", "val_unseen", "test_unseen", "test", "test_seen"]


def test_fhm_names_what_is_wrong_and_keeps_the_rest(tmp_path: Path) -> None:
    train = (
        b'\xef\xbb\xbf{"id": "00001", "img": "img/00001.png", "label": 0, "text": "one"}\r\n'
        b'{"id": "00002", "img": "img/00002.png", "label": 0, "text": "cut\n'
        b'{"id": "00003", "img": "img/00003.png", "label": 2, "text": "three"}\n'
        b'{"id": "00004", "img": ["a"], "label": [1], "text": 4}\n'
        b'{"id": "00005", "img": "img/00005.png", "text": "unlabelled"}\n'
        b'{"id": 1, "img": "img/00001.png", "label": 0, "text": "one"}\n'
    )
    memes, problems = read("fhm", tmp_path, {"train.jsonl": train})
    assert rows(memes) == [("train", "00001", "one", {"hateful": "not-hateful"})]
    assert noted(problems) == [
        ("byte-order-mark", "train.jsonl:1", True),
        ("broken-line", "train.jsonl:2", False),
        ("unknown-label", "train.jsonl:3", False),
        ("unknown-label", "train.jsonl:4", False),
        ("missing-field", "train.jsonl:5", False),
        ("duplicate-row", "train.jsonl:6", False),
    ]


def test_the_fine_grained_labels_come_with_each_annotators_vote(tmp_path: Path) -> None:
    hateful = {
        "id": 123,
        "set_name": "train",
        "img": "img/00123.png",
        "text": "a",
        "gold_hate": ["hateful"],
        "gold_pc": ["race", "religion"],
        "gold_attack": ["inciting_violence"],
        "pc": [["race"], ["race", "religion"], []],
        "attack": [["inciting_violence"], [], ["dehumanizing"]],
    }
    plain = {
        "id": 124,
        "set_name": "train",
        "img": "img/00124.png",
        "text": "b",
        "gold_hate": ["not_hateful"],
        "gold_pc": ["pc_empty"],
        "gold_attack": ["attack_empty"],
        "pc": "None",
        "attack": "None",
    }
    open_ended = {**hateful, "id": 125, "gold_attack": ["attack_empty"]}
    memes, problems = read(
        "fhm_fine_grained",
        tmp_path,
        {"train.json": _lines(hateful, plain, open_ended), "test.jsonl": '{"id": 1, "img": "x.png", "text": "t"}\n'},
    )
    assert rows(memes) == [
        (
            "train",
            "00123",
            "a",
            {"hateful": "hateful", "protected_category": ["race", "religion"], "attack_type": ["inciting-violence"]},
        ),
        ("train", "00124", "b", {"hateful": "not-hateful", "protected_category": [], "attack_type": []}),
        ("train", "00125", "a", {"hateful": "hateful", "protected_category": ["race", "religion"]}),
        ("test_seen", "00001", "t", {}),
    ]
    assert memes[0].meta["votes"] == {
        "protected_category": [["race"], ["race", "religion"], []],
        "attack": [["inciting_violence"], [], ["dehumanizing"]],
    }
    assert "votes" not in memes[1].meta
    assert noted(problems) == [("contradiction", "train.json:3", True)]


def test_hatred_gives_reasons_and_finds_the_pictures_of_fhm(tmp_path: Path) -> None:
    (tmp_path / "img").mkdir()
    (tmp_path / "img" / "00042.png").write_bytes(b"")
    memes, problems = read(
        "hatred",
        tmp_path,
        {
            "fhm_train_reasonings.jsonl": _lines(
                {"id": 42, "img": "00042.png", "target": ["cats", "dogs"], "reasonings": ["mocks cats", "mocks dogs"]},
                {"id": 43, "img": "00043.png", "target": [None], "reasonings": ["mocks nobody"]},
                {"id": 44, "img": "00044.png", "target": ["cats"], "reasonings": []},
                {"id": 45, "img": "00045.png", "target": ["cats"]},
            )
        },
    )
    assert [(meme.id, meme.rationale, meme.meta["hate_targets"]) for meme in memes] == [
        ("00042", "mocks cats\nmocks dogs", ["cats", "dogs"]),
        ("00043", "mocks nobody", []),
        ("00044", None, ["cats"]),
    ]
    assert memes[0].meta["rationales"] == ["mocks cats", "mocks dogs"]
    assert all(meme.labels == {"hateful": "hateful"} for meme in memes)
    assert picture(memes[0], tmp_path) == "img/00042.png"
    assert noted(problems) == [
        ("missing-field", "fhm_train_reasonings.jsonl:3", True),
        ("missing-field", "fhm_train_reasonings.jsonl:4", False),
    ]
    assert [found.id for found in problems if found.kind == "missing-picture"] == ["00043", "00044"]
    assert [meme.text for meme in memes] == ["", "", ""]
    joined, _ = read("hatred", tmp_path, {"fhm/train.jsonl": _lines({"id": "00043", "label": 1, "text": "tea"})})
    assert [meme.text for meme in joined] == ["", "tea", ""]


def test_german_fhm_reads_json_lines_and_a_table_without_a_header(tmp_path: Path) -> None:
    memes, problems = read(
        "german_fhm",
        tmp_path,
        {
            "dev_seen_deutsch.jsonl": '{"id": 8, "img": "img/00008.png", "label": 1, "text": "erst die Milch"}\n',
            "de_test_second.tsv": '9\tDer "beste" Tee\tNone\n10\tKein Tee für "dich\tHate\n'
            "11\tzu wenig\n12\tx\tMaybe\n",
        },
    )
    assert rows(memes) == [
        ("val", "00008", "erst die Milch", {"hateful": "hateful"}),
        ("test", "00009", 'Der "beste" Tee', {"hateful": "not-hateful"}),
        ("test", "00010", 'Kein Tee für "dich', {"hateful": "hateful"}),
    ]
    assert {meme.lang for meme in memes} == {"de"}
    assert picture(memes[1], tmp_path) == "img/00009.png"
    assert noted(problems) == [
        ("columns", "de_test_second.tsv:3", False),
        ("unknown-label", "de_test_second.tsv:4", False),
    ]


def test_harmc_splits_intensity_and_target(tmp_path: Path) -> None:
    train = _lines(
        {"id": "covid_memes_1", "image": "covid_memes_1.png", "labels": ["not harmful"], "text": "A\nB\n"},
        {"id": "covid_memes_2", "image": "covid_memes_2.png", "labels": ["very harmful", "society"], "text": "C"},
        {"id": "covid_memes_3", "image": "covid_memes_3.png", "labels": ["rather harmful", "society"], "text": "D"},
    )
    target = _lines(
        {"id": "covid_memes_2", "image": "covid_memes_2.png", "labels": ["very harmful", "society"], "text": "C"}
    )
    memes, problems = read("harmc", tmp_path, {"train.jsonl": train, "target_val.jsonl": target})
    assert rows(memes) == [
        (
            "train",
            "covid_memes_1",
            "A\nB\n",
            {"harmful": "not-harmful", "harm_intensity": "not-harmful", "target": "none", "targets": []},
        ),
        (
            "train",
            "covid_memes_2",
            "C",
            {"harmful": "harmful", "harm_intensity": "very-harmful", "target": "society", "targets": ["society"]},
        ),
    ]
    assert noted(problems) == [("unknown-label", "train.jsonl:3", False)]
    appended = '{"id": "memes_7", "image": "memes_7.png", "labels": ["not harmful"], "text": "politics"}'
    _, problems = read("harmc", tmp_path, {"test.jsonl": appended})
    assert noted(problems)[1:] == [("left-out", "test.jsonl:1", False)]
    [meme], _ = read("harmc", tmp_path, {}, "targets")
    assert (meme.split, meme.id) == ("val", "covid_memes_2")


def test_harmp_keeps_rows_that_break_the_rule_and_says_so(tmp_path: Path) -> None:
    def row(number: int, *labels: str) -> dict:
        return {"id": f"memes_{number}", "image": f"memes_{number}.png", "labels": list(labels), "text": "t"}

    train = _lines(
        row(1, "somewhat harmful", "individual", "organization"),
        row(2, "not harmful", "community"),
        row(3, "somewhat harmful"),
        row(4, "", "individual", "organization"),
    )
    memes, problems = read("harmp", tmp_path, {"train_v1.jsonl": train, "test.jsonl": _lines(row(9, "not harmful"))})
    assert [meme.labels for meme in memes] == [
        {"harmful": "harmful", "harm_intensity": "partially-harmful", "targets": ["individual", "organization"]},
        {"harmful": "not-harmful", "harm_intensity": "not-harmful", "target": "none", "targets": []},
        {"harmful": "harmful", "harm_intensity": "partially-harmful"},
        {"targets": ["individual", "organization"]},
    ]
    assert memes[1].meta["targets"] == ["community"]
    assert noted(problems) == [
        ("contradiction", "train_v1.jsonl:2", True),
        ("missing-field", "train_v1.jsonl:3", True),
        ("missing-field", "train_v1.jsonl:4", True),
    ]
    [first_release], _ = read("harmp", tmp_path, {}, "v0")
    assert (first_release.split, first_release.id) == ("test", "memes_9")


def test_a_variant_whose_files_are_absent_says_so(tmp_path: Path) -> None:
    memes, problems = read("harmp", tmp_path, {"train_v1.jsonl": ""}, "v0")
    assert memes == []
    [(kind, _, _)] = noted(problems)
    assert kind == "missing-file"


def _multi3hate(captions: str) -> dict[str, str]:
    return {
        "data/captions/de.csv": captions,
        "data/final_annotations.csv": "Meme ID,US,DE,MX,CN,IN\n0,0,1,0,1,0\n1,1,0,1,1,1\n",
        "data/raw_annotations.csv": "dataset_language,User ID,Meme ID,hatespeech\nde,7,0,1.0\nde,8,0,0.0\nen,9,0,1.0\n"
        "de,9,0,1.0\nde,9,1,maybe\n",
    }


def test_multi3hate_takes_the_label_of_the_culture_and_keeps_the_votes(tmp_path: Path) -> None:
    captions = (
        "Meme ID,Template Name,Original (English),Translation\n"
        '0,nice white cat,Tea <sep> first!,"Tee <sep>zuerst, bitte!"\n'
        "1,policeman,Stop,Halt\n"
        "2,policeman,Go,Los\n"
    )
    (tmp_path / "data" / "memes" / "de" / "policeman").mkdir(parents=True)
    memes, problems = read("multi3hate", tmp_path, _multi3hate(captions))
    assert rows(memes) == [
        ("test", "de_0", "Tee\nzuerst, bitte!", {"hateful": "hateful"}),
        ("test", "de_1", "Halt", {"hateful": "not-hateful"}),
        ("test", "de_2", "Los", {}),
    ]
    assert picture(memes[0], tmp_path) == "data/memes/de/Nice-White-Cat/0.jpg"
    assert picture(memes[1], tmp_path) == "data/memes/de/policeman/1.jpg"
    assert memes[0].meta["votes"] == {"hate": ["hateful", "not_hateful", "hateful"]}
    assert memes[0].meta["culture_labels"]["US"] == "not_hateful"
    assert memes[0].meta["text_en"] == "Tea\nfirst!"
    assert "votes" not in memes[1].meta
    assert noted(problems) == [
        ("unknown-label", "raw_annotations.csv:6", False),
        ("missing-file", "captions/en.csv", True),
        ("missing-field", "de.csv:4", True),
        ("missing-file", "captions/es.csv", True),
        ("missing-file", "captions/hi.csv", True),
        ("missing-file", "captions/zh.csv", True),
    ]


def test_multi3hate_without_its_columns_reads_nothing_and_says_which(tmp_path: Path) -> None:
    memes, problems = read("multi3hate", tmp_path, _multi3hate("Meme,Text\n0,Tee\n"))
    assert memes == []
    assert [found.message for found in problems if found.kind == "columns"] == [
        (
            "expected the columns Meme ID, Translation; found Meme, Text: "
            "without Meme ID, Translation no row of it can be read"
        )
    ]


def test_toxicn_mm_reads_both_editions(tmp_path: Path) -> None:
    def edition_2(path: str, *numbers: int) -> dict:
        named = dict(zip(("label", "type", "text_modal", "image_modal", "target"), numbers, strict=True))
        return {"path": path, "text": "茶", "meme_discription": "杯", "text_discription": "喝", **named}

    old = {"new_path": "1.jpg", "text": "茶", "label": 1, "type": 3, "modal": [1, 1], "new_label": [0, 1]}
    files = {
        "train_data_discription_2.0.json": _array(
            edition_2("1.jpg", 0, 0, 0, 0, 0),
            edition_2("2.jpg", 1, 1, 1, 0, 8),
            edition_2("3.jpg", 1, 4, 0, 0, 0),
            edition_2("4.jpg", 1, 0, 0, 1, 0),
            edition_2("5.jpg", 1, 1, 0, 0, 99),
        ),
        "test_data_discription.json": _array(old),
    }
    memes, problems = read("toxicn_mm", tmp_path, files)
    none = {"harmful": "not-harmful", "harm_type": "not-harmful", "harm_modality": [], "attacked_group": "none"}
    assert rows(memes) == [
        ("train", "1", "茶", none),
        (
            "train",
            "2",
            "茶",
            {"harmful": "harmful", "harm_type": "targeted-harm", "harm_modality": ["text"], "attacked_group": "lgbtq"},
        ),
        (
            "train",
            "3",
            "茶",
            {"harmful": "harmful", "harm_type": "dispirited-culture", "harm_modality": [], "attacked_group": "none"},
        ),
        ("train", "4", "茶", {"harmful": "harmful", "harm_modality": ["image"], "attacked_group": "none"}),
    ]
    assert (memes[0].lang, memes[0].meta["picture_description"]) == ("zh", "杯")
    assert noted(problems) == [
        ("contradiction", "train_data_discription_2.0.json:4", True),
        ("unknown-label", "train_data_discription_2.0.json:5", False),
    ]
    [meme], _ = read("toxicn_mm", tmp_path, {}, "1.0")
    assert (meme.split, meme.id) == ("test", "1")
    assert meme.labels == {"harmful": "harmful", "harm_type": "general-offence", "harm_modality": ["text", "image"]}


def test_a_file_that_is_no_json_array_gives_no_rows(tmp_path: Path) -> None:
    memes, problems = read("toxicn_mm", tmp_path, {"test_data_discription_2.0.json": '{"path": "1.jpg"}'})
    assert memes == []
    assert noted(problems) == [("broken-line", "test_data_discription_2.0.json", False)]


_MAMI = "file_name\tlabel\tshaming\tstereotype\tobjectification\tviolence\ttext\n"
_MAMI_LABELS = {
    "misogyny": "misogynous",
    "shaming": "shaming",
    "stereotype": "not-stereotype",
    "objectification": "not-objectification",
    "violence": "not-violence",
}


def test_mami_in_the_form_of_the_copies(tmp_path: Path) -> None:
    train = _MAMI + '1.jpg\t1\t1\t0\t0\t0\t"SHE SAID ""TEA"" FIRST"\n2.jpg\t0\t0\t1\t0\t0\tMILK\n3.jpg\t1\t0\t0\t0\n'
    memes, problems = read("mami", tmp_path, {"train.tsv": train})
    assert rows(memes)[0] == ("train", "1", 'SHE SAID "TEA" FIRST', _MAMI_LABELS)
    assert (memes[1].labels["misogyny"], memes[1].labels["stereotype"]) == ("not-misogynous", "stereotype")
    assert len(memes) == 2
    assert noted(problems) == [("contradiction", "train.tsv:3", True), ("columns", "train.tsv:4", False)]


def test_mami_in_its_official_form_with_test_labels_apart(tmp_path: Path) -> None:
    header = "file_name\tmisogynous\tshaming\tstereotype\tobjectification\tviolence\tText Transcription\n"
    files = {
        "TRAINING/training.csv": header + "1.jpg\t1\t1\t0\t0\t0\tTEA\n",
        "test/Test.csv": "file_name\tText Transcription\n15.jpg\tMILK\n16.jpg\tNO LABEL\n",
        "test/test_labels.txt": "15.jpg\t1\t1\t0\t0\t0\n",
    }
    memes, problems = read("mami", tmp_path, files)
    assert rows(memes) == [
        ("train", "1", "TEA", _MAMI_LABELS),
        ("test", "15", "MILK", _MAMI_LABELS),
        ("test", "16", "NO LABEL", {}),
    ]
    assert noted(problems) == []
    (tmp_path / "test" / "test_labels.txt").unlink()
    _, problems = read("mami", tmp_path, {})
    assert noted(problems) == [("missing-file", "test_labels.txt", True)]


def test_indonesian_memes_have_two_labels_and_no_text(tmp_path: Path) -> None:
    table = (
        b"image_path,hate_final,appropriateness_final\r\n"
        b"11.jpeg,hate,appropriate\r\n12.jpeg,not hate,not appropriate\r\n13.jpeg,hates,appropriate\r\n"
    )
    memes, problems = read("indonesian_misogyny", tmp_path, {"test_dataset.csv": table})
    assert rows(memes) == [
        ("test", "11", "", {"hateful": "hateful", "appropriateness": "appropriate"}),
        ("test", "12", "", {"hateful": "not-hateful", "appropriateness": "not-appropriate"}),
    ]
    assert memes[0].lang == "id"
    assert noted(problems) == [("unknown-label", "test_dataset.csv:4", False)]
