"""Recipes of the family mamba at the source's settings, to a finished run on tiny random checkpoints in hub layout;
a killed stage with averaged weights; what pretraining keeps in memory."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny

torch = pytest.importorskip("torch")
torch.set_num_threads(1)

from memescope.errors import UsageError  # noqa: E402
from memescope.meme import Meme  # noqa: E402
from memescope.models import load  # noqa: E402
from memescope.models.mamba import create  # noqa: E402
from memescope.training.recipe import load_recipe  # noqa: E402
from memescope.training.run import train  # noqa: E402

ROOT = Path(__file__).resolve().parent.parent
RECIPES = ROOT / "recipes" / "mamba"


@pytest.fixture(autouse=True)
def _plain(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MEMESCOPE_SSM", "torch")


def hub_mamba(folder: Path) -> str:
    """A Mamba in hub layout with a byte-level tokenizer that has no padding token, as state-spaces/mamba-*-hf."""
    from transformers import MambaConfig, MambaForCausalLM

    size = tiny.tokenizer(folder, "llama")
    torch.manual_seed(3)
    MambaForCausalLM(
        MambaConfig(vocab_size=size, hidden_size=32, num_hidden_layers=2, state_size=4, eos_token_id=1)
    ).save_pretrained(folder)
    return str(folder)


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    from memescope.models.mamba.official import save_vmamba
    from memescope.models.mamba.vmamba import VMamba, VMambaSettings

    folder = tmp_path_factory.mktemp("hub")
    torch.manual_seed(0)
    save_vmamba(VMamba(VMambaSettings((1, 1, 1, 1), 16, drop_path=0.6, classes=1000)), folder / "vmamba")
    return {
        "mamba": hub_mamba(folder / "mamba"),
        "vmamba": str(folder / "vmamba"),
        "clip": tiny.clip(folder / "clip"),
        "other": tiny.clip(folder / "other", projector=False),
    }


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Sets under the names that the recipes read: pictures without much blue are harmful (hateful)."""
    from PIL import Image

    root = tmp_path_factory.mktemp("root")
    for name, task, labels in (
        ("harmc", "harmful", ("not_harmful", "harmful")),
        ("fhm", "hate", ("not_hateful", "hateful")),
    ):
        (root / name).mkdir()
        for split, count in (("train", 8), ("val", 4), ("test", 4)):
            rows = []
            for i in range(count):
                color = (200, 30 * len(split), 10 * i if i % 2 else 200)
                Image.new("RGB", (48, 48), color).save(root / name / f"{split}{i}.png")
                text = f"{tiny.TEXTS[i % 8]} {split} {i}"
                row = {"id": f"{split}{i}", "image": f"{split}{i}.png", "text": text, "labels": {task: labels[i % 2]}}
                rows.append(json.dumps(row) + "\n")
            (root / name / f"{split}.jsonl").write_text("".join(rows), "utf-8")
    return root


@pytest.mark.parametrize("name", ["fhm-text-paper", "fhm-concat-paper", "harmc-concat-paper", "cobra"])
def test_the_source_s_settings_run_to_their_end(name: str, hub: dict[str, str], drawn: Path, tmp_path: Path) -> None:
    settings = [f"data.root={drawn}", f"out={tmp_path / 'run'}", f"model.text.pretrained={hub['mamba']}"]
    if "concat" in name:
        settings += [f"model.image.pretrained={hub['vmamba']}", "model.image.size=64"]
    elif name == "cobra":
        settings += [f"model.image.names=[{hub['clip']}, {hub['other']}]"]
    found = train(RECIPES / f"{name}.yaml", *settings, "train.max_steps=2")
    recipe: Any = load_recipe(RECIPES / f"{name}.yaml")
    stage = recipe.stages[0]
    assert (stage.learning_rate, stage.gamma, stage.epochs, stage.batch_size) == (0.001, 0.8, 20, 32)
    model: Any = load(tmp_path / "run")
    config = model.config
    assert config.lora["r"] == config.lora["alpha"] == 8
    trained = {n for n, p in create_like(model).named_parameters() if p.requires_grad}
    assert all("lora_" in n or not n.startswith(("text.backbone", "picture.backbone")) for n in trained)
    assert any("out_proj.lora_A" in n for n in trained)
    # the tokenizer is that of the weights and was saved with the run: bytes, so that every word has tokens
    memes = [Meme(text="Lock them all up", image=drawn / "fhm" / "test0.png"), Meme(text="ü")]
    ids = model.processor.ids(memes[0])
    assert model.processor.tokenizer.decode(ids).endswith("Lock them all up")
    answers = [reading.answers[recipe.data.tasks[0]].probabilities for reading in model.answer(memes)]
    assert all(abs(sum(one.values()) - 1) < 1e-6 for one in answers)
    card = (tmp_path / "run" / "MODEL_CARD.md").read_text("utf-8")
    assert ("Cobra joins DINOv2" in card) == (name == "cobra")
    if name == "cobra":
        assert config.image["width"] == 40  # two towers of width 20, place by place
        assert config.image["count"] == 4
        assert model.text.project[0].in_features == 40
        assert model.processor.tokenizer.decode(ids).startswith("Is this meme mean?")
    assert found.metrics["val"]


def create_like(model: Any) -> Any:
    """A new model of the same configuration: loading a run does not say what was trained, making it does."""
    return type(model)(model.config)


def test_a_checkpoint_in_hub_layout_is_read_with_its_own_tokenizer(hub: dict[str, str]) -> None:
    from transformers import MambaModel

    model = create({"pretrained": hub["mamba"]}, lora={})
    assert model.text is not None
    stored = MambaModel.from_pretrained(hub["mamba"])
    assert torch.equal(model.text.backbone.embeddings.weight, stored.embeddings.weight)
    batch = model.processor([Meme(text="They should go back home"), Meme(text="")])
    assert batch["input_ids"].max() < stored.config.vocab_size
    assert batch["input_ids"][1].unique().tolist() == [1]  # no padding token: the end of text, masked
    assert batch["attention_mask"][1].sum() == 1
    with pytest.raises(UsageError, match="is a mamba, not a bert"):
        create({"pretrained": hub["mamba"], "kind": "bert"})


@pytest.mark.parametrize("average", ["ema", "swa"])
@pytest.mark.parametrize("kill_at", [5, 13])
def test_a_killed_stage_goes_on_with_its_average(tmp_path: Path, average: str, kill_at: int) -> None:
    from test_staged import STAGE, _Learner, _memes

    from memescope.training.staged.recipe import StagedTraining
    from memescope.training.staged.stage import run_stage
    from memescope.training.staged.tricks import Tricks

    def ran(learner: Any, folder: Path) -> dict[str, Any]:
        stage, settings = STAGE.model_copy(update={"select": "last", "epochs": 2}), StagedTraining(minutes=1e-9)
        tricks = Tricks(average=average, decay=0.9)  # type: ignore[arg-type]
        return run_stage(learner, stage, _memes(60), _memes(30), settings, folder, lambda *_: None, tricks)

    whole = _Learner()
    expected = ran(whole, tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        ran(_Learner(kill_at), tmp_path / "killed")
    again = _Learner()
    found = ran(again, tmp_path / "killed")
    assert len(again.batches) < len(whole.batches)
    assert found["chosen"] == expected["chosen"]
    for name, value in whole.model.state_dict().items():
        assert torch.equal(value, again.model.state_dict()[name]), name


@pytest.mark.parametrize("limit", [0, 24, 48])
def test_pictures_beyond_the_limit_come_from_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: int
) -> None:
    from PIL import Image

    from memescope.cache import Cache
    from memescope.training.mamba_pixels import Kept
    from memescope.training.staged.seen import Seen

    pictures = [tmp_path / f"{value}.png" for value in (1, 2)]
    for value, picture in enumerate(pictures, 1):
        Image.new("RGB", (8, 8), (value, 2, limit)).save(picture)
    calls: list[Any] = []
    read: list[str] = []
    get = Cache.get
    monkeypatch.setattr(Cache, "get", lambda self, keys: read.extend(keys) or get(self, keys))

    def see(one: Any) -> np.ndarray:
        calls.append(one)
        return np.full((4, 3), int(Path(one).stem), np.float32)

    class Encoder:
        name, version, width, count = "e", "v", 3, 4

        def __call__(self, some: Any) -> Any:
            return torch.from_numpy(np.stack([see(one) for one in some]))

    about = {"kind": "frozen", "size": 0, "inpaint": False, "versions": ["v"], "count": 4, "width": 3}
    kept, seen = Kept(see, about, limit), Seen(Encoder(), limit=limit)  # one picture takes 24 bytes
    one_by_one = (lambda: np.stack([kept(one) for one in pictures]), {0: 6, 24: 6, 48: 2})
    together = (lambda: seen(pictures).numpy(), {0: 6, 24: 4, 48: 2})
    for looks, reads in (one_by_one, together):
        calls.clear()
        for _ in range(3):
            found = looks()
            assert found.dtype == np.float32
            assert found[:, 0, 0].tolist() == [1, 2]
        assert calls == pictures
        # at first neither is there; then those that found no room, or were put out, are read
        assert len(read) == reads[limit]
        read.clear()
    assert (Kept(see, about)(pictures[0]) == 1).all()
    assert calls == pictures


def test_a_model_of_text_is_measured_where_pictures_were_never_obtained(drawn: Path, tmp_path: Path) -> None:
    import shutil

    from memescope.evaluation.evaluate import evaluate
    from memescope.evaluation.tables import notes

    shutil.copytree(drawn / "fhm", tmp_path / "fhm", ignore=shutil.ignore_patterns("*.png"))
    shutil.copy(drawn / "fhm" / "test1.png", tmp_path / "fhm")
    (tmp_path / "fhm" / "test2.png").write_bytes(b"no picture")
    text: dict[str, Any] = {"width": 32, "layers": 1, "states": 4}
    reads = create(text, tasks=("hateful",))
    looks = create(text, {"width": 16, "size": 64, "depths": (1, 1, 1, 1)}, ("hateful",))
    found = evaluate(reads, tmp_path / "fhm", resamples=50)
    # a broken picture is still an error, as its text may be that of another meme
    assert list(found.metrics["errors"]) == ["test2"]
    assert {row.id for row in found.rows} == {"test0", "test1", "test3"}
    assert set(found.rows[0].answers) == {"model", "majority", "tfidf"}
    assert found.metrics["left_out"] == {"probe": "needs pictures, and 10 of 11 memes have none"}
    assert any(line.startswith("baseline left out: probe, needs pictures") for line in notes(found.metrics))
    seeing = evaluate(looks, tmp_path / "fhm", resamples=50, baselines=False)
    assert set(seeing.metrics["errors"]) == {"test0", "test2", "test3"}
