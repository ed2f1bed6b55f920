"""The distillation loss against an independent float64 reference, its masks, and vocabularies that differ."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from memescope.errors import UsageError
from memescope.objectives.distillation import check_vocabularies, distillation_loss
from memescope.objectives.generation import IGNORED, token_cross_entropy


def softmax(z: np.ndarray) -> np.ndarray:
    e = np.exp(z - z.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def reference(s, t, y, weight, temperature, squared, everything):
    """(loss, hard, soft, gradient) row by row, in float64, from the formula."""
    learned = [i for i, label in enumerate(y) if label != IGNORED]
    heard = list(range(len(y))) if everything else learned
    hard = -sum(math.log(softmax(s[i])[y[i]]) for i in learned) / max(len(learned), 1)
    scale = temperature**2 if squared else 1.0
    soft, gradient = 0.0, np.zeros_like(s)
    for i in heard:
        p, q = softmax(t[i] / temperature), softmax(s[i] / temperature)
        soft += scale * float((p * (np.log(p) - np.log(q))).sum()) / len(heard)
        gradient[i] += weight * scale * (q - p) / temperature / len(heard)
    for i in learned:
        gradient[i] += (1 - weight) * (softmax(s[i]) - np.eye(s.shape[1])[y[i]]) / len(learned)
    return (1 - weight) * hard + weight * soft, hard, soft, gradient


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 1000),
    rows=st.integers(1, 150),
    weight=st.floats(0, 1),
    temperature=st.floats(0.5, 4),
    squared=st.booleans(),
    everything=st.booleans(),
)
def test_loss_and_gradient_equal_the_formula(seed, rows, weight, temperature, squared, everything):
    """150 rows are more than are taken at once."""
    rng = np.random.default_rng(seed)
    s, t = rng.normal(0, 3, (rows, 11)), rng.normal(0, 3, (rows, 11))
    y = np.where(rng.random(rows) < 0.4, IGNORED, rng.integers(0, 11, rows))
    y[0] = 3
    scores = torch.tensor(s, requires_grad=True)
    mask = "everything" if everything else "answers"
    found = distillation_loss(scores, torch.tensor(t), torch.tensor(y), weight, temperature, squared=squared, mask=mask)
    found.loss.backward()
    loss, hard, soft, gradient = reference(s, t, y, weight, temperature, squared, everything)
    assert found.loss.item() == pytest.approx(loss, abs=1e-10)
    assert found.hard.item() == pytest.approx(hard, abs=1e-10)
    assert found.soft.item() == pytest.approx(soft, abs=1e-10)
    np.testing.assert_allclose(scores.grad.numpy(), gradient, atol=1e-12)


def test_the_gradient_is_that_of_the_loss():
    torch.manual_seed(0)
    s = torch.randn(5, 7, dtype=torch.float64, requires_grad=True)
    t, y = torch.randn(5, 7, dtype=torch.float64), torch.tensor([1, IGNORED, 6, 0, IGNORED])
    for mask in ("answers", "everything"):
        assert torch.autograd.gradcheck(lambda s, mask=mask: distillation_loss(s, t, y, mask=mask).loss, (s,))


def test_scores_are_left_as_they_were():
    s = torch.randn(3, 4, requires_grad=True)
    before = s.detach().clone()
    distillation_loss(s, torch.randn(3, 4), torch.tensor([0, 1, 2])).loss.backward()
    assert torch.equal(s.detach(), before)


def test_by_hand():
    """One place, two words: student (0, 0), teacher (2 ln 3, 0) is 3/4 and 1/4 at temperature 2."""
    found = distillation_loss(torch.zeros(1, 2), torch.tensor([[2 * math.log(3), 0.0]]), torch.tensor([0]), 0.3, 2.0)
    kl = 0.75 * math.log(1.5) + 0.25 * math.log(0.5)
    assert found.soft.item() == pytest.approx(4 * kl, rel=1e-5)
    assert found.loss.item() == pytest.approx(0.7 * math.log(2) + 0.3 * 4 * kl, rel=1e-5)


def test_a_weight_of_zero_is_the_cross_entropy_alone():
    torch.manual_seed(1)
    s, t, y = torch.randn(2, 3, 9), torch.randn(2, 3, 9), torch.tensor([[1, IGNORED, 2], [8, 0, IGNORED]])
    assert distillation_loss(s, t, y, 0.0).loss.item() == pytest.approx(token_cross_entropy(s, y).item(), abs=1e-6)


def test_prompt_and_padding_count_only_under_the_released_mask():
    s, t = torch.zeros(3, 4), torch.zeros(3, 4)
    y = torch.tensor([IGNORED, 2, IGNORED])
    t[0, 1] = t[2, 3] = 5.0  # the teacher differs only where nothing is learned
    assert distillation_loss(s, t, y).soft.item() == 0.0
    assert distillation_loss(s, t, y, mask="everything").soft.item() > 0.1


def test_small_batches_sum_to_a_large_one():
    torch.manual_seed(2)
    s, t = torch.randn(6, 5, dtype=torch.float64), torch.randn(6, 5, dtype=torch.float64)
    y = torch.tensor([1, IGNORED, 2, 3, IGNORED, 0])
    whole = distillation_loss(s, t, y).loss
    parts = [distillation_loss(s[i], t[i], y[i], total=4).loss for i in (slice(0, 2), slice(2, 6))]
    assert sum(parts).item() == pytest.approx(whole.item(), abs=1e-12)


def test_nothing_learned_is_zero_and_finite():
    s = torch.randn(3, 4, requires_grad=True)
    found = distillation_loss(s, torch.randn(3, 4), torch.full((3,), IGNORED))
    found.loss.backward()
    assert found.loss.item() == 0.0
    assert s.grad.abs().sum().item() == 0.0


def test_bfloat16_is_close_to_float64():
    torch.manual_seed(3)
    s, t, y = torch.randn(70, 300), torch.randn(70, 300), torch.randint(0, 300, (70,))
    exact = distillation_loss(s.double(), t.double(), y).loss.item()
    assert distillation_loss(s.bfloat16(), t.bfloat16(), y).loss.item() == pytest.approx(exact, rel=5e-3)


def test_scores_that_do_not_fit_are_refused():
    with pytest.raises(UsageError, match="one vocabulary of w tokens"):
        distillation_loss(torch.zeros(2, 5), torch.zeros(2, 6), torch.zeros(2, dtype=torch.int64))
    one = torch.zeros(2, 5), torch.zeros(2, 5), torch.zeros(2, dtype=torch.int64)
    with pytest.raises(UsageError, match="must be 0 to 1"):
        distillation_loss(*one, weight=1.5)
    with pytest.raises(UsageError, match="above 0"):
        distillation_loss(*one, temperature=0)
    with pytest.raises(UsageError, match="expected answers or everything"):
        distillation_loss(*one, mask="labels")


def test_vocabularies_that_differ_are_refused():
    teacher = {"a": 0, "b": 1, "c": 2}
    check_vocabularies(teacher, dict(teacher), ("large", "small"))
    with pytest.raises(UsageError, match=r"large \(3 tokens\).*small \(2 tokens\).*1 tokens only in large.*'c'"):
        check_vocabularies(teacher, {"a": 0, "b": 1}, ("large", "small"))
    with pytest.raises(UsageError, match=r"2 tokens under other numbers \(such as 'a': 0 and 1\)"):
        check_vocabularies(teacher, {"a": 1, "b": 0, "c": 2}, ("large", "small"))
