"""ArMeme and Prop2Hate-Meme, which are one collection, as JSON lines and as the hub's Parquet with pictures inside."""

import json

import pytest
from native_files import lines, read, told, write

from memescope.datasets.catalogue import load_source
from memescope.datasets.harmonise import read_source
from memescope.datasets.problems import Problems
from memescope.errors import UsageError


def test_prop2hate_meme_as_exported(tmp_path):
    common = {"text": "صباح الخير", "img_path": "./data/a/1.jpg"}
    write(
        tmp_path,
        {
            "arabic_hateful_meme_train.jsonl": lines(
                {"id": "data/a/1.jpg", **common, "label": 0},
                {"id": "2", **common, "hate_label": 1, "prop_label": 1, "hate_fine_grained_label": 3},
                {"id": "3", "text": "x", "label": 1},
                {"id": "4", **common, "label": 2},
            ),
            "arabic_hateful_meme_dev.jsonl": lines({"id": "5", **common, "label": "hate"}),
            "arabic_hateful_meme_test.jsonl": lines({"id": "6", **common}),
            "data/a/1.jpg": b"a",
        },
    )
    memes, problems = read("prop2hate_meme", tmp_path)
    assert {id: (meme.split, meme.labels) for id, meme in memes.items()} == {
        "data/a/1.jpg": ("train", {"hateful": "not-hateful"}),
        "2": ("train", {"hateful": "hateful", "propaganda": "propaganda"}),
        "5": ("val", {"hateful": "hateful"}),
        "6": ("test", {}),
    }
    assert memes["2"].meta["hate_fine_grained"] == "3"
    assert memes["data/a/1.jpg"].image == tmp_path / "data" / "a" / "1.jpg"
    assert told(problems, "missing-field") == [
        ("arabic_hateful_meme_train.jsonl:3", "expected the keys id, text, img_path; found id, text, label"),
        ("arabic_hateful_meme_test.jsonl:1", "neither hate_label nor label"),
    ]
    assert "unknown native label '2' in 'hate_label'" in told(problems, "unknown-label")[0][1]


ARMEME = [
    {"id": f"{i}", "text": f"نص {i}", "img_path": f"p/{i}.jpg", "class_label": label}
    for i, label in enumerate(["not_propaganda", "propaganda", "not-meme", "other", 1, 3, "rumour"])
]


def test_armeme(tmp_path):
    write(tmp_path, {"arabic_memes_categorization_dev.jsonl": lines(*ARMEME)})
    memes, problems = read("armeme", tmp_path, "binary")
    assert {id: meme.labels for id, meme in memes.items()} == {
        "0": {"propaganda": "not-propaganda"},
        "1": {"propaganda": "propaganda"},
        "4": {"propaganda": "propaganda"},
    }
    assert {meme.split for meme in memes.values()} == {"val"}
    assert [message for _, message in told(problems, "left-out")] == ["class not-meme", "class other", "class other"]
    assert "'rumour'" in told(problems, "unknown-label")[0][1]
    everything, _ = read("armeme", tmp_path)
    assert [everything[id].meta.get("class") for id in "0235"] == [None, "not-meme", "other", "other"]
    assert everything["2"].labels == {}


def test_what_a_rule_leaves_out_does_not_stop_a_strict_reading(tmp_path):
    write(tmp_path, {"arabic_memes_categorization_dev.jsonl": lines(*ARMEME[:4]), "p/0.jpg": b"a", "p/1.jpg": b"b"})
    strict = Problems(strict=True)
    assert len(read_source(load_source("armeme"), tmp_path, strict, variant="binary")) == 2
    assert strict.counts == {"left-out": 2}
    write(tmp_path, {"arabic_memes_categorization_dev.jsonl": lines(*ARMEME)})
    with pytest.raises(UsageError, match=r"arabic_memes_categorization_dev\.jsonl"):
        read_source(load_source("armeme"), tmp_path, Problems(strict=True))


def test_parquet_of_the_hub_with_its_pictures(tmp_path):
    pa = pytest.importorskip("pyarrow")
    import pyarrow.parquet as pq

    (tmp_path / "data").mkdir()
    rows = [row | {"image": {"bytes": b"picture", "path": "0.jpg"}} for row in ARMEME[:2]]
    rows[1]["image"] = {"bytes": None, "path": None}
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "data" / "train-00000-of-00001.parquet")
    (tmp_path / "data" / "test-00000-of-00001.parquet").write_bytes(b"PAR1 no more")
    memes, problems = read("armeme", tmp_path)
    assert memes["0"].image == b"picture"
    assert memes["1"].image == tmp_path / "p" / "1.jpg"
    assert (memes["0"].split, memes["0"].meta["where"]) == ("train", "train-00000-of-00001.parquet:1")
    [(where, message)] = told(problems, "broken-line")
    assert where == "test-00000-of-00001.parquet"
    assert "not readable as Parquet" in message


def test_classes_that_the_hub_numbers_have_their_names(tmp_path):
    pa = pytest.importorskip("pyarrow")
    import pyarrow.parquet as pq

    names = {"hate_label": ["not-hateful", "hateful"], "prop_label": ["not_propaganda", "propaganda"]}
    features = {name: {"names": classes, "_type": "ClassLabel"} for name, classes in names.items()}
    rows = [{"id": f"{i}", "text": "نص", "img_path": "a.jpg", "hate_label": i, "prop_label": 1} for i in range(2)]
    described = {"huggingface": json.dumps({"info": {"features": features}})}
    table = pa.Table.from_pylist(rows).replace_schema_metadata(described)
    pq.write_table(table, tmp_path / "dev-00000-of-00001.parquet")
    memes, _ = read("prop2hate_meme", tmp_path)
    assert [meme.labels for meme in memes.values()] == [
        {"hateful": "not-hateful", "propaganda": "propaganda"},
        {"hateful": "hateful", "propaganda": "propaganda"},
    ]
    assert memes["1"].meta["native_labels"] == {"hate_label": "hateful", "prop_label": "propaganda"}
