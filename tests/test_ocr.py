"""OCR: boxes, reading order, strips, the other engine, and what a meme says in the end."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from drawn import drawn_meme
from hypothesis import given
from hypothesis import strategies as st

from memescope.bench.ocr import character_error, edit_distance, letters, read_truth
from memescope.errors import MemescopeError, UsageError
from memescope.perception import runtime, tesseract
from memescope.perception.detector import TextBox, TextDetector, _corners, _rectangles
from memescope.perception.letters import isolate
from memescope.perception.lines import OcrResult, around, rows_of_blocks
from memescope.perception.ocr import OcrEngine, kept_texts, load_ocr, ocr_engines
from memescope.perception.other_scripts import ILLEGIBLE, LOOKS, is_unread, legibility, legible
from memescope.perception.pictures import Picture, open_picture
from memescope.perception.recogniser import HEIGHT, LineReader, Strip, cut


@pytest.fixture(scope="module")
def engine() -> OcrEngine:
    return load_ocr()


def box(left: float, top: float, right: float, bottom: float) -> np.ndarray:
    return np.array([[left, top], [right, top], [right, bottom], [left, bottom]], np.float32)


def plain(pixels: np.ndarray) -> Picture:
    return Picture(pixels, "0" * 64, pixels.shape[1], pixels.shape[0], "PNG")


# Boxes


def test_a_core_becomes_a_rectangle_grown_by_area_over_perimeter() -> None:
    chances = np.zeros((64, 128), np.float32)
    chances[20:30, 10:110] = 0.9
    [(corners, score)] = _rectangles(chances, core=0.3, keep=0.5, growth=1.5)
    # The mask is 100 x 10 pixels, dilated by one to the left and top: 100 x 10 between pixel centres.
    offset = 100 * 10 * 1.5 / (2 * (100 + 10))
    assert corners == pytest.approx(box(9 - offset, 19 - offset, 109 + offset, 29 + offset), abs=1.01)
    assert 0.8 < score <= 0.9


def test_faint_and_tiny_cores_are_no_text() -> None:
    chances = np.zeros((64, 128), np.float32)
    chances[20:30, 10:110] = 0.4
    chances[50, 50] = 1.0
    assert _rectangles(chances, core=0.3, keep=0.5, growth=1.5) == []


@pytest.mark.parametrize("angle", [-30, -5, 0, 5, 30])
def test_corners_run_clockwise_from_the_top_left_of_the_text(angle: float) -> None:
    corners = _corners((50, 40), 60, 10, angle)
    assert corners.mean(axis=0) == pytest.approx([50, 40], abs=1e-4)
    across, down = corners[1] - corners[0], corners[3] - corners[0]
    assert np.hypot(*across) == pytest.approx(60, abs=1e-4)
    assert np.hypot(*down) == pytest.approx(10, abs=1e-4)
    assert np.degrees(np.arctan2(across[1], across[0])) == pytest.approx(angle, abs=1e-3)
    assert across[0] * down[1] - across[1] * down[0] > 0


def test_the_whole_picture_is_looked_at_in_multiples_of_32_and_never_beyond_a_limit() -> None:
    detector = TextDetector()
    assert detector.chances(np.zeros((300, 300, 3), np.uint8)).shape == (384, 384)
    assert detector.chances(np.zeros((100, 100, 3), np.uint8)).shape == (192, 192)
    tall = detector.chances(np.zeros((20, 2048, 3), np.uint8)).shape
    assert tall == (32, 1536)


# Reading order


def test_lines_of_two_captions_are_read_top_to_bottom() -> None:
    boxes = [box(10, 90, 90, 100), box(10, 10, 90, 20), box(12, 22, 80, 32)]
    assert rows_of_blocks(boxes) == [[1], [2], [0]]


def test_pieces_of_a_line_are_joined_left_to_right() -> None:
    boxes = [box(60, 11, 90, 21), box(10, 10, 55, 20)]
    assert rows_of_blocks(boxes) == [[1, 0]]
    assert rows_of_blocks(boxes, right_to_left=True) == [[0, 1]]


def test_columns_are_read_one_after_the_other() -> None:
    left = [box(0, y, 40, y + 10) for y in (0, 12, 24)]
    right = [box(60, y, 100, y + 10) for y in (0, 12, 24)]
    assert rows_of_blocks([right[0], left[0], left[1], right[1], right[2], left[2]]) == [[1], [2], [5], [0], [3], [4]]


def test_dense_lines_whose_boxes_overlap_stay_lines() -> None:
    boxes = [box(0, y, 100, y + 14) for y in (20, 0, 10)]
    assert rows_of_blocks(boxes) == [[1], [2], [0]]


@given(
    st.lists(st.tuples(st.integers(0, 300), st.integers(0, 300), st.integers(1, 200), st.integers(1, 60)), max_size=12)
)
def test_every_box_is_read_once(places: list[tuple[int, int, int, int]]) -> None:
    boxes = [box(x, y, x + width, y + height) for x, y, width, height in places]
    assert sorted(i for row in rows_of_blocks(boxes) for i in row) == list(range(len(boxes)))


def test_around_is_the_box_itself_or_the_rectangle_of_all() -> None:
    one = _corners((50, 40), 60, 10, 20)
    assert around([one]) is one
    assert around([box(0, 0, 10, 10), box(20, 5, 30, 12)]).tolist() == box(0, 0, 30, 12).tolist()


# Strips


def test_cutting_takes_the_box_and_lays_tall_ones_on_their_side() -> None:
    pixels = np.zeros((100, 100, 3), np.uint8)
    pixels[20:40, 10:70] = 255
    strip = cut(pixels, box(10, 20, 70, 40))
    assert strip.shape == (20, 60, 3)
    assert strip[2:-2, 2:-2].min() == 255
    assert cut(pixels, box(10, 20, 20, 80)).shape == (10, 60, 3)


def test_batches_hold_strips_of_like_width_and_every_strip_once() -> None:
    reader = LineReader(batch=3, stretch=1.3)
    widths = [100, 400, 110, 105, 120, 900, 390]
    groups = list(reader._groups(widths))
    assert sorted(i for group in groups for i in group) == list(range(7))
    assert [len(group) for group in reader._groups([2000, 2000])] == [1, 1]
    assert all(len(group) <= 3 and widths[group[-1]] <= 1.3 * widths[group[0]] for group in groups)


def test_ctc_merges_repeats_and_drops_blanks() -> None:
    reader = LineReader()
    a, b, space = reader._characters.index("a"), reader._characters.index("b"), len(reader._characters) - 1
    steps = [0, a, a, 0, a, space, b, b, 0]
    chances = np.full((len(steps), len(reader._characters)), 1e-6, np.float32)
    chances[np.arange(len(steps)), steps] = [0.9, 0.8, 0.7, 0.9, 0.6, 0.1, 0.4, 0.9, 0.9]
    text, confidence = reader._decoded(chances)
    assert text == "aa b"
    assert confidence == pytest.approx((0.8 + 0.6 + 0.4) / 3)


def test_a_likely_space_is_put_back_between_letters_but_not_in_chinese() -> None:
    reader = LineReader()
    a, han, space = reader._characters.index("a"), reader._characters.index("国"), len(reader._characters) - 1
    for letter, chance, expected in ((a, 0.2, "a a"), (a, 0.01, "aa"), (han, 0.2, "国国")):
        chances = np.full((5, len(reader._characters)), 1e-6, np.float32)
        chances[np.arange(5), [0, letter, 0, letter, 0]] = 0.7
        chances[2, space] = chance
        assert reader._decoded(chances)[0] == expected


def test_readings_do_not_depend_on_the_batch(engine: OcrEngine) -> None:
    picture = open_picture(drawn_meme("WHEN YOU SEE IT\nYOU CANNOT UNSEE IT"))
    strips = [cut(picture.pixels, found.corners) for found in engine._detector.boxes(picture.pixels)]
    alone = [LineReader(batch=1).read([strip])[0] for strip in strips]
    together = LineReader(batch=8, stretch=100).read(strips)
    assert [strip.text for strip in alone] == [strip.text for strip in together]


# What a meme says


def test_a_drawn_meme_is_read(engine: OcrEngine) -> None:
    result = engine.read(open_picture(drawn_meme("One does not simply\nwalk into the kitchen")))
    assert letters(result.text) == letters("One does not simply walk into the kitchen")
    assert (result.script, result.engine) == ("Latn", "rapidocr")
    assert result.text == "\n".join(line.text for line in result.lines)
    assert all(0.5 < line.confidence <= 1 and len(line.box) == 4 for line in result.lines)
    tops = [line.box[0][1] for line in result.lines]
    assert tops == sorted(tops)
    # Boxes are in pixels of the picture, 600 x 450 here: the captions are at its top and bottom.
    assert tops[0] < 150
    assert result.lines[-1].box[2][1] > 300


@pytest.mark.parametrize("shape", [(1, 1), (1, 500), (500, 1), (20, 2048), (64, 64)])
def test_pictures_without_text_say_nothing(engine: OcrEngine, shape: tuple[int, int]) -> None:
    for tone in (0, 128, 255):
        result = engine.read(plain(np.full((*shape, 3), tone, np.uint8)))
        assert (result.text, result.lines, result.script) == ("", [], "Zyyy")


def test_a_picture_of_noise_is_read_without_complaint(engine: OcrEngine) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (300, 300, 3), dtype=np.uint8)
    assert engine.read(plain(noise)).engine == "rapidocr"


def test_reading_twice_gives_the_same(engine: OcrEngine) -> None:
    picture = open_picture(drawn_meme("the same again"))
    assert engine.read(picture) == engine.read(picture)


# Scripts the default engine lacks


def strip_of(text: str, confidence: float, width: int) -> Strip:
    return Strip(text, confidence, width)


def test_legibility_is_confidence_times_letters_for_the_room() -> None:
    assert legible(strip_of("abcde fgh", 0.9, 8 * HEIGHT)) == pytest.approx(0.9)
    assert legible(strip_of("ab", 0.8, 8 * HEIGHT)) == pytest.approx(0.2)
    assert legible(strip_of("", 0.0, 100)) == 0.0


def test_long_lines_decide_and_squat_patches_hardly_count() -> None:
    line, patch = TextBox(box(0, 0, 300, 30), 0.8), TextBox(box(0, 0, 300, 300), 0.6)
    good, bad = strip_of("a" * 20, 1.0, 480), strip_of("", 0.0, 48)
    assert legibility([line, patch], [good, bad]) > ILLEGIBLE > legibility([line, patch], [bad, good])
    assert legibility([], []) == 1.0
    assert is_unread([line, patch], [bad, good])
    assert not is_unread([line, patch], [good, bad])


def test_only_big_clear_lines_are_worth_a_second_engine() -> None:
    bad = strip_of("", 0.0, 480)
    for worth, found in (
        (True, TextBox(box(0, 0, 300, 30), 0.8)),
        (False, TextBox(box(0, 0, 300, 30), 0.6)),
        (False, TextBox(box(0, 0, 100, 10), 0.8)),
        (False, TextBox(box(0, 0, 100, 100), 0.8)),
    ):
        assert is_unread([found], [bad]) is worth
    assert not is_unread([], [])


def test_letters_are_isolated_from_bright_patches() -> None:
    pixels = np.full((120, 300, 3), 90, np.uint8)
    pixels[:, 200:] = 250  # a bright wall that goes on beyond the line
    pixels[40:80, 50:60] = 0
    pixels[42:78, 52:58] = 255  # an outlined bar
    strip = isolate(pixels, box(20, 35, 280, 85), True, *LOOKS[0])
    dark = np.flatnonzero((strip < 128).any(axis=0))
    assert dark.size
    assert dark[-1] - dark[0] < 20  # the bar alone, scaled by 72 / 50
    assert isolate(pixels, box(20, 5, 100, 30), True, *LOOKS[0]).min() == 255


needs_tesseract = pytest.mark.skipif(
    not {"hin", "ara", "ben", "rus"} <= set(tesseract.fallback_languages()),
    reason="tesserocr or its Hindi, Arabic, Bengali and Russian files are not installed (see memescope doctor)",
)


@needs_tesseract
@pytest.mark.parametrize(
    ("text", "script"),
    [
        ("उसने कहा पाँच मिनट में\nतीन घंटे बीत गए", "Deva"),
        ("قال لي سأعود بعد خمس دقائق\nمرت ثلاث ساعات", "Arab"),
        ("আমার বিড়াল তাকিয়ে আছে\nআমার মাছের দিকে", "Beng"),
        ("Когда просыпаешься утром\nа сегодня выходной", "Cyrl"),
    ],
)
def test_other_scripts_are_read_by_tesseract(engine: OcrEngine, text: str, script: str) -> None:
    result = engine.read(open_picture(drawn_meme(text, size=(700, 500))))
    assert (result.engine, result.script) == ("tesseract", script)
    assert character_error([(letters(result.text), letters(text))]) < 0.2


def test_without_tesseract_an_unread_script_is_empty_not_gibberish(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TESSDATA_PREFIX", "/nonexistent")
    result = OcrEngine().read(open_picture(drawn_meme("قال لي سأعود بعد خمس دقائق\nمرت ثلاث ساعات", size=(700, 500))))
    assert result.engine == "rapidocr"
    assert len(letters(result.text)) <= 4


def test_doctor_names_what_is_missing_and_the_command(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "hin.traineddata").touch()
    (tmp_path / "eng.traineddata").touch()
    monkeypatch.setenv("TESSDATA_PREFIX", str(tmp_path))
    monkeypatch.setattr(sys, "platform", "linux")
    state = ocr_engines()["tesseract"]
    assert state["languages"] == ["eng", "hin"]
    assert state["missing"] == ["ara", "ben", "rus"]
    assert state["get languages"] == "sudo apt-get install tesseract-ocr-ara tesseract-ocr-ben tesseract-ocr-rus"
    monkeypatch.setattr(sys, "platform", "darwin")
    assert tesseract.install_command(["ara"]) == "brew install tesseract-lang"
    assert "Latn" in ocr_engines()["rapidocr"]["reads"]


def test_a_missing_model_is_an_error_that_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(MemescopeError, match=r"no_such\.onnx not found.*pip install"):
        runtime.model_path("no_such.onnx")
    monkeypatch.setattr(runtime.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MemescopeError, match=r"rapidocr.*not installed: pip install rapidocr"):
        runtime.model_path(runtime.DETECTOR)


def test_a_broken_model_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "broken.onnx").write_bytes(b"not a model")
    with pytest.raises(MemescopeError, match=r"broken\.onnx"):
        runtime.open_session(tmp_path / "broken.onnx", 1)


def test_the_engine_opens_without_the_library_and_its_downloads() -> None:
    code = (
        "import sys, time; t = time.process_time(); import numpy as np; from memescope.perception.ocr import load_ocr; "
        "from memescope.perception.pictures import Picture; "
        "load_ocr().read(Picture(np.zeros((400, 400, 3), np.uint8), '', 400, 400, 'PNG')); "
        "print(time.process_time() - t); "
        "assert not {'rapidocr', 'requests', 'torch', 'tesserocr', 'sklearn'} & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert float(done.stdout) < 1.5


# The measure


def test_edit_distance_and_error_by_hand() -> None:
    assert edit_distance("kitten", "sitting") == 3
    assert edit_distance("", "abc") == 3
    assert letters("Don't, STOP: 42 है!") == "dontstop42है"
    assert character_error([("abc", "abd"), ("", "x")]) == pytest.approx(2 / 4)
    assert character_error([("", "")]) == 0


def test_truth_files_are_found_and_their_absence_told(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"expected truth\.jsonl"):
        read_truth(tmp_path)
    (tmp_path / "ocr").mkdir()
    row = {"id": "a", "image": "a.jpg", "text": "<emp>\nsalt", "lang": "en"}
    (tmp_path / "ocr" / "truth.jsonl").write_text(json.dumps(row) + "\n")
    [truth] = read_truth(tmp_path)
    assert (truth.path, truth.text, truth.lang) == (str(tmp_path / "ocr" / "a.jpg"), "salt", "en")


@pytest.mark.real
@pytest.mark.slow
@pytest.mark.parametrize(
    ("lang", "most"),
    [("en", 0.02), ("de", 0.015), ("es", 0.042), ("zh", 0.025), pytest.param("hi", 0.2, marks=needs_tesseract)],
)
def test_real_memes_are_read(real_data: Path, engine: OcrEngine, lang: str, most: float) -> None:
    memes = [truth for truth in read_truth(real_data) if truth.lang == lang][::2]
    start = time.process_time()
    read = [engine.read(open_picture(truth.path)).text for truth in memes]
    assert time.process_time() - start < 0.4 * len(memes)
    pairs = [(letters(text), letters(truth.text)) for text, truth in zip(read, memes, strict=True)]
    assert character_error(pairs) <= most


def test_a_picture_is_read_once_whoever_asks(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from memescope.curation.identity import Identity
    from memescope.datasets.transforms import picture_digest
    from memescope.evaluation.evaluate import read_texts
    from memescope.meme import Meme
    from memescope.training.cache import with_ocr_text

    class Engine:
        version = "scripted"
        reads = 0

        def read(self, picture: Picture) -> OcrResult:
            self.reads += 1
            return OcrResult("half \ud83d of a sign")

    engine = Engine()
    monkeypatch.setattr("memescope.perception.ocr.load_ocr", lambda: engine)
    (tmp_path / "a.jpg").write_bytes(drawn_meme())
    meme = Meme(tmp_path / "a.jpg", "its own text")
    [learnt] = with_ocr_text([meme], lambda *_: None)
    [given] = with_ocr_text([Meme(drawn_meme(), "its own text")], lambda *_: None)  # the same picture as bytes
    assert given.text == learnt.text
    [(measured, _)] = read_texts([(meme, Identity((), picture_digest(meme)))], lambda *_: None)
    assert learnt.text == measured.text == "half \ud83d of a sign"
    assert list(kept_texts([(meme.image, picture_digest(meme))])) == [measured.text]
    assert engine.reads == 1
