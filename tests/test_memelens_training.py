"""MemeLens from recipe to run on tiny random models: both stages, mixtures, heads, derived tasks, a served model."""

from __future__ import annotations

import io
import json
import shutil
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import tiny
import tiny_vlm
from label_server import LabelServer
from together import run_together

torch = pytest.importorskip("torch")
torch.set_num_threads(1)

from PIL import Image  # noqa: E402

from memescope.cli import run as main  # noqa: E402
from memescope.errors import UsageError  # noqa: E402
from memescope.meme import Answer, Meme, Reading  # noqa: E402
from memescope.models import Looks, load  # noqa: E402
from memescope.models.memelens import HeadModel, MemeLens  # noqa: E402
from memescope.models.memelens.model import sentences  # noqa: E402
from memescope.models.memelens.prompting import Manner  # noqa: E402
from memescope.models.reasons import writes_reasons, written_for  # noqa: E402
from memescope.models.vlm.rows import Ask, prompt, row  # noqa: E402
from memescope.objectives.generation import IGNORED  # noqa: E402
from memescope.taxonomy import load_taxonomy  # noqa: E402
from memescope.training import train  # noqa: E402
from memescope.training.memelens import MemeLensLearner  # noqa: E402
from memescope.training.memelens_data import MemeLensData, explained_tasks, read_mixture  # noqa: E402
from memescope.training.recipe import load_recipe  # noqa: E402

LANGUAGES = {"harm_intensity": ("en",), "hateful": ("de", "en"), "target": ("en",)}
TASKS = ["harm_intensity", "target", "hateful", "propaganda_techniques", "sentiment"]


@pytest.fixture(scope="module")
def vlm(tmp_path_factory: pytest.TempPathFactory) -> str:
    return tiny_vlm.tinyvlm(tmp_path_factory.mktemp("vlm"))


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three sets with canonical labels: 12, 6 and 4 training memes."""
    folder = tmp_path_factory.mktemp("sets")
    levels = ["not-harmful", "partially-harmful", "very-harmful"]
    for name, count in (("first", 12), ("second", 6), ("third", 4)):
        (folder / name / "images").mkdir(parents=True)
        for split, n in (("train", count), ("val", 4), ("test", 4)):
            lines = []
            for i, meme in enumerate(tiny.memes(n)):
                meme.image.save(folder / name / "images" / f"{split}{i}.png")
                labels: dict[str, Any] = {
                    "first": {"harm_intensity": levels[i % 3], "target": "community" if i % 3 else "none"},
                    "second": {"hateful": "hateful" if i % 2 else "not-hateful"},
                    "third": {"propaganda_techniques": ["smears", "doubt"][: i % 3]},
                }[name]
                lang = "de" if name == "second" and i % 2 else "en"
                entry = {"id": f"{split}{i}", "image": f"images/{split}{i}.png", "text": f"{meme.text} {name} {i}"}
                lines.append(json.dumps(entry | {"labels": labels, "lang": lang}))
            (folder / name / f"{split}.jsonl").write_text("\n".join(lines) + "\n", "utf-8")
    reasons = {
        f"{split}{i}": f"Reason {i} of {split}: the words say so." for split in ("train", "val") for i in range(9)
    }
    (folder / "reasons.json").write_text(json.dumps(reasons), "utf-8")
    return folder


def _data(root: Path, **changes: Any) -> dict[str, Any]:
    reasons = {"first": {"file": str(root / "reasons.json"), "task": "harm_intensity"}}
    return {"root": str(root), "sets": ["first", "second", "third"], "tasks": TASKS, "reasons": reasons, **changes}


def _recipe(root: Path, vlm: str, out: Path, **changes: Any) -> dict[str, Any]:
    stage = {"epochs": 1, "learning_rate": 0.01, "batch_size": 4}
    recipe = {
        "name": "tiny-lens", "out": str(out), "data": _data(root),
        "model": {"family": "memelens", "vlm": vlm, "lora": {"r": 4, "alpha": 8}, "max_rationale": 40, "parts": 3},
        "stages": [
            {"name": "label", "objective": "label", **stage}, {"name": "explain", "objective": "explain", **stage}
        ],
        "train": {"max_steps": 3},
    }  # fmt: skip
    for key, value in changes.items():
        recipe[key] = {**recipe[key], **value} if isinstance(value, dict) else value
    return recipe


@pytest.fixture(scope="module")
def run(root: Path, vlm: str, tmp_path_factory: pytest.TempPathFactory) -> Any:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        out = tmp_path_factory.mktemp("run") / "lens"
        yield train(_recipe(root, vlm, out, model={"derive": ["harmful"]}))


@pytest.mark.parametrize(("coarse", "says"), [("sarcasm", "has no graded form among"), ("hateful", "is asked itself")])
def test_what_cannot_be_added_up_is_refused_before_training(
    root: Path, vlm: str, tmp_path: Path, coarse: str, says: str
) -> None:
    with pytest.raises(UsageError, match=f"derive: '{coarse}' {says}"):
        train(_recipe(root, vlm, tmp_path / "run", model={"derive": [coarse]}))
    assert not (tmp_path / "run").exists()


def test_summing_is_chosen_by_what_memes_are_labelled_for(
    root: Path, vlm: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    asked: list[tuple[str, int]] = []
    instructions = MemeLens.instructions

    def counted(self: MemeLens, meme: Meme, tasks: Sequence[str]) -> Any:
        found = instructions(self, meme, tasks)
        asked.append((self.config.length, len(found) - len(set(self.config.tasks) & set(meme.labels))))
        return found

    monkeypatch.setattr(MemeLens, "instructions", counted)
    made = train(_recipe(root, vlm, tmp_path / "run", model={"length": "choose"}, train={"max_steps": 1}))
    assert {length for length, _ in asked} == {"sum", "mean"}
    assert all(more == 0 for _, more in asked)  # no other question costs time
    assert load(made.folder).config.length in ("sum", "mean")


def test_mixtures_take_what_they_say_and_read_a_meme_once(root: Path) -> None:
    train_rows, val = read_mixture(MemeLensData.model_validate(_data(root)))
    counted = Counter(task for meme in train_rows for task in meme.labels)
    assert counted == {"harm_intensity": 12, "target": 12, "hateful": 6, "propaganda_techniques": 4}
    assert len(train_rows) == 22  # both tasks of a meme stand together
    assert len(val) == 12
    balanced = MemeLensData.model_validate(_data(root, sampling="balanced", rows=50))
    train_rows, _ = read_mixture(balanced)
    by = Counter((meme.source, task, meme.lang) for meme in train_rows for task in meme.labels)
    assert by == {
        ("first", "harm_intensity", "en"): 10, ("first", "target", "en"): 10, ("second", "hateful", "en"): 10,
        ("second", "hateful", "de"): 10, ("third", "propaganda_techniques", "en"): 10,
    }  # fmt: skip
    assert [m.id for m in train_rows] == [m.id for m in read_mixture(balanced)[0]]
    assert len({(m.source, m.id) for m in train_rows}) == len(train_rows)  # copies have names of their own
    held = {meme.id: meme for meme in val if meme.source == "first"}
    assert held["val0"].rationale == "Reason 0 of val: the words say so."
    assert all(meme.rationale is None for meme in train_rows if meme.source != "first")


def test_splits_of_a_set_may_differ_and_wrong_names_are_told(root: Path) -> None:
    data = MemeLensData.model_validate(_data(root, splits={"second": {"train": ["val"], "val": "train"}}, val_limit=2))
    train_rows, val = read_mixture(data)
    assert sum(meme.source == "second" for meme in train_rows) == 4
    assert [meme.id for meme in val if meme.source == "second"] == ["train0", "train5"]
    with pytest.raises(UsageError, match="'other' is none of the sets"):
        read_mixture(MemeLensData.model_validate(_data(root, splits={"other": {"train": ["val"], "val": "train"}})))
    with pytest.raises(UsageError, match=r"those of first are about harm_intensity, which is none of data\.tasks"):
        read_mixture(MemeLensData.model_validate(_data(root, tasks=["target"])))
    own = {"first": {"train": ["val"], "val": "train"}}
    with pytest.raises(UsageError, match="folds are of train_splits"):
        read_mixture(MemeLensData.model_validate(_data(root, sets=["first"], reasons={}, splits=own, folds=2)))


def test_explanations_of_a_prepared_set_are_about_all_that_a_meme_is_labelled_for(tmp_path: Path) -> None:
    rows = [
        {"id": "a", "text": "x", "rationale": "So.", "labels": {"hateful": "hateful", "sarcasm": "sarcastic"}},
        {"id": "b", "text": "y", "labels": {"hateful": "not-hateful", "target": "none"}},
        {"id": "c", "text": "z", "rationale": "Nor that.", "labels": {"aspect_sentiment": "positive"}},
    ]
    (tmp_path / "own").mkdir()
    Image.new("RGB", (8, 8)).save(tmp_path / "own" / "x.png")
    for split in ("train", "val"):
        lines = "".join(json.dumps(row | {"image": "x.png"}) + "\n" for row in rows)
        (tmp_path / "own" / f"{split}.jsonl").write_text(lines, "utf-8")
    tasks = ["target", "sarcasm", "hateful", "aspect_sentiment"]
    data = MemeLensData.model_validate({"root": str(tmp_path), "sets": ["own"], "tasks": tasks})
    train_rows, val = read_mixture(data)
    told = {meme.id: (meme.rationale, meme.meta["explains"]) for meme in train_rows}
    assert told == {"a": ("So.", ["hateful", "sarcasm"]), "b": (None, [])}  # c names no phrase to ask about
    assert explained_tasks(train_rows, tasks) == ("sarcasm", "hateful")
    assert [meme.labels for meme in val][2] == {}


def test_explanations_of_another_task_or_set_are_not_learnt(root: Path, tmp_path: Path) -> None:
    rows = [
        {"id": "train1", "rationale": "It harms.", "task": "harm_intensity", "dataset": "first"},
        {"id": "train1", "rationale": "It is aimed at many.", "task": "target", "dataset": "first"},
        {"id": "train2", "rationale": "Of another set.", "task": "harm_intensity", "dataset": "second"},
        {"id": "val0", "rationale": "It does not."},
    ]
    file = tmp_path / "reasons.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")

    def read(task: str, *few: dict[str, str]) -> dict[str, str]:
        if few:
            file.write_text("".join(json.dumps(row) + "\n" for row in few), "utf-8")
        data = MemeLensData.model_validate(_data(root, reasons={"first": {"file": str(file), "task": task}}))
        return {meme.id: meme.rationale for memes in read_mixture(data) for meme in memes if meme.rationale}

    assert read("harm_intensity") == {"train1": "It harms.", "val0": "It does not."}
    assert read("target") == {"train1": "It is aimed at many.", "val0": "It does not."}
    with pytest.raises(UsageError, match=r"reasons\.jsonl: holds no rationale that explains target of first"):
        read("target", *rows[::2])


def test_a_stage_without_rows_is_told_before_the_first_is_trained(
    root: Path, vlm: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MEMESCOPE_CACHE", str(tmp_path / "cache"))
    stage = {"epochs": 1, "learning_rate": 0.01, "batch_size": 4}
    stages = [{"name": "label", "objective": "label", **stage}, {"name": "explain", "objective": "both", **stage}]
    recipe = _recipe(root, vlm, tmp_path / "run", data={"reasons": {}}, stages=stages)
    with pytest.raises(UsageError, match=r"stage 'explain' \(both\): no train meme has what it learns from"):
        train(recipe)
    assert not (tmp_path / "cache" / "training").exists()


def test_wrong_recipes_are_named(root: Path, vlm: str, tmp_path: Path) -> None:
    for objective in ("rationale", "pretrain"):
        with pytest.raises(UsageError, match=f"this family learns label, both, explain, and not {objective}"):
            load_recipe(_recipe(root, vlm, tmp_path), [f"stages.1.objective={objective}"])
    with pytest.raises(UsageError, match=r"tiny describes a TinyVLM, .*model\.tiny=null"):
        load_recipe(_recipe(root, vlm, tmp_path), ["model.tiny.layers=2"])


def test_both_stages_train_and_the_run_answers_as_it_did(run: Any, root: Path) -> None:
    model = load(run.folder)
    assert isinstance(model, MemeLens)
    assert model.tasks == (*TASKS, "harmful")
    assert model.manner.explained == ("harm_intensity",)
    assert [stage["rows"] for stage in run.metrics["stages"]] == [22, 22]
    assert model.manner.languages == LANGUAGES | {"propaganda_techniques": ("en",)}
    memes = [replace(meme, id=f"x{i}") for i, meme in enumerate(tiny.memes(5))]
    readings = model.answer(memes, rationale=True)
    again = load(run.folder).answer(memes[::-1])[::-1]
    for one, two in zip(readings, again, strict=True):
        assert set(one.answers) == set(model.tasks)
        for task, answer in one.answers.items():
            assert answer.probabilities == pytest.approx(two.answers[task].probabilities, abs=1e-4)
        graded, coarse = one.answers["harm_intensity"].probabilities, one.answers["harmful"].probabilities
        assert coarse["harmful"] == pytest.approx(graded["partially-harmful"] + graded["very-harmful"], abs=1e-9)
        assert one.answers["sentiment"].abstain  # no set is labelled for it: answered from its instruction alone
    assert model.card["sentiment"]["trained_on"].startswith("nothing")
    told = {task: its["explanations"] for task, its in model.card.items()}
    assert told == dict.fromkeys(model.tasks, "untrained") | {"harm_intensity": "trained"}
    card = (run.folder / "MODEL_CARD.md").read_text("utf-8")
    assert "Explanations are learnt where there are any" in card
    assert "Instructions and label names are our own" in card


def test_one_task_alone_costs_and_answers_as_among_all(run: Any) -> None:
    model, memes = load(run.folder), tiny.memes(2)
    whole = model.answer(memes)
    with model.asked_for(["harmful"]):
        assert model.tasks == ("harmful",)
        assert [one.task for one in model.instructions(memes[0], model.tasks)] == ["harm_intensity"]
        alone = model.answer(memes)
    for a, b in zip(whole, alone, strict=True):
        assert a.answers["harmful"].probabilities == pytest.approx(b.answers["harmful"].probabilities, abs=1e-6)
    assert len(model.tasks) == len(TASKS) + 1
    evidence = model.explain(memes[0], ["target"])
    assert set(evidence) == {"target"}
    assert evidence["target"].says
    with pytest.raises(UsageError, match="does not answer abuse"):
        model.explain(memes[0], ["abuse"])


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("One says it. Two says more. And thr", "One says it. Two says more."),
        ("First line.\nSecon", "First line."),
        ("说一句。再说一", "说一句。"),
        ("A. and a very long tail without any end", "A. and a very long tail without any end"),
    ],
)
def test_a_cut_explanation_ends_with_a_whole_sentence(text: str, kept: str) -> None:
    assert sentences(text) == kept


def test_explanations_are_marked_where_they_were_never_learnt(run: Any) -> None:
    model = load(run.folder)
    memes = tiny.memes(2)
    assert [one.trained for one in model.explanations(memes, "harm_intensity")] == [True, True]
    assert [one.trained for one in model.explanations(memes, "target")] == [False, False]
    assert model.derived == {"harmful": "harm_intensity"}
    of_sum, of_graded = (model.explanations(memes, task) for task in ("harmful", "harm_intensity"))
    assert [one.text for one in of_sum] == [one.text for one in of_graded]
    assert [one.trained for one in of_sum] == [True, True]
    with pytest.raises(UsageError, match="is not asked 'abuse'"):
        model.explanations(memes, "abuse")


def test_explain_prints_what_the_model_writes_and_marks_what_it_never_learnt(
    run: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model, memes = load(run.folder), tiny.memes(1)
    assert writes_reasons(model)
    memes[0].image.save(tmp_path / "meme.png")
    asked = ["explain", str(tmp_path / "meme.png"), "--text", memes[0].text, "--model", str(run.folder)]
    asked += ["--task", "harmful", "--task", "target", "--out", str(tmp_path / "out")]
    assert main(asked) == 0
    said = capsys.readouterr().out
    assert "    The model writes: " in said
    assert "    The model writes, never taught to explain this task: " in said
    record = json.loads((tmp_path / "out" / "explain.json").read_text("utf-8"))
    assert record["rationale"] is None
    assert [record["tasks"][task]["written"]["trained"] for task in ("harmful", "target")] == [True, False]


def _lens(vlm: str, **manner: Any) -> MemeLens:
    torch.manual_seed(0)
    settings = {"manner": Manner(**manner).to_dict(), "parts": 3}
    return MemeLens.create(vlm, TASKS, lora={"r": 2}, max_rationale=60, settings=settings)


def _learnt(model: MemeLens, meme: Meme, objective: str) -> list[str]:
    """What is learnt of a meme, as text; the prompt is given."""
    found = []
    for turn in model.turns(meme, objective):
        one = row(model.vlm, turn, None)
        found.append(model.vlm.tokenizer.decode([i for i in one.labels if i != IGNORED]))
    return found


def test_what_each_stage_learns_word_by_word(vlm: str) -> None:
    end = "</s>"
    meme = Meme(
        text="Lock them all up", id="m", lang="de", rationale="The words say so.",
        labels={"harm_intensity": "very-harmful", "target": "community"}, meta={"explains": ["harm_intensity"]},
    )  # fmt: skip
    model = _lens(vlm)
    assert _learnt(model, meme, "label") == [f"Label: sehr schädlich{end}", f"Label: Gemeinschaft{end}"]
    explained = f"Label: sehr schädlich\nExplanation: The words say so.{end}"
    assert _learnt(model, meme, "both") == [explained]
    assert _learnt(model, meme, "explain") == [explained, f"Label: Gemeinschaft{end}"]
    first = _lens(vlm, setting="english", order="explain-first")
    assert _learnt(first, meme, "both") == [f"Explanation: The words say so.\nLabel: very-harmful{end}"]
    many = Meme(text="a", id="p", labels={"propaganda_techniques": ["smears"]})
    said = _learnt(model, many, "label")
    assert len(said) == 3
    assert set(said) <= {f"Label: yes{end}", f"Label: no{end}"}
    drawn = [turn.user for i in range(40) for turn in model.turns(replace(many, id=f"p{i}"), "label")]
    assert len(drawn) == 120
    assert 1 <= sum("'smears'" in user for user in drawn) <= 15  # 120 / 22 = 5.5: which labels are asked is by chance


def test_explain_first_writes_before_it_scores(vlm: str) -> None:
    model = _lens(vlm, order="explain-first", explained=("harm_intensity",))
    memes = tiny.memes(2)
    instructions = model._after_reasons(memes)
    lead = instructions[0][0].lead
    assert lead.endswith("\nLabel:")
    assert len(lead) > len("\nLabel:")
    assert instructions[0][1].lead == "Label:"
    assert model.score(memes)[0]["harm_intensity"].shape == (3,)


def test_what_is_hidden_from_the_label_is_hidden_from_the_explanation_before_it(vlm: str) -> None:
    model = _lens(vlm, order="explain-first", explained=("harm_intensity",))
    meme = Meme(text="Lock them up", id="m", image=Image.new("RGB", (30, 20), (250, 0, 0)))
    (sight,) = model.look([meme.image])
    seen = [[replace(sight, features=by * sight.features)] for by in (200, -200)]
    hidden = [torch.ones(len(sight.features), dtype=torch.bool)]
    shown, blind = ([model._after_reasons([meme], its, mask)[0][0].lead for its in seen] for mask in (None, hidden))
    assert shown[0] != shown[1]
    assert blind[0] == blind[1]
    one, two = (model.score([meme], seen=its, hidden=hidden)[0]["harm_intensity"] for its in seen)
    torch.testing.assert_close(one, two)


def test_an_explanation_of_several_labels_is_of_the_one_that_was_answered(
    vlm: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = _lens(vlm)
    task = "propaganda_techniques"
    labels = load_taxonomy()[task].labels
    asked: list[Any] = []
    monkeypatch.setattr(model, "write", lambda memes, asks: asked.extend(asks) or ["It says so."] * len(memes))
    for probability in (0.9, 0.4):  # answered, and the likeliest of none
        p = dict.fromkeys(labels, 0.1) | {"smears": probability}
        answer = Answer([name for name in labels if p[name] >= 0.5], p)
        monkeypatch.setattr(model, "answer", lambda memes, its=answer: [Reading({task: its})] * len(memes))
        (found,) = model.explanations([Meme(text="a", id="m")], task)
        assert found.text == "It says so."
    assert all("'smears'" in ask.user for ask in asked)
    assert [ask.lead for ask in asked] == ["Label: yes\nExplanation:", "Label: no\nExplanation:"]


def test_explanations_first_of_a_task_with_several_labels_are_refused_before_training(
    root: Path, vlm: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MEMESCOPE_CACHE", str(tmp_path / "cache"))
    file = tmp_path / "why.json"
    file.write_text(json.dumps({f"{split}{i}": "So it is." for split in ("train", "val") for i in range(4)}), "utf-8")
    data = {"reasons": {"third": {"file": str(file), "task": "propaganda_techniques"}}}
    recipe = _recipe(root, vlm, tmp_path / "run", data=data, model={"order": "explain-first"})
    with pytest.raises(UsageError, match=r"propaganda_techniques has several labels, .*model\.order=classify-first"):
        train(recipe)
    assert not (tmp_path / "cache" / "training").exists()
    model = _lens(vlm, order="explain-first", explained=("propaganda_techniques",))
    with pytest.raises(UsageError, match="propaganda_techniques has several labels"):
        model.score(tiny.memes(1))


def test_an_explanation_without_a_word_is_none(tmp_path: Path) -> None:
    (tmp_path / "own").mkdir()
    for split in ("train", "val"):
        rows = [
            {"id": f"{split}{i}", "image": None, "text": "a", "labels": {"hateful": "hateful"}, "rationale": said}
            for i, said in enumerate((" \n", "Because. "))
        ]
        (tmp_path / "own" / f"{split}.jsonl").write_text("\n".join(map(json.dumps, rows)), "utf-8")
    data = MemeLensData.model_validate({"root": str(tmp_path), "sets": ["own"], "tasks": ["hateful"]})
    for some in read_mixture(data):
        assert sorted((meme.rationale, *meme.meta["explains"]) for meme in some if meme.rationale) == [
            ("Because. ", "hateful")
        ]
        assert [meme.meta["explains"] for meme in some if not meme.rationale] == [[]]


@pytest.fixture
def gaps(root: Path, tmp_path: Path) -> Path:
    """The sets, with a training picture of the first that is not there, and a selection picture that is broken."""
    folder = tmp_path / "gaps"
    shutil.copytree(root, folder)
    (folder / "first" / "images" / "train3.png").unlink()
    (folder / "first" / "images" / "val1.png").write_bytes(b"no picture")
    return folder


def _labels_alone(root: Path, vlm: str, out: Path, **changes: Any) -> dict[str, Any]:
    stage = {"name": "label", "objective": "label", "epochs": 1, "learning_rate": 0.01, "batch_size": 4}
    return _recipe(root, vlm, out, stages=[stage], train={"max_steps": 1}, **changes)


def test_memes_whose_picture_cannot_be_read_are_left_out_and_told(
    gaps: Path, vlm: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MEMESCOPE_CACHE", str(tmp_path / "cache"))
    made = train(_labels_alone(gaps, vlm, tmp_path / "run"))
    assert (made.metrics["rows"], made.metrics["val_rows"]) == (21, 11)
    unread = {Path(file).name: error for file, error in made.metrics["unread"].items()}
    assert unread["train3.png"] == "no such file"
    assert "not a picture" in unread["val1.png"]
    (warning,) = made.metrics["warnings"]
    assert warning.startswith("1 training and 1 selection memes were left out")
    assert warning[1:] in (made.folder / "MODEL_CARD.md").read_text("utf-8")
    for file in (gaps / "first" / "images").glob("val*.png"):
        file.unlink()
    with pytest.raises(UsageError, match=r"no picture of the 4 selection memes can be read; .*val0\.png: no such file"):
        train(_labels_alone(gaps, vlm, tmp_path / "none", data={"sets": ["first"]}))


def test_a_model_of_text_alone_needs_no_picture(
    gaps: Path, vlm: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MEMESCOPE_CACHE", str(tmp_path / "cache"))
    hub = tiny_vlm.qwen(tmp_path / "qwen")  # a picture is opened to know how many tokens it has
    for name, head in (("words", False), ("head", True)):
        changes = {"model": {"image": False, "head": head}, "data": {"sets": ["first"], "reasons": {}}}
        made = train(_labels_alone(gaps, hub, tmp_path / name, **changes))
        assert (made.metrics["rows"], made.metrics["val_rows"]) == (12, 4)
        assert "unread" not in made.metrics
        model = load(made.folder)
        assert isinstance(model, Looks)
        assert not model.looks
        meme = Meme(text="Lock them all up", id="m", image=gaps / "first" / "images" / "train3.png")
        without = replace(meme, image=None)
        assert model.answer([meme])[0].answers == model.answer([without])[0].answers
        assert model.rows(meme, "label") == model.rows(without, "label")
        assert not model.explain(meme, ["target"])["target"].regions
    assert MemeLens.looks.fget(_lens(vlm))  # type: ignore[attr-defined]


def test_rows_about_two_phrases_of_one_post_are_told_apart(root: Path, vlm: str, tmp_path: Path) -> None:
    data = {"sets": ["first"], "tasks": ["aspect_sentiment"], "reasons": {}}
    one = Meme(text="Rovers lose to City", id="m", aspect="Rovers", labels={"aspect_sentiment": "negative"})
    other = replace(one, aspect="City", labels={"aspect_sentiment": "positive"})
    for head in (False, True):
        settings = load_recipe(_labels_alone(root, vlm, tmp_path / "run", data=data, model={"head": head}))
        learner = MemeLensLearner(settings, (), {})
        (first,), (second,) = (learner.rows(meme, "label") for meme in (one, other))
        assert first.ids != second.ids


def test_a_head_is_told_the_phrase_and_nothing_where_there_is_none(vlm: str) -> None:
    model = HeadModel.create(vlm, ["aspect_sentiment"], settings={"manner": Manner().to_dict(), "head": True})
    meme = Meme(text="Rovers lose", id="m", aspect="the <image> Rovers")
    (told,), (plain,) = model.rows(meme, "label"), model.rows(replace(meme, aspect=None), "label")
    assert model.vlm.tokenizer.decode(told.ids).count("Rovers lose\nAsked about: the < image> Rovers") == 1
    assert plain.ids == prompt(model.vlm, Ask("", "Rovers lose", "", True), None)


def test_heads_score_where_their_model_is(vlm: str, monkeypatch: pytest.MonkeyPatch) -> None:
    model = HeadModel.create(vlm, ["target"], settings={"manner": Manner().to_dict(), "head": True}).to("meta")

    def states(vlm: Any, batch: dict[str, Any], sights: Any) -> Any:
        assert {value.device.type for value in batch.values()} == {"meta"}
        return torch.zeros(*batch["input_ids"].shape, 24, device="meta")

    monkeypatch.setattr("memescope.models.memelens.head.states", states)
    assert model.score([Meme(text="a", id="m")])[0]["target"].shape == (len(load_taxonomy()["target"].labels),)


def test_a_model_of_text_alone_sees_no_picture_and_one_of_pictures_no_text(vlm: str) -> None:
    blind, mute = _lens(vlm, image=False), _lens(vlm, text=False)
    one, other = tiny.memes(2)
    for model, changed in ((blind, replace(one, image=other.image)), (mute, replace(one, text=other.text))):
        before, after = (model.answer([meme])[0].answers["target"].probabilities for meme in (one, changed))
        assert before == after
        seen = replace(one, text=other.text, image=other.image)
        assert model.answer([seen])[0].answers["target"].probabilities != before


def test_the_baseline_with_heads_trains_saves_and_answers(
    root: Path, vlm: str, tmp_path: Path, monkeypatch: Any
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    stages = [{"name": "label", "objective": "label", "epochs": 1, "learning_rate": 0.01, "batch_size": 4}]
    recipe = _recipe(root, vlm, tmp_path / "head", model={"head": True}, stages=stages)
    found = train(recipe)
    model, memes = load(found.folder), tiny.memes(3)
    assert set(model.heads) == set(TASKS)
    one = model.answer(memes)
    two = load(found.folder).answer(memes[::-1])[::-1]
    for a, b in zip(one, two, strict=True):
        for task in TASKS:
            assert a.answers[task].probabilities == pytest.approx(b.answers[task].probabilities, abs=1e-4)
    assert model.answer(memes)[0].rationale is None
    with pytest.raises(UsageError, match="a head names labels"):
        train(_recipe(root, vlm, tmp_path / "other", model={"head": True}))


def test_heads_are_explained_by_what_they_answer_to_parts_of_a_meme(vlm: str) -> None:
    torch.manual_seed(0)
    settings = {"manner": Manner().to_dict(), "derive": ["harmful"], "head": True}
    model = HeadModel.create(vlm, TASKS, lora={"r": 2}, settings=settings)
    for head in model.heads.values():
        head.weight.data.mul_(50)
    meme = tiny.memes(1)[0]
    found = model.explain(meme, ["harmful", "propaganda_techniques"])
    assert set(found) == {"harmful", "propaganda_techniques"}
    assert {span.text for span in found["harmful"].spans} == set(meme.text.split())
    assert all(one.says for one in found.values())
    before, after = (model.tables([replace(meme, text=text)])[0]["harmful"] for text in (meme.text, ""))
    assert not torch.equal(before, after)
    assert written_for(model, meme, ["harmful"]) == {}
    with pytest.raises(UsageError, match="does not answer abuse"):
        model.explain(meme, ["abuse"])


def test_heads_learn_the_same_from_one_batch_as_from_its_halves(
    root: Path, vlm: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MEMESCOPE_CACHE", str(tmp_path / "cache"))
    norms = []
    for batch_size, accumulate in ((4, 1), (2, 2)):
        stage = {"name": "label", "objective": "label", "epochs": 1, "learning_rate": 0.01}
        stage |= {"batch_size": batch_size, "accumulate": accumulate}
        data = {"sets": ["first"], "tasks": ["harm_intensity", "target"], "reasons": {}}
        model = {"head": True, "lora": {"r": 2, "dropout": 0.0}}
        out = tmp_path / str(accumulate)
        train(_recipe(root, vlm, out, data=data, model=model, stages=[stage], train={"max_steps": 1}))
        first = json.loads((out / "log.jsonl").read_text("utf-8").splitlines()[0])
        norms.append((first["loss"], first["grad_norm"]))
    assert norms[0] == pytest.approx(norms[1], rel=1e-3)


class Local:
    """The run's own model, merged, behind a server that speaks OpenAI's protocol."""

    def __init__(self, model: MemeLens) -> None:
        model.merge()
        self.model, self.end = model, model.vlm.end

    def words(self, text: str) -> list[int]:
        return self.model.vlm.words(text)

    def encode(self, messages: list[dict[str, Any]], opened: bool, closed: bool) -> list[int]:
        said = {message["role"]: message for message in messages if message["role"] != "assistant"}
        user = said["user"]
        span = self.model.vlm.span(self.model.vlm.grid(None)) if user.get("picture") else None  # type: ignore[arg-type]
        ids = self.model.vlm.open(said.get("system", {"content": ""})["content"], user["content"], span)
        for message in messages:
            if message["role"] == "assistant":
                before, lead, label = message["content"].partition("Label:")
                ids += [token for piece in (before, lead, label) if piece for token in self.words(piece)]
                ids += [self.end] if closed else []
        return ids

    def logprobs(self, ids: Sequence[int], pictures: Sequence[bytes]) -> Any:
        from memescope.models.vlm.reading import states

        memes = [Meme(image=raw) for raw in pictures]
        sights = [one for one in self.model._seen(memes) if one is not None]
        batch = {"input_ids": torch.tensor([list(ids)]), "attention_mask": torch.ones(1, len(ids))}
        with torch.inference_mode():
            found = states(self.model.vlm, batch, sights)
            return self.model.vlm.model.get_output_embeddings()(found[0]).double().log_softmax(-1)

    def decode(self, ids: Sequence[int]) -> str:
        return str(self.model.vlm.tokenizer.decode(list(ids)))


def test_the_merged_model_behind_a_server_gives_the_same_labels(run: Any) -> None:
    local = load(run.folder)
    memes = [
        Meme(text="Lock them all up", id="a", lang="de", image=Image.new("RGB", (30, 20), (200, 10, 10))),
        Meme(text="The sun is out", id="b", lang="en", image=Image.new("RGB", (20, 30), (10, 90, 200))),
    ]
    for meme in memes:
        file = io.BytesIO()
        meme.image.save(file, "PNG")
        meme.image = file.getvalue()
    expected = local.answer(memes)
    with LabelServer(Local(load(run.folder)), {"exact", "pictures"}) as server:
        remote = load(f"openai:{server.url}#run={run.folder}&tasks=harm_intensity,target,hateful")
        found = remote.answer(memes)
    for ours, theirs in zip(expected, found, strict=True):
        for task in remote.tasks:
            one, two = ours.answers[task], theirs.answers[task]
            assert (two.label, two.abstain) == (one.label, one.abstain)
            assert two.probabilities == pytest.approx(one.probabilities, abs=1e-4)


@pytest.fixture(scope="module")
def pair(root: Path, vlm: str, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Two runs of stage I on different sets, from the same weights."""
    found = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache2")))
        for name in ("first", "second"):
            stages = [{"name": "label", "objective": "label", "epochs": 1, "learning_rate": 0.05, "batch_size": 4}]
            out = tmp_path_factory.mktemp("pair") / name
            data = {"sets": [name], "reasons": {}}
            found.append(train(_recipe(root, vlm, out, data=data, stages=stages)).folder)
    return found


def _change(folder: Path) -> dict[str, Any]:
    """What a run's adapter adds to each weight."""
    model = load(folder)
    before = {name: value.clone() for name, value in model.core.state_dict().items() if "lora" not in name}
    model.merge()
    after = model.core.state_dict()
    return {
        name.replace(".base_layer", ""): after[name.replace(".base_layer", "")] - value
        for name, value in before.items()
        if ".base_layer" in name
    }


def test_a_linear_merge_adds_up_what_adapters_change(pair: list[Path], tmp_path: Path) -> None:
    from memescope.models.memelens.merging import merge_runs

    ones, others = _change(pair[0]), _change(pair[1])
    assert any(float(value.abs().max()) > 1e-4 for value in others.values())
    merged = load(merge_runs(pair, tmp_path / "linear", "linear", [0.5, 0.5]))
    base = load(pair[0]).core.state_dict()
    weights = merged.core.state_dict()
    # PEFT averages the two factors, each with the root of the weights: the product holds cross terms of the adapters
    for name in ones:
        start = base[name.replace(".weight", ".base_layer.weight")]
        factors = []
        for folder in pair:
            state = load(folder).core.state_dict()
            stem = name.removesuffix(".weight")
            factors.append((state[f"{stem}.lora_A.default.weight"], state[f"{stem}.lora_B.default.weight"]))
        a = sum((0.5 * 2) ** 0.5 * one[0] for one in factors)  # scaling alpha / r is 2
        b = sum((0.5 * 2) ** 0.5 * one[1] for one in factors)
        assert torch.allclose(weights[name], start + b @ a, atol=1e-5), name
    assert all(answer.abstain for answer in merged.answer(tiny.memes(1))[0].answers.values())
    assert merged.manner.languages == LANGUAGES


@pytest.mark.parametrize("how", ["ties", "dare_linear", "dare_ties"])
def test_other_merges_give_a_model_that_answers(pair: list[Path], tmp_path: Path, how: str) -> None:
    from memescope.models.memelens.merging import merge_runs

    folder = merge_runs(pair, tmp_path / how, how, density=0.5)  # type: ignore[arg-type]
    memes = tiny.memes(2)
    one = load(folder).answer(memes)[0].answers["target"].probabilities
    assert (
        one
        == load(merge_runs(pair, tmp_path / "again", how, density=0.5)).answer(memes)[0].answers["target"].probabilities
    )  # type: ignore[arg-type]
    assert one != load(pair[0]).answer(memes)[0].answers["target"].probabilities


def test_what_cannot_be_merged_is_told(pair: list[Path], run: Any, tmp_path: Path) -> None:
    from memescope.models.memelens.merging import merge_runs

    with pytest.raises(UsageError, match="changes other weights"):
        merge_runs([pair[0], run.folder], tmp_path / "a")
    with pytest.raises(UsageError, match="a weight each"):
        merge_runs(pair, tmp_path / "b", weights=[1.0])
    with pytest.raises(UsageError, match="density 0"):
        merge_runs(pair, tmp_path / "c", density=0.0)
    with pytest.raises(UsageError, match="expected one of linear"):
        merge_runs(pair, tmp_path / "d", "svd")  # type: ignore[arg-type]


# several processes ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("make", ["qwen", "tinyvlm"])
def test_processes_that_share_out_weights_learn_what_one_does(
    make: str, root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two stages with a merge between: losses, answers and written run are those of one process."""
    path = tmp_path / "recipe.json"
    vlm = getattr(tiny_vlm, make)(tmp_path / "hub")
    recipe = _recipe(root, vlm, tmp_path / "one", model={"lora": {"r": 4, "alpha": 8, "dropout": 0.0}})
    path.write_text(json.dumps(recipe), "utf-8")
    monkeypatch.setenv("MEMESCOPE_CACHE", str(tmp_path / "cache"))
    train(path)
    where = [f"out={tmp_path / 'two'}", "train.shard=true"]
    run_together(["train", str(path), *where], MEMESCOPE_CACHE=str(tmp_path / "cache-two"))
    one, two = (
        [json.loads(line) for line in (tmp_path / name / "log.jsonl").read_text().splitlines()]
        for name in ("one", "two")
    )
    learnt = [(entry["stage"], entry["loss"]) for entry in one if "grad_norm" in entry]
    assert [stage for stage, _ in learnt] == ["label"] * 3 + ["explain"] * 3
    assert [(entry["stage"], entry["loss"]) for entry in two if "grad_norm" in entry] == [
        (stage, pytest.approx(loss, rel=1e-3)) for stage, loss in learnt
    ]
    shares = json.loads((tmp_path / "two" / "metrics.json").read_text())["shares"]
    assert shares["processes"] == 2
    assert shares["here"] == shares["parameters"] / 2 > 0
    first, second = (load(tmp_path / name) for name in ("one", "two"))
    memes = tiny.memes(3)
    for a, b in zip(first.answer(memes), second.answer(memes), strict=True):
        for task, answer in a.answers.items():
            assert b.answers[task].probabilities == pytest.approx(answer.probabilities, abs=1e-3)


def test_only_weights_that_rest_are_shared_out(root: Path, vlm: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"without model\.lora none do"):
        train(_recipe(root, vlm, tmp_path / "run", model={"lora": None}, train={"shard": True}))
