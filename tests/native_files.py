"""Native files of datasets for tests: written, read through their source, and what was found wrong."""

import json
import zipfile
from io import BytesIO
from pathlib import Path
from xml.sax.saxutils import escape

from memescope.datasets.catalogue import load_source
from memescope.datasets.harmonise import read_source
from memescope.datasets.problems import Problems
from memescope.meme import Meme


def write(folder: Path, files: dict[str, str | bytes]) -> Path:
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return folder


def read(name: str, folder: Path, variant: str | None = None) -> tuple[dict[str, Meme], Problems]:
    problems = Problems()
    memes = read_source(load_source(name), folder, problems, variant=variant)
    assert all(meme.source == name for meme in memes)
    return {meme.id: meme for meme in memes}, problems


def told(problems: Problems, kind: str) -> list[tuple[str, str]]:
    return [(one.where, one.message) for one in problems if one.kind == kind]


def workbook(rows: list[list[str | int | None]], inline: bool = False) -> bytes:
    """A small .xlsx as spreadsheet programs write it: shared strings (or inline ones), numbers, cells left out."""
    main = 'xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"'
    strings: list[str] = []

    def cell(value: str | int, place: str) -> str:
        if isinstance(value, int):
            return f'<c r="{place}"><v>{value}</v></c>'
        if inline:
            return f'<c r="{place}" t="inlineStr"><is><t>{escape(value)}</t></is></c>'
        strings.append(value)
        return f'<c r="{place}" t="s"><v>{len(strings) - 1}</v></c>'

    data = "".join(
        f'<row r="{i}">'
        + "".join(cell(value, f"{chr(65 + j)}{i}") for j, value in enumerate(row) if value is not None)
        + "</row>"
        for i, row in enumerate(rows, 1)
    )
    shared = "".join(f"<si><r><t>{escape(s[:2])}</t></r><r><t>{escape(s[2:])}</t></r></si>" for s in strings)
    relations = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
    parts = {
        "xl/workbook.xml": f'<workbook {main} xmlns:r="{relations}"><sheets>'
        '<sheet name="first" sheetId="7" r:id="rId2"/><sheet name="second" sheetId="1" r:id="rId1"/>'
        "</sheets></workbook>",
        "xl/_rels/workbook.xml.rels": "<Relationships>"
        '<Relationship Id="rId1" Target="worksheets/other.xml"/>'
        '<Relationship Id="rId2" Target="worksheets/sheet1.xml"/></Relationships>',
        "xl/worksheets/sheet1.xml": f"<worksheet {main}><sheetData>{data}</sheetData></worksheet>",
        "xl/sharedStrings.xml": f"<sst {main}>{shared}</sst>",
    }
    out = BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, content in parts.items():
            archive.writestr(name, f'<?xml version="1.0" encoding="UTF-8"?>{content}')
    return out.getvalue()


def lines(*rows: dict) -> str:
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
