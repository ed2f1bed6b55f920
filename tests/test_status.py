"""What is in a folder of downloads: found by name, telling files or exact counts; what is missing is named."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from memescope.cli import run
from memescope.datasets.catalogue import load_source, load_sources
from memescope.datasets.listing import facts, markdown, tasks_of
from memescope.datasets.opening import recognise
from memescope.datasets.prepare import prepare
from memescope.datasets.status import status
from memescope.errors import UsageError

ROOT = Path(__file__).resolve().parent.parent


def _rows(path: Path, count: int, first: int = 0) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = [
        json.dumps({"id": f"{n:05}", "img": f"img/{n:05}.png", "label": n % 2, "text": f"caption {n}"})
        for n in range(first, first + count)
    ]
    path.write_text("\n".join(lines) + "\n")


def test_a_download_is_known_by_its_name_and_what_is_missing_is_named(tmp_path: Path) -> None:
    _rows(tmp_path / "hateful_memes" / "train.jsonl", 20)
    (tmp_path / "hateful_memes" / "img").mkdir()
    (tmp_path / "hateful_memes" / "img" / "00003.png").write_bytes(b"x")
    (tmp_path / "notes").mkdir()
    (tmp_path / "todo.txt").write_text("x")
    found, rest = status(tmp_path)
    assert [(one.source.name, one.folder, one.known_by) for one in found if one.source] == [
        ("fhm", "hateful_memes", "name")
    ]
    assert found[0].rows == {"train": 20}
    assert "8480 of 8500 rows of train" in found[0].missing
    assert "540 of 540 rows of val" in found[0].missing
    assert "19 of 20 pictures" in found[0].missing
    assert any(told.startswith("file dev_unseen.jsonl") for told in found[0].missing)
    assert rest == ["notes/", "todo.txt"]
    assert [one.folder for one in status(tmp_path / "hateful_memes")[0]] == ["."]
    assert found[0].to_dict()["licence"] == load_source("fhm").card.licence


def test_another_name_is_known_by_telling_files_and_common_ones_by_exact_counts(tmp_path: Path) -> None:
    _rows(tmp_path / "thing" / "dev_unseen.jsonl", 5)
    shutil.copy(tmp_path / "thing" / "dev_unseen.jsonl", tmp_path / "thing" / "train.jsonl")
    _rows(tmp_path / "mine" / "train.jsonl", 20)
    assert recognise(tmp_path / "mine") is None  # a user's file in the Hateful Memes format is not Hateful Memes
    _rows(tmp_path / "theirs" / "train.jsonl", 8500)
    source = recognise(tmp_path / "theirs")
    assert source is not None
    assert source.name == "fhm"


def test_a_folder_with_a_datasets_name_and_nothing_of_it_is_named(tmp_path: Path) -> None:
    (tmp_path / "mami").mkdir()
    found, rest = status(tmp_path)
    assert [one.source.name for one in found if one.source] == ["mami"]
    assert found[0].files == []
    assert any(told.startswith("file ") for told in found[0].missing)
    assert rest == []


def test_prepared_sets_are_told_apart(tmp_path: Path) -> None:
    _rows(tmp_path / "fhm" / "train.jsonl", 6)
    prepare([tmp_path / "fhm"], tmp_path / "sets" / "mine")
    found, _ = status(tmp_path)
    assert [(one.folder, one.known_by, one.rows) for one in found] == [
        ("fhm", "name", {"train": 6}),
        ("sets/mine", "prepared set", {"train": 6}),
    ]


def test_an_empty_folder_and_none_at_all(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert status(tmp_path) == ([], [])
    with pytest.raises(UsageError, match="no such folder"):
        status(tmp_path / "absent")
    assert run(["data", "status", str(tmp_path)]) == 0
    assert "no dataset found" in capsys.readouterr().out


def test_the_verbs_print_tables_and_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _rows(tmp_path / "fhm" / "train.jsonl", 6)
    assert run(["data", "status", str(tmp_path)]) == 0
    shown = capsys.readouterr().out
    assert "fhm  (fhm, known by its name)" in shown
    assert "missing   " in shown
    assert "licence   " in shown
    assert "verified  real-file" in shown
    assert run(["data", "status", str(tmp_path), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["datasets"][0]["rows"] == {"train": 6}
    assert run(["data", "list", "--json"]) == 0
    assert [one["name"] for one in json.loads(capsys.readouterr().out)] == list(load_sources())
    assert run(["data", "list"]) == 0
    shown = capsys.readouterr().out
    assert all(name in shown for name in load_sources())
    assert run(["data", "list", "fhm"]) == 0
    assert "to be had from: https://hatefulmemeschallenge.com" in capsys.readouterr().out
    assert run(["data", "list", "nothing"]) == 2
    assert run(["data", "list", "fhm", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == facts(load_source("fhm"))


def test_every_card_says_what_a_user_must_know() -> None:
    for source in load_sources().values():
        for field in ("title", "paper", "licence", "get", "warning"):
            assert getattr(source.card, field).strip(), f"{source.name}: no {field}"
        assert source.card.languages
        assert source.files
        assert source.card.verified in ("real-file", "loader-code", "paper")
        tasks_of(source)


def test_the_page_of_sources_is_up_to_date() -> None:
    page = ROOT / "docs" / "data" / "sources.md"
    assert page.read_text("utf-8") == markdown(), "run: memescope data list --markdown > docs/data/sources.md"


@pytest.mark.real
def test_real_native_files_every_dataset_is_found_and_its_gaps_named(real_data: Path) -> None:
    found, rest = status(real_data / "native")
    folders = sorted(child.name for child in (real_data / "native").iterdir() if child.is_dir())
    assert sorted(one.folder for one in found) == folders
    assert rest == ["FORMATS.md"]
    for one in found:
        assert one.source is not None
        assert one.error is None
        assert one.missing, one.folder
    by_name = {one.source.name: one for one in found if one.source}
    assert by_name["fhm"].missing == ["12540 of 12540 pictures"]
    assert by_name["mmsd2"].rows == {"val": 2410, "test": 2409}
