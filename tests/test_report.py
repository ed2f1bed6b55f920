"""The report and the tables as files: nothing escapes its place, everything comes back, all or nothing is written."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import tracemalloc
from collections.abc import Iterator
from datetime import UTC, datetime
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from fake_verdicts import INJECTIONS, awkward_verdicts, fake_thumbnail, fake_verdicts
from hypothesis import given
from hypothesis import strategies as st

from memescope.errors import MemescopeError
from memescope.meme import Answer, Verdict
from memescope.report import ScanInfo, write_csv, write_jsonl, write_report
from memescope.report.encode import script_json

INFO = ScanInfo(
    title="A & <b>B</b> {{script}} {{data}}", inputs=["memes/"], started=datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
)


class Scripts(HTMLParser):
    """What a browser would see as elements: scripts by id, and every other tag."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.scripts: list[tuple[dict[str, str | None], str]] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.inside: str | None = None
        self.style = self.title = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self.inside = tag
        if tag == "script":
            self.scripts.append((dict(attrs), ""))

    def handle_endtag(self, tag: str) -> None:
        self.inside = None

    def handle_data(self, data: str) -> None:
        if self.inside == "script":
            self.scripts[-1] = (self.scripts[-1][0], self.scripts[-1][1] + data)
        elif self.inside == "style":
            self.style += data
        elif self.inside == "title":
            self.title += data

    @property
    def data(self) -> dict[str, Any]:
        return {str(attrs["id"]): json.loads(text) for attrs, text in self.scripts if attrs.get("type")}

    def rows(self) -> list[dict[str, Any]]:
        blocks = [self.data[name] for name in sorted(self.data, key=lambda n: (len(n), n)) if name.startswith("rows-")]
        return [row for block in blocks for row in block]


def report(tmp_path: Path, verdicts: Any, info: ScanInfo = INFO, thumbnails: Any = lambda _: None) -> Scripts:
    path = tmp_path / "report.html"
    write_report(path, verdicts, thumbnails=thumbnails, info=info)
    return Scripts(path.read_text("utf-8"))


def test_every_text_stays_data(tmp_path: Path) -> None:
    """Hostile texts add no element: the page has the same tags with them as with nothing but blocks of data."""
    hostile, empty = report(tmp_path, awkward_verdicts()), report(tmp_path, [])
    plain = [tag for tag in hostile.tags if tag[1].get("type") != "application/json"]
    assert plain == [tag for tag in empty.tags if tag[1].get("type") != "application/json"]
    assert sum("type" not in attrs for attrs, _ in hostile.scripts) == 1
    assert [row["t"] for row in hostile.rows()[: len(INJECTIONS)]] == INJECTIONS
    assert hostile.title == INFO.title


@given(st.recursive(st.text() | st.floats(allow_nan=False, allow_infinity=False) | st.none(), st.lists, max_leaves=5))
def test_script_json_is_the_same_value_and_closes_nothing(value: Any) -> None:
    text = script_json(value, "x")
    assert json.loads(text) == value
    assert not re.search("[<>&\u2028\u2029\ud800-\udfff]", text)


def test_policy_allows_exactly_our_style_and_script(tmp_path: Path) -> None:
    page = report(tmp_path, fake_verdicts(3))
    policy = next(attrs["content"] for tag, attrs in page.tags if attrs.get("http-equiv") == "Content-Security-Policy")
    rules = dict(rule.split(" ", 1) for rule in str(policy).split("; "))

    def digest(text: str) -> str:
        return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"

    assert rules["default-src"] == "'none'"
    assert rules["img-src"] == "data:"
    assert rules["script-src"] == digest(page.scripts[-1][1])
    assert rules["style-src"] == digest(page.style)
    assert "unsafe" not in str(policy)


def test_nothing_in_the_page_points_outside(tmp_path: Path) -> None:
    page = report(tmp_path, fake_verdicts(3))
    for tag, attrs in page.tags:
        for name in ("src", "href", "action", "srcset", "poster"):
            assert (attrs.get(name) or "#")[0] == "#" or attrs[name] == "data:,", (tag, attrs)
        assert not any(name.startswith("on") or name == "style" for name in attrs), (tag, attrs)
    assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(|fetch\(", page.scripts[-1][1])


def test_row_holds_what_the_verdict_says(tmp_path: Path) -> None:
    verdict = Verdict(
        "a",
        "a.png",
        text="t",
        ocr_text="read",
        lang="de",
        action="review",
        because=["why"],
        duplicate_of="b",
        answers={
            "hateful": Answer("hateful", {"hateful": 0.75, "not-hateful": 0.25}, abstain=True),
            "propaganda_techniques": Answer(["smears", "doubt"], {"doubt": 0.6, "smears": 0.9}),
        },
    )
    page = report(tmp_path, [verdict, Verdict("b", "b.png", text="same", ocr_text="same")])
    first, second = page.rows()
    labels = {task["name"]: task["labels"] for task in page.data["about"]["tasks"]}
    techniques = first["r"]["propaganda_techniques"]
    # labels in the order of the taxonomy, not of the dictionary
    assert labels["hateful"] == ["not-hateful", "hateful"]
    assert first["r"]["hateful"] == [1, 1, [2500, 7500]]
    assert [labels["propaganda_techniques"][n] for n in techniques[0]] == ["smears", "doubt"]
    assert {label: p for label, p in zip(labels["propaganda_techniques"], techniques[2], strict=True) if p} == {
        "doubt": 6000,
        "smears": 9000,
    }
    assert {k: first[k] for k in "ipatoldb"} == {
        "i": "a",
        "p": "a.png",
        "a": 1,
        "t": "t",
        "o": "read",
        "l": "de",
        "d": "b",
        "b": ["why"],
    }
    assert second == {"i": "b", "p": "b.png", "a": 0, "t": "same", "o": True}


def test_pictures_and_details_are_found_by_place(tmp_path: Path) -> None:
    verdicts = list(fake_verdicts(530))
    wanted = {v.id: f"\x89PNG{v.id}".encode("latin-1") for v in verdicts if not v.id.endswith("3")}
    page = report(tmp_path, iter(verdicts), thumbnails=wanted.get)
    data, per_block = page.data, page.data["about"]["per_block"]
    assert [row["i"] for row in page.rows()] == [v.id for v in verdicts]
    for i, verdict in enumerate(verdicts):
        block = data[f"drawn-{i // per_block}"]
        picture = wanted.get(verdict.id)
        uri = "data:image/png;base64," + base64.b64encode(picture).decode() if picture else None
        assert block["pictures"][i % per_block] == uri
        assert set(block["details"][i % per_block].get("v", {})) == set(verdict.evidence)


def test_unknown_tasks_and_labels_are_kept(tmp_path: Path) -> None:
    page = report(tmp_path, awkward_verdicts())
    tasks = {task["name"]: task for task in page.data["about"]["tasks"]}
    assert tasks["cuteness"]["labels"] == ["plain", "fluffy"]
    assert (tasks["cuteness"]["kind"], tasks["cuteness"]["category"]) == ("multiclass", "other")
    assert tasks["tags"]["kind"] == "multilabel"
    assert tasks["target"]["labels"][-1] == "martian"


def test_no_memes(tmp_path: Path) -> None:
    page = report(tmp_path, [])
    assert page.data["about"]["total"] == 0
    assert page.rows() == []


def test_info_is_carried(tmp_path: Path) -> None:
    info = ScanInfo(seconds=1.5, trained_on={"hateful": "x"}, counts={"found": 2}, started=INFO.started)
    about = report(tmp_path, [], info).data["about"]
    assert about["info"]["started"] == "2026-01-02T03:04:05+00:00"
    assert (about["info"]["seconds"], about["info"]["trained_on"], about["info"]["counts"]) == (
        1.5,
        {"hateful": "x"},
        {"found": 2},
    )


@pytest.mark.parametrize(
    "write", [write_jsonl, write_csv, lambda p, v: write_report(p, v, thumbnails=lambda _: None, info=INFO)]
)
def test_a_failure_leaves_the_old_file_and_nothing_else(tmp_path: Path, write: Any) -> None:
    def failing() -> Iterator[Verdict]:
        yield from fake_verdicts(300)
        raise RuntimeError("the journal went away")

    path = tmp_path / "out.txt"
    path.write_text("old")
    with pytest.raises(RuntimeError, match="went away"):
        write(path, failing())
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]
    write(path, fake_verdicts(2))
    assert path.read_text("utf-8") != "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_wrong_thumbnail_is_named(tmp_path: Path) -> None:
    with pytest.raises(MemescopeError, match=r"'m00000'.*expected WebP, JPEG or PNG"):
        report(tmp_path, fake_verdicts(1), thumbnails=lambda _: b"<svg onload=alert(1)>")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("p", [float("nan"), float("inf")])
def test_a_probability_that_is_not_finite_is_named(tmp_path: Path, p: float) -> None:
    verdict = Verdict("bad", "bad.png", answers={"hateful": Answer("hateful", {"hateful": p})})
    with pytest.raises(MemescopeError, match="'bad'"):
        report(tmp_path, [verdict])
    with pytest.raises(MemescopeError, match="'bad'"):
        write_jsonl(tmp_path / "x.jsonl", [verdict])


def test_memory_does_not_grow_with_the_number_of_memes(tmp_path: Path) -> None:
    """1,200 memes with pictures of 6 kB need no more than 300 do: 900 more of either would be 5 MB."""
    picture = b"\x89PNG" + bytes(6000)

    def peak(n: int) -> int:
        verdicts = list(fake_verdicts(n))
        tracemalloc.start()
        write_report(tmp_path / "r.html", iter(verdicts), thumbnails=lambda _: picture, info=INFO)
        write_csv(tmp_path / "r.csv", iter(verdicts))
        high = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return high

    few = peak(300)
    assert peak(1200) < few * 1.2 + 100_000


def test_fake_thumbnails_are_small_webp() -> None:
    """The invented pictures that the browser tests rely on are what a real scan gives."""
    picture = fake_thumbnail("x")
    assert picture[:4] == b"RIFF"
    assert 500 < len(picture) < 10_000
