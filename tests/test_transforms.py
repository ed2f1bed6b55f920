"""Transforms over datasets: cached by content, resumed after a kill, workers that die, bad pictures, aligned values."""

from __future__ import annotations

import json
import os
import pickle
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from drawn import broken_files, drawn_meme
from slow_transforms import Shout

from memescope.cache import Cache
from memescope.cli import run as command
from memescope.datasets.perceived import Inpainted, Ocr, Perceived, read_missing_text
from memescope.datasets.transforms import Transform, cache_of, picture_digest, run_transform
from memescope.errors import MemescopeError, PictureError, UsageError
from memescope.meme import Meme
from memescope.perception.ocr import OCR_VERSION
from memescope.perception.pictures import open_picture


@pytest.fixture(autouse=True)
def _fresh_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MEMESCOPE_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "log"


def texts(*words: str) -> list[Meme]:
    return [Meme(text=word, id=f"m{i}") for i, word in enumerate(words)]


def applied(log: Path) -> list[str]:
    return log.read_text().splitlines() if log.exists() else []


# The cache


def test_each_content_is_done_once_and_errors_are_noted(log: Path) -> None:
    memes = texts("a", "b", "a", "bad", "bug", "no content", "bad")
    ran = run_transform(Shout(log), memes, workers=0)
    assert (ran.total, ran.computed, ran.cached) == (7, 2, 1)
    assert sorted(ran.errors) == [
        ("m3", "a bad picture"),
        ("m4", "ZeroDivisionError: a bug"),
        ("m5", "nothing to shout"),
        ("m6", "a bad picture"),
    ]
    assert applied(log) == ["a", "b", "bad", "bug"]
    again = run_transform(Shout(log), memes, workers=0)
    # A bad picture stays bad; a bug may have been mended.
    assert applied(log)[4:] == ["bug"]
    assert (again.computed, again.cached, sorted(again.errors)) == (0, 3, sorted(ran.errors))


def test_another_version_or_parameter_is_another_value(log: Path) -> None:
    [meme] = texts("a")
    quiet, loud = Shout(log, loud=1), Shout(log, loud=3)
    newer = Shout(log)
    newer.version = "2"
    assert len({transform.key(meme) for transform in (quiet, loud, newer)}) == 3
    run_transform(quiet, [meme], workers=0)
    run_transform(loud, [meme], workers=0)
    assert [Perceived([meme], [shout])[0]["shout"] for shout in (quiet, loud, newer)] == ["A!", "A!!!", None]


def test_keys_follow_the_pictures_bytes_not_their_names(tmp_path: Path) -> None:
    data = drawn_meme(size=(200, 200))
    for name in ("one.jpg", "two.jpg"):
        (tmp_path / name).write_bytes(data)
    (tmp_path / "other.jpg").write_bytes(data + b"\0")
    one, two, other = (Meme(image=tmp_path / name) for name in ("one.jpg", "two.jpg", "other.jpg"))
    assert Ocr().key(one) == Ocr().key(two) == Ocr().key(Meme(image=data)) != Ocr().key(other)
    assert picture_digest(one) == open_picture(tmp_path / "one.jpg").key
    assert Inpainted("ns").key(one) != Inpainted("telea").key(one)


def test_a_meme_without_a_picture_that_can_be_read_says_why(tmp_path: Path) -> None:
    for image, said in ((None, "no picture"), (tmp_path / "gone.jpg", "no such file"), (tmp_path, "no such file")):
        with pytest.raises(PictureError, match=said):
            picture_digest(Meme(image=image))


def test_progress_ends_at_all(log: Path) -> None:
    seen: list[tuple[str, int, int]] = []
    memes = texts("a", "bad", "no content", "a")
    run_transform(Shout(log), memes, workers=0, progress=lambda *told: seen.append(told))
    assert seen[-1] == ("shout", 4, 4)
    assert all(done <= total == 4 for _, done, total in seen)


# Workers


def test_workers_share_the_work_and_give_what_one_process_gives(log: Path) -> None:
    memes = texts(*(f"word {i}" for i in range(20)))
    ran = run_transform(Shout(log), memes, workers=2)
    assert (ran.computed, ran.cached, ran.errors) == (20, 0, [])
    assert sorted(applied(log)) == sorted(meme.text for meme in memes)
    assert [item["shout"] for item in Perceived(memes, [Shout(log)])] == [f"WORD {i}!" for i in range(20)]


def test_a_worker_that_dies_costs_one_meme_and_only_if_it_dies_again(log: Path) -> None:
    memes = texts("a", "die", "b", "die once", "c")
    ran = run_transform(Shout(log), memes, workers=1)
    assert ran.errors == [("m1", "this meme killed the worker (SIGKILL)")]
    assert ran.computed == 4
    assert applied(log).count("die") == 2
    found = [item["shout"] for item in Perceived(memes, [Shout(log)])]
    assert found == ["A!", None, "B!", "DIE ONCE!", "C!"]


def test_a_worker_that_hangs_is_stopped(log: Path) -> None:
    begun = time.monotonic()
    ran = run_transform(Shout(log), texts("a", "hang", "b"), workers=1, timeout=1.0)
    assert ran.errors == [("m1", "this meme took longer than 1 s; the worker was stopped")]
    assert ran.computed == 2
    assert time.monotonic() - begun < 30


def test_a_transform_that_cannot_be_opened_stops_the_run(log: Path) -> None:
    for workers in (0, 2):
        with pytest.raises(MemescopeError, match="use loud=1"):
            run_transform(Shout(log, loud=0), texts("a"), workers=workers)


def test_a_transform_workers_cannot_import_is_refused(log: Path) -> None:
    class Local(Shout):
        pass

    with pytest.raises(UsageError, match="workers=0"):
        run_transform(Local(log), texts("a"), workers=1)


def test_a_meme_that_cannot_be_sent_is_noted(log: Path) -> None:
    memes = texts("a", "b")
    memes[0].meta["lambda"] = lambda: 0
    ran = run_transform(Shout(log), memes, workers=1)
    assert ran.computed == 1
    assert [name for name, _ in ran.errors] == ["m0"]


_RUN = """
import sys
from pathlib import Path
from slow_transforms import Shout
from memescope.datasets.transforms import run_transform
from memescope.meme import Meme

memes = [Meme(text=f"word {i}", id=str(i)) for i in range(60)]
ran = run_transform(Shout(Path(sys.argv[1]), seconds=0.03), memes, workers=2)
print(ran.computed, ran.cached)
"""


def test_a_run_killed_half_way_goes_on_where_it_was(log: Path, tmp_path: Path) -> None:
    (tmp_path / "run.py").write_text(_RUN)
    here = str(Path(__file__).parent)
    environment = os.environ | {"PYTHONPATH": here}
    arguments = [sys.executable, str(tmp_path / "run.py"), str(log)]
    first = subprocess.Popen(arguments, env=environment, stdout=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    while len(applied(log)) < 40 and time.monotonic() < deadline:
        time.sleep(0.01)
    first.send_signal(signal.SIGKILL)
    first.wait()
    time.sleep(0.5)  # workers see the end of their input
    before = applied(log)
    assert 40 <= len(before) < 60
    keys = {Shout(log).key(meme): meme.text for meme in texts(*(f"word {i}" for i in range(60)))}
    kept = {keys[key] for key in Cache("perceived-shout").has(keys)}
    assert len(kept) >= 16
    second = subprocess.run(arguments, env=environment, capture_output=True, text=True, check=True)
    assert second.stdout.split() == [str(60 - len(kept)), str(len(kept))]
    done_after = applied(log)[len(before) :]
    assert kept.isdisjoint(done_after), "a value that was kept was made again"
    assert sorted([*kept, *done_after]) == sorted(keys.values())


# Pictures


def test_broken_files_are_noted_and_the_others_done(tmp_path: Path) -> None:
    expected = broken_files(tmp_path / "broken")
    good = tmp_path / "good.jpg"
    good.write_bytes(drawn_meme(size=(240, 200)))
    bad = [name for name, expectation in expected.items() if expectation.outcome == "error"][:12]
    assert len(bad) >= 5
    memes = [Meme(image=tmp_path / "broken" / name, id=name) for name in bad] + [Meme(image=good, id="good")]
    ran = run_transform(Inpainted(), memes, workers=0)
    assert {name for name, _ in ran.errors} == set(bad)
    assert ran.computed == 1
    items = list(Perceived(memes, [Inpainted()]))
    assert [item["inpainted"] is None for item in items] == [True] * len(bad) + [False]


def test_ocr_and_inpainted_come_back_as_they_were_made(tmp_path: Path) -> None:
    path = tmp_path / "meme.jpg"
    path.write_bytes(drawn_meme("hello there\ngeneral potato", size=(400, 300)))
    blank = tmp_path / "blank.png"
    from PIL import Image

    Image.new("RGB", (64, 64), (10, 200, 30)).save(blank)
    memes = [Meme(image=path, id="a"), Meme(image=blank, id="b")]
    kinds: list[Transform] = [Ocr(), Inpainted()]
    perceived = pickle.loads(pickle.dumps(Perceived(memes, kinds)))
    perceived.run(workers=0)
    assert len(perceived) == 2
    first, second = perceived.batch([0, 1])
    direct = Ocr().apply(memes[0])
    assert first["ocr"] == direct
    assert "potato" in direct.text.lower()
    painted = Inpainted().apply(memes[0])
    assert np.array_equal(first["inpainted"].pixels, painted.pixels)
    assert (first["inpainted"].key, first["inpainted"].notes) == (painted.key, painted.notes)
    assert second["ocr"].text == ""
    assert second["inpainted"].key == open_picture(blank).key
    assert cache_of(kinds[0]).path.name == "perceived-ocr.sqlite"


def test_one_name_twice_and_bad_settings_are_refused() -> None:
    with pytest.raises(UsageError, match="inpainted twice"):
        Perceived([], [Inpainted(), Inpainted("ns")])
    with pytest.raises(UsageError, match="telea, ns"):
        Inpainted("fill")  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="png or jpeg"):
        Inpainted(form="gif")


def test_missing_text_is_read_and_marked_as_ours(tmp_path: Path) -> None:
    path = tmp_path / "meme.jpg"
    path.write_bytes(drawn_meme("when the meeting could\nhave been an email", size=(480, 360)))
    own = Meme(image=path, id="own", text="its own text", lang="en")
    none = Meme(image=path, id="none", meta={"kept": 1})
    gone = Meme(image=tmp_path / "gone.jpg", id="gone")
    read, ran = read_missing_text([own, none, gone], workers=0)
    assert read[0] is own
    assert "EMAIL" in read[1].text
    assert read[1].meta == {"kept": 1, "ocr": {"version": OCR_VERSION, "engine": "rapidocr"}}
    assert (read[1].lang, none.text) == ("en", "")
    assert read[2] is gone
    assert [name for name, _ in ran.errors] == ["gone"]
    everywhere, _ = read_missing_text([own], workers=0, everywhere=True)
    assert everywhere[0].meta["ocr"]["given_text"] == "its own text"


# The command


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "set"
    (folder / "images").mkdir(parents=True)
    for split, names in (("train", ["a/1", "b"]), ("test", ["c", "gone"])):
        rows = []
        for name in names:
            image = f"images/{name.replace('/', '')}.jpg"
            if name != "gone":
                (folder / image).write_bytes(drawn_meme(f"words of\n{name}", seed=name, size=(240, 200)))
            rows.append({"id": name, "image": image, "text": "", "labels": {}, "lang": "en"})
        (folder / f"{split}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder


def test_the_command_makes_reports_and_writes(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    captions = tmp_path / "captions.json"
    captions.write_text(json.dumps({"b": "a drawing", "c": ""}))
    out = tmp_path / "out"
    arguments = ["data", "perceive", str(folder), "--with", "inpainted", "--with", "grid", "--workers", "0"]
    arguments += ["--with", f"captions={captions}", "--json"]
    assert command([*arguments, "--out", str(out)]) == 0
    told = json.loads(capsys.readouterr().out)
    made = {one["name"]: (one["computed"], one["cached"], [e["id"] for e in one["errors"]]) for one in told["made"]}
    assert made == {"inpainted": (3, 0, ["gone"]), "grid": (3, 0, ["gone"])}
    [found] = told["found"]
    assert (found["there"], found["missing"]) == (1, ["a/1", "c", "gone"])
    assert found["problems"] == ["captions.json: c: empty caption"]
    names = ["captions.jsonl", "errors.jsonl", "grid-00000.safetensors", "inpainted", "inpainted.jsonl"]
    assert told["files"] == sorted(path.name for path in out.iterdir()) == names
    rows = [json.loads(line) for line in (out / "inpainted.jsonl").read_text().splitlines()]
    assert [(row["id"], row["split"]) for row in rows] == [("a/1", "train"), ("b", "train"), ("c", "test")]
    assert all(open_picture(out / row["image"]).pixels.shape == (200, 240, 3) for row in rows)
    assert all((out / row["image"]).resolve().is_relative_to(out.resolve()) for row in rows)
    assert json.loads((out / "captions.jsonl").read_text()) == {"id": "b", "split": "train", "caption": "a drawing"}

    # What was written can be looked up, and a second run makes nothing.
    assert command([*arguments[:3], "--with", f"regions={out}", "--with", "grid", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["made"][0]["computed"], told["made"][0]["cached"]) == (0, 3)
    assert told["found"][0]["there"] == 3


def test_the_command_refuses_what_it_cannot_do(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for arguments, said in (
        ([], "nothing to make"),
        (["--with", "smell"], "expected one of ocr, inpainted, grid"),
        (["--with", "ocr=1"], "takes no value"),
        (["--with", "inpainted=fill"], "telea, ns"),
        (["--with", "regions"], "regions=DIR"),
        (["--with", "captions=gone.json"], "no such file"),
        (["--with", "ocr", "--split", "dev"], "no split dev; there are: test, train"),
        (["--with", "inpainted", "--limit", "1", "--workers", "0", "--out", str(folder)], "not an empty folder"),
    ):
        assert command(["data", "perceive", str(folder), *arguments]) == 2
        assert said in capsys.readouterr().err
