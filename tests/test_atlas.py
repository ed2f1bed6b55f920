"""Grouping, conflicts, rates, co-occurrence and the command, on small sets whose answer is known; and real counts."""

from __future__ import annotations

import json
import math
import sys
from pathlib import Path

import numpy as np
import pytest
from drawn import drawn_meme
from PIL import Image

from memescope.cli import run
from memescope.curation.answers import label_distance, labelled
from memescope.curation.atlas import make_atlas, page
from memescope.curation.collection import collect
from memescope.curation.conflicts import find_conflicts, pair_rates, wilson
from memescope.curation.cooccurrence import cramers_v, interval, together
from memescope.curation.grouping import Grouping, group
from memescope.curation.markdown import cell, plain, table
from memescope.errors import MissingExtra, UsageError
from memescope.meme import Meme

LONG = "nobody told the potato that it could fly to the moon"


def meme(id: str, label: str = "hateful", source: str = "own", text: str = LONG, **more: object) -> Meme:
    labels = more.pop("labels", {"hateful": label})
    return Meme(text=text, id=id, lang="en", labels=labels, source=source, split="train", **more)  # type: ignore[arg-type]


def pairs(memes: list[Meme]) -> dict[tuple[int, int], str]:
    grouping = group(memes)
    return {(a, b): grouping.evidence(a, b) for rows in grouping.groups for a in rows for b in rows if a < b}


# --- which rows are one meme


def test_the_fhm_family_shares_pictures_by_name_and_never_by_text() -> None:
    memes = [
        meme("08291", source="fhm", image=Path("/a/img/08291.png")),
        meme("8291", source="fhm_fine_grained", image=Path("/b/img/08291.png"), text="the same in German"),
        meme("55555", source="fhm", image=Path("/a/img/55555.png")),  # a benign confounder: the text of the first
    ]
    assert pairs(memes) == {(0, 1): "name"}


def test_text_links_where_a_picture_is_missing_and_only_telling_text() -> None:
    assert pairs([meme("1"), meme("2", source="other", text=LONG.upper() + "!!")]) == {(0, 1): "text"}
    assert pairs([meme("1", text="when you see it"), meme("2", text="when you see it")]) == {}
    assert pairs([meme("1", text=""), meme("2", text="")]) == {}
    # A post's text stands beside its picture: the same words as a meme's say nothing.
    assert pairs([meme("1"), meme("2", source="mmsd")]) == {}
    assert pairs([meme(str(n)) for n in range(13)]) == {}  # a phrase on many memes
    assert len(group([meme(str(n)) for n in range(12)]).groups) == 1
    assert group([meme(str(n)) for n in range(13)]).common == 1


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("pictures")
    made = {"one": drawn_meme(LONG, 1), "two": drawn_meme("another day another potato in the sky", 2)}
    paths = {}
    for name, data in made.items():
        paths[name] = folder / f"{name}.jpg"
        paths[name].write_bytes(data)
    again = Image.open(paths["one"])
    again.save(folder / "pixels.png")  # other bytes, the same pixels
    again.resize((480, 360), Image.Resampling.LANCZOS).save(folder / "near.jpg", quality=80)
    paths |= {name: folder / f"{name}" for name in ("pixels.png", "near.jpg")}
    return paths


def test_pictures_link_unless_the_texts_speak_against_it(pictures: dict[str, Path]) -> None:
    one, other = meme("1", image=pictures["one"]), meme("2", image=pictures["pixels.png"], text="")
    near = meme("3", image=pictures["near.jpg"])
    assert pairs([one, other]) == {(0, 1): "picture"}
    assert pairs([one, near]) == {(0, 1): "near"}
    different = "this caption says something else about quantum mechanics"
    assert pairs([one, meme("2", image=pictures["pixels.png"], text=different)]) == {}
    assert pairs([one, meme("3", image=pictures["near.jpg"], text=different)]) == {}
    # The same words on another picture are another meme, and so they are where a copy's picture is known by name.
    assert pairs([one, meme("4", image=pictures["two"])]) == {}
    assert pairs([one, meme("1"), meme("4", image=pictures["two"]), meme("4")]) == {(0, 1): "name", (2, 3): "name"}


def test_embedded_pictures_count_like_files(pictures: dict[str, Path]) -> None:
    assert pairs([meme("1", image=pictures["one"].read_bytes()), meme("2", image=pictures["one"])]) == {
        (0, 1): "picture"
    }


def test_aspects_of_a_tweet_are_questions_of_their_own() -> None:
    def row(id: str, aspect: str, masked: str, label: str) -> Meme:
        return meme(
            id, source="twitter2015", image=Path("/t/1.jpg"), text="Kanye likes Kanye", aspect=aspect,
            labels={"aspect_sentiment": label}, meta={"text_masked": masked},
        )  # fmt: skip

    memes = [
        row("1", "Kanye", "$T$ likes Kanye", "positive"),
        row("2", "Kanye", "Kanye likes $T$", "negative"),
        row("3", "kanye", "$T$ likes Kanye", "neutral"),
    ]
    assert len(labelled(memes, [0, 1, 2])) == 2
    (conflict,) = find_conflicts(memes, ["twitter2015"] * 3, group(memes))
    assert (conflict.rows, conflict.aspect, conflict.distance) == ((0, 2), "kanye", 0.5)


# --- conflicts and rates


def test_distances() -> None:
    assert label_distance("hateful", "hateful", "not-hateful") == 1
    assert label_distance("harm_intensity", "partially-harmful", "very-harmful") == 0.5
    assert label_distance("offensive_level", "not-offensive", "moderately-offensive") == 0.5
    assert label_distance("sentiment", "neutral", "positive") == 0.5
    assert label_distance("sentiment", "negative", "positive") == 1
    assert label_distance("propaganda_techniques", ("doubt", "smears"), ("smears", "transfer")) == pytest.approx(2 / 3)
    assert label_distance("propaganda_techniques", (), ("smears",)) == 1


def test_suggestions_and_order() -> None:
    def harm(id: str, intensity: str, split: str = "train") -> Meme:
        coarse = "not-harmful" if intensity == "not-harmful" else "harmful"
        its = meme(id, source="semeval21t6", labels={"harm_intensity": intensity, "harmful": coarse})
        its.split = split
        return its

    memes = [
        *(harm("a", "very-harmful"), harm("a", "partially-harmful")),
        *(harm("b", "not-harmful"), harm("b", "not-harmful"), harm("b", "very-harmful")),
        *(harm("c", "not-harmful"), harm("c", "partially-harmful", "test")),
    ]
    for its in memes:
        its.text = its.id  # too short to link by text
    memes[3].text = "b again"  # else one row that stands in two places
    conflicts = find_conflicts(memes, ["x"] * 7, group(memes))
    found = {(c.task, c.rows): c for c in conflicts}
    assert found["harm_intensity", (0, 1)].suggestion == "only the degree differs: use harmful (harmful)"
    assert found["harm_intensity", (0, 1)].distance == 0.5
    assert found["harmful", (2, 3, 4)].suggestion == "most say not-harmful (2 of 3)"
    assert found["harmful", (5, 6)].suggestion == "train contradicts test: relabel both, or leave both out"
    assert ("harmful", (0, 1)) not in found
    assert (conflicts[0].rows, conflicts[0].distance) == ((2, 3, 4), 1)


def test_a_later_annotation_is_preferred() -> None:
    image = Path("/a/img/00001.png")
    memes = [
        meme("00001", "hateful", "fhm", image=image),
        meme("00001", "not-hateful", "fhm_fine_grained", image=image),
    ]
    (conflict,) = find_conflicts(memes, ["fhm", "fhm_fine_grained"], group(memes))
    assert conflict.evidence == "name"
    assert conflict.suggestion == "fhm_fine_grained was labelled after fhm and with more to go on: prefer not-hateful"
    weak = find_conflicts([meme("1", "hateful"), meme("2", "not-hateful")], ["a", "b"], group([meme("1"), meme("2")]))
    assert "look at the pictures" in weak[0].suggestion


def test_rates_count_memes_not_rows() -> None:
    image = {n: Path(f"/a/img/{n:05}.png") for n in range(1, 5)}
    memes = [meme(f"{n:05}", "hateful", "fhm", image=image[n]) for n in range(1, 5)]
    memes += [meme(f"{n:05}", "hateful", "fhm", image=image[n]) for n in (1, 2)]  # again, in another split
    memes += [meme(f"{n:05}", "hateful" if n > 1 else "not-hateful", "hatred", image=image[n]) for n in range(1, 4)]
    names = ["fhm"] * 6 + ["hatred"] * 3
    found = {(p.first, p.second): p for p in pair_rates(memes, names, group(memes))}
    across, within = found["fhm", "hatred"], found["fhm", "fhm"]
    assert (across.shared, across.conflicts, across.evidence, across.labels) == (
        3,
        1,
        "name",
        {"hateful | not-hateful": 1},
    )
    assert (within.shared, within.conflicts) == (2, 0)
    assert ("hatred", "hatred") not in found


def test_wilson_by_hand() -> None:
    # 8 of 10: z = 1.96 gives (.8 + .1921 -+ 1.96 sqrt(.016 + .0096)) / 1.3842
    assert wilson(8, 10) == (pytest.approx(0.4902, abs=1e-4), pytest.approx(0.9433, abs=1e-4))
    assert wilson(0, 5)[0] == 0
    assert wilson(5, 5)[1] == 1
    assert wilson(0, 0) == (0, 1)


def test_languages_of_a_parallel_set_are_sides_of_their_own() -> None:
    memes = [meme("en_1", "hateful", "multi3hate"), meme("de_1", "not-hateful", "multi3hate", text="etwas anderes")]
    memes[1].lang = "de"
    for its in memes:
        its.meta["meme_id"] = 1
    (rate,) = pair_rates(memes, ["multi3hate"] * 2, group(memes))
    assert (rate.first, rate.second, rate.evidence) == ("multi3hate:de", "multi3hate:en", "parallel")
    assert rate.labels == {"not-hateful | hateful": 1}


def test_weak_evidence_adds_no_rows_to_a_sure_conflict() -> None:
    image = Path("/a/img/00001.png")
    fhm = [meme("00001", "hateful", "fhm", text="", image=image), meme("00001", "not-hateful", "hatred", image=image)]
    memes = [*fhm, meme("9", "hateful", "own"), meme("8", "not-hateful", "more")]
    for its in fhm:
        its.source = "toxicn_mm"  # a family that may be linked by text too
    names = ["fhm", "hatred", "own", "more"]
    (conflict,) = find_conflicts(memes, names, group(memes))
    assert (conflict.rows, conflict.evidence) == ((0, 1), "name")
    memes[0].labels = {"hateful": "not-hateful"}
    (conflict,) = find_conflicts(memes, names, group(memes))
    assert (conflict.rows, conflict.evidence) == ((0, 1, 2, 3), "text")


# --- tasks that go together


def test_cramers_v_by_hand() -> None:
    # n 40: phi2 = ((15*15 - 5*5)^2 * 40 / (20*20*20*20)) / 40 = .25; less 1/39; over (2 - 1/39 - 1).
    table = np.array([[15.0, 5.0], [5.0, 15.0]])
    assert float(cramers_v(table)) == pytest.approx(math.sqrt((0.25 - 1 / 39) / (1 - 1 / 39)))
    assert float(cramers_v(np.eye(3) * 20)) == pytest.approx(1)
    assert float(cramers_v(np.full((2, 3), 10.0))) == 0
    assert math.isnan(float(cramers_v(np.array([[3.0, 4.0]]))))
    # An empty row is no label.
    assert float(cramers_v(np.vstack([table, [0, 0]]))) == pytest.approx(float(cramers_v(table)))
    value, low, high = interval(table.astype(np.int64))
    assert low < value < high


def test_tasks_together_count_a_meme_once() -> None:
    def row(n: int, hateful: bool, funny: bool) -> Meme:
        labels = {"hateful": "hateful" if hateful else "not-hateful", "humour": "funny" if funny else "not-funny"}
        return meme(
            f"{n:05}",
            source="fhm",
            image=Path(f"/a/{n:05}.png"),
            labels=dict(labels),
        )

    memes = [row(n, n < 30, n < 40) for n in range(60)]
    memes += [row(n, n < 30, n < 40) for n in range(5)]  # the same again
    memes += [row(59, True, False)]  # contradicts: not counted for hateful
    (found,) = together(memes, ["fhm"] * len(memes), group(memes))
    assert (found.first, found.second, found.where, found.memes) == ("hateful", "humour", "fhm", 59)
    assert found.table == [[19, 10], [0, 30]]
    assert (found.first_labels, found.second_labels) == (["not-hateful", "hateful"], ["not-funny", "funny"])


def test_a_coarse_task_is_marked_as_defined_and_labels_of_a_set_are_tasks() -> None:
    levels = ["not-funny", "funny", "very-funny"]
    memes = [
        meme(str(n), text=str(n), labels={
            "humour_level": levels[n % 3], "humour": "funny" if n % 3 else "not-funny",
            "misogyny_categories": ["prejudice"] if n % 2 else [],
        })
        for n in range(60)
    ]  # fmt: skip
    found = {(t.first, t.second): t for t in together(memes, ["own"] * 60, Grouping([], [frozenset()] * 60, 0, 0))}
    assert found["humour", "humour_level"].defined
    prejudice = found["humour", "misogyny_categories=prejudice"]
    assert not prejudice.defined
    assert prejudice.table == [[10, 10], [20, 20]]
    assert ("misogyny_categories=humiliation", "misogyny_categories=prejudice") not in found


# --- reading many datasets


def _fhm(folder: Path, name: str, rows: list[dict[str, object]]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")


def _prepared(folder: Path, rows: list[dict[str, object]]) -> None:
    _fhm(folder, "train.jsonl", [{"image": "images/x.jpg", "lang": "en"} | row for row in rows])


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """FHM twice with one label that differs, a set of one's own, and a set that cannot be read."""
    texts = [f"{LONG} number {n}" for n in range(4)]
    _fhm(
        tmp_path / "native" / "fhm", "train.jsonl",
        [{"id": f"0000{n}", "img": f"img/0000{n}.png", "label": n % 2, "text": texts[n]} for n in range(4)],
    )  # fmt: skip
    _prepared(
        tmp_path / "mine" / "fhm",
        [
            {"id": f"0000{n}", "text": texts[n], "labels": {"hate": "hateful" if n % 2 or n == 2 else "not_hateful"},
             "image": f"images/0000{n}.png"}
            for n in range(4)
        ],
    )  # fmt: skip
    _prepared(tmp_path / "mine" / "notes", [{"id": "1", "text": "x", "labels": {"humour": "funny"}}])
    _prepared(tmp_path / "mine" / "broken", [{"id": "1", "text": "x", "labels": {"no_such_task": "funny"}}])
    return tmp_path


def test_copies_are_one_row_unless_their_labels_contradict(root: Path) -> None:
    collection = collect([root])
    assert {one.name: (one.rows, one.copies) for one in collection.opened} == {
        "fhm (mine)": (4, 0),
        "notes": (1, 0),
        "fhm (native)": (4, 3),
    }
    assert len(collection.memes) == 6
    ((path, why),) = collection.unread
    assert path.name == "broken"
    assert "no_such_task" in why
    (conflict,) = make_atlas([root]).conflicts
    assert [collection.names[row] for row in conflict.rows] == ["fhm (mine)", "fhm (native)"]
    apart = collect([root], compare=False)
    assert len(apart.memes) == 9


def test_a_set_prepared_from_several_datasets_is_several_datasets(
    root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("pyarrow")
    out = tmp_path / "prepared"
    assert run(["data", "prepare", str(root / "native" / "fhm"), str(root / "mine" / "notes"), "--out", str(out)]) == 0
    assert [(one.name, one.rows) for one in collect([out]).opened] == [("fhm", 4), ("notes", 1)]


def test_a_root_without_datasets_is_bad_usage(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no dataset found"):
        collect([tmp_path])
    with pytest.raises(UsageError, match="no such folder"):
        collect([tmp_path / "nowhere"])


def test_the_command_leaves_tables_and_plots(root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("matplotlib")
    out = tmp_path / "out"
    assert run(["data", "atlas", str(root), "--out", str(out)]) == 0
    printed = capsys.readouterr().out
    assert "3 datasets, 6 rows, 5 memes, 1 of them with several rows: 1 conflicts" in printed
    assert "not read: " in printed
    (line,) = (out / "conflicts.jsonl").read_text("utf-8").splitlines()
    found = json.loads(line)
    assert (found["task"], found["evidence"], found["distance"]) == ("hateful", "name", 1)
    assert [(row["id"], row["label"]) for row in found["rows"]] == [("00002", "hateful"), ("00002", "not-hateful")]
    assert found["rows"][1]["where"] == "train.jsonl:3"
    text = (out / "atlas.md").read_text("utf-8")
    assert "| hateful | fhm (mine) | fhm (native) | name | 1 | 1 | 1.000 |" in text
    assert "number 2" in text
    assert run(["data", "atlas", str(root), "--out", str(out), "--json"]) == 0
    figures = json.loads(capsys.readouterr().out)
    assert figures["conflicts"] == 1
    assert figures["pairs"][0]["labels"] == {"hateful | not-hateful": 1}


def test_without_matplotlib_the_command_names_the_extra(
    root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from memescope.curation import plots

    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(MissingExtra):
        plots.require()
    assert run(["data", "atlas", str(root)]) != 0
    assert "memescope[data]" in capsys.readouterr().err


def test_untrusted_text_stays_in_its_cell() -> None:
    assert plain("a\nb\x1b[31m\u202ec\u200b d") == "a b[31mc d"
    assert plain("abcdef", 4) == "abc…"
    assert cell("<img src=x> | **b** [l](u)") == r"\<img src=x\> \| \*\*b\*\* \[l\](u)"
    assert cell(float("nan")) == cell(None) == "–"
    assert table(("a", "n"), [("x", 1), ("y|z", 0.5)]) == "| a | n |\n|---|---:|\n| x | 1 |\n| y\\|z | 0.500 |\n"
    assert table(("a",), []) == ""


# --- the real datasets


@pytest.mark.real
def test_fine_grained_fhm_takes_13_memes_for_not_hateful_that_fhm_calls_hateful(real_data: Path) -> None:
    atlas = make_atlas([real_data / "native" / name for name in ("fhm", "fhm_fine_grained", "hatred", "german_fhm")])
    found = {(p.first, p.second): p for p in atlas.pairs if p.task == "hateful"}
    fine = found["fhm", "fhm_fine_grained"]
    # 10,540 rows less test_seen's 1000 without a label and 400 that are in both dev sets.
    assert (fine.shared, fine.conflicts, fine.labels) == (9140, 13, {"hateful | not-hateful": 13})
    assert (found["fhm", "hatred"].shared, found["fhm", "hatred"].conflicts) == (3228, 0)
    german = found["fhm", "german_fhm"]
    assert (german.shared, german.labels) == (527, {"hateful | not-hateful": 6, "not-hateful | hateful": 2})
    assert all(c.evidence == "name" for c in atlas.conflicts)
    assert "29163" in page(atlas)


@pytest.mark.real
def test_mmsd2_turned_161_labels_of_mmsd_to_sarcastic(real_data: Path) -> None:
    atlas = make_atlas([real_data / "native" / name for name in ("mmsd", "mmsd2")])
    found = {(p.first, p.second, p.evidence): p for p in atlas.pairs}
    turned = found["mmsd", "mmsd2", "name"]
    # 83 of val and 78 of test, as the card of mmsd2 says; the other texts and ids are mmsd's.
    assert turned.labels == {"not-sarcastic | sarcastic": 161}
    assert turned.conflicts == 161


@pytest.mark.real
def test_a_native_and_a_prepared_copy_agree(real_data: Path) -> None:
    collection = collect([real_data / "native" / "multi3hate", real_data / "ready" / "multi3hate"])
    assert [(one.rows, one.copies) for one in collection.opened] == [(1500, 0), (1500, 1500)]
    assert sum(isinstance(meme.image, Path) and meme.image.is_file() for meme in collection.memes) == 1500
