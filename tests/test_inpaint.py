"""Masks of letters and inpainting, on pictures whose letters and whose clean version are known."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from drawn import drawn_meme

from memescope.curation.synth.layouts import design, draw
from memescope.errors import UsageError
from memescope.perception.inpaint import METHODS, _grown, find_lines, inpaint, text_mask
from memescope.perception.lines import Line
from memescope.perception.ocr import load_ocr
from memescope.perception.pictures import Picture, open_picture


def plain(pixels: np.ndarray) -> Picture:
    return Picture(pixels, "0" * 64, pixels.shape[1], pixels.shape[0], "PNG")


def line(left: float, top: float, right: float, bottom: float) -> Line:
    return Line("", ((left, top), (right, top), (right, bottom), (left, bottom)), 1.0)


def bars(ground: int, letter: int) -> tuple[Picture, np.ndarray]:
    """Three upright strokes, 4 by 30 pixels, in a box from (20, 20) to (80, 60); and where they are."""
    pixels = np.full((80, 100, 3), ground, np.uint8)
    where = np.zeros((80, 100), bool)
    for left in (30, 48, 66):
        where[25:55, left : left + 4] = True
    pixels[where] = letter
    return plain(pixels), where


BOX = line(20, 20, 80, 60)


# Masks


@pytest.mark.parametrize(("ground", "letter"), [(200, 20), (20, 200), (128, 255)])
def test_strokes_are_masked_and_the_ground_between_them_is_not(ground: int, letter: int) -> None:
    picture, where = bars(ground, letter)
    exact = text_mask(picture, [BOX], dilation=0)
    assert exact.dtype == np.uint8
    assert np.array_equal(exact, np.where(where, 255, 0))
    # 0.1 letter heights of a box 40 high: an ellipse of 4 pixels around every stroke
    grown = text_mask(picture, [BOX], dilation=0.1)
    rows, columns = np.flatnonzero(grown.any(axis=1)), np.flatnonzero(grown[40])
    assert (rows[0], rows[-1]) == (21, 58)
    expected = [x for left in (30, 48, 66) for x in range(left - 4, left + 8)]
    assert columns.tolist() == expected


def test_an_outline_is_masked_with_its_letter() -> None:
    pixels = np.full((80, 100, 3), 128, np.uint8)
    pixels[24:56, 45:53] = 0
    pixels[26:54, 47:51] = 255
    mask = text_mask(plain(pixels), [BOX], dilation=0)
    assert np.array_equal(mask > 0, (pixels != 128).any(axis=2))


def test_letters_too_small_for_their_share_of_dilation_get_two_pixels() -> None:
    pixels = np.full((40, 60, 3), 255, np.uint8)
    pixels[16:24, 30:32] = 0
    mask = text_mask(plain(pixels), [line(20, 14, 40, 26)], dilation=0.01)
    assert np.flatnonzero(mask[20]).tolist() == [28, 29, 30, 31, 32, 33]


def test_a_box_with_nothing_that_stands_out_is_masked_whole() -> None:
    picture = plain(np.full((80, 100, 3), 90, np.uint8))
    mask = text_mask(picture, [BOX], dilation=0)
    # a box grown by the reach of letters, 0.12 of its 40 pixels: 4.8
    assert np.flatnonzero(mask[40]).tolist() == list(range(15, 86))
    assert np.flatnonzero(mask[:, 50]).tolist() == list(range(15, 66))


def test_whole_boxes_on_request_also_turned_and_over_the_edge() -> None:
    picture = plain(np.zeros((60, 60, 3), np.uint8))
    mask = text_mask(picture, [line(10, 10, 30, 20)], dilation=0, strokes=False)
    assert np.argwhere(mask > 0).min(axis=0).tolist() == [10, 10]
    assert np.argwhere(mask > 0).max(axis=0).tolist() == [20, 30]
    turned = Line("", ((30, 10), (50, 30), (40, 40), (20, 20)), 1.0)
    mask = text_mask(picture, [turned], dilation=0, strokes=False) > 0
    assert mask[25, 35]
    assert not mask[10, 20]
    assert not mask[40, 50]
    over = text_mask(picture, [line(-30, 50, 200, 90)], dilation=0.5, strokes=False)
    assert over[59].all()
    assert not over[20].any()
    assert not text_mask(picture, [line(80, 80, 120, 90), line(5, 5, 5, 5)], strokes=False).any()


def test_a_box_grows_by_the_same_on_every_side() -> None:
    corners = np.array([[10, 10], [30, 10], [30, 20], [10, 20]], np.float32)
    assert _grown(corners, 2).tolist() == [[8, 8], [32, 8], [32, 22], [8, 22]]


# Inpainting


@pytest.mark.parametrize("method", METHODS)
def test_a_plain_ground_comes_back(method: str) -> None:
    picture, where = bars(200, 20)
    painted = inpaint(picture, [BOX], method)  # type: ignore[arg-type]
    assert np.abs(painted.pixels.astype(int) - 200).max() <= 3
    assert picture.pixels[where].max() == 20, "the given picture was changed"
    assert "text inpainted (" in painted.notes[-1]


def test_keys_name_picture_boxes_and_settings() -> None:
    picture, _ = bars(200, 20)
    keys = [
        inpaint(picture, [BOX]).key,
        inpaint(picture, [BOX], "ns").key,
        inpaint(picture, [BOX], radius=2).key,
        inpaint(picture, [BOX], dilation=0.2).key,
        inpaint(picture, [line(20, 20, 80, 61)]).key,
        picture.key,
    ]
    assert len(set(keys)) == 6
    assert inpaint(picture, [BOX]).key == keys[0]


def test_nothing_to_paint_over_gives_the_picture_itself() -> None:
    picture, _ = bars(200, 20)
    assert inpaint(picture, []) is picture
    assert inpaint(picture, [line(500, 500, 600, 540)]) is picture
    assert inpaint(picture, [line(-10, -10, 200, 200)], strokes=False) is picture  # nothing left to paint from


def test_bad_settings_are_named() -> None:
    picture, _ = bars(200, 20)
    with pytest.raises(UsageError, match="telea, ns, found 'patch'"):
        inpaint(picture, [BOX], "patch")  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="above 0, found 0"):
        inpaint(picture, [BOX], radius=0)
    with pytest.raises(UsageError, match="dilation"):
        inpaint(picture, [BOX], dilation=-0.1)


def test_a_drawn_meme_loses_its_letters_and_keeps_its_picture() -> None:
    plan = design("clean", (480, 400), layout="impact")
    lettered, clean = (np.asarray(draw(plan, *words)[0]) for words in (("some big words", "and some more"), ("", "")))
    picture = plain(lettered)
    lines = find_lines(picture)
    letters = np.abs(lettered.astype(int) - clean).max(axis=2) > 40
    mask = text_mask(picture, lines) > 0
    assert (mask & letters).sum() >= 0.99 * letters.sum()
    boxes = text_mask(picture, lines, strokes=False) > 0
    assert mask.sum() < 0.9 * boxes.sum(), "strokes are no finer than boxes"
    painted = inpaint(picture, lines)
    assert load_ocr().read(picture).text != ""
    assert load_ocr().read(painted).text == ""
    error = lambda pixels: np.square(pixels.astype(float) - clean)[letters].mean()  # noqa: E731
    assert error(painted.pixels) < 0.1 * error(lettered)
    assert np.array_equal(painted.pixels[~mask], lettered[~mask])


@pytest.mark.real
def test_real_memes_lose_what_ocr_could_read(real_data: Path) -> None:
    files = sorted((real_data / "ready" / "harmc" / "images").iterdir())[:5]
    before = after = 0
    for file in files:
        picture = open_picture(file)
        before += len(load_ocr().read(picture).text)
        after += len(load_ocr().read(inpaint(picture, find_lines(picture))).text)
    assert before > 100
    assert after < 0.02 * before


def test_lines_are_found_where_the_text_is() -> None:
    picture = open_picture(drawn_meme("top words\nbottom words", size=(400, 400)))
    middles = sorted(np.mean([y for _, y in found.box]) for found in find_lines(picture))
    assert middles[0] < 120
    assert middles[-1] > 280
