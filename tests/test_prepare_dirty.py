"""Ten thousand rows with every defect planted: each is reported with its line, and every good row is kept."""

from __future__ import annotations

import io
import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from memescope.datasets import read_split
from memescope.datasets.prepare import Prepared, prepare
from memescope.errors import UsageError

SIZES = {"train": 6000, "val": 2000, "test": 2000}
PICTURES = 40
DEFECTS = {
    *(
        "byte-order-mark",
        "encoding",
        "control-characters",
        "broken-line",
        "quotes",
        "columns",
        "long-field",
        "empty-text",
    ),
    *("missing-field", "unknown-label", "duplicate-row", "duplicate-id", "padded-id", "windows-path", "outside-path"),
    *("missing-picture", "broken-picture", "empty-text"),
}
"""Every kind but those that only public datasets can have, and contradictions, which need two labelled columns."""
JSONL_ONLY = (
    *("half", "word", "latin", "control", "escape", "copy", "same id", "int id", "float id", "two", "garbage"),
    *("half character", "nan", "list"),
)


def _picture(number: int) -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (8, 8), (number * 6, 255 - number * 6, 90)).save(out, "PNG")
    return out.getvalue()


class Planter:
    """Writes three files, one for each form, and keeps the account of what was planted and what must survive."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.expected: Counter[tuple[str, str]] = Counter()
        self.kept: set[tuple[str, str]] = set()
        self.texts: dict[tuple[str, str], str] = {}
        (folder / "images").mkdir(parents=True)
        for number in range(PICTURES):
            (folder / "images" / f"{number:05}.png").write_bytes(_picture(number))
        (folder / "images" / "broken.png").write_bytes(_picture(1)[:40])
        (folder / "images" / "text.png").write_bytes(b"this is no picture at all, whatever its name says")

    def row(self, split: str, number: int) -> dict[str, object]:
        return {
            "id": f"{split}{number:05}",
            "image": f"images/{number % PICTURES:05}.png",
            "text": f"caption {split} {number}",
            "hateful": "hateful" if number % 3 else "not-hateful",
        }

    def plant(self, where: str, *kinds: str) -> None:
        self.expected.update((kind, where) for kind in kinds)

    def keep(self, split: str, row: dict[str, object], text: str | None = None) -> None:
        self.kept.add((split, str(row["id"])))
        self.texts[split, str(row["id"])] = str(row["text"]) if text is None else text


def _defects(planter: Planter, split: str, where: str, row: dict[str, object]) -> dict[str, Callable[[], None]]:
    """What may be wrong with a row's values, whatever the file's form; each changes `row` and keeps the account."""

    def change(kinds: tuple[str, ...], survives: bool = True, **values: object) -> None:
        row.update(values)
        planter.plant(where, *kinds)
        if survives:
            planter.keep(split, row)

    return {
        "missing picture": lambda: change(("missing-picture",), image="images/not-there.png"),
        "no picture named": lambda: change(("missing-picture",), image=""),
        "cut picture": lambda: change(("broken-picture",), image="images/broken.png"),
        "no picture at all": lambda: change(("broken-picture",), image="images/text.png"),
        "windows path": lambda: change(("windows-path",), image="C:\\Users\\me\\memes\\images\\00007.png"),
        "backslashes": lambda: change(("windows-path",), image="images\\00008.png"),
        "windows path to nothing": lambda: change(("windows-path", "missing-picture"), image="D:\\gone\\x.png"),
        "address": lambda: change(("outside-path",), image="https://example.org/meme.png"),
        "outside": lambda: change(("outside-path",), image="../../../etc/passwd"),
        "absolute outside": lambda: change(("outside-path",), image="/etc/passwd"),
        "other machine": lambda: change(("outside-path",), image="/home/author/data/images/00003.png"),
        "number for a padded name": lambda: change(("padded-id",), image="9.png"),
        "no text": lambda: change(("empty-text",), text=""),
        "null text": lambda: change(("empty-text",), text="null"),
        "nan text": lambda: change(("empty-text",), text="NaN"),
        "None text": lambda: change(("empty-text",), text="None"),
        "long text": lambda: change(("long-field",), text="ha " * 10_000),
        "unknown label": lambda: change(("unknown-label",), survives=False, hateful="quite hateful"),
        "no id": lambda: change(("missing-field",), survives=False, id=""),
    }


def _expect_text(planter: Planter, split: str, row: dict[str, object], name: str) -> None:
    if name in ("no text", "null text", "nan text", "None text"):
        planter.texts[split, str(row["id"])] = ""


def _jsonl(planter: Planter) -> None:
    lines = [b""] * SIZES["train"]
    plain = list(_defects(planter, "train", "", {}))
    for number in range(SIZES["train"]):
        row, where = planter.row("train", number), f"train.jsonl:{number + 1}"
        line: bytes | None = None
        slot = number // 25 if number % 25 == 7 else -1  # every 25th row has a defect, kind after kind
        cycle = [*plain, *JSONL_ONLY]
        name = cycle[slot % len(cycle)] if slot >= 0 else ""
        if name in plain:
            _defects(planter, "train", where, row)[name]()
            _expect_text(planter, "train", row, name)
        elif name == "half":
            planter.plant(where, "broken-line")
            line = json.dumps(row)[:-9].encode()
        elif name == "word":
            planter.plant(where, "broken-line")
            line = b"Traceback (most recent call last):"
        elif name == "garbage":
            planter.plant(where, "broken-line")
            line = json.dumps(row).encode() + b" <<<<<<< HEAD"
        elif name == "list":
            planter.plant(where, "broken-line")
            line = json.dumps(list(row.values())).encode()
        elif name == "latin":
            row["text"] = "Größe und café — “so”"
            planter.plant(where, "encoding")
            planter.keep("train", row)
            line = json.dumps(row, ensure_ascii=False).encode("cp1252")
        elif name == "control":
            planter.plant(where, "control-characters")
            planter.keep("train", row)
            line = json.dumps(row).encode().replace(b"caption", b"cap\x00ti\x0bon\x7f")
        elif name == "escape":
            planter.plant(where, "control-characters")
            planter.keep("train", row)
            line = json.dumps({**row, "text": str(row["text"]).replace("caption", "\x01caption")}).encode()
        elif name == "half character":
            planter.plant(where, "control-characters")
            planter.keep("train", row)
            line = json.dumps({**row, "text": f"\ud83d{row['text']}"}).encode()
        elif name == "nan":
            planter.plant(where, "empty-text")
            planter.keep("train", row, "")
            line = json.dumps({**row, "text": float("nan")}).encode()
        elif name == "copy":
            planter.plant(where, "duplicate-row")
            line = json.dumps(planter.row("train", 0)).encode()
        elif name == "same id":
            planter.plant(where, "duplicate-id")
            row["id"] = planter.row("train", 0)["id"]
        elif name == "int id":
            planter.keep("train", {**row, "id": 900000 + number})
            line = json.dumps({**row, "id": 900000 + number}).encode()
        elif name == "float id":
            planter.keep("train", {**row, "id": 800000 + number})
            line = json.dumps({**row, "id": float(800000 + number)}).encode()
        elif name == "two":
            other = {**row, "id": f"second{number}"}
            planter.keep("train", row)
            planter.keep("train", other)
            line = f"{json.dumps(row)}{json.dumps(other)},".encode()
        else:
            planter.keep("train", row)
        lines[number] = json.dumps(row, ensure_ascii=False).encode() if line is None else line
    cut = json.dumps(planter.row("train", SIZES["train"])).encode()[:50]
    planter.plant(f"train.jsonl:{SIZES['train'] + 1}", "broken-line")
    planter.plant("train.jsonl:1", "byte-order-mark")
    (planter.folder / "train.jsonl").write_bytes(b"\xef\xbb\xbf" + b"\n".join([*lines, cut]))


def _quoted(value: object) -> str:
    text = str(value)
    return '"' + text.replace('"', '""') + '"' if any(c in text for c in '",\n;') else text


def _csv(planter: Planter) -> None:
    """UTF-16 with a mark, separated by semicolons, with texts over two lines."""
    out, line = ["id;image;text;hateful"], 2
    plain = list(_defects(planter, "val", "", {}))
    cycle = [*plain, "short", "long", "unclosed", "unclosed, closed later", "lines", "inner quotes"]
    for number in range(SIZES["val"]):
        row, where = planter.row("val", number), f"val.csv:{line}"
        slot = number // 20 if number % 20 == 7 else -1
        name = cycle[slot % len(cycle)] if slot >= 0 else ""
        written = None
        if name in plain:
            _defects(planter, "val", where, row)[name]()
            _expect_text(planter, "val", row, name)
        elif name == "short":
            planter.plant(where, "columns")
            written = f"{row['id']};{row['image']};{row['text']}"
        elif name == "long":
            planter.plant(where, "columns")
            written = ";".join([*map(str, row.values()), "more", "still more"])
        elif name in ("unclosed", "unclosed, closed later"):
            # The second one meets a quotation mark some rows below.
            row["text"] = f'"{row["text"]}' if name == "unclosed" else f'"so he said {number}'
            planter.plant(where, "quotes")
            planter.keep("val", row)
            written = ";".join(map(str, row.values()))
        elif name == "lines":
            row["text"] = f'first\nsecond; "third"\n\nfourth {number}'
            planter.keep("val", row)
        elif name == "inner quotes":
            row["text"] = f'so "called" {number}'
            planter.keep("val", row)
        else:
            if number % 20 == 11 and number % 40 == 11:
                row["text"] = f"one; two {number}"
            planter.keep("val", row)
        out.append(";".join(map(_quoted, row.values())) if written is None else written)
        line += out[-1].count("\n") + 1
    planter.plant("val.csv:1", "byte-order-mark")
    (planter.folder / "val.csv").write_bytes(b"\xff\xfe" + "\r\n".join(out).encode("utf-16-le"))


def _array(planter: Planter) -> None:
    """An indented JSON array, cut off in its last object."""
    out, line = [], 2
    plain = list(_defects(planter, "test", "", {}))
    cycle = [*plain, "no comma", "no quote", "number"]
    for number in range(SIZES["test"]):
        row, where = planter.row("test", number), f"test.json:{line}"
        slot = number // 20 if number % 20 == 7 else -1
        name = cycle[slot % len(cycle)] if slot >= 0 else ""
        text = None
        if name in plain:
            _defects(planter, "test", where, row)[name]()
            _expect_text(planter, "test", row, name)
        elif name == "no comma":
            planter.plant(where, "broken-line")
            text = json.dumps(row, indent=2).replace(",", "", 1)
        elif name == "no quote":
            planter.plant(where, "broken-line")
            text = json.dumps(row, indent=2).replace("caption test", 'caption" test', 1)
        elif name == "number":
            planter.plant(where, "broken-line")
            text = str(number)
        else:
            planter.keep("test", row)
        whole = json.dumps(row, indent=2) if text is None else text
        out.append("\n".join("  " + one for one in whole.split("\n")))
        line += out[-1].count("\n") + 1
    planter.plant(f"test.json:{line}", "broken-line")
    content = "[\n" + ",\n".join(out) + ',\n  {\n    "id": "cut",\n    "te'
    (planter.folder / "test.json").write_text(content, "utf-8")


@pytest.fixture(scope="module")
def dirty(tmp_path_factory: pytest.TempPathFactory) -> tuple[Planter, Prepared]:
    folder = tmp_path_factory.mktemp("dirty")
    planter = Planter(folder / "mine")
    _jsonl(planter)
    _csv(planter)
    _array(planter)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MEMESCOPE_CACHE", str(folder / "cache"))
        return planter, prepare([folder / "mine"], folder / "out", workers=1)


def test_every_planted_defect_is_reported_with_its_line_and_nothing_else(dirty: tuple[Planter, Prepared]) -> None:
    planter, done = dirty
    lines = (done.folder / "problems.jsonl").read_text("utf-8").splitlines()
    found = Counter((entry["kind"], entry["where"]) for entry in map(json.loads, lines))
    assert found - planter.expected == Counter()
    assert planter.expected - found == Counter()
    assert {kind for kind, _ in planter.expected} == DEFECTS


def test_every_good_row_is_kept_and_no_other(dirty: tuple[Planter, Prepared]) -> None:
    planter, done = dirty
    memes = [meme for split in SIZES for meme in read_split(done.folder, split)]
    assert {(meme.split, meme.id) for meme in memes} == planter.kept
    assert len(memes) == len(planter.kept) > 9700
    assert {(meme.split, meme.id): meme.text for meme in memes} == planter.texts


def test_problems_say_whether_the_row_survived(dirty: tuple[Planter, Prepared]) -> None:
    _, done = dirty
    lost = {problem.where for problem in done.problems if not problem.kept}
    kept = {problem.where for problem in done.problems if problem.kept}
    assert not lost & kept
    rows = {meme.meta["where"] for split in SIZES for meme in read_split(done.folder, split)}
    assert not rows & lost
    assert {where for where in kept if where.split(":")[1] != "1" and not where.startswith("test.json:")} <= rows


def test_strict_stops_at_the_first_problem_and_leaves_nothing(dirty: tuple[Planter, Prepared], tmp_path: Path) -> None:
    planter, _ = dirty
    with pytest.raises(UsageError, match=r"train.jsonl:1: utf-8 with a byte-order mark"):
        prepare([planter.folder], tmp_path / "out", strict=True)
    assert list(tmp_path.iterdir()) == []
