"""The audit on a drawn set whose every pair is known: classes, scopes, leaks, the clean split, the page, the verb."""

from __future__ import annotations

import json
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from memescope.cli import run
from memescope.curation import fingerprints
from memescope.curation.audit import audit, differing, role, write_audit
from memescope.curation.fingerprints import fingerprint_files
from memescope.curation.neartext import near_texts
from memescope.curation.sametext import letter_groups
from memescope.datasets import read_split
from memescope.datasets.clean import read_clean
from memescope.errors import UsageError
from memescope.meme import Meme
from tests.drawn import broken_files
from tests.test_duplicates import CATS, MORDOR, SPOON, captioned

LONG = "nobody expects the spanish inquisition to arrive before breakfast"
ALONE = "a sentence about lighthouses that stands on one meme alone"


def write(folder: Path, name: str, pixels: np.ndarray, quality: int | None = None) -> str:
    path = folder / "images" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    options = [cv2.IMWRITE_JPEG_QUALITY, quality] if quality else []
    assert cv2.imwrite(str(path), pixels[:, :, ::-1], options)
    return f"images/{name}"


def rows(folder: Path, split: str, its: list[tuple[str, str | None, str, str]], **more: Any) -> None:
    """(id, image, text, label of `harmful`) as a split of a prepared set."""
    folder.mkdir(exist_ok=True)
    lines = [
        {"id": id, "image": image, "text": text, "lang": "en", "labels": {"harmful": label}, **more.get(id, {})}
        for id, image, text, label in its
    ]
    (folder / f"{split}.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))


YES, NO = "harmful", "not-harmful"


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sets") / "drawn"
    original = captioned(1, MORDOR)
    first = write(folder, "original.png", original)
    template = original.copy()
    template[260:] = captioned(1, SPOON)[260:]
    half = cv2.resize(original, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
    rows(
        folder,
        "train",
        [
            ("original", first, MORDOR, NO),
            ("template", write(folder, "template.png", template), SPOON, NO),
            ("confounder", write(folder, "cats.png", captioned(2, CATS)), CATS, NO),
            ("gone", "images/missing.png", LONG, NO),
            ("tuned", write(folder, "tuned.png", captioned(5, ALONE)), ALONE, NO),
        ],
    )
    rows(
        folder,
        "val",
        [
            ("crop", write(folder, "crop.png", original[20:320, 60:]), "does not simply walk into Mordo", NO),
            ("tuned-too", write(folder, "tuned.jpg", captioned(5, ALONE), 60), ALONE, YES),
        ],
    )
    rows(
        folder,
        "test",
        [
            ("copy", write(folder, "copy.png", original), MORDOR.upper(), YES),
            ("half", write(folder, "half.jpg", half, 80), MORDOR, NO),
            ("confounded", write(folder, "cats2.png", captioned(3, CATS)), CATS, YES),
            ("gone-too", None, LONG + "!", YES),
            ("other", write(folder, "other.png", captioned(4, "quite something else")), "quite something else", NO),
        ],
    )
    return folder


def found_pairs(found: Any) -> dict[tuple[str, str], tuple[str, str, str]]:
    ids = [entry.meme.id for entry in found.entries]
    return {(ids[p.first], ids[p.second]): (p.kind, p.how, found.scope(p)) for p in found.pairs}


def test_every_pair_has_its_class(drawn: Path) -> None:
    found = audit([drawn])
    across = "across splits"
    assert found_pairs(found) == {
        ("original", "template"): ("template", "hash", "within a split"),
        ("original", "crop"): ("re-encoded", "keypoints", across),
        ("original", "copy"): ("exact", "bytes", across),
        ("original", "half"): ("re-encoded", "hash", across),
        ("template", "copy"): ("template", "hash", across),
        ("template", "half"): ("template", "hash", across),
        ("confounder", "confounded"): ("same-text", "text", across),
        ("gone", "gone-too"): ("text-only", "text", across),
        ("tuned", "tuned-too"): ("re-encoded", "hash", across),
        ("crop", "copy"): ("re-encoded", "keypoints", across),
        ("crop", "half"): ("re-encoded", "keypoints", across),
        ("copy", "half"): ("re-encoded", "hash", "within a split"),
    }
    assert found.counts()["across splits"] == {
        "exact": {"pairs": 1, "labels_differ": 1},
        "re-encoded": {"pairs": 5, "labels_differ": 2},
        "template": {"pairs": 2, "labels_differ": 1},
        "same-text": {"pairs": 1, "labels_differ": 1},
        "text-only": {"pairs": 1, "labels_differ": 1},
    }


def test_test_rows_stay_and_what_was_learnt_from_goes(drawn: Path) -> None:
    found = audit([drawn])
    its = found.clean.sets["drawn"]
    # the second copy within test goes for the first; confounders, templates and text alone stay
    assert {key: (why.because, why.split, why.id) for key, why in its.dropped.items()} == {
        ("train", "original"): ("re-encoded", "val", "crop"),
        ("train", "tuned"): ("re-encoded", "val", "tuned-too"),
        ("val", "crop"): ("re-encoded", "test", "copy"),
        ("test", "half"): ("re-encoded", "test", "copy"),
    }
    assert its.seen == {
        ("test", "copy"): ("exact", "re-encoded"),
        ("test", "half"): ("re-encoded",),
        ("val", "crop"): ("re-encoded",),
        ("val", "tuned-too"): ("re-encoded",),
    }
    stricter = audit([drawn], templates=True)
    assert stricter.clean.sets["drawn"].dropped["train", "template"].because == "template"
    assert ("train", "confounder") not in stricter.clean.sets["drawn"].dropped


def test_what_two_splits_share(drawn: Path) -> None:
    shared = {(one.earlier, one.later): one for one in audit([drawn]).shared}
    one = shared["train", "test"]
    assert (one.pictures, one.texts, one.rows, one.opposite, one.leaking) == (1, 3, 4, 3, 2)
    one = shared["train", "val"]
    assert (one.pictures, one.texts, one.rows, one.opposite, one.leaking) == (0, 1, 1, 1, 2)


def test_files_and_reading_the_clean_split(drawn: Path, tmp_path: Path) -> None:
    found = audit([drawn])
    page = write_audit(found, tmp_path / "out")
    lines = [json.loads(line) for line in (tmp_path / "out" / "pairs.jsonl").read_text().splitlines()]
    assert len(lines) == 12
    exact = next(line for line in lines if line["class"] == "exact")
    assert exact["leak"]
    assert (exact["first"]["id"], exact["second"]["id"], exact["bits"]) == ("original", "copy", 0)
    assert exact["labels"]["harmful"] == {"first": NO, "second": YES, "agree": False}
    clean = read_clean(tmp_path / "out")
    assert clean == found.clean
    assert [meme.id for meme in read_split(drawn, "train", clean=clean)] == ["template", "confounder", "gone"]
    assert [meme.id for meme in read_split(drawn, "test", clean=tmp_path / "out" / "clean.json")] == [
        "copy",
        "confounded",
        "gone-too",
        "other",
    ]
    assert len(read_split(drawn, "train")) == 5
    summary = json.loads((tmp_path / "out" / "audit.json").read_text())
    assert summary["sets"]["drawn"]["splits"]["val"] == {"rows": 2, "kept": 1}
    assert "original" in page.read_text("utf-8")


def test_training_takes_the_clean_split(drawn: Path, tmp_path: Path) -> None:
    from memescope.training.recipe import Data
    from memescope.training.run import read_memes

    write_audit(audit([drawn]), tmp_path)
    data = Data(root=drawn.parent, sets=("drawn",), clean=tmp_path)
    assert [meme.id for meme in read_memes(data, data.train_splits)] == ["template", "confounder", "gone", "tuned-too"]
    assert len(read_memes(Data(root=drawn.parent, sets=("drawn",)), ("train", "val"))) == 7


def test_a_clean_split_of_something_else_is_refused(drawn: Path, tmp_path: Path) -> None:
    (tmp_path / "clean.json").write_text(json.dumps({"rule": "audit/1", "leaks": [], "sets": {"harmc": {}}}))
    with pytest.raises(UsageError, match="not a clean split as memescope data audit --out writes it"):
        read_clean(tmp_path)
    (tmp_path / "clean.json").write_text(json.dumps({"rule": "audit/1", "leaks": [], "sets": {}}))
    with pytest.raises(UsageError, match="speaks of nothing, not of drawn"):
        read_split(drawn, "train", clean=tmp_path)
    (tmp_path / "clean.json").write_text(json.dumps({"rule": "audit/0", "leaks": [], "sets": {}}))
    with pytest.raises(UsageError, match="made by rule 'audit/0', this version knows 'audit/1'"):
        read_clean(tmp_path)


class _Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        assert all(not name.startswith("on") for name, _ in attrs)
        assert all(not (value or "").startswith("http") for _, value in attrs)


def test_the_page_escapes_what_it_shows(tmp_path: Path) -> None:
    folder = tmp_path / "<script>alert(1)<"
    evil = "<script>alert('x')</script><img src=http://x onerror=y> walks into a bar today"
    picture = write(folder, "a.png", captioned(1, MORDOR))
    rows(folder, "train", [("<b>1</b>", picture, evil, YES)])
    rows(folder, "test", [("2", picture, evil, NO)])
    page = write_audit(audit([folder]), tmp_path / "out").read_text("utf-8")
    tags = _Tags()
    tags.feed(page)
    assert "script" not in tags.tags
    assert tags.tags.count("img") == 2
    assert "&lt;script&gt;alert" in page


def test_datasets_that_share_memes(tmp_path: Path) -> None:
    """A pair across two datasets is told and drops nothing; the same name is believed only where memes are shared."""
    a, b = tmp_path / "one", tmp_path / "two"
    for folder in (a, b):
        rows(folder, "test", [("x", write(folder, "1.png", captioned(1, MORDOR)), MORDOR, YES)])
        rows(folder, "train", [("y", "images/2.png", LONG if folder is a else ALONE, NO)])
    found = audit([a, b])
    assert found_pairs(found) == {("x", "x"): ("exact", "bytes", "across datasets")}
    assert found.across() == [{"first": "one/test", "second": "two/test", "pairs": 1, "labels_differ": 0}]
    assert not any(its.dropped for its in found.clean.sets.values())
    kin = tmp_path / "kin"
    for name, key, text in (
        ("fhm", "00123", MORDOR),
        ("hatred", "123", ""),
        ("german_fhm", "123", "ein Loeffel, viele"),
    ):
        (kin / name).mkdir(parents=True)
        line = {"id": key, "image": f"img/{key}.png", "text": text, "labels": {}}
        (kin / name / "train.jsonl").write_text(json.dumps(line) + "\n")
    pairs = [(p.kind, p.how, p.text) for p in audit([kin / name for name in ("fhm", "hatred", "german_fhm")]).pairs]
    assert sorted(pairs) == [
        ("exact", "name", "unknown"),
        ("exact", "name", "unknown"),
        ("template", "name", "other"),
    ]


def test_aspects_and_languages_of_one_meme(tmp_path: Path) -> None:
    folder = tmp_path / "tweets"
    picture = write(folder, "a.png", captioned(1, MORDOR))
    other = write(folder, "b.png", captioned(1, "ein Ring sie zu knechten"))
    meta = {id: {"meta": {"aspect": id}} for id in ("ring", "orcs")} | {
        id: {"meta": {"meme_id": "m1", "aspect": "-"}} for id in ("en", "de")
    }
    rows(folder, "train", [("en", picture, MORDOR, YES)], **meta)
    rows(
        folder,
        "test",
        [("ring", picture, MORDOR, YES), ("orcs", picture, MORDOR, YES), ("de", other, "ein Ring sie zu knechten", NO)],
        **meta,
    )
    found = audit([folder])
    assert found_pairs(found)["en", "de"][0] == "parallel"
    assert set(found.clean.sets["tweets"].dropped) == {("train", "en")}  # both aspects of the tweet stay in test
    assert found.clean.sets["tweets"].seen["test", "de"] == ("parallel",)


def test_a_template_is_found_without_its_letters(tmp_path: Path) -> None:
    """One drawn picture under two captions: the hashes of the whole are 60 bits apart, those without letters 10."""
    from memescope.curation.synth import draw_meme

    folder = tmp_path / "anew"
    for name, words in (("a", "THE SAME OLD\nSTORY AGAIN"), ("b", "A WHOLLY NEW\nJOKE BELOW")):
        (folder / "images").mkdir(parents=True, exist_ok=True)
        (folder / "images" / f"{name}.jpg").write_bytes(draw_meme(words, 18, (640, 480), "impact"))
    rows(folder, "train", [("a", "images/a.jpg", "the same old story again", YES)])
    rows(folder, "test", [("b", "images/b.jpg", "a wholly new joke below", YES)])
    assert audit([folder]).pairs == []
    found = audit([folder], inpainted=True)
    assert found_pairs(found)["a", "b"][0] == "template"
    (pair,) = found.pairs
    assert pair.bare_bits is not None
    assert pair.bits is not None
    assert pair.bare_bits < 20 < 31 < pair.bits


def test_many_rows_with_one_text_stay_few_pairs(tmp_path: Path) -> None:
    folder = tmp_path / "phrase"
    rows(folder, "train", [(f"t{i}", None, "please wash your hands", NO) for i in range(400)])
    rows(folder, "test", [(f"e{i}", None, "please wash your hands", YES) for i in range(100)])
    found = audit([folder])
    assert {pair.kind for pair in found.pairs} == {"text-only"}
    assert len(found.pairs) == 499 + 499 - 1  # each row with the first of either split
    assert found.shared[0].opposite == 100


def test_words_for_no_text_are_no_text(tmp_path: Path) -> None:
    folder = tmp_path / "null"
    rows(folder, "train", [("a", None, "null", NO), ("b", None, "", NO)])
    rows(folder, "test", [("c", None, "NULL", NO), ("d", None, "", NO)])
    assert audit([folder]).pairs == []


def test_bad_pictures_are_named_and_stop_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "dirty"
    expected = broken_files(folder / "images")
    names = [name for name, its in expected.items() if "/" not in name and its.outcome != "entries"]
    names = [name for name in names if (folder / "images" / name).is_file()]
    good = write(folder, "good.png", captioned(1, MORDOR))
    lines = [(name, f"images/{name}", "", NO) for name in names]
    rows(folder, "train", [*lines, ("good", good, MORDOR, NO)])
    monkeypatch.setattr(fingerprints, "_FEW", 0)  # in processes of their own, as many pictures are
    found = audit([folder])
    bad = {found.entries[row].meme.id for row in found.errors}
    assert bad == {name for name in names if expected[name].outcome == "error"}
    assert len(bad) > 5
    assert found.entries[-1].marks is not None
    assert len(found.summary()["unreadable_pictures"]) == len(bad)


def test_hashing_resumes_and_reads_equal_files_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MEMESCOPE_CACHE", str(tmp_path / "cache"))
    write(tmp_path, "a.png", captioned(1, MORDOR))
    path = tmp_path / "images" / "a.png"
    decoded: list[object] = []
    plain = fingerprints.fingerprint

    def counted(picture: Any) -> Any:
        decoded.append(picture)
        return plain(picture)

    monkeypatch.setattr(fingerprints, "fingerprint", counted)
    first = fingerprint_files([path, path.read_bytes(), tmp_path / "none.png"])
    assert len(decoded) == 1
    again = fingerprint_files([path])
    assert len(decoded) == 1
    assert first[0].file == first[1].file == again[0].file
    assert again[0].marks is not None
    assert first[0].marks is not None
    assert again[0].marks.to_bytes() == first[0].marks.to_bytes()
    assert first[2].error is not None
    assert "no such file" in first[2].error


@settings(max_examples=60, deadline=None)
@given(
    texts=st.lists(st.text("abcd", max_size=24), max_size=14),
    least=st.sampled_from([0.3, 0.5, 0.6, 0.8, 1.0]),
)
def test_near_texts_are_those_of_comparing_all(texts: list[str], least: float) -> None:
    groups = [letter_groups(text) for text in texts]
    expected = {
        (a, b)
        for b in range(len(groups))
        for a in range(b)
        if groups[a] and groups[b] and len(groups[a] & groups[b]) >= least * len(groups[a] | groups[b])
    }
    found = [(a, b) for a, b, _ in near_texts(groups, least)]
    assert len(found) == len(set(found))
    assert set(found) == expected


def test_roles_and_differing_labels() -> None:
    assert [role(s) for s in ("train", "", "val", "dev_seen", "val_seen", "test", "test_unseen")] == [
        0,
        0,
        1,
        1,
        1,
        2,
        2,
    ]
    a = Meme(labels={"humour": "funny", "target": ["a", "b"], "harmful": YES})
    b = Meme(labels={"humour": "not-funny", "target": ["b", "a"]})
    assert differing(a, b) == {"humour": ("funny", "not-funny")}


def test_the_verb(drawn: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["data", "audit", str(drawn), "--out", str(tmp_path / "o"), "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["counts"]["across splits"]["exact"] == {"pairs": 1, "labels_differ": 1}
    assert said["rule"] == "audit/1"
    assert {path.name for path in (tmp_path / "o").iterdir()} == {
        "audit.html",
        "audit.json",
        "clean.json",
        "pairs.jsonl",
    }
    assert run(["data", "audit", str(drawn), str(tmp_path / "nothing")]) == 0
    shown = capsys.readouterr().out
    assert "re-encoded" in shown
    assert "not read:" in shown
    assert run(["data", "audit", str(tmp_path / "nothing")]) == 2
    assert "neither a prepared set" in capsys.readouterr().err


@pytest.mark.real
def test_harmc_leaks_across_its_official_splits(real_data: Path) -> None:
    found = audit([real_data / "ready" / "harmc"])
    assert sum(one.pictures for one in found.shared) == 29
    assert sum(one.texts for one in found.shared) == 71
    assert found.counts()["across splits"] == {
        "exact": {"pairs": 29, "labels_differ": 13},
        "re-encoded": {"pairs": 143, "labels_differ": 38},
        "template": {"pairs": 2, "labels_differ": 0},
        "same-text": {"pairs": 20, "labels_differ": 3},
    }
    assert [(one.later, one.leaking) for one in found.shared] == [("val", 55), ("test", 65), ("test", 4)]
    splits = found.summary()["sets"]["harmc"]["splits"]
    assert {split: (its["rows"], its["kept"]) for split, its in splits.items()} == {
        "train": (3013, 2852),
        "val": (177, 173),
        "test": (354, 342),
    }
    assert not any(found.is_leak(p) for p in found.pairs if _kept(found, p))


def _kept(found: Any, pair: Any) -> bool:
    return all(found.clean.keeps(found.entries[row].meme) for row in (pair.first, pair.second))


@pytest.mark.real
def test_captions_of_hateful_memes_are_confounders_not_leaks(real_data: Path) -> None:
    found = audit([real_data / "native" / "fhm"])
    one = next(one for one in found.shared if (one.earlier, one.later) == ("train", "test_seen"))
    assert (one.texts, one.rows, one.opposite, one.leaking) == (203, 226, 190, 0)
    assert not any(map(found.is_leak, found.pairs))
    assert not found.clean.sets["fhm"].dropped
