"""Figures by configuration and their means, against values worked out by hand and against the plain definition."""

import json

import numpy as np
import pytest
from rich.console import Console
from test_evaluate import Fake, draw, split
from test_evaluate import row as line

from memescope.evaluation.averages import averages
from memescope.evaluation.evaluate import evaluate
from memescope.evaluation.intervals import resample
from memescope.evaluation.predictions import Row, Said, read_rows, to_lines
from memescope.evaluation.results import rescore, write
from memescope.evaluation.score import score
from memescope.evaluation.tables import notes, print_tables, summary
from memescope.taxonomy import load_taxonomy

TAXONOMY = load_taxonomy()
TASKS = [TAXONOMY[name] for name in ("hateful", "harmful", "harm_intensity", "misogyny_categories", "sentiment")]


def said(task: str, label) -> Said:
    chosen = [label] if isinstance(label, str) else label
    return Said(label, {one: float(one in chosen) for one in TAXONOMY[task].labels})


def one(number: int, source: str, lang: str, truth: dict, model: dict, majority: dict | None = None) -> Row:
    answers = {"model": {task: said(task, label) for task, label in model.items()}}
    if majority:
        answers["majority"] = {task: said(task, label) for task, label in majority.items()}
    return Row(f"r{number}", number, (), truth, answers, source, lang)


def rows(baseline: bool = False) -> list[Row]:
    """Six configurations, of which `harmful` repeats `harm_intensity`; the baseline answers only the first."""
    other = {"hateful": "not-hateful"} if baseline else None
    n, h = {"hateful": "not-hateful"}, {"hateful": "hateful"}
    very = {"harm_intensity": "very-harmful", "harmful": "harmful"}
    partly = {"harm_intensity": "partially-harmful", "harmful": "harmful"}
    none = {"harm_intensity": "not-harmful", "harmful": "not-harmful"}
    objects = {"misogyny_categories": ["objectification"]}
    both = {"misogyny_categories": ["objectification", "prejudice"]}
    return [
        one(0, "a", "en", n, n, other),
        one(1, "a", "en", n, n, other),
        one(2, "a", "en", h, h, other),
        one(3, "a", "en", h, n, other),
        one(4, "a", "de", n, h),
        one(5, "a", "de", h, h),
        one(6, "b", "en", very, partly),
        one(7, "b", "en", none, none),
        one(8, "c", "hi-en", objects, objects),
        one(9, "c", "hi-en", both, {"misogyny_categories": ["prejudice"]}),
        one(10, "a", "en", {"sentiment": "positive"}, {"sentiment": "positive"}),
    ]


def value(entry, figure: str, system: str = "model") -> float:
    return entry["systems"][system][figure]["value"]


def test_configurations_by_hand():
    found = averages(rows(baseline=True), TASKS, resamples=20)
    by = {(c["task"], c["source"], c["lang"]): c for c in found["configurations"]}
    assert [(*key, c["n"], c["averaged"]) for key, c in by.items()] == [
        ("hateful", "a", "en", 4, True),
        ("hateful", "a", "de", 2, True),
        ("harmful", "b", "en", 2, False),  # the graded task on the same rows is the one that counts
        ("harm_intensity", "b", "en", 2, True),
        ("misogyny_categories", "c", "hi-en", 2, True),
        ("sentiment", "a", "en", 1, True),
    ]
    english, german = by["hateful", "a", "en"], by["hateful", "a", "de"]
    assert value(english, "accuracy") == 3 / 4
    assert value(english, "macro_f1") == pytest.approx((4 / 5 + 2 / 3) / 2)
    assert value(english, "weighted_f1") == pytest.approx((4 / 5 * 2 + 2 / 3 * 2) / 4)
    assert value(german, "macro_f1") == pytest.approx((0 + 2 / 3) / 2)
    assert value(by["harmful", "b", "en"], "accuracy") == 1
    assert value(by["harm_intensity", "b", "en"], "macro_f1") == (1 + 0) / 2  # nobody is partially harmful
    several = by["misogyny_categories", "c", "hi-en"]
    assert set(several["systems"]["model"]) == {
        *("subset_accuracy", "hamming", "micro_f1", "macro_f1", "weighted_f1", "samples_f1")
    }
    assert value(several, "subset_accuracy") == 1 / 2
    assert value(several, "hamming") == 1 / 8
    assert value(several, "micro_f1") == pytest.approx(2 * 2 / (2 + 3))
    assert value(several, "macro_f1") == pytest.approx((2 / 3 + 1) / 2)
    assert value(several, "weighted_f1") == pytest.approx((2 * 2 / 3 + 1) / 3)
    assert value(several, "samples_f1") == pytest.approx((1 + 2 / 3) / 2)
    assert set(english["systems"]) == {"model", "majority"}
    assert set(german["systems"]) == {"model"}


def test_means_by_hand():
    means = averages(rows(baseline=True), TASKS, resamples=20)["averages"]
    assert (means["overall"]["configurations"], means["overall"]["n"]) == (5, 11)
    assert value(means["overall"], "accuracy") == pytest.approx((0.75 + 0.5 + 0.5 + 0.5 + 1) / 5)
    assert means["without_affect"]["configurations"] == 4
    assert value(means["without_affect"], "accuracy") == pytest.approx((0.75 + 0.5 + 0.5 + 0.5) / 4)
    macro = {"en": (4 / 5 + 2 / 3) / 2, "de": 1 / 3, "harm": 1 / 2, "several": 5 / 6, "sentiment": 1.0}
    assert value(means["overall"], "macro_f1") == pytest.approx(sum(macro.values()) / 5)
    assert list(means["category"]) == ["safety", "bias", "affect"]
    assert value(means["category"]["safety"], "macro_f1") == pytest.approx((macro["en"] + macro["de"] + 0.5) / 3)
    assert {name: its["configurations"] for name, its in means["language"].items()} == {"en": 3, "de": 1, "hi-en": 1}
    assert value(means["language"]["en"], "macro_f1") == pytest.approx((macro["en"] + 0.5 + 1) / 3)
    assert value(means["source"]["a"], "accuracy") == pytest.approx((0.75 + 0.5 + 1) / 3)
    assert means["overall"]["systems"]["majority"]["configurations"] == 1
    assert value(means["overall"], "accuracy", "majority") == 1 / 2


def test_intervals_are_those_of_the_mean_over_whole_memes():
    """Every second row of the German part is the same meme as an English one; the plain definition, in float64."""
    rng = np.random.default_rng(3)
    some = []
    for i in range(60):
        truth, answer = (("not-hateful", "hateful")[k] for k in rng.integers(0, 2, 2))
        some.append(one(i, "a", "en" if i < 40 else "de", {"hateful": truth}, {"hateful": answer}))
    for i in range(40, 60, 2):
        some[i].cluster = i - 40
    found = averages(some, [TAXONOMY["hateful"]], seed=4, resamples=300)["averages"]["overall"]["systems"]["model"]
    right = np.array([row.truth["hateful"] == row.answers["model"]["hateful"].label for row in some], float)
    cluster = np.unique([row.cluster for row in some], return_inverse=True)[1]
    drawn = np.concatenate(list(resample(cluster, 300, 4)))
    english, german = drawn[:, :40], drawn[:, 40:]
    plain = ((english @ right[:40]) / english.sum(1) + (german @ right[40:]) / german.sum(1)) / 2
    assert found["accuracy"]["value"] == pytest.approx((right[:40].mean() + right[40:].mean()) / 2)
    assert [found["accuracy"]["low"], found["accuracy"]["high"]] == pytest.approx(np.quantile(plain, [0.025, 0.975]))


def test_one_meme_in_every_language_has_no_spread():
    n, h = {"hateful": "not-hateful"}, {"hateful": "hateful"}
    some = [one(0, "a", lang, n, n if lang == "en" else h) for lang in ("en", "de", "es")]
    for row in some:
        row.cluster = 0
    mean = averages(some, [TAXONOMY["hateful"]], resamples=50)["averages"]["overall"]["systems"]["model"]["accuracy"]
    assert (mean["low"], mean["value"], mean["high"]) == pytest.approx((1 / 3, 1 / 3, 1 / 3))


def test_a_configuration_missing_from_a_resample_is_left_out_of_its_mean():
    """Two rows, two configurations, one right: resamples give 1, 0 or (both drawn) 1/2, never nothing."""
    n, h = {"hateful": "not-hateful"}, {"hateful": "hateful"}
    some = [one(0, "a", "en", n, n), one(1, "a", "de", n, h)]
    mean = averages(some, [TAXONOMY["hateful"]], resamples=400)["averages"]["overall"]["systems"]["model"]["accuracy"]
    assert mean == {"value": 0.5, "low": 0.0, "high": 1.0}


def test_score_holds_them_for_all_rows_and_for_the_clean_ones():
    some = rows()
    some[4].seen = some[5].seen = ("text",)
    found = score(some, TASKS, resamples=20)
    assert found["averages"]["overall"]["configurations"] == 5
    assert found["clean"]["averages"]["overall"]["configurations"] == 4  # German is gone
    assert "de" not in found["clean"]["averages"]["language"]
    json.dumps(found, allow_nan=False)


def test_older_predictions_are_scored_again_without_means(tmp_path):
    lines = [json.loads(line) for line in to_lines(rows()).splitlines()]
    assert (lines[4]["source"], lines[4]["lang"]) == ("a", "de")
    older = [{key: value for key, value in line.items() if key not in ("source", "lang")} for line in lines]
    (tmp_path / "predictions.jsonl").write_text("".join(json.dumps(line) + "\n" for line in older))
    (tmp_path / "metrics.json").write_text(
        json.dumps({"tasks": {task.name: {} for task in TASKS}, "seed": 0, "resamples": 20, "errors": {}, "n": 11})
    )
    assert {row.source for row in read_rows(tmp_path / "predictions.jsonl")} == {None}
    found = rescore(tmp_path).metrics
    assert found["tasks"]["hateful"]["accuracy"]["value"] == 4 / 6
    assert "averages" not in found
    assert any("stored without source and language" in line for line in notes(found | {"unanswered_tasks": []}))


def test_the_table_says_over_how_many_configurations(capsys):
    head = {"model": "m", "model_version": "1", "data": "d", "split": "test", "split_hash": "0", "text": "given"}
    head |= {"rows": 11, "resamples": 20, "seed": 0, "errors": {}, "unanswered_tasks": []}
    found = head | score(rows(), TASKS, resamples=20)
    print_tables(found, Console(width=160))
    lines = [line for line in capsys.readouterr().out.splitlines() if "│" in line]
    [whole] = [line for line in lines if line.split("│")[1].strip() == "all"]
    assert [cell.strip() for cell in whole.split("│")[2:4]] == ["5", "11"]
    assert ".650 [" in whole
    assert any(line.startswith("│ category: Safety and moderation") for line in lines)
    assert any(line.startswith("│ language: hi-en") for line in lines)
    assert "configurations" not in summary(found)
    assert summary(found)["averages"]["overall"]["configurations"] == 5


def test_nothing_to_say_of_no_rows():
    assert averages([], TASKS) is None


def test_rows_keep_the_datasets_language_and_name(tmp_path, monkeypatch):
    """With OCR the language of what was read is shown to the model; the configuration stays the dataset's."""

    class Engine:
        version = "averages/1"

        def read(self, picture):
            return type("Result", (), {"text": "the weather is very kind to us today"})

    monkeypatch.setattr("memescope.perception.ocr.load_ocr", lambda: Engine())
    folder = tmp_path / "drawn"
    some = [line(i, "harmful", f"vile {i}", draw(folder, f"{i}.png", i)) | {"lang": "de"} for i in range(3)]
    some[2]["meta"] = {"dataset": "fhm"}
    split(folder, "test", some)
    model = Fake()
    evaluation = evaluate(model, folder, text="ocr", baselines=False, resamples=20)
    assert {meme.lang for meme in model.seen} == {"en"}
    assert [(one.source, one.lang) for one in evaluation.rows] == [("drawn", "de"), ("drawn", "de"), ("fhm", "de")]
    assert set(evaluation.metrics["averages"]["source"]) == {"drawn", "fhm"}
    assert rescore(write(evaluation, tmp_path / "out").parent).metrics == evaluation.metrics
