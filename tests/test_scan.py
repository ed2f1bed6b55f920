"""A scan end to end: verdicts that agree everywhere, resume after kills, hostile input, exit statuses."""

from __future__ import annotations

import csv
import io
import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from memescope.cli import run
from memescope.errors import UsageError
from memescope.scanning import pool
from memescope.scanning.pipeline import default_out, scan

TEXTS = ["when monday comes", "cats are better than dogs", "nobody expects tea", "go away you horrible people", ""]


def _picture(seed: int, side: int = 96) -> bytes:
    rng = np.random.default_rng(seed)
    coarse = Image.fromarray(rng.integers(0, 255, (4, 4, 3), dtype=np.uint8)).resize(
        (side, side), Image.Resampling.BICUBIC
    )
    buffer = io.BytesIO()
    coarse.save(buffer, "JPEG", quality=90)
    return buffer.getvalue()


def _list_of(folder: Path, count: int) -> Path:
    """A list with given texts: a scan of it needs no OCR and is quick."""
    (folder / "images").mkdir(parents=True)
    lines = []
    for number in range(count):
        (folder / "images" / f"{number}.jpg").write_bytes(_picture(number))
        lines.append(
            json.dumps({"image": f"images/{number}.jpg", "text": f"{TEXTS[number % 5]} {number}", "id": f"m{number}"})
        )
    path = folder / "memes.jsonl"
    path.write_text("\n".join(lines) + "\n", "utf-8")
    return path


def _lines(out: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (out / "results.jsonl").read_text("utf-8").splitlines()]


def _stable(records: list[dict[str, Any]]) -> list[Any]:
    return [json.loads(json.dumps(record), parse_float=lambda number: round(float(number), 4)) for record in records]


def test_database_lines_table_and_report_agree(tmp_path: Path) -> None:
    memes = _list_of(tmp_path / "in", 12)
    (tmp_path / "in" / "images" / "3.jpg").write_bytes(b"")
    result = scan(memes, tmp_path / "out")
    lines = _lines(tmp_path / "out")
    assert [line["id"] for line in lines] == [f"m{n}" for n in range(12)]
    assert sum(line["error"] is not None for line in lines) == 1 == result.results.errors
    assert lines[3]["error"]
    assert lines[3]["action"] == "review"
    with sqlite3.connect(tmp_path / "out" / "memescope.db") as database:
        stored = [json.loads(record) for (record,) in database.execute("select record from verdicts order by seq")]
    assert stored == lines
    with (tmp_path / "out" / "results.csv").open(newline="", encoding="utf-8-sig") as table:
        rows = list(csv.DictReader(table))
    assert [(row["id"], row["action"]) for row in rows] == [(line["id"], line["action"]) for line in lines]
    report = (tmp_path / "out" / "report.html").read_text("utf-8")
    assert all(f'"{line["id"]}"' in report for line in lines)
    assert sum(result.results.actions.values()) == result.results.memes == 12


def test_answers_are_probabilities_over_the_tasks_own_labels(tmp_path: Path) -> None:
    from memescope.taxonomy import load_taxonomy

    scan(_list_of(tmp_path / "in", 2), tmp_path / "out")
    for line in _lines(tmp_path / "out"):
        assert line["answers"]
        for name, answer in line["answers"].items():
            task = load_taxonomy()[name]
            assert set(answer["probabilities"]) <= set(task.labels)
            task.check(answer["label"])
            if task.kind != "multilabel":
                assert sum(answer["probabilities"].values()) == pytest.approx(1, abs=1e-4)


def test_a_second_scan_reads_nothing_again_even_after_renames(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    for number in range(3):
        (folder / f"{number}.jpg").write_bytes(_picture(number))
    first = scan(folder, tmp_path / "out")
    (folder / "2.jpg").rename(folder / "renamed.jpg")
    (folder / "copy.jpg").write_bytes(_picture(0))
    second = scan(folder, tmp_path / "out")
    assert (first.read_now, first.known) == (3, 0)
    assert (second.read_now, second.known) == (0, 4)
    duplicates = {line["id"]: line["duplicate_of"] for line in _lines(tmp_path / "out")}
    assert duplicates["in/copy.jpg"] == "in/0.jpg"
    assert duplicates["in/renamed.jpg"] is None


def test_a_policy_that_acts_on_more_reads_only_what_lacks_evidence(tmp_path: Path) -> None:
    memes = _list_of(tmp_path / "in", 4)
    never, always = tmp_path / "never.yaml", tmp_path / "always.yaml"
    never.write_text("rules: []")
    always.write_text("rules: [{task: harmful, label: not-harmful, threshold: 0.0, action: flag}]")
    scan(memes, tmp_path / "out", policy=never)
    assert {line["action"] for line in _lines(tmp_path / "out")} == {"pass"}
    result = scan(memes, tmp_path / "out", policy=always)
    lines = _lines(tmp_path / "out")
    assert result.read_now == 4
    assert all(line["evidence"]["harmful"]["says"] for line in lines)
    again = scan(memes, tmp_path / "out", policy=never)
    assert (again.read_now, {line["action"] for line in _lines(tmp_path / "out")}) == (0, {"pass"})
    assert all(line["evidence"] == {} for line in _lines(tmp_path / "out"))


_SCAN = "import sys; from memescope.cli import main; main(['scan', sys.argv[1], '--out', sys.argv[2], '--json'])"


@pytest.mark.slow
def test_killed_five_times_a_scan_ends_like_an_undisturbed_one(tmp_path: Path) -> None:
    memes = _list_of(tmp_path / "in", 300)
    undisturbed = scan(memes, tmp_path / "whole")
    chance = random.Random(7)
    out = tmp_path / "killed"
    progress = []
    for moment in sorted(chance.sample(range(1, 280), 5)):
        scanning = subprocess.Popen([sys.executable, "-c", _SCAN, str(memes), str(out)], stdout=subprocess.DEVNULL)
        while _readings(out) < moment and scanning.poll() is None:
            time.sleep(chance.uniform(0.01, 0.1))
        os.kill(scanning.pid, signal.SIGKILL)
        scanning.wait()
        progress.append(_readings(out))
        assert moment <= progress[-1] < 300
    result = scan(memes, out)
    assert progress == sorted(progress)
    assert result.read_now == 300 - progress[-1]
    assert _stable(_lines(out)) == _stable(_lines(tmp_path / "whole"))
    assert len({line["id"] for line in _lines(out)}) == 300 == undisturbed.results.memes


def _readings(out: Path) -> int:
    if not (out / "memescope.db").exists():
        return 0
    with sqlite3.connect(out / "memescope.db") as database:
        tables = [name for (name,) in database.execute("select name from sqlite_master")]
        return database.execute("select count(*) from readings").fetchone()[0] if "readings" in tables else 0


def test_a_zip_with_traversal_names_and_a_list_naming_strangers(tmp_path: Path) -> None:
    secret = tmp_path / "secret.jpg"
    secret.write_bytes(_picture(99))
    folder = tmp_path / "in" / "a b" / "c\nd"
    folder.mkdir(parents=True)
    with zipfile.ZipFile(folder / "evil.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("good.jpg", _picture(1))
        archive.writestr("../../../secret.jpg", _picture(2))
        archive.writestr("bomb.jpg", b"\0" * (80 << 20))
    rows = ["image,text", "../../../secret.jpg,x", f"{secret},x", "https://example.org/a.jpg,x", "there.jpg,hello"]
    (folder / "list.csv").write_text("\n".join(rows), "utf-8")
    (folder / "there.jpg").write_bytes(_picture(3))
    zipped = scan(folder / "evil.zip", tmp_path / "out1")
    listed = scan(folder / "list.csv", tmp_path / "out2")
    assert (zipped.results.memes, zipped.results.errors) == (3, 2)
    assert (listed.results.memes, listed.results.errors) == (4, 3)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["in", "out1", "out2", "secret.jpg"]


def test_a_picture_that_kills_its_decoder_is_one_error_and_is_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    (folder / "1.jpg").write_bytes(_picture(1))
    (folder / "2.jpg").write_bytes(_picture(2) + b"DIE")
    (folder / "3.jpg").write_bytes(_picture(3) + b"HANG")
    (folder / "4.jpg").write_bytes(_picture(4))
    hostile = str(Path(__file__).parent / "workers" / "hostile.py")
    with monkeypatch.context() as patched:
        patched.setattr(pool, "COMMAND", [sys.executable, hostile])
        result = scan(folder, tmp_path / "out", timeout=6)
    errors = [line["error"] for line in _lines(tmp_path / "out")]
    assert [error is None for error in errors] == [True, False, False, True]
    assert "SIGSEGV" in errors[1]
    assert "longer than 6 s" in errors[2]
    assert result.results.errors == 2
    cured = scan(folder, tmp_path / "out")
    assert (cured.results.errors, cured.read_now, cured.known) == (0, 2, 2)


def test_bad_usage_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="nothing to scan"):
        scan([], tmp_path / "out")
    with pytest.raises(UsageError, match="nowhere"):
        scan(tmp_path / "nowhere", tmp_path / "out")
    assert not (tmp_path / "out").exists()
    assert run(["scan", str(tmp_path / "nowhere")]) == 2
    empty = tmp_path / "empty"
    empty.mkdir()
    assert scan(empty, tmp_path / "out").results.memes == 0


def test_the_output_folder_is_named_after_the_input() -> None:
    assert default_out("some/where/my memes.zip") == Path("memescope-my-memes")
    assert default_out("/") == Path("memescope-scan")
    assert default_out("*.jpg").name.startswith("memescope-")


def test_json_prints_one_object_and_nothing_else(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    memes = _list_of(tmp_path / "in", 2)
    assert run(["scan", str(memes), "--out", str(tmp_path / "out"), "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert (printed["memes"], printed["errors"], printed["known"]) == (2, 0, 0)
    assert Path(printed["report"]).is_file()


@pytest.mark.real
@pytest.mark.slow
def test_forty_real_memes(real_data: Path, tmp_path: Path) -> None:
    rows = (real_data / "ready" / "harmc" / "test.jsonl").read_text("utf-8").splitlines()[:40]
    pictures = [real_data / "ready" / "harmc" / json.loads(row)["image"] for row in rows]
    result = scan(pictures, tmp_path / "out")
    assert (result.results.memes, result.results.errors) == (40, 0)
    read = [line for line in _lines(tmp_path / "out") if len(line["ocr_text"]) > 10]
    assert len(read) >= 38
