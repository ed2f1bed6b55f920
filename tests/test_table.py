"""Results tables: packed predictions, means over seeds, paired differences, rows that are run once."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from memescope.cli import run
from memescope.errors import UsageError
from memescope.evaluation.compact import pack, unpack
from memescope.evaluation.generated import TEXT_FIGURES
from memescope.evaluation.predictions import MODEL, Row, Said
from memescope.evaluation.rows import cells
from memescope.taxonomy import load_taxonomy
from memescope.training.table import load_table
from memescope.training.table_measured import Measured, predictions, result_path
from memescope.training.table_run import _kept, missing
from memescope.training.table_text import figures_of, markdown
from memescope.training.table_written import written_markdown, written_of

HARMFUL = load_taxonomy()["harmful"]


def _row(number: int, truth: str, p: float, seen: bool = False, baseline: float = 0.3) -> Row:
    def said(value: float) -> Said:
        return Said(
            "harmful" if value > 0.5 else "not-harmful", {"not-harmful": 1 - value, "harmful": value}, value < 0.1
        )

    answers = {MODEL: {"harmful": said(p)}, "tfidf": {"harmful": said(baseline)}}
    return Row(str(number), number, ("text",) if seen else (), {"harmful": truth}, answers)


def _rows(wrong: set[int] = frozenset(), n: int = 60) -> list[Row]:
    truth = ["harmful" if i % 3 == 0 else "not-harmful" for i in range(n)]
    right = [(t == "harmful") != (i in wrong) for i, t in enumerate(truth)]
    return [_row(i, t, 0.9 if high else 0.2, seen=i < 6) for i, (t, high) in enumerate(zip(truth, right, strict=True))]


@given(st.lists(st.tuples(st.booleans(), st.floats(0, 1), st.booleans()), min_size=1, max_size=30))
def test_packed_predictions_come_back(drawn: list[tuple[bool, float, bool]]) -> None:
    rows = [_row(i, "harmful" if t else "not-harmful", p, seen) for i, (t, p, seen) in enumerate(drawn)]
    again = unpack(json.loads(json.dumps(pack(rows, "h"))))
    for row, one in zip(rows, again, strict=True):
        assert (one.cluster, bool(one.seen), one.truth) == (row.cluster, bool(row.seen), row.truth)
        for system, said in row.answers.items():
            assert one.answers[system]["harmful"].label == said["harmful"].label
            assert one.answers[system]["harmful"].abstain == said["harmful"].abstain
            assert one.answers[system]["harmful"].probabilities == pytest.approx(
                said["harmful"].probabilities, abs=5e-5
            )


def test_packing_keeps_several_labels_and_rows_a_task_does_not_label() -> None:
    techniques = load_taxonomy()["propaganda_techniques"]
    p = {label: 0.75 if label in ("smears", "doubt") else 0.125 for label in techniques.labels}
    both = _row(0, "harmful", 0.9)
    both.truth["propaganda_techniques"] = ["smears"]
    both.answers[MODEL]["propaganda_techniques"] = Said(["smears", "doubt"], p)
    again = unpack(pack([_row(1, "not-harmful", 0.1), both], "h"))
    assert "propaganda_techniques" not in again[0].truth
    assert again[1].truth["propaganda_techniques"] == ["smears"]
    assert again[1].answers[MODEL]["propaganda_techniques"].label == ["smears", "doubt"]
    assert again[1].answers[MODEL]["propaganda_techniques"].probabilities == p
    assert "tfidf" in again[1].answers
    assert "propaganda_techniques" not in again[1].answers["tfidf"]


def test_a_cell_is_the_mean_over_seeds_and_differences_are_paired() -> None:
    systems = {"good": [_rows(), _rows({0, 1, 2, 3, 4, 5})], "bad": [_rows(set(range(30)))]}
    n, found = cells(systems, HARMFUL, ["accuracy"], "bad", resamples=300)
    assert n == 60
    assert found["good"]["accuracy"].seeds == (1.0, 0.9)
    assert found["good"]["accuracy"].figure.value == pytest.approx(0.95)
    less = found["good"]["accuracy"].less
    assert less is not None
    assert less.value == pytest.approx(0.45)
    assert less.verdict == "better"
    assert found["bad"]["accuracy"].less is None
    n, clean = cells(systems, HARMFUL, ["accuracy"], "bad", clean=True, resamples=50)
    assert n == 54
    assert clean["good"]["accuracy"].figure.value == pytest.approx(1.0)  # the six wrong ones are the seen ones


def test_rows_that_do_not_answer_a_task_are_left_out_of_it() -> None:
    silent = _rows()
    for row in silent:
        row.truth, row.answers = {}, {}
    n, found = cells({"mute": [silent], "good": [_rows()]}, HARMFUL, ["accuracy"], "mute", resamples=20)
    assert n == 60
    assert list(found) == ["good"]
    assert found["good"]["accuracy"].less is None  # nothing to be compared with
    assert cells({"mute": [silent]}, HARMFUL, ["accuracy"], None) == (0, {})


def test_rows_of_other_memes_are_refused() -> None:
    with pytest.raises(UsageError, match="'b' was measured on other memes"):
        cells({"a": [_rows()], "b": [_rows(n=59)]}, HARMFUL, ["accuracy"], None)


@pytest.fixture
def table_file(tmp_path: Path) -> Path:
    path = tmp_path / "t.yaml"
    path.write_text(
        """
name: t
title: A table
data: drawn
tasks: [harmful]
figures: [accuracy]
against: first
rows:
  - {name: first, model: starter, seeds: [0, 1]}
  - {name: Second one, recipe: r.yaml, seeds: [0, 1], note: slow}
  - {name: floor, baseline: tfidf}
  - {name: large, recipe: r.yaml, not_run: needs a GPU}
paper:
  - {name: theirs, figures: {accuracy: 0.86}, source: somewhere, comparable: no}
""".replace("comparable: no", "comparable: other pictures")
    )
    return path


def test_missing_rows_come_first_seeds_first(table_file: Path, tmp_path: Path) -> None:
    table = load_table(str(table_file))
    path = result_path(table, "Second one", 0, tmp_path)
    assert path == tmp_path / "t" / "second-one-0.json"
    path.parent.mkdir()
    path.write_text("{}")
    assert [(row.name, seed) for row, seed in missing(table, (), tmp_path)] == [
        ("first", 0),
        ("first", 1),
        ("Second one", 1),
    ]
    assert [(row.name, seed) for row, seed in missing(table, ["Second one"], tmp_path)] == [("Second one", 1)]
    with pytest.raises(UsageError, match="no row third; there are: first, Second one"):
        list(missing(table, ["third"], tmp_path))


def test_the_table_shows_what_was_run_and_what_was_not(
    table_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = load_table(str(table_file))
    for name, seed, wrong in (("first", 0, {0, 1, 2}), ("first", 1, {0}), ("Second one", 0, set(range(20)))):
        path = result_path(table, name, seed, tmp_path)
        path.parent.mkdir(exist_ok=True)
        content = {"split_hash": "h", "resamples": 2000, "clean_rule": "keys", "predictions": pack(_rows(wrong), "h")}
        path.write_text(json.dumps(content))
    assert run(["table", str(table_file), "--results", str(tmp_path)]) == 0
    said = capsys.readouterr().out
    published, clean = said.split("clean rows")
    assert "| first | .967 [" in published
    assert "(.950, .983)" in published
    assert "| Second one | .667 [" in published
    assert " worse | slow (1 of 2 seeds) |" in published
    assert "| floor | .667 [" in published  # always says not-harmful: 40 of 60
    assert "| large | - | - | needs a GPU |" in published
    assert "| theirs (paper) | .860 |  | somewhere: other pictures |" in published
    assert "theirs" not in clean
    assert run(["table", str(table_file), "--results", str(tmp_path), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["tasks"]["harmful"]["clean"]["n"] == 54
    assert found["tasks"]["harmful"]["published"]["rows"]["first"]["accuracy"]["seeds"] == pytest.approx(
        [0.95, 59 / 60]
    )


def test_baselines_are_those_beside_a_row_that_answers_all_tasks(tmp_path: Path) -> None:
    path = tmp_path / "t.yaml"
    path.write_text(
        "{name: t, title: T, data: drawn, tasks: [harmful, target], figures: [accuracy], rows: ["
        "{name: coarse, model: starter}, {name: fine, model: starter}, {name: floor, baseline: tfidf}]}"
    )
    table = load_table(str(path))
    p = dict.fromkeys(load_taxonomy()["target"].labels, 0.2)

    def both() -> list[Row]:
        rows = _rows()
        for row in rows:
            row.truth["target"] = "society"
            for system, label in ((MODEL, "society"), ("tfidf", "none")):
                row.answers[system]["target"] = Said(label, p)
        return rows

    def keep(name: str, rows: list[Row]) -> None:
        file = result_path(table, name, 0, tmp_path)
        file.parent.mkdir(exist_ok=True)
        content = {"split_hash": "h", "resamples": 2000, "clean_rule": None}
        file.write_text(json.dumps(content | {"predictions": pack(_kept(table, rows, tmp_path), "h")}))

    keep("coarse", _rows())  # done first, and has no baseline's answers to `target`
    keep("fine", both())
    floor = predictions(table, tmp_path)["floor"][0]
    assert {task: floor[0].answers[MODEL][task].label for task in table.tasks} == {
        "harmful": "not-harmful",
        "target": "none",
    }
    said = markdown(table, tmp_path)
    assert "| row | accuracy | note |" in said  # nothing to be compared with
    assert "less" not in said
    assert "| coarse | - | does not answer this task |" in said
    assert "| floor | .000 [.000, .000] |" in said  # of `target`, which is always society


def test_a_wrong_table_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["table", str(tmp_path / "no.yaml")]) == 2
    assert "no such table" in capsys.readouterr().err
    path = tmp_path / "t.yaml"
    path.write_text("{name: t, title: t, data: d, tasks: [harmful], against: b, rows: [{name: a}]}")
    assert run(["table", str(path)]) == 2
    assert "against: 'b' is none of the rows a" in capsys.readouterr().err
    path.write_text("{name: t, title: t, data: d, tasks: [harmful], rows: [{name: two-stage}, {name: Two stage}]}")
    assert run(["table", str(path)]) == 2
    assert "rows 'two-stage' and 'Two stage' would share one result file" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--row", "first"], "--row would do nothing without --run"),
        (["--seed", "0", "--most", "2"], "--seed and --most would do nothing without --run"),
        (["--keep"], "--keep would do nothing without --run"),
        (["--by", "background", "--curves", "c.png"], "--by would do nothing with --curves"),
    ],
)
def test_options_that_would_do_nothing_are_refused(
    table_file: Path, options: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["table", str(table_file), *options]) == 2
    assert said in capsys.readouterr().err


def test_a_row_is_measured_kept_and_never_run_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from memescope.curation.synth import synth

    synth(tmp_path / "drawn", 30, 0, languages=["en"], splits=True, sides=(200, 260))
    path = tmp_path / "t.yaml"
    path.write_text(
        "{name: t, title: t, data: drawn, tasks: [sentiment], figures: [accuracy],"
        " rows: [{name: starter, model: starter, seeds: [0, 1]}, {name: floor, baseline: majority}]}"
    )
    options = ["table", str(path), "--root", str(tmp_path), "--results", str(tmp_path / "results")]
    assert run([*options, "--run"]) == 0
    result = tmp_path / "results" / "t" / "starter-0.json"
    first = result.read_bytes()
    stored = json.loads(first)
    assert stored["row"] == "starter"
    # the table's task alone; the baseline that it shows is kept once
    assert list(stored["predictions"]["tasks"]) == ["sentiment"]
    assert set(stored["predictions"]["tasks"]["sentiment"]["systems"]) == {"model", "majority"}
    second = json.loads((tmp_path / "results" / "t" / "starter-1.json").read_text())
    assert set(second["predictions"]["tasks"]["sentiment"]["systems"]) == {"model"}
    assert len(stored["predictions"]["tasks"]["sentiment"]["truth"]) == stored["tasks"]["sentiment"]["n"]
    assert np.isfinite(stored["tasks"]["sentiment"]["accuracy"]["value"])
    capsys.readouterr()
    assert run([*options, "--run"]) == 0
    assert result.read_bytes() == first
    assert "| floor | ." in capsys.readouterr().out


def test_what_models_write_is_measured_beside_their_answers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from memescope import cli
    from memescope.curation.synth import synth
    from memescope.datasets import read_split
    from memescope.meme import Answer, Reading

    sizes: list[int] = []

    class Parrot:
        """Writes the meme's text, or nothing of it; answers one thing."""

        name, version, tasks = "parrot", "1", ("sentiment",)
        card: dict[str, object] = {}  # noqa: RUF012 - as models have it

        def __init__(self, folder: str) -> None:
            self.says = folder == "starter"

        def answer(self, memes):
            sizes.append(len(memes))
            said = Answer("neutral", {"negative": 0.2, "neutral": 0.6, "positive": 0.2})
            return [Reading({"sentiment": said}) for _ in memes]

        def generate(self, memes):
            assert not any(meme.rationale or meme.labels for meme in memes)
            return [meme.text if self.says else "nothing of it" for meme in memes]

    synth(tmp_path / "drawn", 30, 0, languages=["en"], splits=True, sides=(200, 260))
    memes = read_split(tmp_path / "drawn", "test")
    references = tmp_path / "teacher.jsonl"
    references.write_text("".join(json.dumps({"id": m.id, "rationale": m.text}) + "\n" for m in memes))
    path = tmp_path / "t.yaml"
    path.write_text(
        f"{{name: t, title: t, data: drawn, tasks: [sentiment], figures: [accuracy], against: one, written: 4,"
        f" rationales: {references}, rows: [{{name: one, model: starter}}, {{name: other, model: silent}},"
        " {name: third, model: starter, writes: false, batch: 3}], paper: ["
        "{name: his, task: sentiment, figures: {accuracy: 0.5}, source: s, comparable: not},"
        " {name: hers, task: harmful, figures: {accuracy: 0.6}, source: s, comparable: not}]}"
    )
    monkeypatch.setattr("memescope.training.table_run.load", Parrot)
    options = ["table", str(path), "--root", str(tmp_path), "--results", str(tmp_path / "results")]
    assert cli.run([*options, "--run"]) == 0
    found = figures_of(load_table(str(path)), tmp_path / "results")["rationales"]
    assert set(found) == {"one", "other"}
    assert found["one"]["n"] == min(4, len(memes))
    assert found["one"]["figures"]["rouge_l"]["value"] == pytest.approx(1.0)
    assert found["other"]["less"]["rouge_l"]["verdict"] == "worse"
    text = markdown(load_table(str(path)), tmp_path / "results")
    assert "## Written rationales (n = " in text
    assert max(sizes[-2:]) <= 3 < sizes[0]  # the last row is given three memes at once
    assert "his (paper)" in text
    assert "hers (paper)" not in text  # published for another task
    assert "without synonyms" in text or "with synonyms" in text


def test_references_of_no_measured_meme_are_told_before_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from memescope import cli
    from memescope.curation.synth import synth
    from memescope.datasets import read_split

    synth(tmp_path / "drawn", 30, 0, languages=["en"], splits=True, sides=(200, 260))
    references = tmp_path / "teacher.json"
    references.write_text(json.dumps({meme.id: meme.text for meme in read_split(tmp_path / "drawn", "train")}))
    path = tmp_path / "t.yaml"
    path.write_text(
        f"{{name: t, title: t, data: drawn, tasks: [sentiment], figures: [accuracy], against: one,"
        f" rationales: {references}, rows: [{{name: one, recipe: {tmp_path / 'no such recipe'}}}]}}"
    )
    monkeypatch.setattr("memescope.training.table_run.train", lambda *_, **__: pytest.fail("it was trained"))
    options = ["table", str(path), "--root", str(tmp_path), "--results", str(tmp_path / "results"), "--run"]
    assert cli.run(options) != 0
    assert "has no rationale of the test split of drawn" in capsys.readouterr().err


def test_a_table_may_be_like_another_one(tmp_path: Path) -> None:
    rows = [{"name": name, "baseline": "tfidf"} for name in ("a", "b", "own")]
    base = {"name": "base", "title": "t", "data": "x", "tasks": ["harmful"], "figures": ["auroc"], "rows": rows}
    base |= {"against": "a", "paper": [{"name": "p", "figures": {"auroc": 1}, "source": "s", "comparable": "no"}]}
    more = {"name": "more", "title": "u", "data": "y", "tasks": ["hateful"], "like": "base", "without": ["own"]}
    more |= {"rows": [{"name": "mine", "baseline": "majority"}]}
    for one in (base, more):
        (tmp_path / f"{one['name']}.yaml").write_text(json.dumps(one))
    found = load_table("more", tmp_path)
    assert [row.name for row in found.rows] == ["a", "b", "mine"]
    assert (found.data, found.tasks, found.figures, found.against, found.paper) == (
        "y",
        ("hateful",),
        ("auroc",),
        "a",
        (),
    )
    (tmp_path / "more.yaml").write_text(json.dumps(more | {"without": ["c"]}))
    with pytest.raises(UsageError, match="without: base has no row 'c', only a, b, own"):
        load_table("more", tmp_path)
    (tmp_path / "base.yaml").write_text(json.dumps(base | {"rows": [{"baseline": "tfidf"}]}))
    with pytest.raises(UsageError, match=r"base\.yaml: (.|\n)*rows\.0\.name"):
        load_table("more", tmp_path)
    (tmp_path / "more.yaml").write_text(json.dumps(more | {"like": "nothing"}))
    with pytest.raises(UsageError, match="no such table; there are: base, more"):
        load_table("more", tmp_path)


def test_what_was_written_about_other_memes_is_not_compared(tmp_path: Path) -> None:
    names = ("plain", "alike", "other")
    rows = [{"name": name, "model": "starter", "seeds": [0, 1]} for name in names]
    definition = {"name": "t", "title": "t", "data": "d", "tasks": ["harmful"], "against": "plain", "rows": rows}
    (tmp_path / "t.yaml").write_text(json.dumps(definition))

    def wrote(row: str, seed: int, places: list[int], value: float) -> Measured:
        values = {figure: [value] * len(places) for figure in TEXT_FIGURES}
        its = {"n": len(places), "encoder": "e", "synonyms": True, "rows": places, "values": values}
        return Measured(row, seed, ({"rationale": its, "predictions": {"cluster": list(range(9))}},))

    there = [wrote("plain", 0, [0, 2, 4], 0.25), wrote("alike", 0, [0, 2, 4], 0.5), wrote("other", 0, [1, 2, 4], 0.5)]
    there.append(wrote("alike", 1, [1, 2], 1.0))
    table = load_table(str(tmp_path / "t.yaml"))
    found = written_of(table, there)
    assert found["alike"]["less"]["rouge_l"]["value"] == pytest.approx(0.25)
    assert (found["alike"]["seeds"], found["alike"]["figures"]["rouge_l"]["value"]) == (1, 0.5)
    assert found["other"]["less"] == {}
    assert found["other"]["figures"]["rouge_l"]["value"] == 0.5
    assert written_markdown(table, there)[-3:] == [
        "- alike (n = 3): 1 of 2 seeds wrote about other memes and are left out",
        "- other (n = 3): wrote about other memes than plain: not compared",
        "",
    ]
