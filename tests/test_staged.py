"""Training in stages: batches of like length, selection, and a killed stage that ends with the same weights."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

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
from memescope.training.recipe import Part
from memescope.training.staged.recipe import AbstainPart, Stage, StagedRecipe, StagedTraining
from memescope.training.staged.run import read_staged, train_staged
from memescope.training.staged.sampling import LengthBuckets
from memescope.training.staged.settle import settle
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
