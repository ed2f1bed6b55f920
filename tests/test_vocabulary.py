"""Cross-entropy over a large vocabulary: equal to torch's, value and gradient, in any precision and number of rows."""

from __future__ import annotations

import math
import subprocess
import sys

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from memescope.objectives.vocabulary import ROWS, summed_cross_entropy


@given(
    rows=st.sampled_from([1, 2, ROWS - 1, ROWS, ROWS + 1, 2 * ROWS + 3]),
    words=st.integers(1, 30),
    seed=st.integers(0, 99),
)
def test_value_and_gradient_equal_the_plain_way(rows: int, words: int, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    scores = (5 * torch.randn(rows, words, generator=generator, dtype=torch.float64)).requires_grad_()
    labels = torch.randint(words, (rows,), generator=generator)
    (3 * summed_cross_entropy(scores, labels)).backward()
    ours, scores.grad = scores.grad, None
    plain = torch.nn.functional.cross_entropy(scores, labels, reduction="sum")
    (3 * plain).backward()
    assert summed_cross_entropy(scores, labels).item() == pytest.approx(plain.item(), rel=1e-12)
    assert torch.allclose(ours, scores.grad, atol=1e-12)


def test_gradient_is_that_of_finite_differences() -> None:
    scores = torch.randn(5, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0)).requires_grad_()
    assert torch.autograd.gradcheck(lambda s: summed_cross_entropy(s, torch.tensor([0, 1, 2, 3, 0])), (scores,))


def test_bfloat16_scores_are_summed_in_float32() -> None:
    scores = torch.zeros(3, 1000, dtype=torch.bfloat16, requires_grad=True)
    loss = summed_cross_entropy(scores, torch.tensor([0, 5, 999]))
    loss.backward()
    assert loss.dtype == torch.float32
    assert loss.item() == pytest.approx(3 * math.log(1000), rel=1e-6)
    assert scores.grad is not None
    assert scores.grad.dtype == torch.bfloat16
    assert scores.grad[0, 0].item() == pytest.approx(-0.999, rel=0.01)
    assert scores.grad[0, 1].item() == pytest.approx(0.001, rel=0.01)


def test_huge_scores_do_not_overflow() -> None:
    scores = torch.tensor([[1e30, 0.0], [-1e30, 0.0]])
    assert summed_cross_entropy(scores, torch.tensor([0, 1])).item() == 0


def test_freed_memory_is_kept_where_the_c_library_can() -> None:
    script = (
        "import resource, torch\n"
        "from memescope.training.staged.heap import keep_freed_memory\n"
        "kept = keep_freed_memory()\n"
        "def faults():\n"
        "    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt\n"
        "    for _ in range(20): torch.ones(8 * 2**20)\n"
        "    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before\n"
        "faults(); print(int(kept), faults())\n"
    )
    kept, faults = map(
        int, subprocess.run([sys.executable, "-c", script], capture_output=True, check=True).stdout.split()
    )
    # twenty tables of 32 MiB are 163,840 pages when each is asked for afresh
    assert faults < 10_000 if kept else faults >= 0
