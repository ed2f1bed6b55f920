"""Prepared sets: what is written, that it is the same everywhere, that it reads back, how it is divided and refused."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Iterable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from memescope.cache import Cache
from memescope.cli import run
from memescope.datasets import checking, has_split, read_split, split_hash, splits_of, spread
from memescope.datasets.checking import check_pictures
from memescope.datasets.opening import open_memes
from memescope.datasets.prepare import prepare
from memescope.datasets.splitting import assign_splits
from memescope.errors import UsageError
from memescope.meme import Meme
from memescope.perception.cleaning import letters


def _pictures(folder: Path, names: Iterable[str], side: int = 8) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for number, name in enumerate(names):
        Image.new("RGB", (side, side), (number * 20 % 256, 80, 200)).save(folder / name)


def _fhm(folder: Path, count: int = 12) -> Path:
    """A folder as the Hateful Memes download has it."""
    _pictures(folder / "img", [f"{number:05}.png" for number in range(count)])
    splits = {
        "train": range(count - 4),
        "dev_unseen": range(count - 4, count - 2),
        "test_unseen": range(count - 2, count),
    }
    for split, rows in splits.items():
        lines = [
            json.dumps({"id": f"{n:05}", "img": f"img/{n:05}.png", "label": n % 2, "text": f"caption {n}"})
            for n in rows
        ]
        (folder / f"{split}.jsonl").write_text("\n".join(lines) + "\n")
    return folder


def _own(folder: Path, rows: list[dict], name: str = "memes.jsonl") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    return folder


def _digest(folder: Path) -> dict[str, str]:
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*.arrow"))
    }


def test_a_public_dataset_becomes_a_set_that_reads_back(tmp_path: Path) -> None:
    source = _fhm(tmp_path / "fhm")
    done = prepare([source], tmp_path / "out")
    assert done.record["rows"] == {"train": 8, "val": 2, "test": 2}
    assert done.record["labels"]["train"] == {"hateful": {"not-hateful": 4, "hateful": 4}}
    assert done.record["pictures_found"] == 12
    assert len(done.problems) == 0
    memes = read_split(tmp_path / "out", "train")
    native = [meme for meme in open_memes(source) if meme.split == "train"]
    assert [(m.id, m.text, m.labels, m.lang, m.image) for m in memes] == [
        (m.id, m.text, m.labels, m.lang, m.image) for m in native
    ]
    assert memes[1].meta["native_labels"] == native[1].meta["native_labels"]
    assert split_hash(memes) == split_hash(native)


def test_the_set_is_a_hub_dataset_with_typed_columns(tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets")
    rows = [
        {"id": str(n), "image": f"{n}.png", "propaganda_techniques": ["smears", "doubt"][:n], "split": "train"}
        for n in range(3)
    ]
    rows[0]["hateful"] = "hateful"
    folder = _own(tmp_path / "mine", rows)
    _pictures(folder, [f"{n}.png" for n in range(3)])
    prepare([folder], tmp_path / "out")
    prepare([folder], tmp_path / "embedded", embed=True)
    table = datasets.load_from_disk(str(tmp_path / "out"))["train"]
    assert list(table.features["labels"]) == ["hateful", "propaganda_techniques"]
    assert table["labels"] == [
        {"hateful": "hateful", "propaganda_techniques": []},
        {"hateful": None, "propaganda_techniques": ["smears"]},
        {"hateful": None, "propaganda_techniques": ["smears", "doubt"]},
    ]
    embedded = datasets.load_from_disk(str(tmp_path / "embedded"))["train"]
    assert isinstance(embedded.features["image"], datasets.Image)
    assert embedded[1]["image"].size == (8, 8)
    assert embedded["image_sha256"] == table["image_sha256"]
    assert not (tmp_path / "embedded" / "pictures").exists()


def test_same_bytes_and_options_give_the_same_set_whatever_path_workers_and_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = prepare([_fhm(tmp_path / "a" / "fhm")], tmp_path / "a" / "out", workers=1)
    shutil.copytree(tmp_path / "a" / "fhm", tmp_path / "elsewhere" / "deep" / "fhm")
    monkeypatch.setenv("MEMESCOPE_CACHE", str(tmp_path / "other-cache"))
    monkeypatch.chdir(tmp_path / "elsewhere")
    second = prepare([Path("deep/fhm")], Path("out"), workers=3)
    assert first.record["fingerprint"] == second.record["fingerprint"]
    assert first.record["arrow"] == second.record["arrow"]
    assert _digest(tmp_path / "a" / "out") == _digest(tmp_path / "elsewhere" / "out")
    embedded = [
        prepare([path], tmp_path / f"e{n}", embed=True) for n, path in enumerate([tmp_path / "a" / "fhm", "deep/fhm"])
    ]
    assert _digest(tmp_path / "e0") == _digest(tmp_path / "e1")
    assert embedded[0].record["fingerprint"] == embedded[1].record["fingerprint"] != first.record["fingerprint"]


def test_one_changed_pixel_text_or_option_gives_another_fingerprint(tmp_path: Path) -> None:
    folder = _fhm(tmp_path / "fhm")
    prints = {prepare([folder], tmp_path / "out").record["fingerprint"]}
    prints.add(prepare([folder], tmp_path / "out", pictures="required").record["fingerprint"])
    Image.new("RGB", (8, 8), (1, 2, 3)).save(folder / "img" / "00003.png")
    prints.add(prepare([folder], tmp_path / "out").record["fingerprint"])
    (folder / "train.jsonl").write_text((folder / "train.jsonl").read_text().replace("caption 2", "caption two"))
    prints.add(prepare([folder], tmp_path / "out").record["fingerprint"])
    assert len(prints) == 4


def test_sets_find_their_pictures_when_both_are_moved_and_when_only_the_set_is(tmp_path: Path) -> None:
    _fhm(tmp_path / "here" / "fhm")
    prepare([tmp_path / "here" / "fhm"], tmp_path / "here" / "out")
    shutil.copytree(tmp_path / "here" / "out", tmp_path / "other" / "place" / "out")
    assert read_split(tmp_path / "other" / "place" / "out", "test")[0].image.is_file()
    shutil.move(tmp_path / "here", tmp_path / "there")
    assert read_split(tmp_path / "there" / "out", "test")[0].image == tmp_path / "there" / "fhm" / "img" / "00010.png"


def test_several_datasets_become_one_with_ids_made_unique(tmp_path: Path) -> None:
    root = tmp_path / "downloads"
    _fhm(root / "fhm")
    own = _own(tmp_path / "mine", [{"id": "00001", "text": "hello", "hateful": "hateful", "split": "dev"}])
    prepare([root, own], tmp_path / "out")
    memes = [meme for split in splits_of(tmp_path / "out") for meme in read_split(tmp_path / "out", split)]
    assert len({meme.id for meme in memes}) == 13
    assert [(m.id, m.source, m.split) for m in memes if m.source == "mine"] == [("mine/00001", "mine", "val")]
    again = prepare([tmp_path / "out"], tmp_path / "again")
    assert again.record["rows"] == {"train": 8, "val": 3, "test": 2}
    with pytest.raises(UsageError, match="fhm: given more than once"):
        prepare([root / "fhm", tmp_path / "out"], tmp_path / "third")


def test_custom_splits_are_readable(tmp_path: Path) -> None:
    folder = _fhm(tmp_path / "fhm")
    shutil.copy(folder / "test_unseen.jsonl", folder / "test_seen.jsonl")
    prepare([folder], tmp_path / "out")
    assert splits_of(tmp_path / "out") == ["train", "val", "test", "test_seen"]
    assert [meme.split for meme in read_split(tmp_path / "out", "test_seen")] == ["test_seen"] * 2
    assert has_split(tmp_path / "out", "test_seen")
    assert not has_split(tmp_path / "out", "val_seen")
    with pytest.raises(UsageError, match="splits there: train, val, test, test_seen"):
        read_split(tmp_path / "out", "val_seen")


def test_what_synth_writes_is_still_read_and_truth_is_no_split(tmp_path: Path) -> None:
    pytest.importorskip("uharfbuzz")
    from memescope.curation.synth import synth

    synth(tmp_path / "drawn", count=6, seed=1, languages=["en"], splits=True, sides=(200, 220))
    there = [split for split in ("train", "val", "test") if (tmp_path / "drawn" / f"{split}.jsonl").stat().st_size]
    assert "truth" not in splits_of(tmp_path / "drawn")
    done = prepare([tmp_path / "drawn"], tmp_path / "out")
    assert sum(done.record["rows"].values()) == 6
    for split in there:
        assert split_hash(read_split(tmp_path / "out", split)) == split_hash(read_split(tmp_path / "drawn", split))


def test_rows_without_pictures_and_without_text_stay_or_go(tmp_path: Path) -> None:
    texts = ["words", "", "  ...!? ", "🙂"]
    rows = [
        {"id": n, "image": f"{n}.png", "text": text, "hateful": "hateful", "split": "train"}
        for n, text in enumerate(texts)
    ]
    folder = _own(tmp_path / "mine", rows)
    _pictures(folder, ["0.png", "1.png", "2.png"])
    (folder / "2.png").write_bytes(b"\x89PNG\r\n\x1a\nno more")

    def left(**options: str) -> list[str]:
        prepare([folder], tmp_path / "out", **options)
        return [meme.id for meme in read_split(tmp_path / "out", "train")]

    assert left() == ["0", "1", "2", "3"]
    assert left(pictures="required") == ["0", "1"]
    assert left(empty_text="drop") == ["0", "2", "3"]
    assert left(empty_text="memelens") == ["0", "3"]
    shutil.rmtree(folder)
    _own(folder, rows)
    with pytest.raises(UsageError, match=r"no row left of .*: .*missing-picture"):
        prepare([folder], tmp_path / "out", pictures="required")


def test_a_picture_is_decoded_once_by_content_and_a_killed_run_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MEMESCOPE_CACHE", str(tmp_path / "cache"))
    _pictures(tmp_path, [f"{n}.png" for n in range(6)])
    shutil.copy(tmp_path / "0.png", tmp_path / "copy.png")
    (tmp_path / "bad.png").write_bytes(b"GIF89a")
    paths = [*sorted(tmp_path.glob("*.png")), tmp_path / "absent.png"]
    decoded: list[str] = []
    real = checking._decode

    def counting(waiting: list, workers: int) -> Iterable:
        decoded.extend(digest for digest, _ in waiting)
        return real(waiting, workers)

    def killed(waiting: list, workers: int) -> Iterable:
        for number, answer in enumerate(real(waiting, workers)):
            if number == 3:
                raise KeyboardInterrupt
            yield answer

    monkeypatch.setattr(checking, "_KEPT_AT_ONCE", 1)
    monkeypatch.setattr(checking, "_decode", killed)
    with pytest.raises(KeyboardInterrupt):
        check_pictures(paths, workers=1)
    monkeypatch.setattr(checking, "_decode", counting)
    found = check_pictures(paths, workers=2)
    assert len(decoded) == 4  # seven contents, three known before the kill
    assert check_pictures(paths) == found
    assert len(decoded) == 4
    assert found[tmp_path / "0.png"] == found[tmp_path / "copy.png"]
    assert (found[tmp_path / "1.png"].width, found[tmp_path / "1.png"].format) == (8, "PNG")
    assert found[tmp_path / "absent.png"].error == "no such file"
    assert found[tmp_path / "bad.png"].error
    assert Cache("checked-pictures").path.is_file()


def test_a_picture_that_kills_or_holds_up_its_decoder_costs_only_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MEMESCOPE_CACHE", str(tmp_path / "cache"))
    _pictures(tmp_path, ["a.png", "b.png", "c.png"])
    killer = (
        "import sys, os, time, json\n"
        "print(flush=True)\n"
        "for line in sys.stdin:\n"
        "    name = os.path.basename(json.loads(line))\n"
        "    if name == 'b.png': os._exit(9)\n"
        "    if name == 'c.png': time.sleep(60)\n"
        "    print(json.dumps({'width': 8, 'height': 8, 'format': 'PNG'}), flush=True)\n"
    )
    command = checking.COMMAND
    monkeypatch.setattr(checking, "COMMAND", [command[0], "-c", killer])
    monkeypatch.setattr(checking, "SECONDS", 1.0)
    found = check_pictures([tmp_path / name for name in ("a.png", "b.png", "c.png")], workers=1)
    assert found[tmp_path / "a.png"].error is None
    assert "died" in str(found[tmp_path / "b.png"].error)
    assert "took over 1 seconds" in str(found[tmp_path / "c.png"].error)
    monkeypatch.setattr(checking, "COMMAND", command)
    assert check_pictures([tmp_path / "b.png"])[tmp_path / "b.png"].error is None  # what may pass is not kept


words = st.sampled_from(["a cat", "A  CAT!", "the dog", "", "…", "नमस्ते"])


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(words, st.integers(0, 4)), min_size=1, max_size=30))
def test_the_same_text_or_picture_is_never_in_two_splits(rows: list[tuple[str, int]]) -> None:
    memes = [
        Meme(image=Path(f"{picture}.png"), text=text, id=str(n), source="s") for n, (text, picture) in enumerate(rows)
    ]
    digests = {Path(f"{picture}.png"): f"sha-{picture}" for _, picture in rows}
    assign_splits(memes, digests)
    by_key: dict[str, set[str | None]] = {}
    for meme in memes:
        by_key.setdefault(str(meme.image), set()).add(meme.split)
        if letters(meme.text):
            by_key.setdefault(letters(meme.text), set()).add(meme.split)
    assert all(len(splits) == 1 for splits in by_key.values())
    again = [Meme(image=meme.image, text=meme.text, id=meme.id, source="s") for meme in reversed(memes)]
    assign_splits(again, digests)
    assert {meme.id: meme.split for meme in again} == {meme.id: meme.split for meme in memes}


def test_splits_follow_the_ratio_and_a_column_when_asked(tmp_path: Path) -> None:
    memes = [Meme(text=f"caption {n}", id=str(n), meta={"event": n % 40}) for n in range(4000)]
    assign_splits(memes, {}, (0.5, 0.2, 0.3))
    shares = [sum(meme.split == split for meme in memes) / 4000 for split in ("train", "val", "test")]
    assert shares == pytest.approx([0.5, 0.2, 0.3], abs=0.03)
    for meme in memes:
        meme.split = None
    assign_splits(memes, {}, by="event")
    assert all(len({m.split for m in memes if m.meta["event"] == event}) == 1 for event in range(40))
    for wrong in ((0.5, 0.5), (0.9, 0.2, 0.1), (1.2, -0.2, 0)):
        with pytest.raises(UsageError, match="expected shares of train, val and test that sum to 1"):
            assign_splits(memes, {}, wrong)
    with pytest.raises(UsageError, match="no row has such a column"):
        assign_splits([Meme(text="x")], {}, by="nothing")


def test_nothing_of_the_users_is_overwritten(tmp_path: Path) -> None:
    folder = _fhm(tmp_path / "fhm")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.txt").write_text("years of work")
    with pytest.raises(UsageError, match="exists and is no prepared set"):
        prepare([folder], tmp_path / "out")
    assert (tmp_path / "out" / "thesis.txt").read_text() == "years of work"
    for wrong, message in (
        ({"sources": ["nothing"]}, "no dataset 'nothing'"),
        ({"sources": ["fhm:nothing"]}, "no variant 'nothing'"),
        ({"sources": ["mami"]}, "mami: not found under"),
        ({"empty_text": "maybe"}, "expected one of keep, drop, memelens"),
        ({"pictures": "maybe"}, "expected one of required, optional"),
    ):
        with pytest.raises(UsageError, match=message):
            prepare([folder], tmp_path / "new", **wrong)
    with pytest.raises(UsageError, match="no such file or folder"):
        prepare([tmp_path / "absent"], tmp_path / "new")
    assert not (tmp_path / "new").exists()
    assert not list(tmp_path.glob(".*partial"))
    (tmp_path / ".new.999999999.partial").mkdir()  # of a run that was killed
    (tmp_path / f".new.{os.getppid()}.partial").mkdir()  # of one that is running
    prepare([folder], tmp_path / "new")
    assert [path.name for path in tmp_path.glob(".*partial")] == [f".new.{os.getppid()}.partial"]


def test_the_verb_says_what_it_did_and_what_was_not_checked_on_real_files(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tweets = tmp_path / "mvsa_single"
    (tweets / "data").mkdir(parents=True)
    (tweets / "data" / "1.txt").write_text("hello")
    (tweets / "labelResultAll.txt").write_text("ID\ttext,image\n1\tpositive,positive\n")
    assert run(["data", "prepare", str(tweets), "--out", str(tmp_path / "tweets")]) == 0
    assert "mvsa_single: not checked on real files (loader-code)" in capsys.readouterr().err
    assert "not checked on the authors' files (`loader-code`)" in (tmp_path / "tweets" / "README.md").read_text()
    assert run(["data", "prepare", str(_fhm(tmp_path / "fhm")), "--out", str(tmp_path / "out"), "--json"]) == 0
    printed = capsys.readouterr()
    assert json.loads(printed.out)["rows"] == {"train": 8, "val": 2, "test": 2}
    assert printed.err == ""
    card = (tmp_path / "out" / "README.md").read_text()
    for told in (
        "Facebook Hateful Memes",
        "- licence:",
        "- content warning:",
        "reader checked",
        "| hateful | hateful | 4 |",
    ):
        assert told in card
    assert run(["data", "prepare", str(tmp_path / "fhm")]) == 2
    assert "--out FOLDER" in capsys.readouterr().err
    assert run(["data", "prepare", str(tmp_path / "fhm"), "--out", str(tmp_path / "x"), "--column", "text"]) == 2
    assert run(["data", "prepare", str(tmp_path / "fhm"), "--out", str(tmp_path / "x"), "--ratio", "many"]) == 2


@pytest.mark.real
def test_real_ready_sets_come_out_as_they_went_in(real_data: Path, tmp_path: Path) -> None:
    for name in ("propaganda_memes",):
        done = prepare([real_data / "ready" / name], tmp_path / name)
        for split in ("train", "val", "test"):
            ours, theirs = read_split(tmp_path / name, split), read_split(real_data / "ready" / name, split)
            assert split_hash(ours) == split_hash(theirs)
            pairs = list(zip(ours, theirs, strict=True))
            assert all((a.aspect, a.image) == (b.aspect, b.image) for a, b in pairs)
            # What Harm-C's OCR left of eight memes is the word null.
            assert {b.text for a, b in pairs if a.text != b.text} <= {"null"}
        assert done.record["pictures_found"] == sum(done.record["rows"].values())


def test_a_small_scale_shows_damage_as_well_as_the_whole_does() -> None:
    import io

    from memescope.errors import PictureError
    from memescope.perception.pictures import open_picture

    picture = Image.effect_noise((640, 400), 60).convert("RGB")
    for progressive in (False, True):
        out = io.BytesIO()
        picture.save(out, "JPEG", progressive=progressive, quality=80)
        whole = out.getvalue()
        assert open_picture(whole, enough_side=64).width == 640
        for share in (0.1, 0.5, 0.9, 0.99):
            for side in (64, 1536):
                with pytest.raises(PictureError, match="truncated"):
                    open_picture(whole[: int(len(whole) * share)], enough_side=side)


def test_without_the_extra_its_name_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    from memescope.errors import MissingExtra

    prepare([_fhm(tmp_path / "fhm")], tmp_path / "out")
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(MissingExtra, match=r"memescope\[data\]"):
        read_split(tmp_path / "out", "train")
    with pytest.raises(MissingExtra, match=r"memescope\[data\]"):
        prepare([tmp_path / "fhm"], tmp_path / "again")
    assert len(open_memes(tmp_path / "fhm")) == 12  # native files need nothing


def test_some_rows_are_spread_evenly() -> None:
    rows = list("abcdefgh")
    assert spread(rows, 3) == ["a", "e", "h"]  # places 0, 3.5 (to the even one), 7
    assert spread(rows, 1) == ["a"]
    assert spread(rows, 0) == spread(rows, 8) == spread(rows, 9) == rows
    assert spread([], 3) == []
