"""Recipes, folds, fits and the run folder, on a small set of drawn memes whose truth is known."""

from __future__ import annotations

import copy
import json
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image

from memescope.errors import UsageError
from memescope.meme import Meme
from memescope.models import load
from memescope.models.starter.heads import TaskHead
from memescope.taxonomy import load_taxonomy
from memescope.training import load_recipe, train
from memescope.training.groups import fold_of, near_groups, normal
from memescope.training.starter.decide import choose_decision, confidence_and_correct, macro_f1, micro_f1
from memescope.training.starter.experts import fit_expert, targets_of
from memescope.training.starter.fusion import fit_fusion
from memescope.training.starter.inputs import principal_axes
from memescope.training.starter.linear import fit_linear

ROOT = Path(__file__).resolve().parent.parent
RECIPE = ROOT / "recipes" / "starter.yaml"


# recipes -------------------------------------------------------------------------------------------------------------


def test_shipped_recipe_is_valid() -> None:
    recipe = load_recipe(RECIPE)
    assert recipe.model.family == "starter"
    assert set(recipe.model.strengths) == {"ngrams", "text", "picture", "pair"}


def test_overrides_reach_nested_keys() -> None:
    recipe = load_recipe(
        RECIPE, ["data.limit=7", "train.max_steps=3", "out=elsewhere", "data.sets=[a, b]"], name="mine"
    )
    assert (recipe.data.limit, recipe.train.max_steps, str(recipe.out)) == (7, 3, "elsewhere")
    assert recipe.data.sets == ("a", "b")
    assert recipe.name == "mine"
    assert load_recipe(RECIPE, data={"limit": 4}).data.sets == load_recipe(RECIPE).data.sets


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("data.limt=7", r"data\.limt: Extra inputs are not permitted"),
        ("data.limit=-1", r"data\.limit: .*greater than or equal to 0 \(found -1\)"),
        ("model.family=other", r"model\.family: expected one of .*starter.* \(found 'other'\)"),
        ("limit", "override 'limit': expected key=value"),
        ("name.x=1", "'name' is a value, not a group of keys"),
        ("data.sets=[a", r"override 'data\.sets=\[a': the value is not YAML"),
        ("data={root: [}", "the value is not YAML"),
    ],
)
def test_wrong_overrides_are_named(override: str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        load_recipe(RECIPE, [override])


def test_what_is_found_is_told_and_never_a_whole_recipe() -> None:
    with pytest.raises(UsageError) as missing:
        load_recipe({"model": {"family": "starter"}, "name": "mine", "out": "x"})
    assert str(missing.value).startswith("recipe: data: Field required")
    assert "mine" not in str(missing.value)


def test_a_recipe_that_is_given_is_not_changed() -> None:
    given = yaml.safe_load(RECIPE.read_text())
    data = {"limit": 3}
    before = copy.deepcopy(given)
    load_recipe(given, ["data.limit=5", "data.sets=[a]"], data=data, data__limit=4)
    assert given == before
    assert data == {"limit": 3}


def test_wrong_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no such recipe"):
        load_recipe(tmp_path / "none.yaml")
    (tmp_path / "list.yaml").write_text("- a")
    with pytest.raises(UsageError, match="expected a mapping of keys, found list"):
        load_recipe(tmp_path / "list.yaml")
    (tmp_path / "broken.yaml").write_text("a: [")
    with pytest.raises(UsageError, match="not YAML"):
        load_recipe(tmp_path / "broken.yaml")


# linear experts ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("softmax", [True, False])
def test_logistic_regression_agrees_with_scikit_learn(softmax: bool) -> None:
    linear_model = pytest.importorskip("sklearn.linear_model")
    rng = np.random.default_rng(0)
    x = rng.normal(size=(200, 5))
    truth = (x @ rng.normal(size=(5, 3)) + rng.normal(size=(200, 3))).argmax(axis=1)
    if not softmax:
        truth = np.minimum(truth, 1)
    target = np.eye(3)[truth] if softmax else truth[:, None].astype(float)
    found = fit_linear(x, target, softmax, strength=0.5, steps=500)
    model = linear_model.LogisticRegression(C=0.5, tol=1e-10, max_iter=5000).fit(x, truth)
    expected = model.predict_proba(x)[:, 1:]
    z = found.logits(x)
    e = np.exp(z - z.max(axis=1, keepdims=True))
    mine = (e / e.sum(axis=1, keepdims=True))[:, 1:] if softmax else 1 / (1 + np.exp(-z))
    np.testing.assert_allclose(mine, expected, atol=5e-3)


def test_row_weights_count_rows_as_often() -> None:
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(60, 3)), rng.integers(0, 2, (60, 1)).astype(float)
    twice = fit_linear(np.concatenate([x, x[:20]]), np.concatenate([y, y[:20]]), False, 1.0)
    weighed = fit_linear(x, y, False, 1.0, row_weights=np.where(np.arange(60) < 20, 2.0, 1.0))
    np.testing.assert_allclose(weighed.weight, twice.weight, atol=2e-3)


def test_shapes_that_do_not_fit_are_an_error() -> None:
    with pytest.raises(UsageError, match=r"found \(3, 2\), \(4, 1\)"):
        fit_linear(np.zeros((3, 2)), np.zeros((4, 1)), False, 1.0)


def memes_of(rows: list[tuple[str, str, str]]) -> list[Meme]:
    return [Meme(id=i, source=source, split="train", labels={"harmful": label}) for i, source, label in rows]


def test_sources_weigh_the_same_and_copies_share_a_weight() -> None:
    memes = memes_of([("1", "a", "harmful"), ("2", "a", "harmful"), ("1", "a", "harmful"), ("9", "b", "not-harmful")])
    memes.append(Meme(id="x", source="b", labels={"humour": "funny"}))
    targets = targets_of(memes, load_taxonomy()["harmful"])
    assert targets.rows.tolist() == [0, 1, 2, 3]
    # three memes: source a has two, of which one comes twice, source b one; each source weighs 1.5
    np.testing.assert_allclose(targets.row_weights, [0.375, 0.75, 0.375, 1.5])


def test_out_of_fold_logits_never_saw_their_row() -> None:
    """Random labels: in-sample fit is perfect with so many inputs, out of fold there is nothing to find."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(120, 200))
    memes = memes_of([(str(i), "a", ("harmful", "not-harmful")[v]) for i, v in enumerate(rng.integers(0, 2, 120))])
    targets = targets_of(memes, load_taxonomy()["harmful"])
    strong = fit_expert(x, targets, np.arange(120) % 4, (10.0,), 200)
    inside = (strong.layer.logits(x)[:, 0] > 0) == (targets.target[:, 0] > 0)
    outside = (strong.out_of_fold[:, 0] > 0) == (targets.target[:, 0] > 0)
    assert inside.mean() > 0.9
    assert outside.mean() < 0.65
    assert fit_expert(x, targets, np.arange(120) % 4, (10.0, 0.001), 200).strength == 0.001


def test_fusion_ignores_noise_and_scales_an_overconfident_expert() -> None:
    rng = np.random.default_rng(0)
    true_logit = rng.normal(size=4000)
    truth = rng.random(4000) < 1 / (1 + np.exp(-true_logit))
    memes = memes_of([(str(i), "a", "harmful" if t else "not-harmful") for i, t in enumerate(truth)])
    targets = targets_of(memes, load_taxonomy()["harmful"])
    noise = rng.normal(size=(4000, 1))
    found = fit_fusion({"good": 3 * true_logit[:, None] + 1, "noise": noise}, targets)
    assert found.weights["good"] == pytest.approx(1 / 3, abs=0.03)
    assert found.weights.get("noise", 0) < 0.05
    assert found.bias[0] == pytest.approx(-1 / 3, abs=0.1)


# groups and folds ----------------------------------------------------------------------------------------------------


def test_near_memes_share_a_group_and_a_fold(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    paths = []
    for i in range(5):
        coarse = Image.fromarray(rng.integers(0, 2, (12, 12, 1), dtype=np.uint8).repeat(3, axis=2) * 255).resize(
            (96, 96), Image.Resampling.BICUBIC
        )
        coarse.save(tmp_path / f"{i}.png")
        paths.append(tmp_path / f"{i}.png")
    Image.open(paths[0]).resize((80, 80)).save(tmp_path / "again.jpg", quality=70)
    memes = [
        Meme(image=paths[0], text="a quite unusual sentence", source="s"),
        Meme(image=paths[1], text="A quite, unusual SENTENCE!", source="s"),
        Meme(image=(tmp_path / "again.jpg").read_bytes(), text="something else entirely", source="s"),  # bytes do, too
        Meme(image=paths[2], text="of its own kind, this", source="s"),
        Meme(image=paths[3], text="template one version", source="s", meta={"template": "t"}),
        Meme(image=paths[4], text="template another version", source="s", meta={"template": "t"}),
    ]
    groups = near_groups(memes)
    assert groups[0] == groups[1] == groups[2]
    assert groups[4] == groups[5]
    assert len(set(groups.tolist())) == 3
    folds = fold_of(groups, 2, seed=0)
    assert folds[0] == folds[1] == folds[2]
    assert sorted(np.bincount(folds).tolist()) == [3, 3]
    np.testing.assert_array_equal(folds, fold_of(groups, 2, seed=0))


def test_normal_form_of_a_text() -> None:
    assert normal("  When MONDAY,\ncomes! ") == "when monday comes"


def test_principal_axes_are_orthonormal_and_ordered() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(300, 4)) * np.array([1.0, 5.0, 0.1, 2.0])
    axes = principal_axes(x - x.mean(axis=0), 3)
    np.testing.assert_allclose(axes.T @ axes, np.eye(3), atol=1e-5)
    assert np.abs(axes).argmax(axis=0).tolist() == [1, 3, 0]
    assert (axes[[1, 3, 0], [0, 1, 2]] > 0).all()


# decisions -----------------------------------------------------------------------------------------------------------


def test_f1_by_hand() -> None:
    truth, held = np.array([[1, 0], [1, 0], [0, 1.0]]), np.array([[1, 0], [0, 1], [0, 1.0]])
    assert macro_f1(held, truth) == pytest.approx((2 / 3 + 2 / 3) / 2)
    assert micro_f1(held, truth) == pytest.approx(2 / 3)
    assert macro_f1(np.array([[1, 0, 0.0]]), np.array([[1, 0, 0.0]])) == 1  # labels that never occur do not count


def test_a_rare_label_that_can_be_told_is_answered_below_one_half() -> None:
    rng = np.random.default_rng(0)
    p = np.clip(rng.beta(1, 6, 4000), 0.01, 0.99)
    truth = np.eye(2)[(rng.random(4000) < p).astype(int)]
    found = choose_decision("binary", np.stack([1 - p, p], axis=1), truth)
    assert found.tau > 0
    assert found.factors[1] > found.factors[0]
    assert found.scores[found.tau] > found.scores[0.0] + 0.05


def test_a_clear_task_keeps_the_most_probable_label() -> None:
    truth = np.eye(2)[np.arange(100) % 2]
    found = choose_decision("binary", truth * 0.8 + 0.1, truth)
    assert found.tau == 0
    assert found.factors == (1.0, 1.0)


def test_confidence_and_correct() -> None:
    head = TaskHead("t", "multiclass", ("a", "b"), {}, (0.5, 0.5), (1, 3), None)
    sure, right = confidence_and_correct(head, np.array([[0.9, 0.1], [0.6, 0.4]]), np.array([[1, 0], [1, 0.0]]))
    np.testing.assert_allclose(sure, [0.9, 0])
    assert right.tolist() == [True, False]


# the run -------------------------------------------------------------------------------------------------------------

SMALL = {
    "name": "small",
    "data": {"sets": ["toy"], "train_splits": ["train"], "folds": 3},
    "model": {
        "family": "starter",
        "ngram_bits": 10,
        "landmarks": 20,
        "strengths": {"ngrams": [1.0], "text": [0.01], "picture": [0.001], "pair": [1.0]},
    },
    "train": {"max_steps": 30},
}


@pytest.fixture(scope="module")
def toy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """60 memes: harmful is what says "virus", over red or blue pictures that say nothing about it."""
    root = tmp_path_factory.mktemp("ready")
    (root / "toy").mkdir()
    rng = np.random.default_rng(0)
    filler = ["monday", "coffee", "holiday", "garden", "winter", "music", "window", "river", "yellow", "paper"]
    rows = []
    for i in range(60):
        colours = rng.integers(0, 255, (4, 4, 3), dtype=np.uint8)
        Image.fromarray(colours).resize((64, 64), Image.Resampling.BICUBIC).save(root / "toy" / f"{i}.png")
        words = [str(word) for word in rng.choice(filler, 4)] + (["virus"] if i % 2 else [])
        labels: dict[str, object] = {"harmful": "harmful" if i % 2 else "not-harmful"}
        if i % 3 == 0:
            labels["propaganda_techniques"] = ["smears"] if i % 2 else []
        if i % 4 == 0:
            labels["sentiment"] = ("negative", "neutral", "positive")[i % 3]
        rows.append({"id": str(i), "image": f"{i}.png", "text": " ".join(words), "labels": labels, "lang": "en"})
    (root / "toy" / "train.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return root


@pytest.fixture(scope="module")
def run(toy: Path, tmp_path_factory: pytest.TempPathFactory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MEMESCOPE_CACHE", str(tmp_path_factory.mktemp("cache")))
        return train(SMALL, data={"root": str(toy)}, out=str(tmp_path_factory.mktemp("run")))


def test_run_folder_holds_what_it_promises(run) -> None:
    names = {path.name for path in run.folder.iterdir()}
    assert names == {"recipe.yaml", "model.safetensors", "config.json", "metrics.json", "log.jsonl", "MODEL_CARD.md"}
    assert load_recipe(run.folder / "recipe.yaml") == run.recipe
    metrics = json.loads((run.folder / "metrics.json").read_text())
    assert metrics["rows"] == 60
    assert set(metrics["out_of_fold"]) == {"harmful", "propaganda_techniques", "sentiment"}
    tasks = [json.loads(line)["task"] for line in (run.folder / "log.jsonl").read_text().splitlines()]
    assert tasks == list(metrics["out_of_fold"])
    assert "60 memes of toy" in (run.folder / "MODEL_CARD.md").read_text()


def test_trained_model_answers_what_it_learnt(run, toy: Path) -> None:
    model = load(run.folder)
    assert set(model.tasks) == {"harmful", "propaganda_techniques", "sentiment"}
    bad, good = model.answer(
        [Meme(image=toy / "toy" / "1.png", text="garden virus"), Meme(image=toy / "toy" / "2.png", text="garden music")]
    )
    assert bad.answers["harmful"].probabilities["harmful"] > 0.6
    assert good.answers["harmful"].probabilities["harmful"] < 0.4
    assert run.metrics["out_of_fold"]["harmful"]["macro_f1"] > 0.9
    evidence = model.explain(Meme(image=toy / "toy" / "1.png", text="garden virus"), ["harmful"])["harmful"]
    assert max(evidence.spans, key=lambda span: span.weight).text == "virus"
    assert "virus" in evidence.says


def test_training_again_gives_the_same_model(run, toy: Path, tmp_path: Path) -> None:
    again = train(run.folder / "recipe.yaml", f"out={tmp_path / 'again'}")
    first, second = ((folder / "model.safetensors").read_bytes() for folder in (run.folder, again.folder))
    assert first == second
    assert again.metrics["out_of_fold"] == run.metrics["out_of_fold"]


def test_limit_takes_rows_of_every_split(toy: Path, tmp_path: Path) -> None:
    limited = train(SMALL, "data.limit=24", "train.max_steps=2", data={"root": str(toy)}, out=str(tmp_path / "run"))
    assert limited.metrics["rows"] == 24


def test_missing_data_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"toy: no such prepared set; say where they are with data\.root=FOLDER"):
        train(SMALL, data={"root": str(tmp_path)})


@pytest.mark.real
def test_shipped_recipe_runs_on_real_data(real_data: Path, tmp_path: Path) -> None:
    done = train(
        RECIPE, "data.limit=16", "train.max_steps=2", "data.sets=[harmc]", f"out={tmp_path / 'run'}",
        f"data.root={real_data / 'ready'}",
    )  # fmt: skip
    assert set(done.metrics["out_of_fold"]) == {"harmful", "harm_intensity", "target"}
    assert yaml.safe_load((tmp_path / "run" / "recipe.yaml").read_text())["data"]["limit"] == 16
