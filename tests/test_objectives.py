"""Losses by hand, and batches of rows of similar length."""

from __future__ import annotations

import math
from itertools import chain

import pytest
from hypothesis import given
from hypothesis import strategies as st

torch = pytest.importorskip("torch")

from memescope.models.batching import length_batches  # noqa: E402
from memescope.objectives.generation import IGNORED, token_cross_entropy  # noqa: E402
from memescope.objectives.label import MISSING, label_loss  # noqa: E402


def test_only_learned_tokens_count() -> None:
    logits = torch.log(torch.tensor([[[0.5, 0.25, 0.25], [0.1, 0.1, 0.8], [1.0, 1.0, 1.0]]]))
    labels = torch.tensor([[0, 2, IGNORED]])
    mean = (math.log(2) - math.log(0.8)) / 2
    assert token_cross_entropy(logits, labels).item() == pytest.approx(mean, abs=1e-6)
    assert token_cross_entropy(logits, labels, total=4).item() == pytest.approx(mean / 2, abs=1e-6)
    assert token_cross_entropy(logits, torch.full((1, 3), IGNORED)).item() == 0


def test_smoothing_shares_a_part_among_all_words() -> None:
    logits = torch.log(torch.tensor([[0.5, 0.25, 0.25]]))
    # 0.9 on the right token and 0.1 shared by three
    expected = -(0.9 + 0.1 / 3) * math.log(0.5) - 2 * (0.1 / 3) * math.log(0.25)
    assert token_cross_entropy(logits, torch.tensor([0]), smoothing=0.1).item() == pytest.approx(expected, abs=1e-6)


def test_unlabelled_memes_and_tasks_are_left_out() -> None:
    scores = {
        "one": torch.log(torch.tensor([[0.2, 0.8], [0.5, 0.5], [0.9, 0.1]])).requires_grad_(),
        "none": torch.zeros(3, 4, requires_grad=True),
        "many": torch.tensor([[0.0, 2.0], [1.0, 1.0], [3.0, 3.0]], requires_grad=True),
    }
    targets = {
        "one": torch.tensor([1, MISSING, 0]),
        "none": torch.full((3,), MISSING),
        "many": torch.tensor([[0, 1], [MISSING, MISSING], [MISSING, MISSING]]),
    }
    one = -(math.log(0.8) + math.log(0.9)) / 2
    many = (math.log(2) + math.log(1 + math.exp(-2))) / 2
    loss = label_loss(scores, targets)
    assert loss.item() == pytest.approx(one + many, abs=1e-6)
    assert label_loss(scores, targets, weights={"many": 0.5}).item() == pytest.approx(one + many / 2, abs=1e-6)
    loss.backward()
    assert float(scores["one"].grad[1].abs().max()) == 0
    assert float(scores["none"].grad.abs().max()) == 0
    assert float(scores["many"].grad[1:].abs().max()) == 0


def test_smoothed_labels() -> None:
    scores, targets = {"t": torch.tensor([[0.0, 0.0]])}, {"t": torch.tensor([[1, 0]])}
    assert label_loss(scores, targets, smoothing=0.2).item() == pytest.approx(math.log(2), abs=1e-6)
    scores = {"t": torch.tensor([[2.0, 0.0]])}
    # aims .9 and .1: -(.9 ln s(2) + .1 ln s(-2)), and ln 2
    s = 1 / (1 + math.exp(-2))
    expected = (-(0.9 * math.log(s) + 0.1 * math.log(1 - s)) + math.log(2)) / 2
    assert label_loss(scores, targets, smoothing=0.2).item() == pytest.approx(expected, abs=1e-6)


@given(
    lengths=st.lists(st.integers(1, 200), max_size=300),
    rows=st.integers(1, 20),
    tokens=st.none() | st.integers(50, 2000),
    seed=st.integers(0, 9),
)
def test_batches_hold_every_row_once_within_the_limits(
    lengths: list[int], rows: int, tokens: int | None, seed: int
) -> None:
    found = length_batches(lengths, seed, rows, tokens)
    assert sorted(chain.from_iterable(found)) == list(range(len(lengths)))
    for batch in found:
        assert len(batch) <= rows
        longest = max(lengths[i] for i in batch)
        assert tokens is None or len(batch) == 1 or longest * len(batch) <= tokens
    assert found == length_batches(lengths, seed, rows, tokens)


def test_batches_waste_little_and_change_with_the_seed() -> None:
    lengths = [10 + (i * 37) % 150 for i in range(2000)]
    found = length_batches(lengths, "1-0", 16)
    padded = sum(len(batch) * max(lengths[i] for i in batch) for batch in found)
    assert padded / sum(lengths) < 1.05
    assert found != length_batches(lengths, "1-1", 16)
    firsts = [lengths[batch[0]] for batch in found]
    assert firsts != sorted(firsts)  # short and long batches come mixed
