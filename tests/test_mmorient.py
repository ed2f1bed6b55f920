"""Family mmorient: features of memes, trained, saved, loaded, answered, explained; support sets, warnings, the card."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from memescope.errors import UsageError
from memescope.explanation.heat import painted
from memescope.meme import Meme, Region
from memescope.models import heat, load
from memescope.models.mmorient import Making, MakingSettings, MmOrientConfig, create, deviations
from memescope.models.mmorient.config import GRAPHS
from memescope.models.mmorient.diagnosis import collapsed, relative_entropy
from memescope.models.mmorient.features import join
from memescope.models.mmorient.inside import attention, relations, write_inside
from memescope.models.mmorient.relations import thresholds_of
from memescope.models.mmorient.support import CHOICES, choose_support
from memescope.training import train
from memescope.training.mmorient import MmOrientLearner
from memescope.training.mmorient_card import leaves
from memescope.training.recipe import load_recipe
from memescope.training.staged.run import read_staged, run_stages
from memescope.training.table import load_table
from memescope.verbs.faithfulness import measured

ROOT = Path(__file__).resolve().parent.parent
RECIPE = ROOT / "recipes" / "mmorient" / "memotion-c-offline.yaml"
SENTIMENTS = ("negative", "neutral", "positive")
WORDS = {"negative": "awful sad terrible bad", "neutral": "table chair house", "positive": "happy great lovely joy"}

STAGE = "{name: learn, objective: label, epochs: 6, learning_rate: 0.003, batch_size: 16, select: macro_f1}"


def _rows(n: int, seed: int) -> list[dict[str, Any]]:
    luck = np.random.default_rng(seed)
    rows = []
    for i in range(n):
        label = SENTIMENTS[i % 3]
        text = " ".join(luck.choice(WORDS[label].split(), 4)) + f" number {seed}{i}"
        rows.append({"id": f"{seed}-{i}", "image": f"{seed}-{i}.png", "text": text, "labels": {"sentiment": label}})
        if i % 2:
            rows[-1]["labels"]["motivational"] = "motivational" if i % 4 == 1 else "not_motivational"
    return rows


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("ready") / "memotion7k"
    folder.mkdir()
    for seed, (split, n) in enumerate((("train", 48), ("val", 24), ("test", 12))):
        rows = _rows(n, seed)
        for row in rows:
            pixels = np.random.default_rng([seed, int(row["id"].split("-")[1])]).integers(0, 255, (40, 48, 3), np.uint8)
            Image.fromarray(pixels).save(folder / row["image"])
        (folder / f"{split}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder.parent


def _train(root: Path, out: Path, *changes: str) -> Any:
    small = [
        f"data.root={root}", f"out={out}", "data.tasks=[sentiment,motivational]", "model.hidden=[32,16]",
        "model.graph_width=8", "answering.support=12", f"stages=[{STAGE}]",
    ]  # fmt: skip
    return train(RECIPE, *small, *changes)


@pytest.fixture(scope="module")
def run(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Any:
    return _train(root, tmp_path_factory.mktemp("run"))


@pytest.fixture(scope="module")
def memes(root: Path) -> list[Meme]:
    from memescope.datasets import read_split

    return read_split(root / "memotion7k", "test")


def test_it_learns_and_the_folder_answers_the_same_alone_and_in_any_company(run: Any, memes: list[Meme]) -> None:
    model = load(run.folder)
    assert model.tasks == ("motivational", "sentiment")
    together = model.answer(memes)
    assert [r.answers["sentiment"].label for r in together] == [m.labels["sentiment"] for m in memes]
    for i, meme in enumerate(memes[:3]):
        alone, backwards = model.answer([meme])[0], model.answer(memes[::-1])[len(memes) - 1 - i]
        for task, answer in together[i].answers.items():
            for other in (alone, backwards):
                assert other.answers[task].probabilities == pytest.approx(answer.probabilities, abs=1e-6)
    nothing = model.answer([Meme(text="", image=None)])[0].answers["sentiment"].probabilities
    assert sum(nothing.values()) == pytest.approx(1)
    assert model.answer([]) == []


def test_the_published_mode_depends_on_company_and_is_asked_for_by_name(run: Any, memes: list[Meme]) -> None:
    model = load(run.folder)
    alone = model.answer(memes[:1], mode="transductive")[0].answers["sentiment"].probabilities
    among = model.answer(memes, mode="transductive")[0].answers["sentiment"].probabilities
    assert max(abs(alone[label] - among[label]) for label in alone) > 1e-4


def test_a_run_tells_its_graphs_its_attention_and_where_it_leaves_the_paper(run: Any) -> None:
    found = json.loads((run.folder / "metrics.json").read_text())
    assert set(found["graphs"]) == set(GRAPHS)
    assert all(0 < its["sparsity"] < 1 and its["nodes"] == 16 for its in found["graphs"].values())
    assert set(found["attention"]) == {"words", "words, level 2", "regions", "regions, level 2"}
    card = (run.folder / "MODEL_CARD.md").read_text()
    for part in (
        "12 stored training memes",
        "Batches, and so graphs, of 16",
        "No augmentation",
        "5e-06",
        "| image-text |",
    ):
        assert part in card, part
    copied = load_recipe(RECIPE, ["augment.copies=2"])
    assert "Texts of copies are noised, no paraphrases; the paper's are GPT-3.5's." in leaves(copied, MmOrientConfig())  # type: ignore[arg-type]
    config = json.loads((run.folder / "config.json").read_text())
    assert len(config["support_memes"]) == config["support_size"] == 12
    assert set(config["support_memes"][0]) == {"source", "id", "labels"}  # no texts of training memes


def test_the_selection_split_chooses_a_sparsity(run: Any, root: Path, tmp_path: Path) -> None:
    found = _train(root, tmp_path / "tuned", "tune=[0.5,0.95]")
    tried = found.metrics["tuned"]
    assert set(tried) == {"0.5", "0.95"}
    # .95 is what the recipe has by itself, so its stage is shared
    assert tried["0.95"] == pytest.approx(run.metrics["stages"][0]["chosen"]["value"], abs=1e-4)
    best = max(tried, key=tried.get)
    assert found.metrics["stages"][0]["chosen"]["value"] == pytest.approx(tried[best], abs=1e-4)
    kept = load_recipe(tmp_path / "tuned" / "recipe.yaml")
    assert kept.model.quantiles == {"all": float(best)}  # type: ignore[attr-defined]
    assert kept.tune == ()  # type: ignore[attr-defined]
    with pytest.raises(UsageError, match="tune: there is no graph"):
        _train(root, tmp_path / "none", "tune=[0.5]", "model.graphs=[]")
    with pytest.raises(UsageError, match="'aspect_sentiment' asks about a phrase"):
        _train(root, tmp_path / "none", "data.tasks=[aspect_sentiment]")


def test_rows_that_answer_otherwise_share_their_training(run: Any, root: Path, tmp_path: Path) -> None:
    other = _train(root, tmp_path, "answering.mode=transductive", "answering.noise={text: 1.0}")
    assert other.metrics["stages"][0]["chosen"] == run.metrics["stages"][0]["chosen"]
    model = load(tmp_path)
    assert model.config.mode == "transductive"  # type: ignore[attr-defined]
    own, its = load(run.folder).state_dict(), model.state_dict()  # type: ignore[attr-defined]
    assert all(torch.equal(own[name], its[name]) for name in own if not name.startswith("support_"))


def test_noise_comes_after_calibration(run: Any, root: Path, tmp_path: Path, memes: list[Meme]) -> None:
    """The model does not expect the noise: it settles on clean features and answers noised ones."""
    loud = _train(root, tmp_path, "answering.noise={text: 3.0}")
    assert loud.metrics["val"] == run.metrics["val"]
    plain, noised = (load(folder) for folder in (run.folder, tmp_path))
    assert noised.config.calibration == plain.config.calibration  # type: ignore[attr-defined]
    said = [model.answer(memes[:1])[0].answers["sentiment"].probabilities for model in (plain, noised)]
    assert max(abs(said[0][label] - said[1][label]) for label in SENTIMENTS) > 1e-4


def test_attention_can_learn_faster(root: Path) -> None:
    """Adam's first step has the size of the learning rate, whatever the gradient: 30 times it for the scores."""
    few = ["train.max_steps=1", "data.limit=18"]
    stage = STAGE.replace("epochs: 6", "epochs: 1, warmup: 0, weight_decay: 0, schedule: constant")
    moved = {}
    for rate in (1, 30):
        recipe = load_recipe(RECIPE, [f"data.root={root}", "model.hidden=[32,16]", "model.graph_width=8",
                                      f"stages=[{stage}]", f"attention_rate={rate}", *few])  # fmt: skip
        train_memes, val = read_staged(recipe)  # type: ignore[arg-type]
        learner = MmOrientLearner(recipe, train_memes, val, lambda *_: None)  # type: ignore[arg-type]
        before = {name: value.detach().clone() for name, value in learner.model.named_parameters()}
        run_stages(recipe, learner, lambda *_: None, learner.train, val, learner.tricks)  # type: ignore[arg-type]
        for name in ("hima.image.one.score.weight", "mlc.heads.sentiment.weight"):
            moved[name, rate] = float((learner.model.get_parameter(name).detach() - before[name]).abs().max())
    assert moved["mlc.heads.sentiment.weight", 1] == pytest.approx(0.003, rel=0.01)
    assert moved["mlc.heads.sentiment.weight", 30] == pytest.approx(0.003, rel=0.01)
    assert moved["hima.image.one.score.weight", 1] == pytest.approx(0.003, rel=0.01)
    assert moved["hima.image.one.score.weight", 30] == pytest.approx(0.09, rel=0.01)


def test_fewer_tasks_on_the_same_memes_are_another_training(run: Any, root: Path, tmp_path: Path) -> None:
    alone = _train(root, tmp_path, "data.tasks=[sentiment]")
    assert load(tmp_path).tasks == ("sentiment",)
    # one loss of three labels, not two summed
    assert alone.metrics["stages"][0]["chosen"]["loss"] < run.metrics["stages"][0]["chosen"]["loss"]


@pytest.mark.parametrize(
    "changes",
    [
        ["model.variant=cross-attention"],
        ["model.variant=late"],
        ["model.graphs=[]", "model.level_two=false"],
        ["model.fanout=3", "augment.copies=2", "model.columns=[surface]"],
        ["model.quantiles.all=null", "model.thresholds={all: 0.5, text-image: 0.7}", "model.level_one=false"],
        ["model.quantiles={all: null}", "model.thresholds={all: 1}", "attention_rate=30"],
    ],
    ids=lambda changes: changes[0],
)
def test_ablations_and_baselines_train_and_answer(changes: list[str], root: Path, tmp_path: Path, memes: list) -> None:
    _train(root, tmp_path, *changes, "train.max_steps=2", "data.limit=18")
    model = load(tmp_path)
    alone, among = model.answer(memes[:1])[0], model.answer(memes)[0]
    assert alone.answers["sentiment"].probabilities == pytest.approx(among.answers["sentiment"].probabilities, abs=1e-6)


def test_explain_measures_and_inside_draws(run: Any, memes: list[Meme], root: Path, tmp_path: Path) -> None:
    model: Any = load(run.folder)
    meme = next(m for m in memes if m.labels["sentiment"] == "positive")
    evidence = model.explain(meme, ["sentiment"])["sentiment"]
    assert [span.text for span in evidence.spans] == meme.text.split()
    before = model.answer([meme])[0].answers["sentiment"].probabilities["positive"]
    first = evidence.spans[0]
    without = Meme(image=meme.image, text=meme.text[first.end :].strip())
    after = model.answer([without])[0].answers["sentiment"].probabilities["positive"]
    odds = [np.log(p / (1 - p)) for p in (before, after)]
    assert first.weight == pytest.approx(odds[0] - odds[1], abs=1e-4)
    with pytest.raises(UsageError, match="does not answer hateful"):
        model.explain(meme, ["hateful"])

    seen = attention(model, meme)
    assert 0.5 < sum(span.weight for span in seen.spans) <= 1 + 1e-6  # special tokens have the rest
    found = relations(model, model.making([meme]))
    for some in found.values():
        assert [one.cosine for one in some] == sorted((one.cosine for one in some), reverse=True)
    nearest = found["text"][0]
    assert nearest.graphs == (("text-text", "image-text") if nearest.cosine > model.thresholds["text-text"] else ())
    written = write_inside(model, meme, tmp_path, [root / "memotion7k"])
    assert written == ["inside.json", "attention.png", "relations.png"]
    assert all((tmp_path / name).stat().st_size > 500 for name in written)


def test_attention_is_heat_that_deletion_and_insertion_check(run: Any, memes: list[Meme]) -> None:
    model: Any = load(run.folder)
    meme = replace(memes[0], text=f"{memes[0].text} SHOUTED")
    view = heat(model, meme, "sentiment", "attention")
    assert view.text == model.making.cleaned(meme)
    assert [span.text for span in view.words] == view.text.split()
    assert [span.weight for span in view.words] == pytest.approx([s.weight for s in attention(model, meme).spans])
    # the boxes tile the picture: the shares, spread over them, add up to all of the attention
    assert view.places.sum() == pytest.approx(1, abs=1e-3)
    found = dict(measured(model, meme, "sentiment", 0))
    assert set(found) == {f"{way}, {what}" for way in ("occlusion", "attention") for what in ("words", "7 x 7 cells")}
    assert all(0 <= one.deletion <= 1 and 0 <= one.insertion <= 1 for one in found.values())
    with pytest.raises(UsageError, match="no view 'gradcam'"):
        heat(model, meme, "sentiment", "gradcam")


def test_regions_are_painted_evenly_and_added_where_they_overlap() -> None:
    found = painted([Region(0, 0, 0.5, 0.5, 1.0), Region(0.25, 0, 0.5, 1, 2.0)], 4)
    # the first has weight 4 for each unit of area, the second 4: a cell is a sixteenth of the picture
    assert found[0].tolist() == pytest.approx([4 / 16, 8 / 16, 4 / 16, 0])
    assert found[3].tolist() == pytest.approx([0, 4 / 16, 4 / 16, 0])
    assert painted([Region(0.1, 0.1, 0, 0.5, 1.0)], 4).sum() == 0


def test_a_support_meme_is_its_own_nearest_relation(run: Any, root: Path) -> None:
    from memescope.datasets import read_split

    model: Any = load(run.folder)
    one = model.config.support_memes[0]
    meme = next(m for m in read_split(root / "memotion7k", "train") if m.id == one["id"])
    for some in relations(model, model.making([meme])).values():
        assert (some[0].id, some[0].cosine) == (meme.id, pytest.approx(1, abs=1e-4))


def test_models_that_show_nothing_say_so(memes: list[Meme], tmp_path: Path) -> None:
    plain = create(["sentiment"], MakingSettings(), variant="concatenation", hidden=[4])
    with pytest.raises(UsageError, match="neither attention nor relations"):
        write_inside(plain, memes[0], tmp_path)
    whole = create(["sentiment"], plain.making, hidden=[4], graph_width=2)
    with pytest.raises(UsageError, match="no support set"):
        whole.answer(memes[:1])
    with pytest.raises(UsageError, match="no threshold for the graphs image-image"):
        whole.answer(memes[:1], mode="transductive")


@pytest.mark.parametrize("wrong", [{"variant": "other"}, {"mode": "other"}, {"graphs": ["text-audio"]},
                                   {"graphs": ["text-text", "text-text"]}])  # fmt: skip
def test_a_wrong_configuration_is_named(wrong: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match="expected"):
        MmOrientConfig(**wrong)


def test_features_of_a_meme_do_not_depend_on_the_others_and_are_found_again(memes: list[Meme]) -> None:
    plain, kept = Making(MakingSettings()), Making(MakingSettings(), keep=True)
    some = [*memes[:3], Meme(text="no picture here"), Meme(image=memes[0].image)]
    whole = plain(some)
    assert whole.word_mask.sum(1)[4] == 0
    assert whole.region_mask.sum(1).tolist() == [49, 49, 49, 0, 49]
    for i, meme in enumerate(some):
        for name, value in plain([meme]).tensors().items():
            expected = whole.take([i]).tensors()[name]
            torch.testing.assert_close(value, expected, atol=1e-4, rtol=0, msg=name)
    for again in (kept(some), kept(some)):
        for name, value in again.tensors().items():
            torch.testing.assert_close(value.float(), whole.tensors()[name].float(), atol=2e-3, rtol=2e-3, msg=name)
    torch.testing.assert_close(join([plain(some[:2]), plain(some[2:])]).words, whole.words, atol=1e-4, rtol=0)


def test_features_of_inpainted_pictures_are_kept_by_the_way_of_inpainting(
    memes: list[Meme], monkeypatch: pytest.MonkeyPatch
) -> None:
    def keys() -> list[str]:
        return [Making(MakingSettings(inpaint=inpaint))._key(memes[0], "text") for inpaint in (False, True)]

    before, record = keys(), Making(MakingSettings(inpaint=True)).record
    monkeypatch.setattr("memescope.perception.inpaint.INPAINT_VERSION", "another")
    plain, painted_over = keys()
    assert plain == before[0]
    assert painted_over not in before
    with pytest.raises(UsageError, match="inpaint: another, but the model was trained with strokes"):
        Making.from_record(record)


def test_noise_is_of_one_modality_of_the_asked_strength_and_the_same_each_time(memes: list[Meme]) -> None:
    plain = Making(MakingSettings())
    loud = Making(MakingSettings(noise={"text": 2.0}))
    before, after = plain(memes[:4]), loud(memes[:4])
    assert torch.equal(before.regions, after.regions)
    assert torch.equal(before.image, after.image)
    for i in range(4):
        spread = before.text[i].std(correction=0)
        assert float((after.text - before.text)[i].std() / spread) == pytest.approx(2, rel=0.15)
    assert torch.equal(loud(memes[2:3]).text[0], after.text[2])
    with pytest.raises(UsageError, match="noise"):
        MakingSettings(noise={"sound": 1.0})


def test_another_encoder_than_the_one_learnt_with_is_refused() -> None:
    record = Making(MakingSettings()).record
    record["versions"]["regions"] = "effnet-lite0@other"
    with pytest.raises(UsageError, match="trained with effnet-lite0@other"):
        Making.from_record(record)


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 40), st.integers(1, 45), st.sampled_from(CHOICES), st.integers(0, 9))
def test_support_sets_have_the_size_asked_for_and_no_meme_twice(n: int, size: int, choice: Any, seed: int) -> None:
    luck = torch.Generator().manual_seed(seed)
    text, image = torch.randn(n, 3, generator=luck), torch.randn(n, 5, generator=luck)
    strata = [str(i % 3) for i in range(n)]
    chosen = choose_support(text, image, strata, size, choice, seed)
    assert len(set(chosen)) == len(chosen) == min(size, n)
    assert chosen == sorted(chosen) == choose_support(text, image, strata, size, choice, seed)
    assert set(chosen) <= set(range(n))


def test_stratified_keeps_proportions_and_coreset_reaches_far() -> None:
    strata = ["a"] * 70 + ["b"] * 25 + ["c"] * 5
    x = torch.zeros(100, 2)
    chosen = choose_support(x, x, strata, 20, "stratified", 0)
    assert [sum(strata[i] == name for i in chosen) for name in "abc"] == [14, 5, 1]
    corners = torch.tensor([[1.0, 0], [0, 1], [-1, 0], [0, -1]])
    points = torch.cat([corners, torch.tensor([[1.0, 0.01]]).repeat(50, 1)])
    for choice in ("coreset", "k-means"):
        kept = points[choose_support(points, points, [""] * 54, 4, choice, 1)]  # type: ignore[arg-type]
        assert all((kept - corner).norm(dim=1).min() < 0.02 for corner in corners), choice
    with pytest.raises(UsageError, match="size 0"):
        choose_support(x, x, strata, 0, "random", 0)


def test_thresholds_are_cosines_or_shares_of_pairs_one_for_each_graph() -> None:
    x = torch.randn(60, 8, generator=torch.Generator().manual_seed(0))
    pooled = {"text": x, "image": x * torch.tensor([3.0] + [1.0] * 7)}
    found = thresholds_of(
        pooled, GRAPHS, {"text-text": 0.25}, {"image-image": 0.9, "image-text": 0.8, "text-image": 0.9}
    )
    assert found["text-text"] == 0.25
    assert found["image-image"] == found["text-image"]  # both by the picture
    for graph, share in (("image-image", 0.9), ("image-text", 0.8)):
        unit = torch.nn.functional.normalize(pooled[graph.split("-")[1]].double(), dim=1)
        cosines = (unit @ unit.T)[np.triu_indices(60, 1)]
        assert float((cosines <= found[graph]).double().mean()) == pytest.approx(share, abs=0.002)
    with pytest.raises(UsageError, match="expected a threshold or a quantile"):
        thresholds_of(pooled, GRAPHS, {"all": 0.5}, {"all": 0.5})
    with pytest.raises(UsageError, match="thresholds of other"):
        thresholds_of(pooled, GRAPHS, {"other": 0.5}, {})


def test_entropy_tells_even_from_pointed_attention() -> None:
    weights = torch.tensor([[0.25, 0.25, 0.25, 0.25], [1.0, 0, 0, 0], [0.5, 0.5, 0, 0], [1.0, 0, 0, 0]])
    mask = torch.tensor([[1, 1, 1, 1], [1, 1, 0, 0], [1, 1, 1, 1], [1, 0, 0, 0]], dtype=torch.bool)
    assert relative_entropy(weights, mask) == {"entropy": pytest.approx((1 + 0 + 0.5) / 3), "rows": 3}
    said = collapsed({"words": {"entropy": 0.99, "rows": 5}, "regions": {"entropy": 0.01, "rows": 5},
                      "level": {"entropy": 0.5, "rows": 5}, "none": {"entropy": 1.0, "rows": 0}})  # fmt: skip
    assert len(said) == 2
    assert "words is even" in said[0]
    assert "regions rests on one point" in said[1]


def test_the_card_names_each_deviation_that_holds() -> None:
    paper = MmOrientConfig(
        thresholds=dict.fromkeys(GRAPHS, 0.9), extra_width=784,
        features={"settings": {"words": "google-bert/bert-base-uncased", "regions": "x152", "clean": "paper",
                               "inpaint": True, "text": "openai/clip-vit-base-patch32",
                               "image": "openai/clip-vit-base-patch32"}},
        mode="transductive",
    )  # fmt: skip
    # what is otherwise even then: what inpaints, unknown sharing of weights and thresholds, last batches, masked losses
    assert len(deviations(paper)) == 5
    ablation = MmOrientConfig(graphs=["text-text"], level_one=False, level_two=False, thresholds={"text-text": 0.5})
    said = " ".join(deviations(ablation))
    for part in (
        "no level 1",
        "No level 2",
        "without the graphs image-image, image-text, text-image",
        "No task-specific",
    ):
        assert part in said


@pytest.mark.parametrize(
    "path", sorted((ROOT / "recipes" / "tables").glob("mmorient*.yaml")), ids=lambda path: path.stem
)
def test_every_row_of_every_table_is_a_recipe_that_can_be_read(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from memescope.training import load_recipe

    monkeypatch.chdir(ROOT)
    table = load_table(str(path))
    seen = {}
    for row in table.rows:
        if row.recipe is not None:
            recipe = load_recipe(row.recipe, list(row.settings))
            key = recipe.model_dump_json() + str(row.batch)
            assert key not in seen, f"{row.name} is {seen.get(key)} again"
            seen[key] = row.name
