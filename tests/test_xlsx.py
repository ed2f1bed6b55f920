"""The first sheet of a workbook, and files that are none."""

import zipfile
from io import BytesIO

import pytest
from native_files import told, workbook

from memescope.datasets.problems import Problems
from memescope.datasets.xlsx import sheet


def rezipped(content: bytes, name: str, change) -> bytes:
    out = BytesIO()
    with zipfile.ZipFile(BytesIO(content)) as old, zipfile.ZipFile(out, "w") as new:
        for part in old.namelist():
            data = old.read(part)
            if part == name:
                data = change(data)
            if data is not None:
                new.writestr(part, data)
    return out.getvalue()


GOOD = workbook([["a"], ["1"]])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"a,b\n1,2\n", "File is not a zip file"),
        (GOOD[:-30], "zip"),
        (rezipped(GOOD, "xl/workbook.xml", lambda data: None), "xl/workbook.xml"),
        (rezipped(GOOD, "xl/worksheets/sheet1.xml", lambda data: data[:120]), "unclosed token"),
        (rezipped(GOOD, "xl/sharedStrings.xml", lambda data: b"<sst/>"), "list index out of range"),
        (
            rezipped(GOOD, "xl/workbook.xml", lambda data: b'<!DOCTYPE a [<!ENTITY b "c">]>' + data),
            "defines a document type",
        ),
    ],
)
def test_a_file_that_is_no_workbook_is_named(tmp_path, content, message):
    path = tmp_path / "train_hate.xlsx"
    path.write_bytes(content)
    problems = Problems()
    assert list(sheet(path, problems)) == []
    [(where, said)] = told(problems, "broken-line")
    assert where == "train_hate.xlsx"
    assert message in said


def test_a_workbook_that_unpacks_to_too_much_is_not_unpacked(tmp_path, monkeypatch):
    monkeypatch.setattr("memescope.datasets.xlsx.MAX_PART", 100)
    path = tmp_path / "big.xlsx"
    path.write_bytes(GOOD)
    problems = Problems()
    assert list(sheet(path, problems)) == []
    assert "unpacks to more than" in told(problems, "broken-line")[0][1]


def test_numbers_and_gaps_of_a_workbook(tmp_path):
    path = tmp_path / "numbers.xlsx"
    path.write_bytes(workbook([["id", None, "n"], [1, "in no column", 2], [None, None, 3]]))
    assert list(sheet(path, Problems())) == [
        ("numbers.xlsx:2", {"id": "1", "n": "2"}),
        ("numbers.xlsx:3", {"id": "", "n": "3"}),
    ]
