"""Vision-language models trained in stages: both stages, a kill, merging between them, kept features, both lengths."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny_vlm
from test_vlm import Family, memes, probabilities

torch = pytest.importorskip("torch")

from memescope.backbones.vlm import load_vlm  # noqa: E402
from memescope.errors import PictureError  # noqa: E402
from memescope.meme import Meme  # noqa: E402
from memescope.training.kept_sights import KeptSights, packed, unpacked  # noqa: E402
from memescope.training.staged.run import train_staged  # noqa: E402
from memescope.training.vlm import VlmLearner, VlmRecipe, log_loss  # noqa: E402

LORA = {"r": 4, "alpha": 8, "dropout": 0.1}


class Learner(VlmLearner):
    """Kills itself when batch `kill_at` is asked for."""

    def __init__(self, recipe: VlmRecipe, kill_at: int | None = None) -> None:
        super().__init__(recipe, Family)
        self.seen, self._kill_at = 0, kill_at

    def collate(self, memes: Any, objective: Any) -> Any:
        if memes[0].split == "train":
            self.seen += 1
            if self.seen == self._kill_at:
                raise KeyboardInterrupt
        return super().collate(memes, objective)

    def card(self, metrics: dict[str, Any]) -> str:
        return f"length {self.made.config.length}"


def split(folder: Path, name: str, count: int) -> list[Meme]:
    """Drawn memes, their pictures in files as prepared sets have them."""
    found = memes(count)
    for meme in found:
        file = folder / f"{meme.id}.png"
        if not file.is_file():
            meme.image.save(file)
        meme.image, meme.split, meme.source = file, name, "drawn"
    return found


def recipe(out: Path, vlm: str, **model: Any) -> VlmRecipe:
    stages = [
        {"name": "I", "objective": "label", "epochs": 2, "learning_rate": 3e-3, "batch_size": 4, "select": "last"},
        {"name": "II", "objective": "both", "epochs": 2, "learning_rate": 1e-3, "batch_size": 4, "select": "loss"},
    ]
    return VlmRecipe.model_validate({
        "name": "t", "out": out, "data": {"sets": ["drawn"], "tasks": ["harmful", "target"]}, "stages": stages,
        "model": {"family": "testing", "vlm": vlm, "lora": LORA, "max_rationale": 16} | model,
        "train": {"minutes": 1e-6},
    })  # fmt: skip


def run(settings: VlmRecipe, kill_at: int | None = None) -> Learner:
    learner = Learner(settings, kill_at)
    train_staged(
        settings,
        learner,
        lambda *_: None,
        split(settings.out.parent, "train", 8),
        split(settings.out.parent, "val", 6),
        begin=learner.begin,
        end=learner.end,
    )
    return learner


@pytest.mark.parametrize("make", ["qwen3_vl", "qwen2_5_vl", "tinyvlm"])
def test_two_stages_killed_and_resumed_end_in_the_same_model(
    make: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tiny_vlm.tinyvlm(tmp_path / make) if make == "tinyvlm" else tiny_vlm.qwen(tmp_path / make, make)
    monkeypatch.setenv("MEMESCOPE_CACHE", str(tmp_path / "cache"))
    whole = run(recipe(tmp_path / "whole", path))
    metrics = json.loads((tmp_path / "whole" / "metrics.json").read_text("utf-8"))
    assert [stage["stage"] for stage in metrics["stages"]] == ["I", "II"]
    some = split(tmp_path, "val", 6)
    loaded = Family.load_folder(tmp_path / "whole")
    assert loaded.config.calibration is not None
    np.testing.assert_allclose(probabilities(loaded, some), probabilities(whole.made, some), atol=1e-4)
    assert loaded.generate(some[:2]) == whole.made.generate(some[:2])
    # stage II began from the merged weights of stage I: the folder holds them, and an adapter of stage II alone
    assert (tmp_path / "whole" / "vlm").is_dir()
    assert (tmp_path / "whole" / "adapter").is_dir()

    monkeypatch.setenv("MEMESCOPE_CACHE", str(tmp_path / "other"))
    for kill_at in (2, 4):  # in stage I, then in stage II
        with pytest.raises(KeyboardInterrupt):
            run(recipe(tmp_path / "killed", path), kill_at)
    resumed = run(recipe(tmp_path / "killed", path))
    np.testing.assert_allclose(probabilities(resumed.made, some), probabilities(whole.made, some), atol=1e-4)
    # a checkpoint keeps what is trained only
    stored = list((tmp_path / "other" / "training").rglob("best/model.safetensors"))
    assert len(stored) == 2
    from safetensors import safe_open

    for file in stored:
        with safe_open(file, framework="pt") as content:
            assert all("lora_" in name or "projector" in name for name in content.keys())  # noqa: SIM118 - not a dict


def test_without_adapters_everything_but_the_picture_encoder_learns(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MEMESCOPE_CACHE", str(tmp_path / "cache"))
    path = tiny_vlm.tinyvlm(tmp_path)
    learner = run(recipe(tmp_path / "run", path, lora=None, length="choose"))
    some = split(tmp_path, "val", 6)
    assert not (tmp_path / "run" / "adapter").exists()
    loaded = Family.load_folder(tmp_path / "run")
    np.testing.assert_allclose(probabilities(loaded, some), probabilities(learner.made, some), atol=1e-4)
    # the length that was chosen is the one with the lower loss before calibration, and is stored
    losses = {}
    loaded.config.calibration = None
    for length in ("sum", "mean"):
        stored, loaded.config.length = loaded.config.length, length
        losses[length] = log_loss(loaded.answer(some), some, learner.tasks)
        loaded.config.length = stored
    assert loaded.config.length == min(losses, key=losses.__getitem__)
    assert losses["sum"] != losses["mean"]


def test_log_loss_by_hand() -> None:
    from memescope.meme import Answer, Reading

    some = [Meme(labels={"harmful": "harmful"}), Meme(labels={"harmful": "not-harmful"})]
    readings = [
        Reading({"harmful": Answer("harmful", {"not-harmful": 0.2, "harmful": 0.8})}),
        Reading({"harmful": Answer("harmful", {"not-harmful": 0.4, "harmful": 0.6})}),
    ]
    assert log_loss(readings, some, ["harmful"]) == pytest.approx(-(np.log(0.8) + np.log(0.4)) / 2)


def test_features_are_kept_by_content(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MEMESCOPE_CACHE", str(tmp_path / "cache"))
    vlm = load_vlm(tiny_vlm.qwen(tmp_path / "q"))
    some = memes(3)
    files = []
    for i, meme in enumerate(some):
        files.append(tmp_path / f"{i}.png")
        meme.image.save(files[-1])
    kept, calls = KeptSights(vlm), []
    see = vlm.see
    monkeypatch.setattr(vlm, "see", lambda pictures: calls.append(len(pictures)) or see(pictures))
    first = kept([files[0], files[1], files[0]])
    assert calls == [2]
    again = KeptSights(vlm)([files[1], files[2]])  # another process: one is in the cache
    assert calls == [2, 1]
    assert again[0].grid == first[1].grid
    torch.testing.assert_close(again[0].features, first[1].features, atol=0, rtol=0)
    plain = KeptSights(vlm, keep=False)([files[0]])[0]
    torch.testing.assert_close(first[0].features, plain.features, atol=2e-3, rtol=2e-3)  # float16
    assert kept.grid(files[2]) == again[1].grid
    one = unpacked(packed(plain))
    assert one.grid == plain.grid
    torch.testing.assert_close(one.features, plain.features.half().float(), atol=0, rtol=0)
    other = load_vlm(tiny_vlm.qwen(tmp_path / "q2", size=28 * 28))  # other settings: other features
    assert KeptSights(other)([files[0]])[0].features.shape != first[0].features.shape


def test_a_picture_that_is_gone_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MEMESCOPE_CACHE", str(tmp_path / "cache"))
    kept = KeptSights(load_vlm(tiny_vlm.qwen(tmp_path / "q")))
    for ask in (kept.grid, lambda file: kept([file])):
        with pytest.raises(PictureError, match=r"gone\.png': no such file"):
            ask(tmp_path / "gone.png")


def test_features_are_kept_apart_by_what_weights_are_kept_in(tmp_path: Path) -> None:
    path = tiny_vlm.qwen(tmp_path / "q")
    whole, rounded = (load_vlm(path, dtype) for dtype in ("float32", "bfloat16"))
    assert (whole.version, whole.settings) == (rounded.version, rounded.settings)
    assert whole.seen_by != rounded.seen_by
    tinyvlm = load_vlm(tiny_vlm.tinyvlm(tmp_path))  # its encoder is always the same: what was kept stays known
    assert tinyvlm.seen_by == tinyvlm.model.config.vision_version


def test_a_model_is_put_where_it_computes_fastest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tiny_vlm.tinyvlm(tmp_path)
    Family.create(path, ["harmful"]).save_pretrained(tmp_path / "run")
    settings = recipe(tmp_path / "out", path)
    learner = Learner(settings)
    for name in ("backbones.precision", "models.vlm.model"):
        monkeypatch.setattr(f"memescope.{name}.best_device", lambda: "meta")
    learner.begin(0, settings.stages[0])
    assert learner.made.device.type == "meta"
    assert Family.load_folder(tmp_path / "run").device.type == "meta"
