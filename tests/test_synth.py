"""Drawn memes: same seed same bytes, truth that holds, letters of every script, changes that change."""

from __future__ import annotations

import hashlib
import io
import json
import sys
import zipfile
from collections import Counter
from pathlib import Path
from random import Random

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from memescope.curation.synth import CHANGES, broken_files, draw_meme, languages, synth
from memescope.curation.synth.captions import caption
from memescope.curation.synth.characters import CHARACTERS
from memescope.curation.synth.layouts import LAYOUTS, design, draw
from memescope.curation.synth.lettering import (
    _direction_runs,
    fit,
    line_height,
    mask,
    missing_letters,
    right_to_left,
    shape,
    width,
    wrap,
)
from memescope.curation.synth.scenes import SCENES
from memescope.datasets.prepared import read_split
from memescope.errors import MissingExtra, UsageError
from memescope.taxonomy import load_taxonomy
from memescope.verbs.data import app

EXAMPLES = Path(__file__).resolve().parent.parent / "examples"


def _digest(folder: Path) -> str:
    digest = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            digest.update(f"{path.relative_to(folder)}\0".encode() + path.read_bytes())
    return digest.hexdigest()


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """20 originals, 12 copies, 8 confounders and the broken files, in splits."""
    out = tmp_path_factory.mktemp("drawn") / "set"
    synth(out, 20, 3, near_duplicates=12, changes=list(CHANGES), confounders=8, broken=True, splits=True)
    return out


@pytest.fixture(scope="module")
def rows(drawn: Path) -> list[dict]:
    return [json.loads(line) for line in (drawn / "truth.jsonl").read_text("utf-8").splitlines()]


def test_the_same_seed_draws_the_same_bytes(tmp_path: Path) -> None:
    for name, seed in (("a", 5), ("b", 5), ("c", 6)):
        synth(tmp_path / name, 5, seed, near_duplicates=6, changes=list(CHANGES), confounders=2)
    assert _digest(tmp_path / "a") == _digest(tmp_path / "b")
    assert _digest(tmp_path / "a") != _digest(tmp_path / "c")
    # One more original leaves those before it as they were.
    synth(tmp_path / "d", 6, 5)
    for number in range(5):
        name = f"images/m{number:05d}.jpg"
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "d" / name).read_bytes()


def test_every_row_has_its_file_and_every_file_its_row(drawn: Path, rows: list[dict]) -> None:
    there = {str(path.relative_to(drawn)) for path in drawn.rglob("*") if path.is_file() and path.suffix != ".jsonl"}
    assert {row["image"] for row in rows} == there
    assert len({row["id"] for row in rows}) == len(rows)
    kinds = Counter(row["meta"]["kind"] for row in rows)
    assert {kind: kinds[kind] for kind in ("original", "near-duplicate", "same-picture", "same-text")} == {
        "original": 20,
        "near-duplicate": 12,
        "same-picture": 4,
        "same-text": 4,
    }
    assert {row["lang"] for row in rows if row["meta"]["kind"] == "original"} == set(languages())
    for row in rows:
        if row["meta"]["kind"] != "broken":
            with Image.open(drawn / row["image"]) as image:
                assert image.format == "JPEG"
                assert row["text"]


def test_labels_are_canonical(drawn: Path) -> None:
    tasks = load_taxonomy().tasks
    for split in ("train", "val", "test"):
        for meme in read_split(drawn, split):
            assert {"sentiment", "humour", "sarcasm", "hateful"} <= set(meme.labels)
            for task, label in meme.labels.items():
                assert label in tasks[task].labels, (task, label)


def test_families_stay_together_in_splits(drawn: Path, rows: list[dict]) -> None:
    where: dict[str, set[str]] = {}
    ids = []
    for split in ("train", "val", "test"):
        for meme in read_split(drawn, split):
            where.setdefault(meme.meta["family"], set()).add(split)
            ids.append(meme.id)
    assert sorted(ids) == sorted(row["id"] for row in rows if row["meta"]["kind"] != "broken")
    assert all(len(splits) == 1 for splits in where.values())
    assert Counter(next(iter(splits)) for splits in where.values()) == {"train": 14, "val": 2, "test": 4}


def test_near_duplicates_are_what_they_say(drawn: Path, rows: list[dict]) -> None:
    known = {row["id"]: row for row in rows}
    copies = [row for row in rows if row["meta"]["kind"] == "near-duplicate"]
    assert Counter(row["meta"]["change"] for row in copies) == dict.fromkeys(CHANGES, 2)
    assert len({row["meta"]["duplicate_of"] for row in copies}) == 12
    for row in copies:
        original = known[row["meta"]["duplicate_of"]]
        assert (row["text"], row["labels"]) == (original["text"], original["labels"])
        first, copy = (Image.open(drawn / r["image"]).convert("RGB") for r in (original, row))
        ratio = copy.width / first.width
        far = np.abs(np.asarray(copy.resize(first.size), int) - np.asarray(first, int)).mean()
        match row["meta"]["change"]:
            case "crop":
                assert 0.79 < ratio < 0.95
            case "rescale":
                assert 0.39 < ratio < 0.76
                assert far < 12
            case "border":
                assert 1.05 < ratio < 1.25
            case "flip":
                assert ratio == 1
                mirrored = np.asarray(copy, int)[:, ::-1]
                assert np.abs(mirrored - np.asarray(first, int)).mean() < 4
            case _:
                assert ratio == 1
                assert 0 < far < 12


def test_confounders_share_one_half(drawn: Path, rows: list[dict]) -> None:
    known = {row["id"]: row for row in rows}
    for row in rows:
        if row["meta"]["kind"] == "same-picture":
            original = known[row["meta"]["confounds"]]
            assert row["meta"]["template"] == original["meta"]["template"]
            assert row["meta"]["caption"].split("/")[1] != original["meta"]["caption"].split("/")[1]
            first, other = (np.asarray(Image.open(drawn / r["image"]), int) for r in (original, row))
            assert first.shape == other.shape
            # Only what is lettered differs: well over half of the picture is as it was.
            assert (np.abs(first - other).max(axis=2) < 40).mean() > 0.6
        if row["meta"]["kind"] == "same-text":
            original = known[row["meta"]["confounds"]]
            assert row["text"] == original["text"]
            assert (drawn / row["image"]).read_bytes() != (drawn / original["image"]).read_bytes()


def test_an_ironic_caption_means_the_opposite_on_a_gloomy_picture() -> None:
    ironic = next(c for k in range(200) if (c := caption("en", Random(k))).group == "ironic")
    assert ironic.mood is None
    bright, gloomy = ironic.labels("bright"), ironic.labels("gloomy")
    assert (bright["sentiment"], bright["sarcasm"]) == ("positive", "not-sarcastic")
    assert (gloomy["sentiment"], gloomy["sarcasm"]) == ("negative", "sarcastic")


@pytest.mark.parametrize("lang", languages())
def test_captions_can_be_lettered_and_are_filled_in(lang: str) -> None:
    for seed in range(150):
        words = caption(lang, Random(seed))
        assert words.top
        assert words.bottom
        assert "{" not in words.top + words.bottom
        for style in ("impact", "plain", "bold", "hand"):
            text = words.top + words.bottom
            assert missing_letters(text + text.upper(), style) == ""
    assert caption(lang, Random(0), mood="gloomy").mood in (None, "gloomy")


def test_missing_letters_are_found() -> None:
    assert missing_letters("a Ж न ক 的 ع 7!") == ""
    assert missing_letters("Ω xΩ ሀ") == "Ωሀ"


def test_scripts_are_shaped() -> None:
    # Devanagari: the sign of short i is written before its consonant; a conjunct takes fewer glyphs than characters.
    (first, _), (second, _) = shape("कि", "bold"), shape("कइ", "bold")
    assert len(first) == 2
    assert first[1].id == second[0].id
    assert len(shape("क्षत्रिय", "bold")[0]) < len("क्षत्रिय")
    # Arabic: letters join, so beh has other outlines alone, first, within and last; lam and alef become one glyph.
    alone = shape("ب", "bold")[0][0].id
    joined = [glyph.id for glyph in shape("ببب", "bold")[0]]
    assert len({alone, *joined}) == 4
    assert len(shape("لا", "bold")[0]) == 1
    # Bengali: the sign of e stands before its consonant.
    assert shape("কে", "bold")[0][1].id == shape("ক", "bold")[0][0].id


def test_right_to_left_lines_are_ordered_for_reading() -> None:
    assert right_to_left("ضبطت 7")
    assert not right_to_left("7 abc")
    assert [text for text, _ in _direction_runs("ضبطت 7 منبهات")] == [" منبهات", "7", "ضبطت "]
    assert [text for text, _ in _direction_runs("one سوف تصل two")] == ["one ", "سوف تصل", " two"]
    # The first letter stands at the right end.
    cover = mask("ا ببببب", "bold", 60)
    assert _inked_columns(cover[:, -20:]) > 0
    tall = np.flatnonzero((cover > 128).sum(axis=0) > 36)
    assert tall.min() > cover.shape[1] * 0.8


def _inked_columns(cover: np.ndarray) -> int:
    return int((cover > 0).any(axis=0).sum())


def test_lines_keep_within_their_room() -> None:
    text = "When you set seven alarms and sleep through all of them again"
    lines, size = fit(text, "impact", (300, 120), 80)
    assert " ".join(lines) == text
    assert max(width(line, "impact", size) for line in lines) <= 300
    assert len(lines) * line_height(size) <= 120
    # A stop never begins a line.
    assert wrap("定了七个闹钟还是睡过头了。", "bold", 40, 165) == ["定了七个", "闹钟还是", "睡过头", "了。"]
    assert wrap("one\ntwo", "bold", 10, 1000) == ["one", "two"]
    assert wrap("indivisible", "bold", 40, 10) == ["indivisible"]
    # No word is left alone where the lines can be of one length.
    assert fit("aa bb cc dd ee", "plain", (width("aa bb cc dd", "plain", 20) + 1, 60), 20)[0] == ["aa bb cc", "dd ee"]


def test_letters_are_not_cut_off() -> None:
    for text in ("ÄÖÉȘ gjpq", "КОГДА ЗАВЁЛ", "हूँ र्कि ट्रै", "পৃষ্ঠা স্ট্রি", "الأربعاء في", "闹钟"):
        for style in ("impact", "plain", "bold", "hand"):
            cover = mask(text, style, 50, margin=12)
            assert cover.max() > 200
            assert cover[:2].max() == cover[-2:].max() == cover[:, :2].max() == cover[:, -2:].max() == 0, (text, style)


def test_every_scene_character_and_layout_draws_at_any_size() -> None:
    pictures = set()
    for number, scene in enumerate(SCENES):
        for mood in ("bright", "gloomy"):
            plan = design(f"{scene}", (300, 220), mood, "impact")
            plan = type(plan)("impact", scene, list(CHARACTERS)[number % 9], mood, plan.feeling, "s", 300, 220)
            pictures.add(draw(plan, "", "")[0].tobytes())
    assert len(pictures) == 2 * len(SCENES)
    for layout in LAYOUTS:
        for size in ((200, 700), (700, 200)):
            for top, bottom in (("Top words", "bottom words"), ("alone", "")):
                image, text = draw(design("x", size, None, layout), top, bottom)
                assert image.size == size
                assert text.casefold() == "\n".join(part for part in (top, bottom) if part).casefold()


def test_draw_meme_letters_any_text() -> None:
    first, again = draw_meme("A b c d", 1, (320, 240)), draw_meme("A b c d", 1, (320, 240))
    assert first == again
    assert first != draw_meme("A b c e", 1, (320, 240))
    with Image.open(io.BytesIO(first)) as image:
        assert (image.size, image.format) == ((320, 240), "JPEG")


def test_wrong_arguments_say_what_was_expected(tmp_path: Path) -> None:
    for arguments, words in (
        ({"languages": ["xx"]}, "no captions in language 'xx'; there are: en, de"),
        ({"count": -1}, "count: expected 0 or more, found -1"),
        ({"near_duplicates": 3, "changes": ["melt"]}, "unknown change 'melt'; there are: crop"),
        ({"near_duplicates": 3, "changes": []}, "at least one change"),
        ({"count": 0, "confounders": 2}, "need originals"),
        ({"sides": (900, 500)}, "the smaller first, found 900, 500"),
    ):
        with pytest.raises(UsageError, match=words):
            synth(tmp_path / "new", **{"count": 2, **arguments})
        assert not (tmp_path / "new").exists()
    (tmp_path / "kept.txt").write_text("mine")
    with pytest.raises(UsageError, match="not an empty folder"):
        synth(tmp_path, 1)


def test_the_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "uharfbuzz", None)
    with pytest.raises(MissingExtra, match=r"pip install 'memescope\[data\]'"):
        draw_meme("no letters")


def test_archives_hold_what_is_expected(tmp_path: Path) -> None:
    expectations = broken_files(tmp_path)
    for name in ("traversal.zip", "zip-bomb.zip"):
        with zipfile.ZipFile(tmp_path / name) as archive:
            assert set(archive.namelist()) == set(expectations[name].entries or {})
    assert (tmp_path / "zip-bomb.zip").stat().st_size < 200_000
    deep = [name for name in expectations if name.count("/") == 3]
    assert len(deep) == 2
    assert any("\n" in name and " " in name for name in deep)
    again = tmp_path / "again"
    broken_files(again)
    for name in expectations:
        assert (again / name).read_bytes() == (tmp_path / name).read_bytes(), name


def test_command_line(tmp_path: Path) -> None:
    out = tmp_path / "cli"
    arguments = ["synth", str(out), "--count", "2", "--lang", "hi", "--near-duplicates", "1", "--change", "crop"]
    result = CliRunner().invoke(app, [*arguments, "--sides", "300-320", "--json"])
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["kinds"] == {"original": 2, "near-duplicate": 1}
    first = json.loads((out / "truth.jsonl").read_text("utf-8").splitlines()[0])
    assert first["lang"] == "hi"
    result = CliRunner().invoke(app, ["synth", str(tmp_path / "x"), "--sides", "wide"])
    assert isinstance(result.exception, UsageError)
    assert "expected LOW-HIGH in pixels" in str(result.exception)


def test_the_committed_examples_hold_together() -> None:
    rows = [json.loads(line) for line in (EXAMPLES / "truth.jsonl").read_text("utf-8").splitlines()]
    files = sorted((EXAMPLES / "memes").iterdir())
    assert sorted(EXAMPLES / row["image"] for row in rows) == files
    assert len(files) == 30
    assert sum(path.stat().st_size for path in files) < 1_200_000
    assert len({row["lang"] for row in rows}) == 11
    assert Counter(row["meta"]["kind"] for row in rows)["broken"] == 2
