"""The family mamba on tiny random backbones: answering, fusing, learning, saving, pretraining, its inside views."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny

torch = pytest.importorskip("torch")
torch.set_num_threads(1)

import memescope.models  # noqa: E402
from memescope.errors import MemescopeError, UsageError  # noqa: E402
from memescope.explanation.faithfulness import curves, resampled  # noqa: E402
from memescope.meme import Meme  # noqa: E402
from memescope.models.mamba import create  # noqa: E402
from memescope.models.mamba.attention import implied, rolled_out  # noqa: E402
from memescope.models.mamba.heat import gradcam  # noqa: E402
from memescope.models.mamba.mixer import recorded, reverse  # noqa: E402
from memescope.training import load_recipe, train  # noqa: E402


@pytest.fixture(autouse=True)
def _plain(monkeypatch: pytest.MonkeyPatch) -> None:
    """Scans this small are not worth compiling a kernel for; test_mamba_backbones runs on the kernel."""
    monkeypatch.setenv("MEMESCOPE_SSM", "torch")


TEXT: dict[str, Any] = {"width": 32, "layers": 2, "states": 4}
IMAGE: dict[str, Any] = {"width": 16, "depths": (1, 1, 1, 1), "size": 64}


def made(text: dict[str, Any] | None = None, image: dict[str, Any] | None = None, **settings: Any) -> Any:
    torch.manual_seed(0)
    sides = (TEXT | text if text is not None else None, IMAGE | image if image is not None else None)
    return create(*sides, **({"tasks": ("harmful",)} | settings)).eval()


def memes(n: int = 6) -> list[Meme]:
    found = tiny.memes(n)
    return [replace(meme, text=meme.text * (1 + i % 3)) for i, meme in enumerate(found)]


def table(model: Any, some: list[Meme], task: str = "harmful") -> np.ndarray:
    return np.array([list(reading.answers[task].probabilities.values()) for reading in model.answer(some)])


BERT: dict[str, Any] = {"kind": "bert", "width": 64, "layers": 1}
LLAMA: dict[str, Any] = {"kind": "llama", "width": 64, "layers": 1}
SHAPES: dict[str, dict[str, Any]] = {
    "TextMamba": {"text": {}},
    "last": {"text": {"pool": "last"}},
    "cls": {"text": {"pool": "cls", "direction": "both"}},
    "BiDTextMamba": {"text": {"direction": "both"}},
    "shared": {"text": {"direction": "shared", "merge": "mean"}},
    "block": {"text": {"direction": "block"}},
    "bert": {"text": BERT},
    "llama": {"text": LLAMA},
    "ImageMamba": {"image": {}},
    "resnet": {"image": {"kind": "resnet"}},
    "vit": {"image": {"kind": "vit", "width": 64, "depths": (2,)}},
    "ConcatMamba": {"text": {}, "image": {}},
    "BiDConcatMamba": {"text": {"direction": "both"}, "image": {}},
    "token": {"text": {}, "image": {}, "fusion": "token"},
    "prefix": {"text": {"prompt": "is this meme mean?"}, "image": {}, "fusion": "prefix"},
}


@pytest.mark.parametrize("name", SHAPES)
def test_every_arrangement_answers_alike_in_any_batch_and_order_and_learns(name: str) -> None:
    model, some = made(**SHAPES[name]), memes()
    together = table(model, some)
    assert np.allclose(table(model, some[::-1])[::-1], together, atol=1e-4)
    assert np.allclose(np.concatenate([table(model, [meme]) for meme in some[:2]]), together[:2], atol=1e-4)
    assert np.allclose(together.sum(1), 1)
    batch = model.processor(some, labels=True)
    optimiser = torch.optim.AdamW(model.parameters(), 2e-3)
    losses = []
    model.train()
    for _ in range(8):
        loss = model(**batch).loss
        loss.backward()
        losses.append(float(loss.detach()))
        unused = [n for n, p in model.named_parameters() if p.grad is None]
        optimiser.step()
        optimiser.zero_grad()
    # embeddings of positions that are shared with nobody, and BERT's own masks, are all that may be left out
    assert [n for n in unused if "embeddings" not in n and "mask_token" not in n] == []
    assert losses[-1] < losses[0]


def test_two_labels_have_one_output_and_a_sigmoid_as_in_the_source() -> None:
    model = made({})
    assert [layer.__class__.__name__ for layer in model.heads["harmful"]] == ["Linear", "ReLU", "Linear"]
    assert model.heads["harmful"][0].out_features == 64
    assert model.heads["harmful"][2].out_features == 1
    batch = model.processor(memes(2))
    with torch.no_grad():
        features = model.features(batch["input_ids"], batch["attention_mask"], None, None)
        expected = torch.sigmoid(model.heads["harmful"](features))[:, 0]
    assert np.allclose(table(model, memes(2))[:, 1], expected.numpy(), atol=1e-6)


def test_the_mean_leaves_padding_out_and_the_last_state_is_that_of_the_last_word() -> None:
    model = made({})
    states = torch.arange(12.0).reshape(2, 3, 2)
    mask = torch.tensor([[True, True, False], [True, True, True]])
    assert model.text.pool(states, mask).tolist() == [[1, 2], [8, 9]]
    model.text.about["pool"] = "last"
    assert model.text.pool(states, mask).tolist() == [[2, 3], [10, 11]]


def test_the_second_backbone_reads_each_row_from_its_own_end() -> None:
    model = made({"direction": "both", "pool": "last"})
    ids = torch.tensor([[5, 6, 7, 0, 0]])
    mask = torch.tensor([[True, True, True, False, False]])
    with torch.no_grad():
        both = model.text(model.text.embed(ids), mask)
        turned = model.text(model.text.embed(ids[:, [2, 1, 0, 3, 4]]), mask)
    # both backbones start alike, so reading the row backwards is reading the turned row forwards
    assert torch.allclose(both[:, 32:], turned[:, :32], atol=1e-5)
    assert not torch.allclose(both[:, 32:], both[:, :32], atol=1e-3)
    assert reverse(ids[..., None], torch.tensor([3]))[..., 0].tolist() == [[7, 6, 5, 0, 0]]


def test_a_picture_joined_to_tokens_changes_nothing_at_first_and_a_meme_without_one_is_answered() -> None:
    alone, joined = made({}), made({}, {}, fusion="token")
    joined.text.backbone.load_state_dict(alone.text.backbone.state_dict())
    blind = [replace(meme, image=None) for meme in memes(2)]
    a, b = alone.processor(blind), joined.processor(blind)
    assert b["seen"].tolist() == [False, False]
    with torch.no_grad():
        plain = alone.features(a["input_ids"], a["attention_mask"], None, None)
        assert torch.allclose(joined.features(**b), plain, atol=1e-5)
        assert not torch.allclose(joined.features(**joined.processor(memes(2))), plain, atol=1e-4)


def test_several_tasks_each_have_their_loss_and_unlabelled_memes_add_none() -> None:
    model = made({}, tasks=("harmful", "propaganda_techniques"))
    labelled = Meme(text="one", labels={"harmful": "harmful"})
    also = Meme(text="two", labels={"propaganda_techniques": ["smears"]})
    both = model(**model.processor([labelled, also], labels=True)).loss
    apart = [model(**model.processor([one], labels=True)).loss for one in (labelled, also)]
    assert torch.allclose(both, sum(apart), atol=1e-5)
    answer = model.answer([also])[0].answers["propaganda_techniques"]
    assert isinstance(answer.label, list)
    assert all(0 < p < 1 for p in answer.probabilities.values())


def test_a_saved_model_loads_and_answers_the_same(tmp_path: Path) -> None:
    model = made({"direction": "block"}, {}, lora={"image": ["fc1"]})
    torch.nn.init.normal_(model.text.backbone.layers[0].mixer.out_proj.lora_B, std=0.1)
    model.save_pretrained(tmp_path)
    loaded = memescope.models.load(tmp_path)
    assert np.allclose(table(loaded, memes(3)), table(model, memes(3)), atol=1e-6)
    assert loaded.name == "mamba"


def test_wrong_settings_are_named() -> None:
    for settings, said in [
        ({}, "a text part, an image part"),
        ({"text": {}, "fusion": "token"}, "needs a text and an image part"),
        ({"text": {"direction": "sideways"}}, "text.direction 'sideways': expected one of forward"),
        (
            {"text": {"kind": "bert", "width": 64, "direction": "both"}},
            "directions are Mamba's; leave it at 'forward' for bert",
        ),
        ({"text": {"pretrained": "no-such"}}, "pretrain-no-such.yaml"),
        ({"text": {}, "freeze": {"text": 9}}, "freeze.text: 9 of 2 layers"),
        ({"text": {}, "lora": {"rank": 1}}, "lora: unknown rank"),
        ({"image": {"kind": "resnet"}, "lora": {}}, "no usual layers"),
        ({"text": BERT | {"max_tokens": 513}}, "max_tokens 513 and text.kind 'bert': .* places for 512"),
        ({"text": BERT | {"max_tokens": 512, "pool": "cls"}}, "places for 511"),
        ({"text": BERT | {"max_tokens": 509}, "image": {}, "fusion": "prefix"}, "places for 508"),
    ]:
        with pytest.raises(MemescopeError, match=said):
            made(**settings)


def test_attention_reads_texts_as_long_as_its_places() -> None:
    model = made(BERT | {"max_tokens": 508}, {}, fusion="prefix")
    long = Meme(text="word " * 600, image=memes(1)[0].image)
    assert len(model.processor.ids(long)) == 508
    assert sum(table(model, [long])[0]) == pytest.approx(1)


def test_keys_that_would_do_nothing_are_named_with_what_they_do_not_go_with() -> None:
    text, image = {"width": 64}, {"width": 16, "size": 64}
    eyes = {"kind": "frozen", "names": ["effnet-lite0"]}
    for model, said in [
        ({"text": text | {"kind": "bert", "states": 4}}, "states 4 and kind 'bert'"),
        ({"text": text | {"kind": "bert", "delta_dropout": 0.1}}, "delta_dropout 0.1 and kind 'bert'"),
        ({"text": text | {"merge": "mean"}}, "merge mean and direction 'forward'"),
        ({"text": text | {"pretrained": "a"}}, "width 64 and pretrained 'a'"),
        ({"image": image | {"kind": "vit", "states": 4}}, "states 4 and kind 'vit'"),
        ({"image": image | {"kind": "resnet", "drop_path": 0.1}}, "drop_path 0.1 and kind 'resnet'"),
        ({"image": image | {"names": ["effnet-lite0"]}}, "names .* and kind 'vmamba'"),
        ({"image": image | {"pretrained": "a", "depths": [1]}}, "width 16 and pretrained 'a'"),
        ({"image": eyes | {"depths": [1]}}, "depths .* and kind 'frozen'"),
        ({"text": text, "image": eyes, "freeze": {"image": 1}}, "freeze.image and image.kind 'frozen'"),
        ({"text": text, "image": eyes, "lora": {"image": ["fc1"]}}, "lora.image and image.kind 'frozen'"),
        ({"text": text, "freeze": {"image": 1}}, "freeze.image and no image part"),
    ]:
        content = recipe(Path("x"), Path("y")) | {"model": {"family": "mamba", **model}}
        with pytest.raises(UsageError, match=said):
            load_recipe(content)
    for fits in (
        {"text": text | {"merge": "mean", "direction": "both", "states": 4}},
        {"text": text, "image": eyes | {"drop_path": 0.0}, "lora": {"image": []}},
    ):
        assert load_recipe(recipe(Path("x"), Path("y")) | {"model": {"family": "mamba", **fits}}).name == "x"


def test_a_stage_that_is_not_of_labels_is_refused() -> None:
    for objective in ("rationale", "both", "explain", "pretrain"):
        with pytest.raises(UsageError, match=f"learns label, and not {objective}"):
            load_recipe(recipe(Path("x"), Path("y"), objective=objective))


def test_a_task_on_a_phrase_is_refused() -> None:
    with pytest.raises(
        UsageError, match="'aspect_sentiment' asks about a phrase, and this family reads the text alone"
    ):
        load_recipe(recipe(Path("x"), Path("y")), ["data.tasks=[aspect_sentiment]"])


def test_freezing_by_depth_leaves_the_later_layers() -> None:
    model = made({}, {}, freeze={"text": 1, "image": 2})
    trained = {n for n, p in model.named_parameters() if p.requires_grad}
    assert not any(n.startswith(("text.backbone.embeddings", "text.backbone.layers.0.")) for n in trained)
    assert any(n.startswith("text.backbone.layers.1.") for n in trained)
    assert not any(n.startswith(("picture.backbone.patch_embed", "picture.backbone.layers.1.")) for n in trained)
    assert any(n.startswith("picture.backbone.layers.2.") for n in trained)


@pytest.mark.parametrize("name", ["TextMamba", "bert", "llama", "ImageMamba", "vit"])
def test_adapters_at_their_defaults_find_their_layers(name: str) -> None:
    model = made(**SHAPES[name], lora={})
    trained = {n.rpartition(".")[2] for n, p in model.named_parameters() if p.requires_grad and "backbone" in n}
    assert trained == {"lora_A", "lora_B"}
    assert len(table(model, memes(2))) == 2


# inside views


def test_the_implied_matrix_times_the_input_is_what_the_scan_gives() -> None:
    model = made({"direction": "block"}, {})
    with torch.no_grad(), recorded() as scans:
        model(**model.processor(memes(1)))
    assert {scan.backward for scan in scans} == {False, True}
    for scan in scans:
        if scan.u.shape[-1] > 64:
            continue
        alpha = implied(scan)
        rest = scan.y[0] - torch.einsum("eij,ej->ei", alpha, scan.u[0])
        # the skip D is no part of alpha: what is left must be one number a channel times the input
        skip = (rest * scan.u[0]).sum(-1) / scan.u[0].square().sum(-1)
        assert torch.allclose(rest, skip[:, None] * scan.u[0], atol=1e-4)
        assert torch.equal(alpha.triu(1), torch.zeros_like(alpha))


def test_rolling_out_starts_from_the_skips() -> None:
    later = torch.tensor([[1.0, 0.0], [1.0, 1.0]])
    assert torch.allclose(rolled_out([later]), torch.tensor([[1.0, 0.0], [0.25, 0.75]]))


def test_gradcam_is_the_weighted_map_where_it_is_positive() -> None:
    one = torch.tensor([[[[1.0, 2.0]], [[3.0, 0.0]]]], requires_grad=True)
    one.retain_grad()
    (one * torch.tensor([[[[2.0, 4.0]], [[-2.0, -4.0]]]])).sum().backward()
    # mean gradients 3 and -3: 3*1 - 3*3 < 0, 3*2 - 0 = 6
    assert gradcam(one).tolist() == [[0.0, 6.0]]


@pytest.mark.parametrize(
    "name", ["TextMamba", "cls", "block", "ImageMamba", "ConcatMamba", "token", "prefix", "bert", "llama"]
)
def test_evidence_and_heat_of_every_arrangement(name: str) -> None:
    model, meme = made(**SHAPES[name]), memes(1)[0]
    evidence = model.explain(meme, ["harmful"])["harmful"]
    assert evidence.says
    assert bool(evidence.spans) == (model.config.text is not None)
    if name in ("bert", "llama"):
        with pytest.raises(UsageError, match="no selective scan"):
            memescope.models.heat(model, meme, "harmful", "hidden-attention")
        return
    heat = memescope.models.heat(model, meme, "harmful", "hidden-attention")
    if model.config.text is not None:
        assert "".join(span.text for span in heat.words) == meme.text.replace(" ", "")
        assert sum(span.weight for span in heat.words) > 0
    if model.config.image is None:
        assert heat.places is None
        with pytest.raises(UsageError, match="no picture encoder that learns"):
            memescope.models.heat(model, meme, "harmful", "gradcam")
    else:
        assert heat.places is not None
        assert heat.places.min() >= 0
        assert memescope.models.heat(model, meme, "harmful", "gradcam").places.shape == heat.places.shape
    assert all(p.grad is None for p in model.parameters())


def test_curves_of_the_right_order_are_better_than_chance_and_of_the_wrong_one_worse() -> None:
    worth = np.array([4.0, 3.0, 2.0, 1.0])

    def score(kept: np.ndarray) -> np.ndarray:
        return kept @ worth / 10

    good, bad = curves(score, worth, orders=20), curves(score, -worth, orders=20)
    # deletion 1, .6, .3, .1, 0: the trapezium's area is (.5 + .6 + .3 + .1) / 4
    assert good.deletion == pytest.approx(0.375)
    assert good.insertion == pytest.approx(0.625)
    assert good.gain > 0 > bad.gain


def test_places_are_resampled_by_the_area_they_cover() -> None:
    assert resampled(np.array([[1.0, 3.0]]), 1).tolist() == [2.0]
    assert resampled(np.array([[0.0, 3.0, 6.0]]), 2).tolist() == [1.0, 5.0, 1.0, 5.0]


# training


def ready(folder: Path) -> Path:
    """A small prepared set with pictures: what a meme says tells its label."""
    from PIL import Image

    for split, n in (("train", 12), ("val", 6), ("test", 4)):
        rows = []
        (folder / "harmc").mkdir(parents=True, exist_ok=True)
        for i in range(n):
            name = f"{split}{i}.png"
            Image.new("RGB", (40, 40), (i * 20, 10 * len(split), 200 if i % 2 else 0)).save(folder / "harmc" / name)
            label = ["somewhat harmful"] if i % 2 else ["not harmful"]
            text = f"{'lock them up' if i % 2 else 'a lovely day'} number {split} {i}"
            rows.append({"id": f"{split}{i}", "image": name, "text": text, "labels": {"labels": label}, "lang": "en"})
        lines = "".join(json.dumps(row) + "\n" for row in rows)
        (folder / "harmc" / f"{split}.jsonl").write_text(lines, "utf-8")
    return folder


def recipe(root: Path, out: Path, **stage: Any) -> dict[str, Any]:
    return {
        "name": "x",
        "out": str(out),
        "data": {"root": str(root), "sets": ["harmc"], "tasks": ["harmful"]},
        "model": {"family": "mamba", "text": {"width": 32, "layers": 1, "states": 4}},
        "stages": [{"name": "s", "objective": "label", "epochs": 3, "learning_rate": 0.01, "batch_size": 4} | stage],
    }


def canonical(folder: Path) -> Path:
    """The same set with canonical labels, under a name that no dataset has."""
    made_at = ready(folder)
    (made_at / "harmc").rename(made_at / "own")
    for path in (made_at / "own").glob("*.jsonl"):
        rows = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
        for row in rows:
            row["labels"] = {"harmful": "harmful" if row["labels"]["labels"][0].startswith("some") else "not-harmful"}
        path.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    return made_at


@pytest.mark.parametrize(
    "stage",
    [{"gamma": 0.8}, {"average": "ema"}, {"average": "swa", "gamma": 0.5}, {"patience": 1, "rate_backbone": 0.1}],
    ids=["gamma", "ema", "swa", "patience"],
)
def test_a_recipe_leaves_a_run_that_loads_with_each_remedy(tmp_path: Path, stage: dict[str, Any]) -> None:
    content = recipe(canonical(tmp_path), tmp_path / "run", **stage)
    content["data"]["sets"] = ["own"]
    run = train(content)
    model = memescope.models.load(run.folder)
    assert model.answer(memes(2))[0].answers["harmful"].probabilities.keys() == {"harmful", "not-harmful"}
    card = (run.folder / "MODEL_CARD.md").read_text("utf-8")
    assert "one that starts at random" in card
    assert ("averaged weights" in card) == bool({"average", "patience"} & set(stage))


@pytest.mark.parametrize("kind", ["llama", "bert", "vit", "resnet"])
def test_every_peer_is_trained_to_a_run_that_loads(tmp_path: Path, kind: str) -> None:
    """From pretrained weights: transformers would save a ViT by the names of older checkpoints."""
    content = recipe(canonical(tmp_path), tmp_path / "run")
    content["data"]["sets"] = ["own"]
    side = "text" if kind in ("llama", "bert") else "image"
    start = made(**SHAPES[kind])
    tower = start.text if side == "text" else start.picture
    assert tower is not None
    tower.backbone.save_pretrained(tmp_path / "weights")
    start.processor.save_pretrained(tmp_path / "weights")
    part = {"kind": kind, "pretrained": str(tmp_path / "weights")} | ({"size": 64} if side == "image" else {})
    content["model"] = {"family": "mamba", side: part}
    run = train(content)
    answer = memescope.models.load(run.folder).answer(memes(2))[0].answers["harmful"]
    assert sum(answer.probabilities.values()) == pytest.approx(1)


def test_a_card_names_every_rate_that_is_not_the_recipe_s() -> None:
    from memescope.training.mamba_card import leaves
    from memescope.training.mamba_recipe import MambaRecipe

    for rates, said in [({"rate_a": 0.1, "rate_b": 0.1}, "0.1, 0.1 and 1"), ({"rate_backbone": 0.1}, "1, 1 and 0.1")]:
        loaded = load_recipe(recipe(Path("x"), Path("y"), **rates))
        assert isinstance(loaded, MambaRecipe)
        assert any(f"times {said}; none of it there" in line for line in leaves(loaded, made({}).config))
    loaded = load_recipe(recipe(Path("x"), Path("y")))
    assert isinstance(loaded, MambaRecipe)
    assert not any("none of it there" in line for line in leaves(loaded, made({}).config))


def test_only_a_vmamba_of_the_source_s_size_passes_for_it() -> None:
    from memescope.models.mamba.config import MambaMemesConfig
    from memescope.models.mamba.deviations import deviations
    from memescope.models.mamba.vmamba import OFFICIAL

    base = {"name": "vmamba-base", "config": OFFICIAL["vmamba_base_s2l15"].to_dict()}
    small = base | {"config": OFFICIAL["vmamba_tiny_s2l5"].to_dict()}
    for image, said in [
        (base, []),
        (
            base | {"name": ""},
            ["VMamba is one that starts at random (2, 2, 15, 2 blocks, width 128, states 1), at 224"],
        ),
        (base | {"size": 128}, ["VMamba is vmamba-base (2, 2, 15, 2 blocks, width 128, states 1), at 128 pixels"]),
        (small, ["VMamba is vmamba-base (2, 2, 5, 2 blocks, width 96, states 1), at 224 pixels"]),
    ]:
        lines = [line for line in deviations(MambaMemesConfig(image=image)) if "VMamba is" in line]
        assert [line.partition(" pixels")[0] for line in lines] == [line.partition(" pixels")[0] for line in said]


def test_the_recipe_of_a_run_trains_it_again(tmp_path: Path) -> None:
    from memescope.training.mamba import side
    from memescope.training.mamba_recipe import MambaRecipe

    content = recipe(tmp_path, tmp_path / "run")
    content["model"] = {"family": "mamba", "text": {"pretrained": "a"}, "image": {"pretrained": "b"}}
    first = load_recipe(content)
    again = load_recipe(json.loads(first.model_dump_json()))
    assert isinstance(again, MambaRecipe)
    assert again == first
    for part, sizes in ((again.model.text, {"width", "layers", "states"}), (again.model.image, {"width", "depths"})):
        taken = side(part)
        assert taken is not None
        assert not {*sizes, "drop_path"} & set(taken)


def test_learning_rates_of_a_and_b_and_the_decay_by_epoch() -> None:
    from memescope.training.mamba import MambaLearner, groups
    from memescope.training.mamba_recipe import MambaRecipe
    from memescope.training.staged.tricks import decayed

    content = recipe(Path("x"), Path("y"), rate_a=0.5, rate_b=4, weight_decay=0.1)
    content["model"]["lora"] = {}
    loaded = load_recipe(content)
    assert isinstance(loaded, MambaRecipe)
    learner = MambaLearner(loaded)
    names = {id(p): n for n, p in learner.model.named_parameters()}
    rates = {
        names[id(p)].rpartition(".")[2]: group["lr"]
        for group in groups(learner.model, 0.01, loaded.stages[0])
        for p in group["params"]
    }
    assert rates["lora_A"] == pytest.approx(0.005)
    assert rates["lora_B"] == pytest.approx(0.04)
    assert rates["weight"] == pytest.approx(0.01)
    optimiser = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], 1.0)
    schedule = decayed(optimiser, 0.8, 2)
    found = []
    for _ in range(5):
        found.append(optimiser.param_groups[0]["lr"])
        optimiser.step()
        schedule.step()
    assert found == pytest.approx([1, 1, 0.8, 0.8, 0.64])


def test_batches_that_make_one_step_count_as_one(tmp_path: Path) -> None:
    losses = []
    for batch, accumulate in ((6, 1), (3, 2)):
        content = recipe(
            canonical(tmp_path / str(batch)), tmp_path / f"run{batch}", batch_size=batch, accumulate=accumulate,
            learning_rate=1e-9, epochs=1,
        )  # fmt: skip
        content["data"]["sets"] = ["own"]
        losses.append([point["loss"] for point in train(content).metrics["stages"][0]["train"]])
    assert losses[0] == pytest.approx(losses[1], abs=0.01)  # the mean of two batches, not their sum


def test_averages_are_the_means_they_say_and_survive_a_checkpoint(tmp_path: Path) -> None:
    from types import SimpleNamespace

    from memescope.training.staged.tricks import Averager, Tricks

    layer = torch.nn.Linear(1, 1, bias=False)
    average = Averager(layer, Tricks(average="swa", start=0.5))
    for step, value in enumerate([9.0, 1.0, 2.0, 3.0], 1):
        torch.nn.init.constant_(layer.weight, value)
        average.on_step_end(None, SimpleNamespace(global_step=step, max_steps=4), None)
    average.save(tmp_path)
    resumed = Averager(layer, Tricks(average="swa"))
    resumed.load(tmp_path)
    for one in (average, resumed):
        with one.swapped():
            assert layer.weight.item() == pytest.approx(2.0)  # the mean of 1, 2, 3: half of the training and later
        assert layer.weight.item() == 3.0


@pytest.mark.parametrize(
    ("kind", "objective"), [("mamba", "next"), ("llama", "next"), ("bert", "masked"), ("vmamba", "distil")]
)
def test_pretraining_leaves_weights_that_other_recipes_take_by_name(tmp_path: Path, kind: str, objective: str) -> None:
    root = canonical(tmp_path)
    text = {"kind": kind, "width": 64, "layers": 1, "max_tokens": 16}
    image = {"kind": kind, "width": 16, "depths": [1, 1, 1, 1], "size": 64}
    content = {
        "name": "p",
        "keep": f"tiny-{kind}",
        "out": str(tmp_path / "p"),
        "data": {"root": str(root), "sets": ["ow*"]},
        "model": {"family": "mamba-pretrain", "objective": objective}
        | ({"image": image} if objective == "distil" else {"text": text}),
        "stages": [{"name": "s", "objective": "pretrain", "epochs": 2, "learning_rate": 0.01, "batch_size": 4}],
    }
    run = train(content)
    assert run.metrics["rows"] + run.metrics["val_rows"] == 12  # training rows alone
    side = {"kind": kind, "pretrained": f"tiny-{kind}"}
    torch.manual_seed(1)
    model = create(None, side | {"size": 64}) if objective == "distil" else create(side)
    tower = model.picture if objective == "distil" else model.text
    assert tower is not None
    kept = dict(tower.backbone.named_parameters())
    from safetensors.torch import load_file

    stored = load_file(Path(run.metrics["pretrained"]) / "model.safetensors")
    assert all(torch.equal(kept[n], value) for n, value in stored.items() if n in kept)
    assert len(set(kept) & set(stored)) == len(kept)


def pretraining(root: Path, out: Path, **settings: Any) -> dict[str, Any]:
    kind, image = settings.pop("kind", "mamba"), settings.pop("image", None)
    text = {"kind": kind, "width": 64, "layers": 1, "max_tokens": 16}
    objective = "distil" if image else "masked" if kind == "bert" else "next"
    return {
        "name": "p", "keep": f"tiny-{out.name}", "out": str(out), "data": {"root": str(root), "sets": ["own"]},
        "model": {"family": "mamba-pretrain", "objective": objective} | ({"image": image} if image else {"text": text}),
        "stages": [{"name": "s", "objective": "pretrain", "epochs": 2, "learning_rate": 0.01, "batch_size": 4}],
    } | settings  # fmt: skip


def test_a_trial_of_pretraining_leaves_the_kept_weights_as_they_were(tmp_path: Path) -> None:
    root, out = canonical(tmp_path), tmp_path / "trial"
    kept = Path(train(pretraining(root, out)).metrics["pretrained"])
    (kept / "model.safetensors").write_bytes(b"of a longer training")
    (kept / "old.txt").touch()
    for trial in ("data.limit=6", "train.max_steps=1"):
        run = train(pretraining(root, out), trial)
        assert run.metrics["pretrained"] == str(out / "weights")
        assert "Cut short" in (run.folder / "MODEL_CARD.md").read_text("utf-8")
        assert (kept / "model.safetensors").read_bytes() == b"of a longer training"
    tried = create({"pretrained": run.metrics["pretrained"]})
    assert tried.text is not None
    # a whole one takes the folder's place, and nothing is left beside it
    assert train(pretraining(root, out)).metrics["pretrained"] == str(kept)
    assert "Cut short" not in (run.folder / "MODEL_CARD.md").read_text("utf-8")
    assert not (kept / "old.txt").exists()
    assert create({"pretrained": "tiny-trial"}).text is not None
    assert not [path for path in kept.parent.iterdir() if path.name.startswith(".tiny-trial")]


def test_pictures_that_changed_under_their_names_are_learnt_from_again(tmp_path: Path) -> None:
    from PIL import Image

    content = pretraining(canonical(tmp_path), tmp_path / "pictures", image=IMAGE)
    losses = [train(content).metrics["loss"]]
    for i, picture in enumerate(sorted((tmp_path / "own").glob("train*.png"))):
        Image.effect_noise((40, 40), 30 + i).convert("RGB").save(picture)
    losses.append(train(content).metrics["loss"])
    assert losses[0] != losses[1]


def test_what_pretraining_cannot_learn_is_said_at_once(tmp_path: Path) -> None:
    for change, said in [
        ("stages.0.objective=label", "stages.0.objective"),
        ("stages.0.select=accuracy", "stages.0.select"),
        ("model.text.direction=block", "text.direction 'block'"),
        ("model.objective=masked", "bert masked"),
    ]:
        with pytest.raises(UsageError, match=said):
            load_recipe(pretraining(tmp_path, tmp_path), [change])


def test_masked_tokens_are_new_while_learning_and_the_same_in_evaluation() -> None:
    from memescope.models.mamba.pretraining import Masked

    ids = torch.randint(10, 90, (40, 50))
    mask = torch.ones_like(ids)
    mask[:, 30:] = 0
    model = Masked(made({"kind": "bert", "width": 64, "layers": 1}).text.backbone, 7)
    shown, hidden = model.eval().hide(ids, mask)
    assert all(torch.equal(a, b) for a, b in zip((shown, hidden), model.hide(ids, mask), strict=True))
    assert not hidden[:, 30:].any()
    assert torch.equal(shown[~hidden], ids[~hidden])
    of = shown[hidden]
    assert hidden[:, :30].float().mean() == pytest.approx(0.15, abs=0.04)
    assert (of == 7).float().mean() == pytest.approx(0.8, abs=0.1)
    assert 0 < (of == ids[hidden]).float().mean() < 0.2
    assert not torch.equal(model.train().hide(ids, mask)[1], model.hide(ids, mask)[1])


def test_killed_pretraining_goes_on_as_if_it_had_not_been(tmp_path: Path) -> None:
    from memescope.training.mamba_pretrain import PretrainRecipe
    from memescope.training.mamba_pretrain_data import read_texts
    from memescope.training.mamba_pretrain_learner import PretrainLearner
    from memescope.training.staged.recipe import StagedTraining
    from memescope.training.staged.stage import run_stage

    loaded = load_recipe(pretraining(canonical(tmp_path), tmp_path / "run", kind="bert"))
    assert isinstance(loaded, PretrainRecipe)
    train_, val = read_texts(loaded.data)

    def ran(folder: str, kill_at: int = -1) -> Any:
        def report(name: str, done: int, total: int) -> None:
            if done == kill_at:
                raise KeyboardInterrupt

        learner = PretrainLearner(loaded)
        settings = StagedTraining(minutes=1e-9)
        run_stage(learner, loaded.stages[0], train_, val, settings, tmp_path / folder, report)
        return learner.model.state_dict()

    whole = ran("whole")
    with pytest.raises(KeyboardInterrupt):
        ran("killed", 5)
    again = ran("killed")
    assert all(torch.equal(value, again[name]) for name, value in whole.items())


@pytest.mark.parametrize("kind", ["mamba", "vmamba", "resnet"])
def test_pretraining_decays_matrices_and_spares_scans_and_norms(tmp_path: Path, kind: str) -> None:
    text = {"text": {"width": 64, "layers": 1, "states": 4, "max_tokens": 16}}
    image = {"image": {"kind": kind, "width": 16, "depths": [1, 1, 1, 1], "size": 64}}
    content = {
        "name": "p", "keep": f"tiny-{kind}", "out": str(tmp_path / "p"),
        "data": {"root": str(canonical(tmp_path)), "sets": ["own"]},
        "model": {"family": "mamba-pretrain", "objective": "next" if kind == "mamba" else "distil"}
        | (text if kind == "mamba" else image),
        "stages": [
            {"name": "s", "objective": "pretrain", "epochs": 2, "batch_size": 4, "schedule": "constant", "warmup": 0,
             "learning_rate": 0.001, "weight_decay": 500}
        ],
    }  # fmt: skip
    run = train(content)
    from safetensors.torch import load_file

    kept = load_file(Path(run.metrics["pretrained"]) / "model.safetensors")
    spared = {
        n: p
        for n, p in kept.items()
        if n.endswith((".D", ".Ds", "norm.weight", "norm_f.weight", "normalization.weight"))
    }
    assert len(spared) > 2
    # six steps move a 1 by .006 at most; decay would halve it in each
    assert all((p - 1).abs().max() < 0.01 for p in spared.values())
    assert all(p.abs().max() > 0.9 for n, p in kept.items() if n.endswith(".A_log"))  # ln 4 at the start
    matrix = next(p for n, p in kept.items() if n.endswith(("in_proj.weight", "0.convolution.weight")))
    assert matrix.abs().mean() < 0.01


def test_texts_of_held_out_splits_are_not_learnt_from(tmp_path: Path) -> None:
    from memescope.training.mamba_pretrain import PretrainRecipe
    from memescope.training.mamba_pretrain_data import read_texts

    root = canonical(tmp_path)
    with (root / "own" / "train.jsonl").open("a", encoding="utf-8") as file:
        twice = "Lock them up! Number train 1"
        for text in ("A LOVELY  day number test 0", "\u201cA lovely day,\u201d\nnumber TEST 0!", twice):
            file.write(json.dumps({"id": text, "image": "train0.png", "text": text, "labels": {}}) + "\n")
    content = {
        "name": "p", "keep": "p", "out": "p", "data": {"root": str(root), "sets": ["own"]},
        "model": {"family": "mamba-pretrain", "objective": "next", "text": {}},
        "stages": [{"name": "s", "objective": "pretrain", "epochs": 1, "learning_rate": 0.01}],
    }  # fmt: skip
    loaded = load_recipe(content)
    assert isinstance(loaded, PretrainRecipe)
    train_, val = read_texts(loaded.data)
    assert len(train_) + len(val) == 12
    assert not any("test 0" in meme.text.casefold() for meme in [*train_, *val])


def test_a_set_that_is_there_twice_is_read_where_it_is_named_first(tmp_path: Path) -> None:
    from memescope.training.mamba_pretrain_data import PretrainData, folders

    for name in ("ready/own", "ready/one", "native/own", "native/two"):
        (tmp_path / name).mkdir(parents=True)
    found = folders(PretrainData(root=tmp_path, sets=("ready/*", "native/*")))
    assert [str(path.relative_to(tmp_path)) for path in found] == ["ready/one", "ready/own", "native/two"]


@pytest.mark.parametrize(
    "path", sorted((Path(__file__).parent.parent / "recipes" / "mamba").glob("*.yaml")), ids=lambda p: p.stem
)
def test_every_recipe_is_read(path: Path) -> None:
    assert load_recipe(path).out


def test_memes_whose_pictures_were_never_obtained_train_a_model_of_their_text(tmp_path: Path) -> None:
    content = recipe(canonical(tmp_path), tmp_path / "run", epochs=1)
    content["data"]["sets"] = ["own"]
    for picture in (tmp_path / "own").glob("*.png"):
        picture.unlink()
    assert train(content).metrics["val"]["harmful"]["n"] == 6
