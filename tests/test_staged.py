"""Training in stages: batches of like length, selection, and a killed stage that ends with the same weights."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from transformers import PretrainedConfig, PreTrainedModel
from transformers.utils import ModelOutput

from memescope.errors import UsageError
from memescope.meme import Answer, Meme, Reading
from memescope.rationales.store import Rationale, save
from memescope.training import train
from memescope.training.card_tables import figures_table
from memescope.training.recipe import Part
from memescope.training.staged.keys import stage_keys
from memescope.training.staged.recipe import AbstainPart, Stage, StagedRecipe, StagedTraining
from memescope.training.staged.run import read_staged, train_staged
from memescope.training.staged.sampling import LengthBuckets
from memescope.training.staged.settle import Settled, settle, store
from memescope.training.staged.stage import mean_figures, run_stage


@given(st.lists(st.integers(1, 50), min_size=1, max_size=200), st.integers(1, 9), st.integers(0, 3))
def test_buckets_give_each_index_once_and_the_same_order_for_one_epoch(
    lengths: list[int], batch: int, epoch: int
) -> None:
    first, second = (LengthBuckets(lengths, batch, seed=1) for _ in range(2))
    list(first)
    first.set_epoch(epoch)
    second.set_epoch(epoch)
    assert list(first) == list(second)
    assert sorted(first) == list(range(len(lengths)))


def test_buckets_hold_like_lengths() -> None:
    lengths = np.random.default_rng(0).integers(1, 100, 640)
    order = np.array(list(LengthBuckets(lengths.tolist(), 16, seed=0))).reshape(-1, 16)
    spread = np.ptp(lengths[order], axis=1)
    assert spread.mean() < 5  # 640 = 20 pools' worth of one pool: sorted batches differ by 100 * 16 / 640 on average
    assert len(np.unique(lengths[order].mean(axis=1).round())) > 20  # and batches come shuffled, not by length
    assert not np.all(np.diff(lengths[order].mean(axis=1)) <= 0)


class _Config(PretrainedConfig):
    model_type = "tiny-test"


class _Net(PreTrainedModel):
    config_class = _Config

    def __init__(self, config: _Config) -> None:
        super().__init__(config)
        self.layer = torch.nn.Linear(4, 2)
        self.drop = torch.nn.Dropout(0.2)
        self.post_init()

    def forward(self, x: torch.Tensor, labels: torch.Tensor) -> ModelOutput:
        return ModelOutput(loss=torch.nn.functional.cross_entropy(self.layer(self.drop(x)), labels))


class _Learner:
    """Two classes from four numbers kept in `meta`."""

    tasks = ("harmful",)

    def __init__(self, kill_at: int | None = None) -> None:
        torch.manual_seed(0)
        self.model = _Net(_Config())
        self.batches: list[list[str]] = []
        self._kill_at = kill_at

    def collate(self, memes, objective):
        if memes[0].split in ("60", "train"):  # the training memes
            self.batches.append([meme.id for meme in memes])
            if self._kill_at is not None and len(self.batches) == self._kill_at:
                raise KeyboardInterrupt
        x = torch.tensor([meme.meta["x"] for meme in memes])
        return {"x": x, "labels": torch.tensor([int(m.labels["harmful"] == "harmful") for m in memes])}

    def length(self, meme, objective):
        return len(meme.text)

    def answer(self, memes):
        with torch.no_grad():
            p = self.model.layer(torch.tensor([meme.meta["x"] for meme in memes])).softmax(-1).tolist()
        return [
            Reading({"harmful": Answer("harmful" if b > a else "not-harmful", {"not-harmful": a, "harmful": b})})
            for a, b in p
        ]

    def save(self, folder: Path) -> None:
        self.model.save_pretrained(folder)

    def load(self, folder: Path) -> None:
        self.model.load_state_dict(_Net.from_pretrained(folder).state_dict())


def _memes(n: int) -> list[Meme]:
    rng = np.random.default_rng(n)
    x = rng.standard_normal((n, 4)).astype(np.float32)
    return [
        Meme(text="x" * (i % 7), id=str(i), split=str(n), labels={"harmful": label}, meta={"x": row})
        for i, (row, label) in enumerate((r, "harmful" if r[0] > 0 else "not-harmful") for r in x.tolist())
    ]


STAGE = Stage(name="label", objective="label", epochs=6, learning_rate=0.05, batch_size=8, select="macro_f1")


def _run(learner: _Learner, folder: Path, minutes: float = 1e-9, **changes: object) -> dict:
    stage = STAGE.model_copy(update=changes)
    return run_stage(learner, stage, _memes(60), _memes(30), StagedTraining(minutes=minutes), folder, lambda *_: None)


def test_a_stage_learns_and_keeps_what_was_best_on_the_selection_split(tmp_path: Path) -> None:
    learner = _Learner()
    found = _run(learner, tmp_path)
    curve = [entry["eval_macro_f1"] for entry in found["val"] if "eval_macro_f1" in entry]
    assert len(curve) == 6
    assert found["chosen"]["value"] == max(curve) > 0.8
    assert mean_figures(learner.answer(_memes(30)), _memes(30), learner.tasks)["macro_f1"] == pytest.approx(max(curve))
    assert not list(tmp_path.glob("checkpoint-*"))


@pytest.mark.parametrize("kill_at", [3, 8, 9, 20, 47])
def test_a_killed_stage_ends_with_the_weights_of_one_that_was_not(tmp_path: Path, kill_at: int) -> None:
    whole = _Learner()
    expected = _run(whole, tmp_path / "whole", select="last")
    killed = _Learner(kill_at)
    with pytest.raises(KeyboardInterrupt):
        _run(killed, tmp_path / "killed", select="last")
    again = _Learner()
    found = _run(again, tmp_path / "killed", select="last")
    assert len(again.batches) < len(whole.batches)  # it went on, it did not begin again
    assert found["chosen"]["value"] == expected["chosen"]["value"]
    for name, value in whole.model.state_dict().items():
        assert torch.equal(value, again.model.state_dict()[name]), name


@pytest.mark.parametrize("broken", ["", '{"epoch": 1.', None])
def test_a_checkpoint_that_is_half_written_is_passed_over(tmp_path: Path, broken: str | None) -> None:
    whole = _Learner()
    _run(whole, tmp_path / "whole", select="last")
    with pytest.raises(KeyboardInterrupt):
        _run(_Learner(20), tmp_path / "killed", select="last")
    (before,) = (tmp_path / "killed").glob("checkpoint-*")
    half = tmp_path / "killed" / "checkpoint-19"
    half.mkdir(exist_ok=True)
    (half / "model.safetensors").write_bytes(b"not all of i")
    if broken is not None:
        (half / "trainer_state.json").write_text(broken)
    again = _Learner()
    assert before != half
    _run(again, tmp_path / "killed", select="last")
    assert len(again.batches) < len(whole.batches)
    assert all(torch.equal(value, again.model.state_dict()[name]) for name, value in whole.model.state_dict().items())


def test_a_finished_stage_is_loaded_not_trained(tmp_path: Path) -> None:
    first = _Learner()
    _run(first, tmp_path)
    second = _Learner()
    assert _run(second, tmp_path) == json.loads((tmp_path / "done.json").read_text())
    assert second.batches == []
    assert torch.equal(first.model.layer.weight, second.model.layer.weight)


def test_every_epoch_sees_every_meme(tmp_path: Path) -> None:
    learner = _Learner()
    _run(learner, tmp_path, minutes=5.0)
    seen = Counter(name for batch in learner.batches for name in batch)
    assert set(seen.values()) == {6}
    assert len(seen) == 60


def test_max_steps_ends_early_and_is_looked_at(tmp_path: Path) -> None:
    learner = _Learner()
    settings = StagedTraining(max_steps=3)
    found = run_stage(learner, STAGE, _memes(60), _memes(30), settings, tmp_path, lambda *_: None)
    assert len(learner.batches) <= 4  # one batch is made ahead
    assert found["chosen"]["step"] == 3


class _FamilyLearner(_Learner):
    version = "1"

    def settle(self, settled, card):
        self.settled, self.told = settled, card

    def card(self, metrics):
        return f"# {metrics['recipe']}\n"


class _Model(Part):
    family: str = "tiny"


class _Recipe(StagedRecipe):
    model: _Model = _Model()


@pytest.fixture
def drawn(tmp_path: Path) -> Path:
    for name, n in (("train", 60), ("val", 30)):
        lines = [
            {"id": m.id, "image": f"{m.id}.png", "text": f"{m.text} {m.id} {name}", "labels": m.labels, "meta": m.meta}
            for m in _memes(n)
        ]
        (tmp_path / "root" / "drawn").mkdir(parents=True, exist_ok=True)
        for i, line in enumerate(lines):
            pixels = np.random.default_rng([n, i]).integers(0, 255, (40, 40, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(tmp_path / "root" / "drawn" / f"{line['id']}-{name}.png")
            line["image"] = f"{line['id']}-{name}.png"
        path = tmp_path / "root" / "drawn" / f"{name}.jsonl"
        path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return tmp_path


def _recipe(folder: Path, **changes: object) -> _Recipe:
    stages = [
        {"name": "reason", "objective": "rationale", "epochs": 1, "learning_rate": 0.01, "batch_size": 8},
        {"name": "judge", "objective": "label", "epochs": 4, "learning_rate": 0.05, "batch_size": 8},
    ]
    data = {"root": folder / "root", "sets": ["drawn"], "tasks": ["harmful"], "rationales": folder / "r.json"}
    return _Recipe.model_validate({"name": "t", "out": folder / "out", "data": data, "stages": stages} | changes)


def _train(recipe: _Recipe, learner: _FamilyLearner, reasons: dict[str, str]) -> dict:
    recipe.data.rationales.write_text(json.dumps(reasons))
    return train_staged(recipe, learner, lambda *_: None, *read_staged(recipe))


def test_stages_follow_each_other_and_share_what_they_have_in_common(drawn: Path) -> None:
    reasons = {str(i): "because" for i in range(0, 60, 2)}
    learner = _FamilyLearner()
    metrics = _train(_recipe(drawn), learner, reasons)
    assert [(stage["stage"], stage["rows"]) for stage in metrics["stages"]] == [("reason", 30), ("judge", 60)]
    assert metrics["val"]["harmful"]["macro_f1"] > 0.8
    assert learner.told["harmful"]["trained_on"] == "60 memes of drawn"
    files = {path.name for path in (drawn / "out").iterdir()}
    assert files >= {"recipe.yaml", "metrics.json", "log.jsonl", "MODEL_CARD.md"}
    log = [json.loads(line) for line in (drawn / "out" / "log.jsonl").read_text().splitlines()]
    assert {line["stage"] for line in log} == {"reason", "judge"}
    other = _FamilyLearner()
    stages = [s.model_dump() for s in _recipe(drawn).stages]
    stages[1]["epochs"] = 2
    _train(_recipe(drawn, stages=stages), other, reasons)
    assert 16 <= len(other.batches) <= 18  # two epochs of labels; the first stage was there already
    third = _FamilyLearner()
    _train(_recipe(drawn, stages=stages), third, reasons | {"2": "another reason"})
    assert len(third.batches) > 18


def test_a_stage_without_memes_is_named(drawn: Path) -> None:
    with pytest.raises(UsageError, match=r"stage 'reason' \(rationale\): no train meme .* \(a rationale\)"):
        _train(_recipe(drawn), _FamilyLearner(), {})


@pytest.mark.parametrize(
    "change",
    [
        {"data.tasks": ("harmful", "hateful")},
        {"train.image": b"another"},
        {"val.image": b"another"},
        {"val.text": "other words"},
        {"val.rationale": "another reason"},
        {"train.lang": "hi"},
        {"train.aspect": "the mayor"},
        {"train.meta": {"caption": "a wall"}},
        {"train.labels": {"harmful": "not-harmful"}},
    ],
)
def test_a_stage_is_another_one_when_what_it_learns_from_changes(tmp_path: Path, change: dict) -> None:
    meme = Meme(b"a picture", "words", "a", "en", {"harmful": "harmful", "sarcasm": "none"}, rationale="a reason")
    (name, value), (part, _, field) = next(iter(change.items())), next(iter(change)).partition(".")
    parts = {"train": [meme], "val": [meme]}
    before = stage_keys(_recipe(tmp_path), "1", **parts)
    assert len(set(before)) == 2
    unlearnt = [replace(meme, labels={"harmful": "harmful"}, split="train", meta={"native_labels": {"a": 1}})]
    assert stage_keys(_recipe(tmp_path), "1", unlearnt, [meme]) == before
    recipe = _recipe(tmp_path)
    if part == "data":
        recipe = recipe.model_copy(update={"data": recipe.data.model_copy(update={field: value})})
    else:
        parts[part] = [replace(meme, **{field: value})]
    assert not set(stage_keys(recipe, "1", **parts)) & set(before), name


def test_a_finished_run_is_left_as_it_is_and_one_of_other_memes_or_code_is_trained(drawn: Path) -> None:
    reasons = {str(i): "because" for i in range(60)}
    first = _train(_recipe(drawn), _FamilyLearner(), reasons)
    again = _FamilyLearner()
    assert _train(_recipe(drawn), again, reasons) == first
    assert again.batches == []
    assert not hasattr(again, "settled")
    later = _FamilyLearner()
    later.version = "2"
    assert _train(_recipe(drawn), later, reasons)["key"] != first["key"]
    assert later.batches
    other = _FamilyLearner()
    assert _train(_recipe(drawn), other, reasons | {"2": "another reason"})["key"] != first["key"]
    assert other.batches


def test_a_run_whose_weights_are_not_written_is_not_finished(drawn: Path) -> None:
    class Killed(_FamilyLearner):
        def save(self, folder: Path) -> None:
            if folder == drawn / "out":
                raise KeyboardInterrupt
            super().save(folder)

    reasons = {str(i): "because" for i in range(60)}
    _train(_recipe(drawn), _FamilyLearner(), reasons)
    believed = _recipe(drawn, abstain={"target_error": 0.2})  # the same stages
    with pytest.raises(KeyboardInterrupt):
        _train(believed, Killed(), reasons)
    assert not (drawn / "out" / "metrics.json").is_file()
    last = _FamilyLearner()
    _train(believed, last, reasons)
    assert last.settled
    assert last.batches == []


def test_more_figures_are_written_with_the_others(drawn: Path) -> None:
    recipe = _recipe(drawn)
    recipe.data.rationales.write_text(json.dumps({str(i): "because" for i in range(60)}))
    found = train_staged(recipe, _FamilyLearner(), lambda *_: None, *read_staged(recipe), more=lambda: {"roles": 1})
    assert found["roles"] == json.loads((drawn / "out" / "metrics.json").read_text())["roles"] == 1


def test_several_processes_share_batches_not_weights(drawn: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(UsageError, match="starter is trained by one process, and here are 2"):
        train(Path(__file__).parent.parent / "recipes" / "starter.yaml")
    monkeypatch.setenv("ACCELERATE_USE_FSDP", "true")
    with pytest.raises(UsageError, match=r"not to share out weights.*train.shard.*--export"):
        train(_recipe(drawn))


def test_reasons_for_another_task_or_set_are_not_taken(drawn: Path) -> None:
    path = drawn / "r.jsonl"
    recipe = _recipe(drawn)
    recipe = recipe.model_copy(update={"data": recipe.data.model_copy(update={"rationales": path})})
    rows = [Rationale("1", "of a target", "drawn", task="target"), Rationale("2", "elsewhere", "other", task="harmful")]
    save(path, rows)
    with pytest.raises(UsageError, match=r"r\.jsonl: holds no rationale that explains harmful of drawn"):
        read_staged(recipe)
    save(path, [*rows, Rationale("1", "it is harmful", "drawn", task="harmful"), Rationale("3", "any task")])
    train, _ = read_staged(recipe)
    assert {meme.id: meme.rationale for meme in train if meme.rationale} == {"1": "it is harmful", "3": "any task"}


def test_a_task_that_no_selection_meme_is_labelled_for_is_never_believed() -> None:
    config = SimpleNamespace()
    one = Settled((2.0, 2.0), (0.0, 0.0), "temperature", 0.75, {"n": 9, "accuracy": 1, "macro_f1": 1, "ece": 0})
    card = {"harmful": {"trained_on": "9 memes of a"}, "hateful": {"trained_on": ""}}
    store(config, {"harmful": one}, card)
    assert config.calibration == {"harmful": {"temperature": [0.5, 0.5], "bias": [0.0, 0.0]}}
    assert config.abstain == {"harmful": 0.75, "hateful": None}
    lines = figures_table({"harmful": one.figures | {"calibration": one.method}}, config.abstain).splitlines()
    assert lines[-2:] == [
        "| harmful | 9 | 1.000 | 1.000 | 0.000 | temperature | below 0.75 |",
        "| hateful | 0 | - | - | - | - | always |",
    ]


def test_settling_sharpens_or_softens_and_keeps_the_order() -> None:
    rng = np.random.default_rng(0)
    memes, readings = [], []
    for i in range(400):
        p = float(rng.uniform(0.05, 0.95))
        sharp = p**3 / (p**3 + (1 - p) ** 3)  # three times too sure in log-odds
        truth = "harmful" if rng.random() < p else "not-harmful"
        memes.append(Meme(text=f"meme number {i} says {rng.integers(1e9)}", labels={"harmful": truth}))
        label = "harmful" if sharp > 0.5 else "not-harmful"
        readings.append(Reading({"harmful": Answer(label, {"not-harmful": 1 - sharp, "harmful": sharp})}))
    found = settle(readings, memes, ["harmful", "hateful"], AbstainPart(target_error=0.3), seed=0)
    assert list(found) == ["harmful"]
    assert found["harmful"].scale[0] == pytest.approx(1 / 3, abs=0.08)
    assert found["harmful"].abstain is not None
    assert found["harmful"].figures["n"] == 400


def test_the_tables_of_a_card() -> None:
    from memescope.training.card_tables import figures_table, listed, stages_table

    stage = Stage(name="labels", objective="label", epochs=2, learning_rate=1e-3, batch_size=8, accumulate=4)
    found = {"rows": 40, "chosen": {"value": 0.51234, "step": 6}}
    assert stages_table([("student, labels", stage, found)]).splitlines()[2:] == [
        "| student, labels | label | 40 | 2 | 0.001 | 32 | loss 0.5123 at step 6 |"
    ]
    its = {"n": 9, "accuracy": 0.5, "macro_f1": 0.25, "ece": 0.1, "calibration": "bias"}
    written = {"explanations": {"harmful": "trained", "target": "untrained"}}
    assert figures_table({"harmful": its, "target": its}, {"harmful": 0.6, "target": None}, written).splitlines() == [
        "| task | n | accuracy | macro-F1 | ECE | calibration | abstains | explanations |",
        "|---|---|---|---|---|---|---|---|",
        "| harmful | 9 | 0.500 | 0.250 | 0.100 | bias | below 0.60 | trained |",
        "| target | 9 | 0.500 | 0.250 | 0.100 | bias | always | untrained |",
    ]
    assert listed(["one", "two"]) == "- one\n- two"
