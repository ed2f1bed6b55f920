"""Augmented pictures and noised text: published ranges, the same draws for a meme and epoch; papers' text cleaning."""

from __future__ import annotations

import colorsys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from memescope.errors import UsageError
from memescope.perception.augment import MILD, MMORIENT, RANGES, Ranges, _coloured, augment, noised
from memescope.perception.paper_cleaning import PAPER_CLEANING, mamba, mmorient, mmorient_rewrites, mrharm
from memescope.perception.pictures import Picture

NOTHING = Ranges(flip=0, brightness=0, contrast=(1, 1), hue=0, saturation=(1, 1))


def random_picture(seed: int = 0) -> Picture:
    pixels = np.random.default_rng(seed).integers(0, 256, (20, 30, 3)).astype(np.uint8)
    return Picture(pixels, f"random {seed}", 30, 20, "PNG")


def test_the_published_ranges() -> None:
    assert RANGES["mmorient"] is MMORIENT
    assert (MMORIENT.flip, MMORIENT.brightness, MMORIENT.hue) == (0.5, 0.5, 0.2)
    assert (MMORIENT.contrast, MMORIENT.saturation) == ((0.2, 1.8), (5, 10))


def test_the_same_meme_and_epoch_give_the_same_pixels() -> None:
    picture = random_picture()
    one, again = augment(picture, "m1", 3), augment(picture, "m1", 3)
    assert np.array_equal(one.pixels, again.pixels)
    assert one.key == again.key
    others = [augment(picture, "m1", 4), augment(picture, "m2", 3), augment(picture, "m1", 3, MILD)]
    assert len({one.key, picture.key, *(other.key for other in others)}) == 5
    assert all(not np.array_equal(one.pixels, other.pixels) for other in others)


def test_ranges_of_no_change_change_nothing_but_hsv_rounding() -> None:
    picture = random_picture()
    changed = augment(picture, "m", 0, NOTHING)
    assert np.abs(changed.pixels.astype(int) - picture.pixels).max() <= 1


def test_letters_are_not_mirrored_unless_asked_and_the_rest_is_drawn_alike() -> None:
    picture = random_picture()
    always = Ranges(flip=1, brightness=0, contrast=(1, 1), hue=0, saturation=(1, 1))
    kept = augment(picture, "m", 0, always)
    mirrored = augment(picture, "m", 0, always, mirror_letters=True)
    assert np.array_equal(mirrored.pixels, kept.pixels[:, ::-1])
    assert "mirrored" in mirrored.notes[-1]
    assert "mirrored" not in kept.notes[-1]
    half = [augment(picture, f"m{i}", 0, MILD, mirror_letters=True).notes[-1] for i in range(200)]
    assert 70 <= sum("mirrored" in note for note in half) <= 130


def test_brightness_and_contrast_by_hand() -> None:
    # two grey columns, 0.2 and 0.6: mean 0.4
    pixels = np.zeros((4, 4, 3), np.uint8)
    pixels[:, :2], pixels[:, 2:] = 51, 153
    picture = Picture(pixels, "k", 4, 4, "PNG")
    doubled = augment(picture, "m", 0, Ranges(0, 0, (2, 2), 0, (1, 1))).pixels
    assert doubled[0, 0].tolist() == [0, 0, 0]  # 0.4 + 2 * (0.2 - 0.4) = 0
    assert doubled[0, 3].tolist() == [204, 204, 204]  # 0.4 + 2 * (0.6 - 0.4) = 0.8
    added = [
        int(augment(picture, f"m{i}", 0, Ranges(0, 0.5, (1, 1), 0, (1, 1))).pixels[0, 3, 0]) - 153 for i in range(300)
    ]
    assert min(added) >= -128
    assert max(added) <= 102  # 153 + 127 is cut at 255
    assert min(added) < -100
    assert sum(change == 102 for change in added) > 15


@given(
    st.tuples(*[st.integers(0, 255)] * 3), st.floats(-0.2, 0.2), st.floats(0, 10)
)  # against colorsys, one pixel at a time
@settings(max_examples=60, deadline=None)
def test_hue_and_saturation_are_those_of_hsv(colour: tuple[int, int, int], turn: float, factor: float) -> None:
    red, green, blue = (value / 255 for value in colour)
    hue, saturation, value = colorsys.rgb_to_hsv(red, green, blue)
    expected = colorsys.hsv_to_rgb((hue + turn) % 1, min(1, saturation * factor), value)
    found = _coloured(np.array([[[red, green, blue]]], np.float32), turn, factor)[0, 0]
    assert found == pytest.approx(expected, abs=2e-3)


def test_ranges_that_make_no_sense_are_refused() -> None:
    for wrong in ({"flip": 2}, {"brightness": -0.1}, {"hue": 0.7}):
        with pytest.raises(UsageError, match="flip and brightness"):
            Ranges(**wrong)
    with pytest.raises(UsageError, match="contrast as two factors"):
        Ranges(contrast=(2, 1))


# Noised text


@given(st.lists(st.sampled_from("abcdefg"), max_size=12), st.integers(0, 5))
def test_noise_keeps_the_words_that_stay(words: list[str], epoch: int) -> None:
    text = " ".join(words)
    out = noised(text, "m", epoch, drop=0.3, swap=0.3).split()
    left = list(words)
    for word in out:
        left.remove(word)
    assert bool(out) == bool(words)
    assert noised(text, "m", epoch, drop=0.3, swap=0.3).split() == out


def test_noise_without_chances_or_with_certain_ones() -> None:
    assert noised("one two\nthree four five", "m", 0, drop=0, swap=0) == "one two three four five"
    assert noised("one two three four five", "m", 0, drop=0, swap=1) == "two one four three five"
    assert len({noised("one two three four five six", "m", epoch) for epoch in range(20)}) > 3
    with pytest.raises(UsageError, match="below 1"):
        noised("a", "m", 0, drop=1)


def test_a_tenth_of_the_words_goes() -> None:
    text = " ".join(f"w{i}" for i in range(5000))
    assert 4400 <= len(noised(text, "m", 0).split()) <= 4600


# Text as the papers clean it


@pytest.mark.parametrize(
    ("text", "cleaned"),
    [
        ("Don't PANIC!", "dont panic"),
        ("covid-19 in 2020:\n\n 100% fake", "covid in fake"),
        ("  a  b\tc ", "a b c"),
        ("e.g. under_score & co", "eg underscore co"),
        ("café über", "café über"),  # the authors' ASCII filter would give "caf ber"
        ("जब नहीं १२३!", "जब नहीं"),
        ("123 !!", ""),
    ],
)
def test_mmorient_keeps_letters_alone(text: str, cleaned: str) -> None:
    assert mmorient(text) == cleaned
    assert mmorient(cleaned) == cleaned


def test_mmorient_rewrites_are_filtered_before_they_are_cleaned() -> None:
    rewrites = [
        "- When Monday comes, again.",
        "• when monday comes again",
        "visit www.example.org now",
        "from example.com with love",
        "A website says so",
        "Sentence 3: nothing",
        "thanks @somebody for this",
        "mail me a@b",
        "42!",
    ]
    assert mmorient_rewrites(rewrites) == ["when monday comes again", "mail me ab"]


def test_mrharm_and_mamba() -> None:
    assert mrharm("Hello, WORLD 2!\nÜber") == "hello, world 2!\nüber"
    assert mamba("Hello, WORLD") == "Hello, WORLD"
    assert set(PAPER_CLEANING) == {"mmorient", "mrharm", "mamba"}
