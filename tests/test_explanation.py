"""Words, regions and the sentence, with weights worked out by hand; the drawing; the verb."""

from __future__ import annotations

import json
import math
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from memescope.cli import run
from memescope.errors import UsageError
from memescope.explanation import (
    Effects,
    explain_regions,
    explain_words,
    log_odds,
    pooled_without,
    says,
    single_places,
    split_words,
    strongest,
    without,
)
from memescope.explanation.occlusion import check_tasks, explain_scene
from memescope.explanation.regions import heat, rectangles
from memescope.explanation.says import place
from memescope.explanation.words import MAX_UNITS, Word, pieces
from memescope.meme import Answer, Evidence, Meme, Reading, Region, Span


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Don't panic, it's a well-known co-op!", ["Don't", "panic", "it's", "a", "well-known", "co-op"]),
        ("at 12:47 for 1,000.50", ["at", "12:47", "for", "1,000.50"]),
        ("at https://imgflip.com/i/x?a=1", ["at", "https://imgflip.com/i/x?a=1"]),
        ("by @some.one #VirusFree", ["by", "@some.one", "#VirusFree"]),
        ("made on imgflip.com today", ["made", "on", "imgflip.com", "today"]),
        ("हिन्दी में लिखा", ["हिन्दी", "में", "लिखा"]),
        ("武汉病毒很，hello世界", ["武汉", "病毒", "很", "hello", "世界"]),
        ("مرحبا بالعالم", ["مرحبا", "بالعالم"]),
        ("cafe\u0301 นี่", ["cafe\u0301", "นี่"]),
        ("ok \U0001f44d\U0001f3fd.", ["ok", "\U0001f44d\U0001f3fd"]),  # thumb and its skin colour
        ("\U0001f468\u200d\U0001f467\U0001f44d", ["\U0001f468\u200d\U0001f467", "\U0001f44d"]),  # a family, a thumb
        (" \n ...!? ", []),
    ],
)  # fmt: skip
def test_words_of_many_scripts(text: str, words: list[str]) -> None:
    assert [word.text for word in split_words(text)] == words


@given(st.text(max_size=80))
def test_words_are_ordered_pieces_of_the_text(text: str) -> None:
    end = 0
    for word in split_words(text):
        assert word.start >= end
        assert word.end > word.start
        assert word.text == text[word.start : word.end]
        end = word.end
    left = without(text, split_words(text))
    assert not any(c.isalnum() for c in left)


def test_a_long_text_is_taken_out_in_runs() -> None:
    text = " ".join(f"w{i}" for i in range(100))
    parts = pieces(text)
    assert len(parts) == MAX_UNITS
    assert " ".join(part.text for part in parts) == text
    sizes = [len(part.text.split()) for part in parts]
    assert max(sizes) - min(sizes) <= 1
    assert pieces(text, limit=100) == split_words(text)


def test_a_hole_leaves_one_space() -> None:
    words = split_words("one two\nthree 四五")
    assert without("one two\nthree 四五", words[1:2]) == "one three 四五"
    assert without("one two\nthree 四五", words[:1]) == "two\nthree 四五"
    assert without("one two", [Word("two", 4, 7), Word("one", 0, 3)]) == ""


def test_log_odds_by_hand() -> None:
    np.testing.assert_allclose(log_odds([0.5, 0.8]), [0, math.log(4)])
    assert log_odds(0.0) == pytest.approx(math.log(1e-6 / (1 - 1e-6)))
    assert log_odds(1.0) == pytest.approx(-log_odds(0.0))


def test_a_words_weight_is_what_the_answer_loses_without_it() -> None:
    worth = {"vile": 2.0, "rats": 1.0, "nice": -1.5}
    seen: list[str] = []

    def score(texts: Sequence[str]) -> np.ndarray:
        seen.extend(texts)
        return np.array([sum(worth.get(word, 0.0) for word in text.split()) for text in texts])

    spans = explain_words("vile nice old rats", score)
    assert [(s.text, s.start, s.end, s.weight) for s in spans] == [
        ("vile", 0, 4, 2.0),
        ("nice", 5, 9, -1.5),
        ("old", 10, 13, 0.0),
        ("rats", 14, 18, 1.0),
    ]
    assert seen == ["vile nice old rats", "nice old rats", "vile old rats", "vile nice rats", "vile nice old"]
    assert [s.text for s in strongest(spans)] == ["vile", "rats"]
    assert [s.text for s in strongest(spans, share=0.6)] == ["vile"]
    assert strongest([Span("x", 0, 1, 0.01)]) == []
    assert explain_words("...", score) == []


def test_pooled_without_a_place_is_the_mean_of_the_others() -> None:
    grid = np.arange(2 * 2 * 3, dtype=np.float32).reshape(2, 2, 3)
    got = pooled_without(grid, single_places(2))
    np.testing.assert_allclose(got[0], [6, 7, 8])  # of 3 4 5, 6 7 8, 9 10 11
    np.testing.assert_allclose(got[1], [5, 6, 7])  # of 0 1 2, 6 7 8, 9 10 11
    everything = np.ones((1, 2, 2), bool)
    np.testing.assert_allclose(pooled_without(grid, everything)[0], grid.mean(axis=(0, 1)))


def test_regions_of_a_linear_score() -> None:
    """Score = 48 x the mean of one channel over 4 x 4 places; the channel is 1 in a 1 x 2 block, 0 elsewhere."""
    grid = np.zeros((4, 4, 2), np.float32)
    grid[1, 2:4, 0] = 1
    weights, regions = explain_regions(grid, lambda pooled: 48 * pooled[:, 0])
    # whole: 48 * 2/16 = 6. Without one of the two: 48 * 1/15 = 3.2. Without another place: 48 * 2/15 = 6.4
    expected = np.full((4, 4), 6 - 6.4)
    expected[1, 2:4] = 6 - 3.2
    np.testing.assert_allclose(weights, expected, atol=1e-5)
    assert len(regions) == 1
    found = regions[0]
    assert (found.x, found.y, found.width, found.height) == (0.5, 0.25, 0.5, 0.25)
    assert found.weight == pytest.approx(6.0)  # both gone: nothing of the channel is left


def test_no_region_where_nothing_speaks_for_the_answer() -> None:
    grid = np.random.default_rng(0).random((3, 3, 2)).astype(np.float32)
    weights, regions = explain_regions(grid, lambda pooled: np.zeros(len(pooled)))
    assert not weights.any()
    assert regions == []


def test_rectangles_join_neighbours_and_keep_the_greatest() -> None:
    weights = np.zeros((6, 6))
    weights[0, 0] = weights[0, 1] = weights[1, 1] = 1.0  # an L: one box of 2 x 2
    weights[5, 5] = 0.9
    weights[3, 3] = 0.4  # under half of the greatest
    assert rectangles(weights) == [(0, 0, 2, 2), (5, 5, 6, 6)]
    assert rectangles(weights, count=1) == [(0, 0, 2, 2)]
    assert rectangles(np.ones((4, 4))) == []  # everywhere points nowhere
    assert rectangles(-np.ones((4, 4))) == []


def test_heat_lies_where_the_regions_are() -> None:
    warm = heat(
        [Region(0, 0, 0.25, 0.5, 2.0), Region(0.75, 0.5, 0.25, 0.5, 1.0), Region(0.5, 0, 0.2, 0.2, -3.0)], 100, 200
    )
    assert warm.shape == (100, 200)
    assert warm[25, 20] > 0.95
    assert 0.4 < warm[75, 180] < 0.6
    assert warm[10, 120] == warm[60, 100] == 0
    assert not heat([], 5, 5).any()


def words(*texts: str) -> list[Span]:
    return [Span(text, 0, len(text), 1.0) for text in texts]


def test_says_words_and_a_minor_picture() -> None:
    effects = Effects(0.83, words("mask", "sheep"), 0.41, without_text=0.3, without_picture=0.80)
    assert says("harmful", effects) == (
        "Rests on the words “mask” and “sheep” (without them P(harmful) falls from .83 to .41); "
        "the picture matters little (without it .80)."
    )


def test_says_regions_and_one_word() -> None:
    regions = [Region(0, 0, 2 / 7, 2 / 7, 1.0), Region(0, 1 / 7, 1 / 7, 1 / 7, 0.5)]
    effects = Effects(0.9, words("wall"), 0.7, regions, 0.6, 0.4, 0.2)
    assert says("hateful", effects) == (
        "Rests on the word “wall” (without it P(hateful) falls from .90 to .70) and on the upper left of the picture "
        "(without it P(hateful) falls from .90 to .60)."
    )


def test_says_the_whole_where_no_part_is_enough() -> None:
    effects = Effects(0.6, words("a"), 0.58, without_text=0.4, without_picture=0.72)
    assert says("funny", effects) == (
        "Rests on the text as a whole (without it P(funny) falls from .60 to .40); "
        "the picture speaks against it (without it P(funny) rises to .72)."
    )


def test_says_a_repeated_word_once() -> None:
    effects = Effects(0.9, words("Trump's", "wall", "TRUMP'S"), 0.5)
    assert says("harmful", effects).startswith("Rests on the words “Trump's” and “wall” (without them P(harmful)")
    assert says("harmful", Effects(0.9, words("no", "No"), 0.5)).startswith("Rests on the word “no” (without it ")


def test_says_nothing_that_was_not_measured() -> None:
    assert says("neutral", Effects(0.5)) == "No single part lowers P(neutral), .50, by .05 or more."
    assert "picture" not in says("neutral", Effects(0.5, without_text=0.5))


@pytest.mark.parametrize(
    ("region", "name"),
    [
        (Region(0, 0, 0.1, 0.1, 1), "upper left"),
        (Region(0.4, 0.9, 0.1, 0.1, 1), "lower part"),
        (Region(0.9, 0.45, 0.1, 0.1, 1), "right part"),
        (Region(0.25, 0.25, 0.5, 0.5, 1), "middle"),
    ],
)
def test_places_by_thirds(region: Region, name: str) -> None:
    assert place(region) == name


def sample() -> Evidence:
    spans = [Span("mask", 0, 4, 1.2), Span("हिन्दी", 5, 11, -0.4), Span("\u10d0\u10d1", 12, 14, 0.3)]
    return Evidence(spans, [Region(0.5, 0, 0.5, 0.5, 0.8)], "Rests on the word 'mask' \u10d0.")


def test_drawing_shows_heat_frame_and_bars() -> None:
    pytest.importorskip("uharfbuzz", reason="lettering needs uharfbuzz")
    from memescope.explanation.draw import AGAINST, FOR, MARGIN, ROW, SIDE, draw_evidence

    page = np.asarray(draw_evidence(np.full((200, 400, 3), 200, np.uint8), "harmful: harmful .83", sample())).astype(
        int
    )
    assert page.shape[1] == 980
    top = 2 * MARGIN + ROW
    meme = page[top : top + SIDE // 2, MARGIN : MARGIN + SIDE]
    orange = meme[..., 0] - meme[..., 2]
    assert orange[60:120, 300:480].mean() > 60 > 5 > orange[140:, :200].mean()
    panel = page[top:, 2 * MARGIN + SIDE :]
    assert (panel == FOR).all(axis=-1).any()
    assert (panel == AGAINST).all(axis=-1).any()


def test_drawing_without_picture_or_words() -> None:
    pytest.importorskip("uharfbuzz", reason="lettering needs uharfbuzz")
    from memescope.explanation.draw import draw_evidence, label, wrapped

    page = np.asarray(draw_evidence(None, "harmful: not-harmful .97", Evidence()))
    assert (page < 128).any()  # the title
    assert label(3, "\u10d0\u10d1") == "word 3"  # Georgian: no font in the package
    assert label(1, "a" * 30) == "a" * 21 + "\u2026"
    assert wrapped("ok \u10d0", 500) == ["ok ?"]


class FakeModel:
    name, version = "fake", "1"
    tasks: tuple[str, ...] = ("harmful", "techniques")
    asked: list[Meme]

    def answer(self, memes: Sequence[Meme]) -> list[Reading]:
        self.asked = list(memes)
        answers = {
            "harmful": Answer("harmful", {"harmful": 0.83, "not-harmful": 0.17}, abstain=True),
            "techniques": Answer(["smears"], {"smears": 0.7, "doubt": 0.1}),
        }
        if "aspect_sentiment" in self.tasks and memes[0].aspect:
            answers["aspect_sentiment"] = Answer("negative", {"negative": 0.6, "neutral": 0.3, "positive": 0.1})
        return [Reading(answers=answers) for _ in memes]

    def explain(self, meme: Meme, tasks: Sequence[str]) -> dict[str, Evidence]:
        return {task: sample() for task in tasks}


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> FakeModel:
    model = FakeModel()
    monkeypatch.setattr("memescope.models.load", lambda name: model)
    return model


@pytest.fixture
def meme(tmp_path: Path) -> Path:
    from PIL import Image

    path = tmp_path / "cat meme.png"
    Image.new("RGB", (64, 48), (90, 120, 30)).save(path)
    return path


class _Sum:
    """Log-odds of the first label: 2 for "vile", 1 for the left upper cell of 3 x 3, -1 without the picture."""

    text, cells = "vile old rats", 3

    def __init__(self) -> None:
        self.asked: Counter[str] = Counter()

    def _tables(self, odds: float) -> dict[str, np.ndarray]:
        p = 1 / (1 + np.exp(-odds))
        return {"hateful": np.array([p, 1 - p]), "other": np.array([0.5, 0.5])}

    def reading(self, texts: list[str]) -> list[dict[str, np.ndarray]]:
        self.asked.update(texts)
        return [self._tables(1 + 2 * ("vile" in text)) for text in texts]

    def hiding(self, masks: np.ndarray) -> list[dict[str, np.ndarray]]:
        self.asked.update(mask.tobytes().hex() for mask in masks)
        return [self._tables(2 + (not mask[0, 0])) for mask in masks]

    def blind(self) -> dict[str, np.ndarray]:
        return self._tables(-1)


def test_occlusion_measures_words_cells_and_each_version_once_for_all_tasks() -> None:
    scene = _Sum()
    found = explain_scene(scene, {"hateful": ["hateful", "fine"], "other": ["yes", "no"]})
    assert [(span.text, round(span.weight, 6)) for span in found["hateful"].spans] == [
        ("vile", 2),
        ("old", 0),
        ("rats", 0),
    ]
    [region] = found["hateful"].regions
    assert (region.x, region.y, region.width, region.height) == (0, 0, 1 / 3, 1 / 3)
    assert region.weight == pytest.approx(1)
    # 1 / (1 + e^-x): .95 at 3, .73 at 1, .88 at 2
    assert found["hateful"].says == (
        "Rests on the word “vile” (without it P(hateful) falls from .95 to .73) and on the upper left of the picture "
        "(without it P(hateful) falls from .95 to .88)."
    )
    assert found["other"].regions == []
    assert set(scene.asked.values()) == {1}
    with pytest.raises(UsageError, match="does not answer funny; it answers hateful"):
        check_tasks("a model", ["funny", "hateful"], ["hateful"])


def test_explain_leaves_json_and_a_drawing_for_each_task(
    fake: FakeModel, meme: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("uharfbuzz", reason="lettering needs uharfbuzz")
    out = tmp_path / "out"
    assert run(["explain", str(meme), "--text", "mask हिन्दी", "--out", str(out)]) == 0
    assert sorted(path.name for path in out.iterdir()) == ["explain.json", "harmful.png", "techniques.png"]
    printed = capsys.readouterr()
    assert printed.out.startswith("harmful: harmful .83 (not sure)\n    Rests on the word 'mask'")
    assert "techniques: smears .70\n" in printed.out
    record = json.loads((out / "explain.json").read_text("utf-8"))
    assert record["text"] == "mask हिन्दी" == fake.asked[0].text
    assert record["tasks"]["harmful"]["evidence"]["spans"][0] == {"text": "mask", "start": 0, "end": 4, "weight": 1.2}
    assert record["tasks"]["techniques"]["answer"]["label"] == ["smears"]


def test_explain_one_task_as_json(
    fake: FakeModel, meme: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("uharfbuzz", reason="lettering needs uharfbuzz")
    monkeypatch.chdir(tmp_path)
    assert run(["explain", str(meme), "--text", "mask", "--task", "harmful", "--json"]) == 0
    record = json.loads(capsys.readouterr().out)
    assert list(record["tasks"]) == ["harmful"]
    assert (tmp_path / record["folder"] / "harmful.png").is_file()
    assert record["folder"] == "cat meme-explained"


def test_explain_without_the_extra_for_drawing(
    fake: FakeModel, meme: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "uharfbuzz", None)
    assert run(["explain", str(meme), "--text", "mask", "--out", str(tmp_path / "out")]) == 0
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["explain.json"]
    printed = capsys.readouterr()
    assert "Rests on" in printed.out
    assert "nothing drawn: drawing memes needs the extra 'data'" in printed.err


def test_explain_with_the_starter_reads_the_picture(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("uharfbuzz", reason="lettering needs uharfbuzz")
    example = Path(__file__).parent.parent / "examples" / "memes" / "m00000-en.jpg"
    assert (
        run(["explain", str(example), "--task", "harmful", "--task", "target", "--out", str(tmp_path), "--json"]) == 0
    )
    record = json.loads(capsys.readouterr().out)
    assert "BETTER" in record["text"]
    for found in record["tasks"].values():
        assert found["answer"]["label"] in found["answer"]["probabilities"]
        assert found["evidence"]["says"]
        for span in found["evidence"]["spans"]:
            assert record["text"][span["start"] : span["end"]] == span["text"]
    assert {path.name for path in tmp_path.iterdir()} == {"explain.json", "harmful.png", "target.png"}


def test_explain_errors(fake: FakeModel, meme: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["explain", str(meme), "--text", "x", "--task", "weather"]) == 2
    assert "the model has no task 'weather'; it answers: harmful, techniques" in capsys.readouterr().err
    assert run(["explain", str(tmp_path / "none.png"), "--text", "x"]) == 1
    assert "none.png" in capsys.readouterr().err


def test_a_task_on_a_phrase_is_explained_where_one_is_named(
    fake: FakeModel, meme: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fake.tasks = (*FakeModel.tasks, "aspect_sentiment")
    asked = ["explain", str(meme), "--text", "mask", "--out", str(tmp_path / "out")]
    assert run([*asked, "--json"]) == 0
    assert list(json.loads(capsys.readouterr().out)["tasks"]) == ["harmful", "techniques"]
    assert run([*asked, "--aspect", "cats", "--task", "aspect_sentiment"]) == 0
    assert capsys.readouterr().out.startswith("aspect_sentiment: negative .60")
    assert run([*asked, "--task", "harmful", "--task", "aspect_sentiment"]) == 2
    assert "fake gives this meme no answer to aspect_sentiment: name its --aspect" in capsys.readouterr().err
    fake.tasks = ("aspect_sentiment",)
    fake.answer = lambda memes: [Reading() for _ in memes]  # type: ignore[method-assign]
    assert run(asked) == 2
    assert "no answer to aspect_sentiment" in capsys.readouterr().err


def test_a_check_counts_a_meme_for_the_tasks_it_is_answered(
    fake: FakeModel, meme: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fake.tasks = (*FakeModel.tasks, "aspect_sentiment")
    line = {"id": "1", "image": meme.name, "text": "mask on", "labels": {"harmful": "harmful"}}
    (tmp_path / "test.jsonl").write_text(json.dumps(line) + "\n")
    from PIL import Image

    from memescope.perception.pictures import open_picture

    Image.effect_noise((64, 48), 80).convert("RGB").save(meme)
    answer = fake.answer

    def looking(memes: Sequence[Meme]) -> list[Reading]:
        busy = [float(open_picture(one.image).pixels.std()) / 256 for one in memes]
        return [
            Reading(reading.answers | {"harmful": Answer("harmful", {"harmful": p, "not-harmful": 1 - p})})
            for reading, p in zip(answer(memes), busy, strict=True)
        ]

    fake.answer = looking  # type: ignore[method-assign]
    asked = ["explain", str(tmp_path), "--check", "1", "--json"]
    assert run(asked) == 0
    # techniques are answered whatever is there: there is nothing to point at
    assert list(json.loads(capsys.readouterr().out)["methods"]) == ["harmful, occlusion, 7 x 7 cells"]
    assert run([*asked, "--task", "harmful", "--task", "aspect_sentiment"]) == 2
    assert "aspect_sentiment: no meme of 1 is answered and has parts to take out" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--check", "2", "--text", "x", "--inside"], "--text and --inside would do nothing with --check"),
        (["--check", "2", "--method", "gradcam"], "--method would do nothing with --check"),
        (["--data", "drawn"], "--data would do nothing without --inside"),
        (["--allow-remote", "h"], "'starter' runs on this machine"),
    ],
)
def test_options_that_would_do_nothing_are_refused(
    fake: FakeModel, meme: Path, options: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["explain", str(meme), *options]) == 2
    assert said in capsys.readouterr().err
