"""A user's own data: every usual form, columns by name, the drafted label map, and the readers under any damage."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from memescope.cli import run
from memescope.datasets import read_split, splits_of
from memescope.datasets.columns import as_id, escape, recognise_columns, split_name, unescape
from memescope.datasets.native import json_array, json_lines, lines, table
from memescope.datasets.prepare import draft, prepare
from memescope.datasets.problems import Problems
from memescope.errors import UsageError

ROWS = [
    {"id": "a", "image": "images/1.png", "text": "one, two", "label": "nice", "split": "train"},
    {"id": "b", "image": "images/2.png", "text": 'he said "three"', "label": "nasty", "split": "dev"},
    {"id": "c", "image": "images/1.png", "text": "four\nfive", "label": "nasty", "split": "test"},
]
MAPPING = "dataset: mine\nfields:\n  label: {task: harmful, labels: {nice: not-harmful, nasty: harmful}}\n"


def _png(number: int = 0) -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (8, 8), (number, 2, 3)).save(out, "PNG")
    return out.getvalue()


def _folder(tmp_path: Path) -> Path:
    folder = tmp_path / "mine"
    (folder / "images").mkdir(parents=True)
    for number in (1, 2):
        (folder / "images" / f"{number}.png").write_bytes(_png(number))
    (tmp_path / "map.yaml").write_text(MAPPING)
    return folder


def _table(rows: list[dict], delimiter: str) -> str:
    out = io.StringIO(newline="")
    writer = csv.DictWriter(out, list(rows[0]), delimiter=delimiter, lineterminator="\r\n")
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue()


def _parquet(folder: Path) -> None:
    pandas = pytest.importorskip("pandas")
    pandas.DataFrame(ROWS).to_parquet(folder / "memes.parquet")


def _split_files(folder: Path) -> None:
    for row in ROWS:
        (folder / f"{row['split']}.jsonl").write_text(json.dumps({k: v for k, v in row.items() if k != "split"}))


FORMS: dict[str, Callable[[Path], object]] = {
    "jsonl": lambda f: (f / "memes.jsonl").write_text("".join(json.dumps(row) + "\n" for row in ROWS)),
    "array": lambda f: (f / "memes.json").write_text(json.dumps(ROWS, indent=1)),
    "one line array": lambda f: (f / "memes.json").write_text(json.dumps(ROWS)),
    "lines in .json": lambda f: (f / "memes.json").write_text("\n".join(json.dumps(row) for row in ROWS)),
    "object of lists": lambda f: (f / "memes.json").write_text(json.dumps({"data": ROWS}, indent=1)),
    "object by id": lambda f: (f / "memes.json").write_text(json.dumps({row["id"]: row for row in ROWS}, indent=1)),
    "csv": lambda f: (f / "memes.csv").write_text(_table(ROWS, ","), newline=""),
    "csv with semicolons": lambda f: (f / "memes.csv").write_text(_table(ROWS, ";"), "utf-8-sig", newline=""),
    "tsv": lambda f: (f / "memes.tsv").write_text(_table(ROWS, "\t"), "utf-16", newline=""),
    "pipes": lambda f: (f / "memes.csv").write_text(_table(ROWS, "|"), newline=""),
    "parquet": _parquet,
    "split files": _split_files,
}  # fmt: skip


@pytest.mark.parametrize("form", FORMS)
def test_every_form_gives_the_same_memes(form: str, tmp_path: Path) -> None:
    folder = _folder(tmp_path)
    FORMS[form](folder)
    prepare([folder], tmp_path / "out", mapping=tmp_path / "map.yaml")
    assert splits_of(tmp_path / "out") == ["train", "val", "test"]
    memes = [read_split(tmp_path / "out", split)[0] for split in ("train", "val", "test")]
    assert [(m.id, m.text, m.labels["harmful"], m.source) for m in memes] == [
        ("a", "one, two", "not-harmful", "mine"),
        ("b", 'he said "three"', "harmful", "mine"),
        ("c", "four\nfive", "harmful", "mine"),
    ]
    assert [m.image.name for m in memes] == ["1.png", "2.png", "1.png"]


def test_pictures_in_folders_by_class(tmp_path: Path) -> None:
    for split, label in (("train", "harmful"), ("train", "not-harmful"), ("validation", "harmful")):
        place = tmp_path / "mine" / split / label
        place.mkdir(parents=True)
        (place / "x.png").write_bytes(_png(len(label)))
    (tmp_path / "mine" / "train" / "harmful" / "x.txt").write_text("what it says\n")
    (tmp_path / "map.yaml").write_text(
        "dataset: m\nfields:\n  label: {task: harmful, labels: {harmful: harmful, not-harmful: not-harmful}}\n"
    )
    prepare([tmp_path / "mine"], tmp_path / "out", mapping=tmp_path / "map.yaml")
    memes = [meme for split in ("train", "val") for meme in read_split(tmp_path / "out", split)]
    assert [(m.id, m.split, m.labels["harmful"], m.text) for m in memes] == [
        ("harmful/x", "train", "harmful", "what it says"),
        ("not-harmful/x", "train", "not-harmful", ""),
        ("harmful/x", "val", "harmful", ""),
    ]


@pytest.mark.parametrize("single", [False, True])
def test_a_hub_dataset_on_disk_with_numbered_classes_and_pictures_in_it(tmp_path: Path, single: bool) -> None:
    datasets = pytest.importorskip("datasets")
    described = datasets.Features(
        {
            "image": datasets.Image(),
            "caption": datasets.Value("string"),
            "label": datasets.ClassLabel(names=["nice", "nasty"]),
        }
    )
    content = {
        "image": [{"bytes": _png(n), "path": None} for n in range(3)],
        "caption": ["a", "b", "c"],
        "label": [0, 1, 1],
    }
    table = datasets.Dataset.from_dict(content, features=described)
    (table if single else datasets.DatasetDict({"train": table})).save_to_disk(str(tmp_path / "mine"))
    (tmp_path / "map.yaml").write_text(MAPPING)
    for embed in (False, True):
        prepare([tmp_path / "mine"], tmp_path / "out", mapping=tmp_path / "map.yaml", embed=embed)
        memes = read_split(tmp_path / "out", "train")
        assert [(m.text, m.labels["harmful"]) for m in memes] == [
            ("a", "not-harmful"),
            ("b", "harmful"),
            ("c", "harmful"),
        ]
        contents = [m.image if embed else m.image.read_bytes() for m in memes]
        assert contents == [_png(n) for n in range(3)]


def test_a_hub_dataset_with_canonical_labels_is_read_without_being_prepared(tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets")
    content = {"text": ["a", "b"], "hateful": ["hateful", "not-hateful"], "image": ["1.png", None]}
    sets = {"train": datasets.Dataset.from_dict(content), "validation": datasets.Dataset.from_dict(content)}
    datasets.DatasetDict(sets).save_to_disk(str(tmp_path / "mine"))
    assert splits_of(tmp_path / "mine") == ["train", "val"]
    assert [m.labels["hateful"] for m in read_split(tmp_path / "mine", "val")] == ["hateful", "not-hateful"]
    with pytest.raises(UsageError, match="splits there: train, val"):
        read_split(tmp_path / "mine", "test")
    sets["train"] = datasets.Dataset.from_dict(content | {"hateful": ["hateful", "perhaps"]})
    datasets.DatasetDict(sets).save_to_disk(str(tmp_path / "other"))
    with pytest.raises(
        UsageError, match=r"1 rows cannot be read, the first is train:2: .*unknown native label 'perhaps'"
    ):
        read_split(tmp_path / "other", "train")


def test_pictures_are_found_by_number_when_no_column_names_them(tmp_path: Path) -> None:
    folder = tmp_path / "mine"
    (folder / "pics").mkdir(parents=True)
    for number in (7, 42, 100):
        (folder / "pics" / f"{number:05}.png").write_bytes(_png(number))
    rows = [{"id": 7, "text": "x"}, {"id": "00042", "text": "y"}, {"id": 100.0, "text": "z"}, {"id": 8, "text": "w"}]
    (folder / "memes.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    done = prepare([folder], tmp_path / "out", ratio=(1, 0, 0))
    memes = read_split(tmp_path / "out", "train")
    assert [(m.id, m.image.name) for m in memes] == [
        ("7", "00007.png"),
        ("00042", "00042.png"),
        ("100", "00100.png"),
        ("8", "8"),
    ]
    assert done.problems.counts == {"padded-id": 2, "missing-picture": 1}


def test_columns_are_recognised_or_named(tmp_path: Path) -> None:
    found = recognise_columns(["img_path", "OCR_Text", "Class Label", "subset", "Language", "likes"])
    assert found.named == {"image": "img_path", "text": "OCR_Text", "split": "subset", "lang": "Language"}
    assert found.labels == ("Class Label",)
    found = recognise_columns(["x", "y", "z"], [("text", "y"), ("label", "x"), ("label", "z")])
    assert (found.named, found.labels) == ({"text": "y"}, ("x", "z"))
    assert recognise_columns(["text", "hateful", "sentiment", "label"]).labels == ("hateful", "sentiment")
    assert recognise_columns(["text", "likes", "hate"]).labels == ("hate",)  # as public datasets call it
    with pytest.raises(UsageError, match="no such column; there are: x, y"):
        recognise_columns(["x", "y"], [("text", "words")])
    with pytest.raises(UsageError, match="no role 'caption'; there are: id, image, text"):
        recognise_columns(["x"], [("caption", "x")])
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "data.csv").write_text("a,b\n1,2\n")
    with pytest.raises(UsageError, match="neither a picture nor a text among the columns 'a', 'b'"):
        prepare([folder], tmp_path / "out")
    prepare([folder], tmp_path / "out", columns=[("text", "b")])
    assert next(m for s in splits_of(tmp_path / "out") for m in read_split(tmp_path / "out", s)).text == "2"
    (folder / "more.csv").write_text("a,b\n1,2\n")
    with pytest.raises(UsageError, match=r"name the file to read, there are data.csv, more.csv"):
        prepare([folder], tmp_path / "out")


def test_columns_without_a_place_stay_in_meta(tmp_path: Path) -> None:
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "m.jsonl").write_text(
        json.dumps({"id": 1, "text": "x", "likes": 12, "meta": {"aspect": "cat"}, "why": None})
    )
    prepare([folder], tmp_path / "out", ratio=(0, 0, 1))
    meme = read_split(tmp_path / "out", "test")[0]
    assert meme.meta == {"likes": 12, "aspect": "cat", "where": "m.jsonl:1", "native_labels": {}}
    assert meme.aspect == "cat"


def test_the_draft_proposes_what_is_plain_and_leaves_doubt_open(tmp_path: Path) -> None:
    folder = tmp_path / "mine"
    folder.mkdir()
    rows = [
        {"text": f"t{n}", "sentiment": ("Positive", "negative", "neutrale")[n % 3], "is_hateful": n % 2, "mood": mood}
        for n, mood in enumerate(["zig", "zag"] * 6)
    ]
    (folder / "m.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    columns = [("label", "sentiment"), ("label", "is_hateful"), ("label", "mood")]
    text = draft(folder, tmp_path / "draft.yaml", columns=columns)
    assert "    task: sentiment" in text
    assert '      "Positive": positive  # 4 rows' in text
    assert '      "neutrale": neutral  # 4 rows' in text
    assert "    task: hateful" in text
    assert '      "0": not-hateful  # 6 rows' in text
    assert '      "1": hateful  # 6 rows' in text
    assert '      "zig": "?"  # 6 rows' in text
    with pytest.raises(
        UsageError, match=r"to be filled in .*: fields.mood.task, fields.mood.labels.z.., fields.mood.labels.z.."
    ):
        prepare([folder], tmp_path / "out", mapping=tmp_path / "draft.yaml", columns=columns)
    filled = (
        text.replace('"zig": "?"', '"zig": joy')
        .replace('"zag": "?"', '"zag": null')
        .replace('task: "?"', "task: emotion")
    )
    (tmp_path / "draft.yaml").write_text(filled)
    prepare([folder], tmp_path / "out", mapping=tmp_path / "draft.yaml", ratio=(1, 0, 0))
    memes = read_split(tmp_path / "out", "train")
    assert memes[0].labels == {"sentiment": "positive", "hateful": "not-hateful", "emotion": "joy"}
    assert memes[1].labels == {"sentiment": "negative", "hateful": "hateful"}
    with pytest.raises(UsageError, match="exists already"):
        draft(folder, tmp_path / "draft.yaml", columns=columns)


def test_labels_without_a_map_are_refused_with_the_way_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = _folder(tmp_path)
    FORMS["jsonl"](folder)
    assert run(["data", "prepare", str(folder), "--out", str(tmp_path / "out")]) == 2
    assert "no label map for column label: write a draft with --draft-mapping FILE" in capsys.readouterr().err
    assert run(["data", "prepare", str(folder), "--draft-mapping", str(tmp_path / "d.yaml"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"draft": str(tmp_path / "d.yaml"), "unsure": 3}


def test_a_draft_of_data_without_label_columns_names_the_columns(tmp_path: Path) -> None:
    (tmp_path / "train.csv").write_text("text,mood\nx,zig\n")
    with pytest.raises(
        UsageError, match="no labels among the columns text, mood; name those that are: --column label=NAME"
    ):
        draft(tmp_path / "train.csv", tmp_path / "draft.yaml")
    text = draft(tmp_path / "train.csv", tmp_path / "draft.yaml", columns=[("label", "mood")])
    assert f"dataset: {json.dumps(tmp_path.name)}" in text  # "train" would name nothing


def test_broken_maps_are_named(tmp_path: Path) -> None:
    folder = _folder(tmp_path)
    FORMS["jsonl"](folder)
    for content, message in (
        ("fields: [", "not readable as YAML"),
        ("nothing: here", "expected `fields:`"),
        ("fields:\n  label: harmful\n", "fields.label: expected `task:` and `labels:`"),
        ("fields:\n  label: {task: harmful, labels: {nice: lovely}}\n", "has no label 'lovely'"),
        ("fields:\n  label: {task: niceness, labels: {nice: lovely}}\n", "no task 'niceness'"),
    ):
        (tmp_path / "map.yaml").write_text(content)
        with pytest.raises(UsageError, match=message):
            prepare([folder], tmp_path / "out", mapping=tmp_path / "map.yaml")


def test_lists_in_cells_and_separators(tmp_path: Path) -> None:
    folder = tmp_path / "mine"
    folder.mkdir()
    out = 'text,techniques,propaganda_techniques\nx,Smears / Doubt,"[""smears""]"\ny,,smears|doubt\n'
    (folder / "m.csv").write_text(out)
    (tmp_path / "map.yaml").write_text(
        "dataset: m\nfields:\n  techniques:\n    task: propaganda_techniques\n    separator: '/'\n"
        "    labels: {Smears: smears, Doubt: doubt}\n"
    )
    prepare([folder], tmp_path / "one", mapping=tmp_path / "map.yaml", ratio=(1, 0, 0))
    assert [m.labels for m in read_split(tmp_path / "one", "train")] == [
        {"propaganda_techniques": ["smears", "doubt"]},
        {},
    ]
    prepare([folder], tmp_path / "two", columns=[("label", "propaganda_techniques")], ratio=(1, 0, 0))
    assert [m.labels["propaganda_techniques"] for m in read_split(tmp_path / "two", "train")] == [
        ["smears"],
        ["smears", "doubt"],
    ]


def test_ids_and_splits_by_any_name() -> None:
    assert [as_id(value) for value in (5349, 5349.0, "5349.0", "05349", " x ", None, float("nan"))] == [
        *("5349", "5349", "5349", "05349", "x", "", ""),
    ]
    assert [
        split_name(name) for name in ("Dev", "validation", "TEST", "dev_seen", "../../etc", "fold 3", "train-clean")
    ] == [
        *("val", "val", "test", "val_seen", "etc", "fold_3", "train_clean"),
    ]


@given(st.text(st.sampled_from("a=+-@;,|'\" \t\n1"), max_size=12))
def test_escaping_leaves_no_formula_and_is_undone(text: str) -> None:
    safe = escape(text)
    assert unescape(safe) == text
    for separator in ",;|\t\n":
        assert not any(part.lstrip(' "\t').startswith(("=", "+", "-", "@")) for part in safe.split(separator))


def _lines(rows: list[str]) -> bytes:
    return "\n".join(rows).encode()


cells = st.text(st.characters(blacklist_categories=("Cs", "Cc"), blacklist_characters="\x85\u2028\u2029"), max_size=12)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(cells, cells, cells), min_size=1, max_size=12), st.sampled_from([",", ";", "\t"]))
def test_a_table_reads_back_as_it_was_written(
    tmp_path_factory: pytest.TempPathFactory, rows: list, delimiter: str
) -> None:
    path = tmp_path_factory.getbasetemp() / "written.csv"
    out = io.StringIO(newline="")
    writer = csv.writer(out, delimiter=delimiter, quoting=csv.QUOTE_ALL)
    writer.writerows([("a", "b", "c"), *rows])
    path.write_text(out.getvalue(), "utf-8", newline="")
    problems = Problems()
    found = [tuple(row.values()) for _, row in table(path, problems, delimiter)]
    assert found == [row for row in rows if any(cell.strip() for cell in row)]
    assert len(problems) == 0


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=400))
def test_no_bytes_stop_the_readers(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    path = tmp_path_factory.getbasetemp() / "any.txt"
    path.write_bytes(content)
    for read in (json_lines, json_array, table, lines):
        for _ in read(path, Problems()):
            pass


@settings(max_examples=60, deadline=None)
@given(st.integers(2, 30), st.data())
def test_damage_to_one_object_of_an_array_costs_that_object(
    tmp_path_factory: pytest.TempPathFactory, count: int, data: st.DataObject
) -> None:
    victim = data.draw(st.integers(0, count - 1))
    indent = data.draw(st.sampled_from([None, 1, 4]))
    objects = [
        json.dumps({"id": n, "text": f"caption {n}", "tags": ["a", {"b": n}]}, indent=indent) for n in range(count)
    ]
    damage = data.draw(st.sampled_from(["caption", '"id"', ":", "["]))
    objects[victim] = objects[victim].replace(damage, damage + '"' if damage == "caption" else damage[:-1] + "!", 1)
    path = tmp_path_factory.getbasetemp() / "array.json"
    path.write_text("[" + ",\n".join(objects) + "]")
    problems = Problems()
    found = [row["id"] for _, row in json_array(path, problems)]
    assert found == [n for n in range(count) if n != victim]
    assert [problem.kind for problem in problems] == ["broken-line"]


def test_an_array_is_read_as_a_stream_with_the_lines_of_its_objects(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("memescope.datasets.native._CHUNK", 64)
    rows = [{"id": n, "text": "long " * (n % 30)} for n in range(200)]
    (tmp_path / "a.json").write_text(json.dumps(rows, indent=2))
    problems = Problems()
    found = list(json_array(tmp_path / "a.json", problems))
    assert [row for _, row in found] == rows
    assert [where for where, _ in found[:3]] == ["a.json:2", "a.json:6", "a.json:10"]
    assert len(problems) == 0


def test_line_ends_marks_and_encodings(tmp_path: Path) -> None:
    path = tmp_path / "t.txt"
    for content, expected in (
        (b"a\r\nb\nc", ["a", "b", "c"]),
        (b"a\rb\rc", ["a", "b", "c"]),
        ("\ufeffä\nß".encode(), ["ä", "ß"]),
        ("\ufeffä\r\nß".encode("utf-16-be"), ["ä", "ß"]),
        ("plain text\nwithout a mark".encode("utf-16-le"), ["plain text", "without a mark"]),
        ("ਊ\nഀ".encode("utf-16-le"), ["ਊ", "ഀ"]),
        ("ä\n".encode() + "ö".encode("cp1252"), ["ä", "ö"]),
        (b"", []),
    ):
        path.write_bytes(content)
        if content == "ਊ\nഀ".encode("utf-16-le"):
            path.write_bytes(b"\xff\xfe" + content)
        assert [line for _, line in lines(path, Problems())] == expected
