"""MM-ORIENT's equations against a reference of our own in plain numpy float64, loops and all."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from memescope.models.mmorient.cmrl import Cmrl, edges_among, edges_from
from memescope.models.mmorient.config import GRAPHS, MmOrientConfig
from memescope.models.mmorient.features import Features, join
from memescope.models.mmorient.heads import Classifier, CrossAttention
from memescope.models.mmorient.hima import Attention, Hima
from memescope.models.mmorient.model import MmOrient
from memescope.objectives.label import MISSING

TASKS = {
    "sentiment": {"kind": "multiclass", "labels": ["negative", "neutral", "positive"]},
    "harmful": {"kind": "binary", "labels": ["not-harmful", "harmful"]},
    "targets": {"kind": "multilabel", "labels": ["individual", "organization", "community", "society"]},
}
THRESHOLDS = {"image-image": 0.1, "text-text": 0.3, "image-text": -0.2, "text-image": 0.4}


def config(**changes: Any) -> MmOrientConfig:
    sizes = {"word_width": 5, "region_width": 7, "text_width": 4, "image_width": 6, "extra_width": 2}
    plain = {"graph_width": 3, "hidden": [11, 8], "tasks": TASKS, "thresholds": THRESHOLDS, "features": {}}
    return MmOrientConfig(**(sizes | plain | changes))


def model(seed: int = 0, **changes: Any) -> MmOrient:
    torch.manual_seed(seed)
    made = MmOrient(config(**changes)).double().eval()
    with torch.no_grad():  # PyTorch's start leaves attention nearly even: make it count
        for name, value in made.named_parameters():
            if ".score." in name:
                value.mul_(4)
    return made


def features(n: int, seed: int = 0, words: int = 6, regions: int = 4, empty: bool = True) -> Features:
    """Memes with texts of several lengths; the second has no text and the third no picture."""
    luck = np.random.default_rng(seed)
    lengths = luck.integers(1, words + 1, n)
    counts = luck.integers(1, regions + 1, n)
    if empty and n > 2:
        lengths[1], counts[2] = 0, 0
    word_mask, region_mask = np.arange(words) < lengths[:, None], np.arange(regions) < counts[:, None]
    parts = [
        luck.standard_normal((n, words, 5)) * word_mask[..., None],
        word_mask,
        luck.standard_normal((n, regions, 7)) * region_mask[..., None],
        region_mask,
        luck.standard_normal((n, 4)) * (lengths > 0)[:, None],
        luck.standard_normal((n, 6)) * (counts > 0)[:, None],
        luck.standard_normal((n, 2)),
    ]
    return Features(*(torch.from_numpy(part) for part in parts))


# the reference


def gelu(x: float) -> float:
    return 0.5 * x * (1 + math.erf(x / math.sqrt(2)))


def attention(weights: dict[str, np.ndarray], name: str, states: list[np.ndarray]) -> np.ndarray | None:
    """softmax(gelu(u h + c)) weighted sum; None over nothing."""
    if not states:
        return None
    u, c = weights[f"{name}.score.weight"][0], float(weights[f"{name}.score.bias"][0])
    e = [math.exp(gelu(float(u @ h) + c)) for h in states]
    return sum(x / sum(e) * h for x, h in zip(e, states, strict=True))


def hima(weights: dict[str, np.ndarray], name: str, states: np.ndarray, mask: np.ndarray, one: bool, two: bool):
    width = states.shape[-1]
    first: list[np.ndarray | None] = []
    for some, there in zip(states, mask, strict=True):
        kept = [h for h, is_there in zip(some, there, strict=True) if is_there]
        first.append(attention(weights, f"{name}.one", kept) if one else (sum(kept) / len(kept) if kept else None))
    own = [np.zeros(width) if s is None else s for s in first]
    if not two:
        return np.array(own)
    shared = attention(weights, f"{name}.two", [s for s in first if s is not None])
    shared = np.zeros(width) if shared is None else shared
    return np.array([np.concatenate([s, shared]) for s in own])


def cosine(a: np.ndarray, b: np.ndarray) -> float:
    product = np.linalg.norm(a) * np.linalg.norm(b)
    return float(a @ b / product) if product else 0.0


def sage(weights: dict[str, np.ndarray], graph: str, vectors: dict[str, np.ndarray], normalise: bool) -> np.ndarray:
    nodes, edges = (vectors[name] for name in graph.split("-"))
    found = []
    for i in range(len(nodes)):
        heard = [nodes[j] for j in range(len(nodes)) if j == i or cosine(edges[i], edges[j]) > THRESHOLDS[graph]]
        left, right = (weights[f"cmrl.layers.{graph}.{part}.weight"] for part in ("lin_l", "lin_r"))
        row = left @ np.mean(heard, axis=0) + weights[f"cmrl.layers.{graph}.lin_l.bias"] + right @ nodes[i]
        found.append(row / max(np.linalg.norm(row), 1e-12) if normalise else row)
    return np.array(found)


def mlc(weights: dict[str, np.ndarray], joined: np.ndarray, name: str = "mlc") -> dict[str, np.ndarray]:
    for layer in (0, 3):
        joined = joined @ weights[f"{name}.shared.{layer}.weight"].T + weights[f"{name}.shared.{layer}.bias"]
        joined = np.maximum(joined, 0)
    return {
        task: joined @ weights[f"{name}.heads.{task}.weight"].T + weights[f"{name}.heads.{task}.bias"] for task in TASKS
    }


def reference(made: MmOrient, memes: Features, **parts: Any) -> dict[str, np.ndarray]:
    """Scores by task of the published forward."""
    weights = {name: value.numpy() for name, value in made.state_dict().items()}
    f = {name: value.numpy() for name, value in memes.tensors().items()}
    c = made.config
    vectors = {"text": f["text"], "image": f["image"]}
    joined = [sage(weights, graph, vectors, c.normalise) for graph in c.graphs]
    joined.append(hima(weights, "hima.image", f["regions"], f["region_mask"], c.level_one, c.level_two))
    joined.append(hima(weights, "hima.text", f["words"], f["word_mask"], c.level_one, c.level_two))
    return mlc(weights, np.concatenate([*joined, f["extra"]], axis=1))


def agree(found: dict[str, torch.Tensor], expected: dict[str, np.ndarray], to: float = 1e-9) -> None:
    assert found.keys() == expected.keys()
    for task, table in found.items():
        np.testing.assert_allclose(table.detach().numpy(), expected[task], atol=to, rtol=0, err_msg=task)


# what it is held against


def test_attention_is_the_equation_and_leaves_masked_places_out() -> None:
    torch.manual_seed(0)
    one = Attention(5).double()
    memes = features(7)
    weights = {f"a.{name}": value.numpy() for name, value in one.state_dict().items()}
    found = one(memes.words, memes.word_mask).detach().numpy()
    for row, states, mask in zip(found, memes.words.numpy(), memes.word_mask.numpy(), strict=True):
        expected = attention(weights, "a", list(states[mask]))
        np.testing.assert_allclose(row, np.zeros(5) if expected is None else expected, atol=1e-12, rtol=0)
    shares = one.weights(memes.words, memes.word_mask)
    assert torch.equal(shares[~memes.word_mask], torch.zeros(int((~memes.word_mask).sum()), dtype=torch.float64))
    np.testing.assert_allclose(shares.sum(1).detach(), [1, 0, 1, 1, 1, 1, 1], atol=1e-12)


def test_attention_over_nothing_has_gradients_that_are_numbers() -> None:
    one = Attention(5)
    states = torch.randn(3, 4, 5, requires_grad=True)
    one(states, torch.tensor([[1, 1, 0, 0], [0] * 4, [0] * 4], dtype=torch.bool)).sum().backward()
    assert all(torch.isfinite(value.grad).all() for value in (states, *one.parameters()))
    assert torch.equal(states.grad[1:], torch.zeros(2, 4, 5))


@pytest.mark.parametrize("one", [True, False])
@pytest.mark.parametrize("two", [True, False])
def test_both_levels_of_hima(one: bool, two: bool) -> None:
    torch.manual_seed(1)
    layer = Hima(5, one, two).double()
    memes = features(7, seed=1)
    weights = {f"h.{name}": value.numpy() for name, value in layer.state_dict().items()}
    found = layer(memes.words, memes.word_mask).detach().numpy()
    assert found.shape == (7, layer.width)
    np.testing.assert_allclose(
        found, hima(weights, "h", memes.words.numpy(), memes.word_mask.numpy(), one, two), atol=1e-12
    )


@pytest.mark.parametrize("graph", GRAPHS)
@pytest.mark.parametrize("normalise", [True, False])
def test_each_graph_hears_by_one_modality_and_passes_on_the_other(graph: str, normalise: bool) -> None:
    torch.manual_seed(2)
    layer = Cmrl({"text": 4, "image": 6}, [graph], 3, normalise).double()
    memes = features(9, seed=2)
    vectors = {"text": memes.text, "image": memes.image}
    edges = edges_among(vectors, {graph: THRESHOLDS[graph]})
    weights = {f"cmrl.{name}": value.numpy() for name, value in layer.state_dict().items()}
    expected = sage(weights, graph, {name: value.numpy() for name, value in vectors.items()}, normalise)
    np.testing.assert_allclose(layer(vectors, edges).detach(), expected, atol=1e-9, rtol=0)
    assert 0 < edges[graph].shape[1] < 9 * 8  # neither empty nor complete, or the test would say little


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"level_one": False},
        {"level_two": False},
        {"graphs": []},
        {"graphs": ["image-text", "text-image"]},
        {"normalise": False},
        {"extra_width": 2, "graphs": ["text-text"], "level_one": False, "level_two": False},
    ],
    ids=str,
)
def test_the_whole_forward_and_its_ablations(changes: dict[str, Any]) -> None:
    made = model(**changes)
    memes = features(8, seed=3)
    agree(made(**memes.tensors()).scores, reference(made, memes))


def test_an_answer_beside_the_support_set_is_the_published_forward_over_both() -> None:
    made = model()
    support, asked = features(10, seed=4), features(6, seed=5)
    made.hold(support)
    found = made.beside_support(asked)
    for i in range(6):
        both = join([support, asked.take([i])])
        expected = {task: table[-1:] for task, table in reference(made, both).items()}
        agree({task: table[i : i + 1] for task, table in found.items()}, expected)


def test_the_loss_sums_tasks_over_the_memes_that_are_labelled() -> None:
    made = model()
    memes = features(4, seed=6)
    m = MISSING
    labels = torch.tensor([[0, 1, 1, 0, 0, 1], [2, m, m, m, m, m], [m, 0, 0, 0, 1, 0], [m, m, m, m, m, m]])
    scores = reference(made, memes)
    expected = 0.0
    for task, column in (("sentiment", [0, 2]), ("harmful", [1, 0])):
        rows = [0, 1] if task == "sentiment" else [0, 2]
        table = scores[task][rows]
        expected += float(np.mean([np.log(np.exp(r).sum()) - r[c] for r, c in zip(table, column, strict=True)]))
    p = 1 / (1 + np.exp(-scores["targets"][[0, 2]]))
    y = np.array([[1, 0, 0, 1], [0, 0, 1, 0]])
    expected += float(-(y * np.log(p) + (1 - y) * np.log(1 - p)).mean())
    assert made(**memes.tensors(), labels=labels).loss.item() == pytest.approx(expected, abs=1e-9)


def test_sampled_edges_with_all_neighbours_are_the_whole_graph() -> None:
    made = model(level_two=False)
    memes = features(9, seed=7)
    whole = made(**memes.tensors()).scores
    batch, others = memes.take([3, 4, 5]), memes.take([0, 1, 2, 6, 7, 8])
    edges = {
        graph: torch.cat(
            [edges_among(_v(batch), {graph: at})[graph], edges_from(_v(batch), {graph: at}, _v(others))[graph]], 1
        )
        for graph, at in THRESHOLDS.items()
    }
    found = made(**batch.tensors(), edges=edges, others_text=others.text, others_image=others.image).scores
    agree(found, {task: table[3:6].detach().numpy() for task, table in whole.items()}, to=1e-12)


def _v(memes: Features) -> dict[str, torch.Tensor]:
    return {"text": memes.text, "image": memes.image}


@pytest.mark.parametrize("variant", ["text", "image", "concatenation", "late"])
def test_baselines_are_means_and_dense_layers(variant: str) -> None:
    made = model(variant=variant)
    memes = features(6, seed=8)
    f = {name: value.numpy() for name, value in memes.tensors().items()}
    weights = {name: value.numpy() for name, value in made.state_dict().items()}

    def average(states: np.ndarray, mask: np.ndarray) -> np.ndarray:
        return np.array([s[m].mean(0) if m.any() else 0 * s[0] for s, m in zip(states, mask, strict=True)])

    text = np.concatenate([average(f["words"], f["word_mask"]), f["text"], f["extra"]], 1)
    image = np.concatenate([average(f["regions"], f["region_mask"]), f["image"]], 1)
    found = made(**memes.tensors()).scores
    if variant != "late":
        joined = {"text": text, "image": image, "concatenation": np.concatenate([text, image], 1)}[variant]
        agree(found, mlc(weights, joined))
        return
    read, seen = mlc(weights, text), mlc(weights, image, "mlc_image")
    for task in ("sentiment", "harmful"):
        p = [np.exp(x) / np.exp(x).sum(1, keepdims=True) for x in (read[task], seen[task])]
        np.testing.assert_allclose(found[task].softmax(-1).detach(), (p[0] + p[1]) / 2, atol=1e-9)
    p = [1 / (1 + np.exp(-x)) for x in (read["targets"], seen["targets"])]
    np.testing.assert_allclose(found["targets"].sigmoid().detach(), (p[0] + p[1]) / 2, atol=1e-9)


def test_cross_attention_leaves_out_what_is_not_there() -> None:
    torch.manual_seed(3)
    layer = CrossAttention(5, 7, 4).double()
    memes = features(5, seed=9)
    found = layer(memes.words, memes.word_mask, memes.regions, memes.region_mask).detach().numpy()
    w = {name: value.detach().numpy() for name, value in layer.named_parameters()}

    def project(states: np.ndarray, name: str) -> np.ndarray:
        return states @ w[f"{name}.weight"].T + w[f"{name}.bias"]

    def attend(name: str, query: np.ndarray, states: np.ndarray) -> np.ndarray:
        q, k, v = (
            x @ m.T + b
            for x, m, b in zip((query, states, states), w[f"{name}.in_proj_weight"].reshape(3, 4, 4),
                               w[f"{name}.in_proj_bias"].reshape(3, 4), strict=True)
        )  # fmt: skip
        a = np.exp(q @ k.T / 2)
        return (a / a.sum(1, keepdims=True) @ v @ w[f"{name}.out_proj.weight"].T + w[f"{name}.out_proj.bias"]).mean(0)

    for i in range(5):
        words = project(memes.words[i][memes.word_mask[i]].numpy(), "words")
        regions = project(memes.regions[i][memes.region_mask[i]].numpy(), "regions")
        both = len(words) and len(regions)
        expected = np.concatenate(
            [attend("to_regions", words, regions), attend("to_words", regions, words)] if both else [np.zeros(8)]
        )
        np.testing.assert_allclose(found[i], expected, atol=1e-9)


def test_a_classifier_drops_only_while_it_learns() -> None:
    layer = Classifier(4, [6], 0.5, {"a": 2})
    x = torch.randn(3, 4)
    layer.eval()
    assert torch.equal(layer(x)["a"], layer(x)["a"])
    layer.train()
    assert not torch.equal(layer(x)["a"], layer(x)["a"])


# properties


@settings(max_examples=25, deadline=None)
@given(st.integers(2, 12), st.integers(0, 99), st.randoms(use_true_random=False))
def test_permuting_the_batch_permutes_the_answers(n: int, seed: int, luck: Any) -> None:
    made = model()
    memes = features(n, seed=seed)
    order = list(range(n))
    luck.shuffle(order)
    before, after = made(**memes.tensors()).scores, made(**memes.take(order).tensors()).scores
    for task, table in before.items():
        torch.testing.assert_close(after[task], table[order], atol=1e-10, rtol=0)


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 9), st.integers(0, 99), st.integers(1, 7), st.integers(1, 7), st.booleans())
def test_padding_changes_nothing_whatever_is_in_it(n: int, seed: int, words: int, regions: int, support: bool) -> None:
    made = model()
    memes = features(n, seed=seed)
    made.hold(features(5, seed=seed + 1))
    luck = torch.Generator().manual_seed(seed)
    parts = memes.tensors()
    for states, mask, more in (("words", "word_mask", words), ("regions", "region_mask", regions)):
        shape = (n, more, parts[states].shape[2])
        parts[states] = torch.cat([parts[states], 100 * torch.randn(shape, generator=luck, dtype=torch.float64)], 1)
        parts[mask] = torch.cat([parts[mask], torch.zeros(n, more, dtype=torch.bool)], 1)
    longer = Features(**parts)
    before, after = (
        (made.beside_support(some) if support else made(**some.tensors()).scores) for some in (memes, longer)
    )
    for task, table in before.items():
        torch.testing.assert_close(after[task], table, atol=1e-10, rtol=0)


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 999), st.randoms(use_true_random=False))
def test_beside_the_support_set_an_answer_is_the_same_alone_in_a_batch_and_shuffled(seed: int, luck: Any) -> None:
    made = model().float()
    made.hold(features(20, seed=seed).to(torch.float32))
    memes = features(64, seed=seed + 1).to(torch.float32)
    together = made.tables(memes)
    order = list(range(64))
    luck.shuffle(order)
    shuffled = made.tables(memes.take(order))
    for i in (0, 1, 2, luck.randrange(64)):
        alone = made.tables(memes.take([i]))
        for task in TASKS:
            torch.testing.assert_close(alone[task][0], together[task][i], atol=1e-6, rtol=0)
            torch.testing.assert_close(shuffled[task][order.index(i)], together[task][i], atol=1e-6, rtol=0)
    apart = made.tables(memes.take([0]), "transductive")["sentiment"][0]
    assert (apart - made.tables(memes, "transductive")["sentiment"][0]).abs().max() > 1e-4  # the published mode does
