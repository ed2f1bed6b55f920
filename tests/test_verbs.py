"""Verbs without a file of their own: doctor, bench, the progress lines, exit statuses."""

from __future__ import annotations

import json
import tomllib
from importlib import import_module
from pathlib import Path

import pytest

from memescope.cli import run
from memescope.verbs import doctor, progress
from memescope.verbs.bench import BENCHMARKS


def test_doctor_finds_a_scan_workable_here(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["doctor", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["problems"] == []
    assert all(found["core"].values())
    assert "harmful" in found["starter"]["tasks"]
    assert found["ocr"]["rapidocr"]["version"]


def test_doctor_names_what_is_missing_and_how_to_get_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    there = doctor._version
    monkeypatch.setattr(doctor, "_version", lambda name: None if name in ("pdqhash", "tesserocr") else there(name))
    assert run(["doctor"]) == 1
    printed = capsys.readouterr()
    assert "PROBLEM: pdqhash is missing: pip install memescope" in printed.err
    assert "not installed; pip install 'memescope[ocr]'" in printed.out


def test_doctor_knows_every_extra_and_what_it_needs() -> None:
    with open(Path(__file__).parent.parent / "pyproject.toml", "rb") as file:
        extras = tomllib.load(file)["project"]["optional-dependencies"]
    assert set(doctor.EXTRAS) == set(extras) - {"dev"}
    assert doctor._needed("teacher") == extras["teacher"]
    assert "transformers" in doctor._needed("train")


@pytest.mark.parametrize(("fast", "told"), [("bf16", ""), ("float32", "float32 alone: it does not multiply bfloat16")])
def test_doctor_says_what_training_computes_in(
    fast: str, told: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    precision = pytest.importorskip("memescope.backbones.precision", exc_type=ImportError)
    monkeypatch.setattr(precision, "trains_in", lambda wanted: fast)
    assert run(["doctor"]) == 0
    line = next(line for line in capsys.readouterr().out.splitlines() if line.startswith("training: PyTorch"))
    assert line.endswith(told)
    assert ("alone" in line) == bool(told)


def test_doctor_says_when_the_model_does_not_load(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> None:
        raise OSError("no weights")

    monkeypatch.setattr(doctor, "_starter", fail)
    assert "the starter model does not load: OSError: no weights" in doctor.examine()["problems"]


@pytest.mark.parametrize("name", BENCHMARKS)
def test_every_benchmark_is_there(name: str) -> None:
    assert callable(import_module(f"memescope.bench.{name}").run)


def test_an_unknown_benchmark_is_bad_usage(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["bench", "speed"]) == 2
    assert "there are: scan, memory" in capsys.readouterr().err


def test_plain_progress_estimates_from_the_stage_alone(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    clock = iter([0.0, 100.0, 101.0, 110.0])
    monkeypatch.setattr(progress.time, "monotonic", lambda: next(clock))
    with progress.progress("scan") as report:
        report("read", 10, 100)
        report("read", 11, 100)
        report("read", 30, 100)
    lines = capsys.readouterr().err.splitlines()
    # 20 in 10 s, 70 left: 35 s
    assert lines[-1] == "memescope scan: read 30 of 100, about 35 s left"


def test_quiet_progress_says_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    with progress.progress("scan", quiet=True) as report:
        report("read", 1, 2)
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(("seconds", "said"), [(0.4, "0 s"), (61, "1 min 1 s"), (3700, "1 h 1 min")])
def test_durations(seconds: float, said: str) -> None:
    assert progress._duration(seconds) == said


def test_ctrl_c_in_any_verb_says_what_becomes_of_the_work(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def stopped(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(doctor, "examine", stopped)
    assert run(["doctor"]) == 130
    assert "the same command goes on from here" in capsys.readouterr().err
