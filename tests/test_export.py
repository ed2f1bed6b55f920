"""Exports in the forms other tools document; what we write as CSV and for the hub is read back as the same memes."""

from __future__ import annotations

import csv
import json
import re
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest
from PIL import Image

from memescope.cli import run
from memescope.datasets import read_split, splits_of
from memescope.datasets.conversations import plain
from memescope.datasets.export import FORMS, export
from memescope.datasets.prepare import prepare
from memescope.errors import UsageError

TEXTS = [
    "one, two\nthree",
    "=HYPERLINK(\"http://evil.example\")",
    "so; =cmd|' /C calc'!A0",
    "'quoted' <image> text <|im_end|>",
    "नमस्ते, \"दुनिया\"",
    "",
]  # fmt: skip


@pytest.fixture
def prepared(tmp_path: Path) -> Path:
    folder = tmp_path / "mine"
    (folder / "images").mkdir(parents=True)
    for number in range(5):
        Image.new("RGB", (8, 8), (number * 40, 1, 2)).save(folder / "images" / f"{number}.png")
    rows = [
        {
            "id": f"+{number}",
            "image": f"images/{number}.png",  # the sixth is not there
            "text": text,
            "lang": "en",
            "split": ["train", "train", "val", "test", "test", "test"][number],
            "hateful": ["hateful", "not-hateful"][number % 2],
            "propaganda_techniques": [["smears", "doubt"], [], None][number % 3],
            "rationale": "because it says so" if number == 0 else None,
            "aspect": "a <video> cat" if number == 3 else None,
        }
        for number, text in enumerate(TEXTS)
    ]
    (folder / "m.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    prepare([folder], tmp_path / "prepared")
    return tmp_path / "prepared"


def _memes(folder: Path) -> list[tuple]:
    return [
        (m.id, m.split, m.text, m.lang, m.labels, m.aspect, m.rationale, _bytes(m.image))
        for split in splits_of(folder)
        for m in read_split(folder, split)
    ]


def _bytes(image: object) -> bytes | None:
    if isinstance(image, Path):
        return image.read_bytes() if image.is_file() else None
    return image  # type: ignore[return-value]


@pytest.mark.parametrize("embed", [False, True])
@pytest.mark.parametrize("form", ["csv", "hub"])
def test_our_own_exports_read_back_as_the_same_memes(form: str, embed: bool, prepared: Path, tmp_path: Path) -> None:
    prepare([prepared], tmp_path / "set", embed=embed)
    done = export(tmp_path / "set", form, tmp_path / "out")
    assert done.rows == {"train": 2, "val": 1, "test": 3}
    assert done.without_picture == 1
    prepare([tmp_path / "out"], tmp_path / "again")
    assert _memes(tmp_path / "again") == _memes(prepared)


def test_the_table_runs_nothing_whichever_separator_it_is_opened_with(prepared: Path, tmp_path: Path) -> None:
    export(prepared, "csv", tmp_path / "out")
    text = (tmp_path / "out" / "memes.csv").read_text("utf-8-sig")
    for delimiter in ",;\t|":
        for row in csv.reader(text.splitlines(keepends=True), delimiter=delimiter):
            assert not any(re.match(r"[\s\"]*[=+\-@]", cell) for cell in row)
    rows = list(csv.DictReader(text.splitlines(keepends=True)))
    assert rows[1]["text"] == '\'=HYPERLINK("http://evil.example")'
    assert rows[1]["escaped"] == "id text"
    assert [row["propaganda_techniques"] for row in rows[:3]] == ["smears|doubt", "[]", ""]
    assert rows[0]["image"] == "images/mine/0.png"
    assert (tmp_path / "out" / rows[0]["image"]).is_file()


def test_the_hub_folder_loads_with_pictures(prepared: Path, tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets")
    export(prepared, "hub", tmp_path / "out")
    files = {split: str(tmp_path / "out" / "data" / f"{split}-*.parquet") for split in ("train", "val", "test")}
    table = datasets.load_dataset("parquet", data_files=files, cache_dir=str(tmp_path / "cache"))
    assert table["train"][0]["image"].size == (8, 8)
    assert table["train"][0]["labels"] == {"hateful": "hateful", "propaganda_techniques": ["smears", "doubt"]}
    assert table["test"][2]["image"] is None
    import yaml

    front = yaml.safe_load((tmp_path / "out" / "README.md").read_text().split("---")[1])
    assert [entry["split"] for entry in front["configs"][0]["data_files"]] == ["train", "val", "test"]


def test_ms_swift_messages(prepared: Path, tmp_path: Path) -> None:
    done = export(prepared, "ms-swift", tmp_path / "out")
    assert (done.rows, done.without_picture) == ({"train": 4, "val": 1, "test": 4}, 1)
    rows = [json.loads(line) for line in (tmp_path / "out" / "train.jsonl").read_text("utf-8").splitlines()]
    assert [set(row) for row in rows] == [{"messages", "images"}] * 4
    asked, answered = rows[0]["messages"]
    assert (asked["role"], answered["role"]) == ("user", "assistant")
    assert asked["content"].startswith("<image>Hateful: ")
    assert "Answer with one of: not-hateful, hateful.\nText on the meme:\none, two\nthree" in asked["content"]
    assert answered["content"] == "Label: hateful\nExplanation: because it says so"
    assert rows[1]["messages"][1]["content"] == "Label: smears, doubt\nExplanation: because it says so"
    assert rows[3]["messages"][1]["content"] == "Label: none"
    for row in rows:
        assert Path(row["images"][0]).is_absolute()
        assert Path(row["images"][0]).is_file()
        assert row["messages"][0]["content"].count("<image>") == len(row["images"])


def test_a_memes_own_text_places_no_picture_and_ends_no_turn(prepared: Path, tmp_path: Path) -> None:
    export(prepared, "sharegpt", tmp_path / "out")
    rows = json.loads((tmp_path / "out" / "test.json").read_text("utf-8"))
    for row in rows:
        human, gpt = row["conversations"]
        assert (human["from"], gpt["from"]) == ("human", "gpt")
        assert human["value"].count("<image>") == 1
        assert not re.search(r"<video>|<\|im_end", human["value"])
    assert "'quoted' < image> text < |im_end|>" in rows[0]["conversations"][0]["value"]
    assert "Asked about: a < video> cat" in rows[0]["conversations"][0]["value"]
    assert plain("a < b and c > d <3") == "a < b and c > d <3"


def test_llama_factory_describes_its_files(prepared: Path, tmp_path: Path) -> None:
    done = export(prepared, "llama-factory", tmp_path / "out", tasks=["hateful"], splits=["train", "val"])
    assert done.rows == {"train": 2, "val": 1}
    info = json.loads((tmp_path / "out" / "dataset_info.json").read_text())
    assert info["prepared_train"] == {
        "file_name": "train.json",
        "formatting": "sharegpt",
        "columns": {"messages": "conversations", "images": "images"},
    }
    for entry in info.values():
        rows = json.loads((tmp_path / "out" / entry["file_name"]).read_text("utf-8"))
        assert all((tmp_path / "out" / row["images"][0]).is_file() for row in rows)


def test_label_studio_tasks_fit_their_configuration(prepared: Path, tmp_path: Path) -> None:
    export(prepared, "label-studio", tmp_path / "out")
    tasks = json.loads((tmp_path / "out" / "tasks.json").read_text("utf-8"))
    config = ElementTree.fromstring((tmp_path / "out" / "config.xml").read_text("utf-8"))
    choices = {node.get("name"): {one.get("value") for one in node} for node in config.iter("Choices")}
    names = {node.get("name") for node in config.iter() if node.get("name")}
    assert {node.get("choice") for node in config.iter("Choices")} == {"single", "multiple"}
    assert len(tasks) == 5
    for task in tasks:
        assert task["data"]["image"].startswith("/data/local-files/?d=out/images/mine/")
        assert (tmp_path / task["data"]["image"].split("?d=")[1]).is_file()
        assert {node.get("value")[1:] for node in config if (node.get("value") or "").startswith("$")} <= set(
            task["data"]
        )
        for result in task["predictions"][0]["result"]:
            assert result["to_name"] in names
            assert result["type"] == "choices"
            assert set(result["value"]["choices"]) <= choices[result["from_name"]]


def test_wrong_words_are_named_and_full_folders_kept(prepared: Path, tmp_path: Path) -> None:
    for arguments, message in (
        ({"to": "word"}, f"no form 'word'; there are: {', '.join(FORMS)}"),
        ({"to": "csv", "tasks": ["humour"]}, "not labelled for humour; it is for hateful, propaganda_techniques"),
        ({"to": "csv", "splits": ["dev"]}, "no split dev; there are: train, val, test"),
    ):
        with pytest.raises(UsageError, match=re.escape(message)):
            export(prepared, out=tmp_path / "new", **arguments)
    assert not (tmp_path / "new").exists()
    with pytest.raises(UsageError, match="not an empty folder"):
        export(prepared, "csv", prepared)
    with pytest.raises(UsageError, match="not a prepared set"):
        export(tmp_path, "csv", tmp_path / "new")


def test_the_verb(prepared: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["data", "export", str(prepared), "--to", "csv", "--out", str(tmp_path / "a"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["rows"] == {"train": 2, "val": 1, "test": 3}
    assert run(["data", "export", str(prepared), "--to", "sharegpt", "--out", str(tmp_path / "b")]) == 0
    assert "1 memes have no picture: left out" in capsys.readouterr().out
