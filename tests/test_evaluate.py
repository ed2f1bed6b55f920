"""The whole evaluation on a drawn set with a fake model: shapes, clean rows, errors, unknown labels, caches, verb."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from memescope.cache import Cache
from memescope.cli import run
from memescope.curation.identity import identify, near_keys, normal_text, seen
from memescope.datasets import read_split
from memescope.errors import MemescopeError, PictureError, UsageError
from memescope.evaluation import baselines as baselines_module
from memescope.evaluation.evaluate import evaluate
from memescope.evaluation.linear import choose, fit_predict
from memescope.evaluation.metrics import figures, scored
from memescope.evaluation.predictions import Row, Said
from memescope.evaluation.results import rescore, write
from memescope.evaluation.score import score
from memescope.evaluation.tables import cell, markdown, notes, number, read_summaries, summary, write_summary
from memescope.meme import Answer, Meme, Reading
from memescope.taxonomy import load_taxonomy

WORDS = {"harmful": "vile", "not-harmful": "kind"}


class Fake:
    """Answers by the words of the text; knows one technique only; refuses what says `broken`."""

    name, version = "fake", "7"
    tasks = ("harmful", "propaganda_techniques", "vulgarity")

    def __init__(self) -> None:
        self.card: dict[str, object] = {}
        self.seen: list[Meme] = []

    def answer(self, memes):
        self.seen += memes
        return [self._one(meme) for meme in memes]

    def _one(self, meme: Meme) -> Reading:
        if "broken" in meme.text:
            raise PictureError("the decoder died")
        p = 0.9 if "vile" in meme.text else 0.2
        sure = Answer("harmful" if p > 0.5 else "not-harmful", {"not-harmful": 1 - p, "harmful": p}, abstain=p > 0.5)
        techniques = Answer(["smears"] if p > 0.5 else [], {"smears": p})
        return Reading({"harmful": sure, "propaganda_techniques": techniques})


def row(number: int, label: str, text: str, image: str) -> dict:
    techniques = ["smears", "slogans"] if label == "harmful" else []
    labels = {"harmful": label, "propaganda_techniques": techniques, "metaphor": "literal"}
    return {"id": f"r{number}", "image": image, "text": text, "labels": labels, "lang": "en"}


def draw(folder: Path, name: str, seed: int) -> str:
    """A picture of its own: coarse noise, so that no two look alike."""
    noise = np.random.default_rng(seed).integers(0, 256, (16, 16, 3), np.uint8)
    path = folder / "images" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(noise).resize((160, 160), Image.Resampling.BICUBIC).save(path)
    return f"images/{name}"


def split(folder: Path, name: str, rows: list[dict]) -> None:
    (folder / f"{name}.jsonl").write_text("".join(json.dumps(one) + "\n" for one in rows))


@pytest.fixture(scope="module")
def prepared(tmp_path_factory) -> Path:
    """60 training and 44 test rows; the last test rows share a picture or a text with training, one is cut off."""
    folder = tmp_path_factory.mktemp("sets") / "drawn"
    label = ["harmful", "not-harmful"]
    train = [
        row(
            i,
            label[i % 2],
            f"{WORDS[label[i % 2]]} words of row {chr(97 + i % 26) * 3} {i}",
            draw(folder, f"a{i}.png", i),
        )
        for i in range(60)
    ]
    test = [
        row(i, label[i % 2], f"{WORDS[label[i % 2]]} saying {i}", draw(folder, f"b{i}.png", 1000 + i))
        for i in range(41)
    ]
    test.append(row(41, "not-harmful", "vile new words", "images/a0.png"))
    test.append(row(42, "not-harmful", train[1]["text"].upper() + "!", draw(folder, "b42.png", 2000)))
    (folder / "images" / "cut.png").write_bytes((folder / "images" / "b0.png").read_bytes()[:60])
    test.append(row(43, "harmful", "vile cut", "images/cut.png"))
    split(folder, "train", train)
    split(folder, "test", test)
    return folder


@pytest.fixture(scope="module")
def evaluation(prepared, tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MEMESCOPE_CACHE", str(tmp_path_factory.getbasetemp() / "cache"))
        yield evaluate(Fake(), prepared, resamples=200)


def test_the_shape_of_metrics(evaluation):
    found = evaluation.metrics
    assert (found["model"], found["model_version"], found["data"], found["split"]) == ("fake", "7", "drawn", "test")
    assert (found["rows"], found["n"], found["text"], found["seed"], found["precision"]) == (
        44,
        43,
        "given",
        0,
        "float32",
    )
    assert len(found["split_hash"]) == 12
    assert set(found["tasks"]) == {"harmful", "propaganda_techniques"}
    assert found["unanswered_tasks"] == ["metaphor"]
    assert set(found["baselines"]) == {"majority", "tfidf", "probe"}
    for its in [found["tasks"]["harmful"], *(one["harmful"] for one in found["baselines"].values())]:
        assert its["n"] == 43
        for name in ("accuracy", "macro_f1", "micro_f1", "weighted_f1", "auroc", "ece", "brier", "log_loss"):
            assert set(its[name]) == {"value", "low", "high"}
    json.dumps(found, allow_nan=False)


def test_figures_by_hand(evaluation):
    # 43 rows, one wrong (r41 says "vile" and is not harmful): 21 of 22 harmful-looking are right.
    harmful = evaluation.metrics["tasks"]["harmful"]
    assert harmful["accuracy"]["value"] == pytest.approx(42 / 43)
    assert harmful["by_label"]["harmful"] == {
        "rows": 21,
        "answered": 22,
        "precision": pytest.approx(21 / 22),
        "recall": 1.0,
        "f1": pytest.approx(42 / 43),
        "decides": True,
    }
    assert harmful["coverage"]["value"] == pytest.approx(21 / 43)  # it abstains wherever it says harmful
    assert harmful["selective_accuracy"]["value"] == 1.0
    assert harmful["ece_band"]["high"] > 0
    assert harmful["thresholds"][-2]["answered"] == 22  # confidence .9


def test_labels_the_model_does_not_know_are_wrong(evaluation):
    techniques = evaluation.metrics["tasks"]["propaganda_techniques"]
    assert techniques["unknown_labels"] == {"slogans": 21}
    assert techniques["by_label"]["slogans"]["recall"] == 0
    # smears: 21 hits of 21 and one false alarm; slogans: 21 misses.
    assert techniques["micro_f1"]["value"] == pytest.approx(2 * 21 / (22 + 42))
    assert any("does not know the label 'slogans': its 21 rows" in line for line in notes(evaluation.metrics))


def test_rows_seen_in_training_are_left_out_of_the_clean_figures(evaluation):
    clean = evaluation.metrics["clean"]
    assert clean["left_out"] == {"bytes": 1, "pixels": 1, "text": 1}
    assert (clean["n"], clean["same"]) == (41, False)
    assert clean["tasks"]["harmful"]["accuracy"]["value"] == 1.0
    assert clean["tasks"]["harmful"]["n"] == 41
    assert {one.id: one.seen for one in evaluation.rows if one.seen} == {"r41": ("bytes", "pixels"), "r42": ("text",)}


def test_a_broken_picture_is_named_and_left_out(evaluation):
    [(name, error)] = evaluation.metrics["errors"].items()
    assert name == "r43"
    assert "cut.png" in error
    assert any(line.startswith("not read: r43") for line in notes(evaluation.metrics))


def test_baselines_learn_and_are_compared(evaluation):
    baselines, verdict = evaluation.metrics["baselines"], evaluation.metrics["verdicts"]["harmful"]
    assert baselines["majority"]["harmful"]["accuracy"]["value"] == pytest.approx(22 / 43)
    assert baselines["tfidf"]["harmful"]["accuracy"]["value"] > 0.9
    assert verdict["verdict"] == "no difference shown"
    assert evaluation.metrics["paired"]["harmful"]["majority"]["accuracy"]["verdict"] == "better"
    assert verdict["figure"] == "deciding_f1"
    assert "ece" not in evaluation.metrics["paired"]["harmful"]["tfidf"]


def test_the_model_sees_no_labels(prepared):
    model = Fake()
    evaluate(model, prepared, baselines=False, resamples=20)
    assert all(not meme.labels and not meme.meta and meme.split is None for meme in model.seen)


def test_the_same_twice_and_from_stored_predictions(evaluation, prepared, tmp_path):
    again = evaluate(Fake(), prepared, resamples=200)
    assert again.metrics == evaluation.metrics
    path = write(again, tmp_path / "out")
    assert sorted(p.name for p in path.parent.iterdir()) == ["metrics.json", "predictions.jsonl"]
    assert json.loads(path.read_text()) == evaluation.metrics
    assert rescore(path.parent).metrics == evaluation.metrics
    other = rescore(path.parent, seed=5).metrics
    assert other["seed"] == 5
    assert other["tasks"]["harmful"]["accuracy"]["value"] == evaluation.metrics["tasks"]["harmful"]["accuracy"]["value"]
    assert other["tasks"]["harmful"]["accuracy"] != evaluation.metrics["tasks"]["harmful"]["accuracy"]


def test_a_failing_batch_is_asked_one_by_one(prepared, tmp_path):
    folder = tmp_path / "some"
    rows = [row(i, "harmful", "vile broken" if i == 3 else "vile", draw(folder, f"{i}.png", i)) for i in range(5)]
    split(folder, "test", rows)
    found = evaluate(Fake(), folder, resamples=20).metrics
    assert found["errors"] == {"r3": "the decoder died"}
    assert found["n"] == 4
    assert found["baselines"] == {}  # there is no train split
    assert found["clean"]["same"]


def test_one_class_only_decides_nothing(tmp_path):
    rows = [row(i, "harmful", "vile", draw(tmp_path / "one", f"{i}.png", i)) for i in range(30)]
    split(tmp_path / "one", "test", rows)
    split(
        tmp_path / "one",
        "train",
        [row(9, "harmful", "x", rows[0]["image"]), row(8, "not-harmful", "y", rows[1]["image"])],
    )
    found = evaluate(Fake(), tmp_path / "one", resamples=20).metrics
    assert found["verdicts"]["harmful"]["verdict"] == "undecided"
    assert {one["verdict"] for one in found["paired"]["harmful"]["majority"].values()} == {"undecided"}
    assert found["tasks"]["harmful"]["auroc"] == {"value": None, "low": None, "high": None}
    assert "| - |" in markdown([found])


def test_a_rare_class_decides_nothing():
    """c has 5 rows, and the model is perfect where the other answers by chance: the classes with rows decide."""
    task = replace(load_taxonomy()["sentiment"], labels=("a", "b", "c"))
    truth = ["a"] * 60 + ["b"] * 60 + ["c"] * 5
    rows = [
        Row(str(i), i, (), {"sentiment": label}, {name: {"sentiment": Said(said, {said: 1.0})} for name, said in both})
        for i, label in enumerate(truth)
        for both in [[("model", label), ("majority", "a")]]
    ]
    found = score(rows, [task], resamples=200)
    paired = found["paired"]["sentiment"]["majority"]
    assert found["tasks"]["sentiment"]["macro_f1"]["value"] == 1.0
    assert paired["macro_f1"]["verdict"] == paired["auroc"]["verdict"] == "undecided"
    assert paired["accuracy"]["verdict"] == paired["deciding_f1"]["verdict"] == "better"
    assert found["verdicts"]["sentiment"]["value"] == pytest.approx(1 - 2 * 60 / (125 + 60) / 2)


def test_limit_spreads_over_the_split(prepared):
    found = evaluate(Fake(), prepared, limit=5, baselines=False, resamples=20)
    assert found.metrics["rows"] == 5
    assert [one.id for one in found.rows] == ["r0", "r11", "r22", "r32"]  # r43 cannot be read
    assert (
        found.metrics["split_hash"] != evaluate(Fake(), prepared, baselines=False, resamples=20).metrics["split_hash"]
    )


def test_nothing_to_measure_is_named(prepared, tmp_path):
    model = Fake()
    model.tasks = ("vulgarity",)
    with pytest.raises(
        UsageError, match=r"labelled for harmful, metaphor, propaganda_techniques; fake answers vulgarity"
    ):
        evaluate(model, prepared)
    with pytest.raises(UsageError, match="no such split"):
        evaluate(Fake(), prepared, split="val")
    split(tmp_path, "test", [row(0, "harmful", "vile", "gone.png")])
    with pytest.raises(UsageError, match=r"none of the 1 memes .* r0: .*gone.png"):
        evaluate(Fake(), tmp_path)


def test_an_answer_that_is_missing_is_named(prepared):
    model = Fake()
    model.tasks = ("metaphor",)
    with pytest.raises(MemescopeError, match="lists metaphor among its tasks but gave 'r0' no answer"):
        evaluate(model, prepared)


def test_rescore_needs_an_evaluation(tmp_path):
    with pytest.raises(UsageError, match="give a folder that `memescope eval` wrote"):
        rescore(tmp_path)
    (tmp_path / "metrics.json").write_text("{}")
    (tmp_path / "predictions.jsonl").write_text('{"id": 1}\n')
    with pytest.raises(UsageError, match=r"predictions.jsonl:1: expected a row"):
        rescore(tmp_path)


def test_baseline_answers_come_from_the_cache_the_second_time(prepared, monkeypatch, tmp_path):
    monkeypatch.setenv("MEMESCOPE_CACHE", str(tmp_path))
    noise = np.random.default_rng(0).normal(size=(60, 4)).astype(np.float32)
    monkeypatch.setattr(baselines_module, "encode", lambda memes, identities, progress: noise[: len(memes)])
    first = evaluate(Fake(), prepared, resamples=20).metrics

    def never(*_args: object) -> None:
        raise AssertionError("fitted again")

    monkeypatch.setattr(baselines_module, "choose", never)
    some = evaluate(Fake(), prepared, limit=20, resamples=20).metrics  # other rows: fitted, but not chosen again
    assert some["baselines"]["tfidf"]["harmful"]["n"] == 19
    monkeypatch.setattr(baselines_module, "fit_predict", never)
    assert evaluate(Fake(), prepared, resamples=20).metrics == first
    with pytest.raises(AssertionError, match="fitted again"):
        evaluate(Fake(), prepared, seed=1, resamples=20)


def test_ocr_replaces_the_text(prepared, monkeypatch):
    class Engine:
        version = "drawn/1"
        reads = 0

        def read(self, picture):
            self.reads += 1
            return type("Result", (), {"text": "vile letters here"})

    engine = Engine()
    monkeypatch.setattr("memescope.perception.ocr.load_ocr", lambda: engine)
    model = Fake()
    found = evaluate(model, prepared, text="ocr", baselines=False, resamples=20).metrics
    assert {meme.text for meme in model.seen} == {"vile letters here"}
    assert found["text"] == "ocr"
    assert found["tasks"]["harmful"]["accuracy"]["value"] == pytest.approx(21 / 43)
    assert found["clean"]["n"] == 41  # by the set's own text
    evaluate(Fake(), prepared, text="ocr", baselines=False, resamples=20)
    assert engine.reads == 43


def test_the_audit_decides_what_is_clean_where_it_has_been_run(prepared, evaluation, tmp_path):
    from memescope.curation.audit import audit, write_audit

    assert evaluation.metrics["clean_rule"] == "keys/1"
    assert evaluation.metrics["clean"]["left_out"] == {"bytes": 1, "pixels": 1, "text": 1}
    write_audit(audit([prepared]), tmp_path)
    found = evaluate(Fake(), prepared, baselines=False, resamples=20, clean=tmp_path).metrics
    # r41 has a training picture, r42 a training text on another picture, which is no leak
    assert (found["clean_rule"], found["clean"]["n"], found["clean"]["left_out"]) == ("audit/1", 42, {"exact": 1})


def test_normal_text_and_seen():
    assert normal_text("  ＡＢＣ—Straße,\n‘2’ ") == "abc strasse 2"
    assert normal_text("क्या!") == "क्या"  # marks stay: without them other words are left
    assert normal_text("?!") == ""
    same = [Meme(image="none", text=t) for t in ("a b", "A, B", "?!", "")]
    known = identify(same)
    assert all(one.error for one in known)
    assert seen(known[:1], known[1:]) == [("text",)]
    assert seen(known[2:3], known[3:]) == [()]  # no text is not the same text


def test_near_duplicates_share_a_key(tmp_path):
    draw(tmp_path, "a.png", 1)
    with Image.open(tmp_path / "images" / "a.png") as picture:
        picture.resize((130, 130), Image.Resampling.BICUBIC).save(tmp_path / "images" / "b.jpg", quality=60)
    draw(tmp_path, "c.png", 2)
    memes = [Meme(image=tmp_path / "images" / name, id=name) for name in ("a.png", "b.jpg", "c.png")]
    keys = near_keys(memes)
    assert set(keys[0]) & set(keys[1])
    assert not set(keys[2]) & {*keys[0], *keys[1]}
    flat = tmp_path / "flat.png"
    Image.new("RGB", (64, 64)).save(flat)
    other = tmp_path / "grey.png"
    Image.new("RGB", (64, 64), (9, 9, 9)).save(other)
    blank = [Meme(image=flat), Meme(image=other)]
    assert near_keys(blank) == [(), ()]


def test_cache_keeps_bytes_and_says_when_it_cannot(tmp_path, monkeypatch):
    monkeypatch.setenv("MEMESCOPE_CACHE", str(tmp_path))
    cache = Cache("test")
    cache.put({f"k{i}": bytes([i % 256]) for i in range(1200)})
    assert len(Cache("test").get([f"k{i}" for i in range(1300)])) == 1200
    (tmp_path / "bad.sqlite").write_bytes(b"not a database at all, but long enough to look at" * 20)
    with pytest.raises(UsageError, match="MEMESCOPE_CACHE"):
        Cache("bad")


def test_linear_separates_and_decides_for_rare_labels():
    rng = np.random.default_rng(0)
    truth = (np.arange(300) % 10 == 0).astype(int)
    x = rng.normal(size=(300, 3)) + truth[:, None] * [1.2, 0, 0]
    choice = choose(x, truth, 2, np.arange(300), (0.1, 1.0))
    predicted, probabilities = fit_predict(x, truth, x, 2, choice)
    assert probabilities.sum(axis=1) == pytest.approx(np.ones(300))
    assert probabilities[:, 1].mean() == pytest.approx(0.1, abs=0.02)  # natural probabilities
    assert choice.rule > 0  # but answers that do not forget the rare label
    assert predicted.sum() > (probabilities[:, 1] > 0.5).sum()


def test_linear_survives_labels_that_never_hold():
    truth = np.c_[np.arange(40) % 2 == 0, np.zeros(40, bool)]
    x = np.c_[truth[:, :1] * 2.0, np.ones(40)]
    predicted, probabilities = fit_predict(x, truth, x, 2, choose(x, truth, 2, np.arange(40), (1.0,)))
    assert (predicted == truth).all()
    assert (probabilities[:, 1] == 0).all()


def test_one_group_cannot_be_cut_and_still_fits():
    x, truth = np.array([[0.0], [1.0]] * 5), np.array([0, 1] * 5)
    choice = choose(x, truth, 2, np.zeros(10, np.int64), (1.0, 100.0))
    assert choice.c == 1.0
    assert (fit_predict(x, truth, x, 2, choice)[0] == truth).all()


def test_summaries_make_markdown(evaluation, tmp_path):
    path = write_summary(evaluation.metrics, tmp_path / "results")
    assert path.name == "drawn-given-0.json"
    assert path.stat().st_size < 40_000
    [stored] = read_summaries(tmp_path / "results")
    assert stored == summary(evaluation.metrics)
    assert "reliability" not in stored["tasks"]["harmful"]
    table = markdown([stored])
    assert table.count("\n") == 4
    assert "| drawn | given | harmful | 43 | .977 [" in table
    assert "| 41 | 1.000 [" in markdown([stored], clean=True)


def test_cells():
    assert number(-0.25) == "-.250"
    assert number(1.0) == "1.000"
    assert number(None) == "-"
    assert cell({"value": 0.5, "low": None, "high": None}) == ".500"


def test_the_verb(prepared, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("memescope.models.load", lambda name: Fake(), raising=False)
    monkeypatch.chdir(tmp_path)
    assert run(["eval", "fake", "--data", str(prepared), "--json"]) == 0
    printed = capsys.readouterr()
    metrics = json.loads(printed.out)
    assert printed.err == ""
    out = tmp_path / "memescope-eval" / "fake" / "drawn-test-given"
    assert json.loads((out / "metrics.json").read_text()) == metrics
    assert run(["eval", "--from", str(out)]) == 0
    text = capsys.readouterr().out
    assert "clean: rows that share no picture or text with a training row (n = 41)" in text
    assert "propaganda_techniques: the model does not know the label 'slogans'" in text
    assert str(out / "metrics.json") in text.replace("\n", "")
    assert run(["eval", "fake"]) == 2
    assert run(["eval", "fake", "--from", str(out), "--text", "ocr", "--limit", "3"]) == 2
    assert "RUN and --text and --limit would do nothing with --from" in capsys.readouterr().err
    assert run(["eval", "fake", "--data", str(prepared), "--written", "3"]) == 2
    assert "--written would do nothing without --rationales" in capsys.readouterr().err


def test_the_verb_takes_a_model_behind_a_server(prepared, tmp_path, monkeypatch, capsys):
    asked = []
    monkeypatch.setattr("memescope.models.load", lambda name: asked.append(name) or Fake(), raising=False)
    monkeypatch.chdir(tmp_path)
    served = ["eval", "openai:https://h/v1", "--data", str(prepared), "--limit", "8", "--no-baselines", "--json"]
    assert run([*served, "--allow-remote", "h", "--key-env", "KEY"]) == 0
    assert asked == ["openai:https://h/v1#allow=h&key=KEY"]
    assert run(["eval", "starter", "--data", str(prepared), "--allow-remote", "h"]) == 2
    assert "'starter' runs on this machine" in capsys.readouterr().err


@pytest.mark.real
@pytest.mark.slow
def test_harmc_leaks_and_its_floor(real_data):
    """The figures docs/evaluation.md states: 45 of 354 test rows are not clean; TF-IDF alone reaches about .75."""
    train, test = (read_split(real_data / "ready" / "harmc", name) for name in ("train", "test"))
    before, after = identify(train), identify(test)
    assert sum(bool(kinds) for kinds in seen(after, before)) == 45
    tasks = [load_taxonomy()["harmful"]]
    said = baselines_module.answer_baselines(tasks, train, test, before, after, names=("majority", "tfidf"))
    found = {
        name: figures(
            scored(
                "binary",
                tasks[0].labels,
                [meme.labels["harmful"] for meme in test],
                [one.label for one in said[name]["harmful"]],
                np.array([[one.probabilities[label] for label in tasks[0].labels] for one in said[name]["harmful"]]),
            )
        )
        for name in said
    }
    assert found["majority"]["accuracy"] == pytest.approx(230 / 354)
    assert found["tfidf"]["macro_f1"] == pytest.approx(0.75, abs=0.03)
    assert found["tfidf"]["auroc"] > 0.8
