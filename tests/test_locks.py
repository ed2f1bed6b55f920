"""Locks between processes, and what rests on them: rows and stages that two processes want at once."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest

from memescope.locks import lock

pytest.importorskip("fcntl")

HOLD = (
    "import sys, time\n"
    "from pathlib import Path\n"
    "from memescope.locks import lock\n"
    "with lock(Path(sys.argv[1])) as held:\n"
    "    print(int(held), flush=True)\n"
    "    time.sleep(60)\n"
)


def _holder(path: Path) -> subprocess.Popen:
    process = subprocess.Popen([sys.executable, "-c", HOLD, str(path)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "1\n"
    return process


def test_a_lock_is_held_by_one_process_and_released_by_its_death(tmp_path: Path) -> None:
    path = tmp_path / "new" / "row.lock"
    process = _holder(path)
    with lock(path) as held:
        assert not held
    process.kill()
    process.wait()
    with lock(path, wait=True) as held:
        assert held
    with lock(path) as held:
        assert held


def test_waiting_ends_when_the_holder_does(tmp_path: Path) -> None:
    process = _holder(tmp_path / "x.lock")
    killer = subprocess.Popen([sys.executable, "-c", f"import os, time; time.sleep(1); os.kill({process.pid}, 9)"])
    start = time.monotonic()
    with lock(tmp_path / "x.lock", wait=True) as held:
        assert held
    assert time.monotonic() - start > 0.5
    killer.wait()
    process.wait()


def test_a_row_another_process_is_at_is_left_to_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from memescope.cli import run
    from memescope.curation.synth import synth
    from memescope.training.table import load_table
    from memescope.training.table_run import claim, missing

    synth(tmp_path / "drawn", 30, 0, languages=["en"], splits=True, sides=(200, 260))
    path = tmp_path / "t.yaml"
    path.write_text(
        "{name: t, title: t, data: drawn, tasks: [sentiment], figures: [accuracy],"
        " rows: [{name: lost, recipe: nowhere.yaml}, {name: starter, model: starter, seeds: [0, 1, 2]}]}"
    )
    table, results = load_table(str(path)), tmp_path / "results"
    options = ["table", str(path), "--root", str(tmp_path), "--results", str(results)]
    first = next(one for one in missing(table, ["starter"], results))
    with claim(table, *first, results) as mine:
        assert mine
        # a row that fails is named and does not keep the others from being run
        assert run([*options, "--run", "--seed", "0", "--seed", "2"]) == 1
    said = capsys.readouterr().err
    assert "lost, seed 0:" in said
    assert "nowhere.yaml" in said
    assert [file.name for file in (results / "t").iterdir()] == ["starter-2.json"]
    assert run([*options, "--run", "--row", "starter", "--most", "1"]) == 0
    assert (results / "t" / "starter-0.json").is_file()
    assert not (results / "t" / "starter-1.json").is_file()
    with claim(table, *first, results) as mine:
        assert not mine  # it has been finished


def test_a_row_that_breaks_in_an_unknown_way_does_not_keep_the_others_from_being_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from memescope.cli import run
    from memescope.training import table_run

    path = tmp_path / "t.yaml"
    path.write_text(
        "{name: t, title: t, data: drawn, tasks: [sentiment], figures: [accuracy],"
        " rows: [{name: first, model: starter}, {name: second, model: starter}]}"
    )
    ran = []

    def broken(table: object, one: object, *rest: object) -> str:
        ran.append(one.name)  # type: ignore[attr-defined]
        raise ZeroDivisionError("of nothing")

    monkeypatch.setattr(table_run, "run_row", broken)
    assert run(["table", str(path), "--root", str(tmp_path), "--results", str(tmp_path / "results"), "--run"]) == 1
    assert ran == ["first", "second"]
    said = capsys.readouterr().err
    assert "first, seed 0: Traceback" in said
    assert "ZeroDivisionError: of nothing" in said


def test_a_row_that_another_table_trains_into_the_same_folder_is_left_to_it(tmp_path: Path) -> None:
    from memescope.training.table import load_table
    from memescope.training.table_run import claim

    for name, data, more in (("a", "one", "runs: shared,"), ("b", "two", "runs: shared,"), ("c", "two", "")):
        (tmp_path / f"{name}.yaml").write_text(
            f"{{name: {name}, title: t, data: {data}, tasks: [harmful], {more} rows: [{{name: r, recipe: r.yaml}}]}}"
        )
    a, b, c = (load_table(str(tmp_path / f"{name}.yaml")) for name in "abc")
    with claim(a, a.rows[0], 0, tmp_path) as first:
        with claim(b, b.rows[0], 0, tmp_path) as second, claim(c, c.rows[0], 0, tmp_path) as other:
            assert (first, second, other) == (True, False, True)
        with claim(a, a.rows[0], 1, tmp_path) as seed:
            assert seed
    with claim(b, b.rows[0], 0, tmp_path) as later:
        assert later
