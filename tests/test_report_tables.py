"""`results.jsonl` and `results.csv`: every verdict comes back, and no cell is a formula in any spreadsheet."""

from __future__ import annotations

import csv
import io
import json
import re
from pathlib import Path

import pytest
from fake_verdicts import awkward_verdicts, fake_verdicts
from hypothesis import given
from hypothesis import strategies as st

from memescope.meme import Answer, Verdict
from memescope.report import write_csv, write_jsonl
from memescope.report.tables import COLUMNS, FORMULA_STARTS, cell


def test_jsonl_comes_back_exactly(tmp_path: Path) -> None:
    verdicts = [*awkward_verdicts(), *fake_verdicts(60)]
    write_jsonl(tmp_path / "results.jsonl", iter(verdicts))
    lines = (tmp_path / "results.jsonl").read_bytes().decode("utf-8").split("\n")
    assert [Verdict.from_dict(json.loads(line)) for line in lines[:-1]] == verdicts
    assert lines[-1] == ""


def read_csv(path: Path) -> list[dict[str, str]]:
    with open(path, encoding="utf-8-sig", newline="") as file:
        return list(csv.DictReader(file))


def test_csv_has_one_row_for_each_meme_and_a_column_for_each_answer(tmp_path: Path) -> None:
    sarcastic = Answer("sarcastic", {"sarcastic": 0.875, "not-sarcastic": 0.125}, abstain=True)
    tags = Answer(["p", "q"], {"p": 0.9, "q": 0.7, "r": 0.2})
    harmful = Answer("harmful", {"harmful": 1.0})
    verdicts = [
        Verdict("a", "a.png", text="one\ntwo", because=["x", "y"], answers={"sarcasm": sarcastic}),
        Verdict("b", "b.png", error="broken"),
        Verdict("c", "c.png", ocr_text="read", duplicate_of="a", answers={"tags": tags, "harmful": harmful}),
    ]
    write_csv(tmp_path / "r.csv", iter(verdicts))
    a, b, c = read_csv(tmp_path / "r.csv")
    tasks = [f"{task}{part}" for task in ("harmful", "sarcasm", "tags") for part in ("", ".confidence", ".not_sure")]
    assert list(a) == [*COLUMNS, *tasks]
    assert (a["text"], a["because"]) == ("one / two", "x; y")
    assert (a["sarcasm"], a["sarcasm.confidence"], a["sarcasm.not_sure"]) == ("sarcastic", "0.8750", "yes")
    assert (b["error"], b["sarcasm"], b["harmful.confidence"]) == ("broken", "", "")
    assert (c["duplicate_of"], c["ocr_text"]) == ("a", "read")
    assert (c["tags"], c["tags.confidence"], c["tags.not_sure"]) == ("p q", "0.7000", "no")


def test_csv_survives_awkward_content(tmp_path: Path) -> None:
    verdicts = awkward_verdicts()
    write_csv(tmp_path / "r.csv", iter(verdicts))
    rows = read_csv(tmp_path / "r.csv")
    assert [row["id"] for row in rows] == [v.id for v in verdicts]
    assert len((tmp_path / "r.csv").read_bytes().split(b"\n")) == len(verdicts) + 2


@pytest.mark.parametrize(
    ("text", "safe"),
    [
        ("=cmd|' /C calc'!A0", "'=cmd|' /C calc'!A0"),
        ("@SUM(1)", "'@SUM(1)"),
        ("+1", "'+1"),
        ("-1", "'-1"),
        ("\t=1", "'=1"),
        ("\r\n=1", "'=1"),
        ("  =1", "'=1"),
        ("＝1", "'＝1"),
        ("\x00\u202e=1", "'=1"),
        ("a;=1", "a;'=1"),
        ('a,"=1', "a,\"'=1"),
        ("plain = text - here", "plain = text - here"),
        ("one\r\ntwo\u2028three", "one / two / three"),
        (None, ""),
    ],
)
def test_cell(text: str | None, safe: str) -> None:
    assert cell(text) == safe


hostile_text = (
    st.text(alphabet=st.sampled_from("ab=+-@＝ \t\r\n\"',;|\x00\x1b\u200b\u202e\ufeff\xa0\u2028\x85")) | st.text()
)


@given(hostile_text)
def test_no_cell_is_a_formula_whichever_separator_it_is_opened_with(text: str) -> None:
    written = io.StringIO(newline="")
    csv.writer(written, lineterminator="\r\n").writerow(["id", cell(text), "end"])
    line = written.getvalue()
    assert line.count("\n") == 1
    assert next(csv.reader([line])) == ["id", cell(text), "end"]
    for separator in ",;\t|":
        naive = line.rstrip("\r\n").split(separator)  # a reader that knows no quotes
        quoted = next(csv.reader([line.rstrip("\r\n")], delimiter=separator))
        for found in [*naive, *quoted]:
            assert not found.strip(' "\t\xa0').startswith(tuple(FORMULA_STARTS)), (separator, found)


@given(hostile_text)
def test_cells_have_no_control_characters(text: str) -> None:
    assert not re.search("[\x00-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]", cell(text))
