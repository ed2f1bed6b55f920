"""`data stats`: labels, shift, words, lengths, picture headers, repeats and the command, on sets counted by hand."""

from __future__ import annotations

import json
import math
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from drawn import broken_files, drawn_meme, encoded
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from memescope.cli import run
from memescope.curation.headers import read_headers
from memescope.curation.shift import shift, total_variation
from memescope.curation.stats import count, make_stats, spread, summary
from memescope.curation.wording import PRIOR, distinctive, log_odds, terms, tokens
from memescope.meme import Meme


def meme(id: str, split: str, text: str = "", lang: str = "en", **labels: str | list[str]) -> Meme:
    return Meme(text=text, id=id, lang=lang, labels=labels, source="own", split=split)


# --- labels


def test_labels_by_split_in_the_order_of_the_taxonomy() -> None:
    memes = [
        meme("1", "test", humour="funny"),
        meme("2", "train", humour="funny"),
        meme("3", "train", humour="not-funny", misogyny_categories=["prejudice", "humiliation"]),
        meme("4", "train", humour="funny", misogyny_categories=[]),
        meme("5", "val"),
    ]
    stats = count("own", Path("own"), memes, [None] * 5, {"encoding": 2})
    assert stats.splits == {"train": 3, "val": 1, "test": 1}
    assert stats.labels["humour"] == {"train": {"not-funny": 1, "funny": 2}, "test": {"funny": 1}}
    assert list(stats.labels["humour"]["train"]) == ["not-funny", "funny"]
    assert stats.labels["misogyny_categories"] == {"train": {"prejudice": 1, "humiliation": 1, "(none)": 1}}
    assert stats.imbalance == {"misogyny_categories": 1, "humour": 3}
    assert [(s.first, s.second) for s in stats.shifts] == [("train", "test")]
    assert json.loads(json.dumps(summary(stats)))["problems"] == {"encoding": 2}


# --- shift


def test_shift_by_hand() -> None:
    # 60 of 100 against 30 of 100: .3 of the rows would change; chi-square = 2 * (15^2/45 + 15^2/55) = 18.18, p 2.0e-5.
    found = shift("hateful", ("train", "test"), ({"a": 60, "b": 40}, {"a": 30, "b": 70}))
    assert found.distance == pytest.approx(0.3)
    assert found.low < 0.3 < found.high
    assert found.p == pytest.approx(math.erfc(math.sqrt(18.1818181818 / 2)), rel=1e-6)
    # From one pool of 90 in 200 the difference has a standard deviation of .0704: 95 % stay below 1.96 of it.
    assert found.chance == pytest.approx(1.96 * math.sqrt(0.45 * 0.55 * 2 / 100), abs=0.012)
    same = shift("hateful", ("train", "test"), ({"a": 50, "b": 50}, {"a": 500, "b": 500}))
    assert (same.distance, same.p) == (0, pytest.approx(1))
    assert math.isnan(shift("hateful", ("train", "test"), ({"a": 3, "b": 1}, {"a": 2, "b": 2})).p)


@given(st.lists(st.integers(0, 30), min_size=2, max_size=5).filter(any))
@settings(max_examples=30, deadline=None)
def test_total_variation_is_a_distance(counts: list[int]) -> None:
    one, other = np.array(counts, float), np.array(counts[::-1], float)
    value = float(total_variation(one, other))
    assert 0 <= value <= 1
    assert value == pytest.approx(float(total_variation(other, one)))
    assert float(total_variation(one, one * 3)) == pytest.approx(0)


# --- words


def test_log_odds_by_hand() -> None:
    # 10 of 100 words inside, 2 of 200 outside, prior 6 of 150.
    first, second = 16, 8
    expected = math.log(first / (100 + 150 - first)) - math.log(second / (200 + 150 - second))
    assert log_odds(10, 100, 2, 200, 6, 150) == pytest.approx(expected / math.sqrt(1 / 16 + 1 / 8))
    assert log_odds(5, 50, 5, 50, 10, 100) == pytest.approx(0)


def test_words_that_set_a_label_apart() -> None:
    cats = [f"the cat number {n} sleeps" for n in range(40)]
    dogs = [f"the dog number {n} barks" for n in range(40, 80)]
    found = distinctive(cats + dogs + cats, [["cat"]] * 40 + [["dog"]] * 40 + [["cat"]] * 40)
    assert {word.word for word in found["cat"]} == {"cat", "sleeps"}
    assert {word.word for word in found["dog"]} == {"dog", "barks"}
    cat = next(word for word in found["cat"] if word.word == "cat")
    # An equal text counts once: 40 memes, 200 words of each label, 400 in all.
    assert (cat.memes, cat.others) == (40, 0)
    assert cat.z == pytest.approx(log_odds(40, 200, 0, 200, PRIOR * 40 / 400, PRIOR))
    assert distinctive(["a b c"] * 9, [["x"]] * 9) == {"x": []}


def test_words_of_scripts_without_spaces() -> None:
    assert tokens("Why, WHY?  我是猫 ok") == ["why", "why", "我", "是", "猫", "ok"]
    assert terms("我是猫 ok") == {"我是", "是猫", "ok"}
    assert tokens("...") == []


# --- texts, pictures, repeats


def test_lengths_leave_empty_texts_out() -> None:
    memes = [meme("1", "train", "one two three"), meme("2", "train", "  "), meme("3", "train", "", "de")]
    stats = count("own", Path("own"), memes, [None] * 3, {})
    assert stats.empty == {"train": 2}
    assert stats.characters == {"train": [13]}
    assert stats.words == {"train": [3]}
    assert stats.languages == {"train": {"en": 2, "de": 1}}
    assert spread([1, 2, 3, 4]) == {"mean": 2.5, "median": 2.5, "p95": pytest.approx(3.85), "most": 4}
    assert spread([]) == {}


def test_headers_tell_format_and_size_and_decode_nothing(tmp_path: Path) -> None:
    picture = Image.new("RGB", (40, 30))
    files = {"a.jpg": encoded(picture, "JPEG"), "b.png": encoded(picture, "WEBP"), "c.gif": encoded(picture, "GIF")}
    files |= {"cut.jpg": encoded(picture, "JPEG")[:100], "page.png": b"<!doctype html><p>404", "empty.png": b""}
    header = struct.pack(">4sIIBBBBB", b"IHDR", 20000, 20000, 8, 2, 0, 0, 0)
    chunk = struct.pack(">I", 13) + header + struct.pack(">I", zlib.crc32(header))
    files["bomb.png"] = b"\x89PNG\r\n\x1a\n" + chunk + struct.pack(">I4s", 9, b"IDAT") + b"x" * 13
    for name, data in files.items():
        (tmp_path / name).write_bytes(data)
    wanted = [tmp_path / name for name in files]
    found = dict(zip(files, read_headers([*wanted], lambda *_: None), strict=True))
    known = {name: (h.format, h.width, h.height) for name, h in found.items() if h is not None}
    assert known["a.jpg"] == ("JPEG", 40, 30)
    assert known["b.png"] == ("WEBP", 40, 30)  # by content, not by name
    assert known["c.gif"] == ("GIF", 40, 30)
    errors = {name: str(h.error) for name, h in found.items() if h is not None and h.error}
    assert "web page" in errors["page.png"]
    assert errors["empty.png"] == "an empty file"
    assert errors["bomb.png"] == "more pixels than can be read"
    assert set(errors) <= {"page.png", "empty.png", "bomb.png", "cut.jpg"}
    gone, data, nothing = read_headers([tmp_path / "gone.jpg", files["a.jpg"], None], lambda *_: None)
    assert gone is None
    assert nothing is None
    assert data == found["a.jpg"]


def test_hostile_files_give_a_header_or_an_error(tmp_path: Path) -> None:
    broken_files(tmp_path)
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    headers = read_headers(files, lambda *_: None)
    assert len(files) > 20
    assert all(h is not None and (h.error is not None or h.width > 0) for h in headers)


def test_repeats_within_and_across_splits(tmp_path: Path) -> None:
    for name, seed in (("a", 1), ("b", 1), ("c", 2), ("d", 1)):
        (tmp_path / f"{name}.jpg").write_bytes(drawn_meme("the same words", seed, (120, 90)))
    rows = [("a", "train", "Hello!"), ("b", "train", "hello"), ("c", "train", "hello"), ("d", "test", "other")]
    memes = [meme(name, split, text) for name, split, text in rows]
    for its in memes:
        its.image = tmp_path / f"{its.id}.jpg"
    headers = read_headers([its.image for its in memes], lambda *_: None)
    stats = count("own", tmp_path, memes, headers, {})
    assert (stats.repeats["picture files"].rows, stats.repeats["picture files"].across) == (2, 3)
    assert (stats.repeats["texts"].rows, stats.repeats["texts"].across) == (2, 0)
    assert (stats.repeats["picture and text"].rows, stats.repeats["picture and text"].across) == (1, 0)
    assert stats.pictures == {"there": 4, "missing": 0, "unreadable": 0}
    assert stats.sizes == [(120, 90)] * 4
    assert stats.formats == {"JPEG": 4}


# --- the command


def test_the_command_leaves_tables_and_plots(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("matplotlib")
    drawn, out = tmp_path / "drawn", tmp_path / "out"
    assert run(["data", "synth", str(drawn), "--count", "12", "--splits", "--lang", "en", "--sides", "200-260"]) == 0
    (drawn / "train.jsonl").open("a").write(
        json.dumps({"id": "x", "image": "gone.jpg", "text": "a|b <img src=x>\x1b[31m", "labels": {"humour": "funny"}})
        + "\n"
    )
    capsys.readouterr()
    assert run(["data", "stats", str(drawn), "--out", str(out)]) == 0
    assert "1 pictures missing" in capsys.readouterr().out
    text = (out / "stats.md").read_text("utf-8")
    assert "12 there, 1 missing, 0 unreadable; " in text
    assert "<img" not in text
    assert "\x1b" not in text
    assert {f"drawn-{what}.png" for what in ("labels", "lengths", "sizes")} < {path.name for path in out.iterdir()}
    assert Image.open(out / "drawn-labels.png").format == "PNG"
    assert run(["data", "stats", str(drawn), "--out", str(out), "--json"]) == 0
    (figures,) = json.loads(capsys.readouterr().out)["datasets"]
    assert sum(figures["splits"].values()) == 13
    assert figures["pictures"]["missing"] == 1
    assert run(["data", "stats", str(tmp_path / "nowhere")]) == 2


@pytest.mark.real
def test_harmc_has_the_counts_of_its_source(real_data: Path) -> None:
    _, (stats,) = make_stats([real_data / "ready" / "harmc"])
    assert stats.splits == {"train": 3013, "val": 177, "test": 354}
    assert stats.labels["harm_intensity"]["train"] == {
        "not-harmful": 1949,
        "partially-harmful": 882,
        "very-harmful": 182,
    }
    assert stats.pictures == {"there": 3544, "missing": 0, "unreadable": 0}
    # Val and test harm individuals, train does not only: far beyond chance.
    target = next(s for s in stats.shifts if (s.task, s.first, s.second) == ("target", "train", "test"))
    assert target.low > target.chance
