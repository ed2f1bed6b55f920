"""Mixtures of datasets: counts worked out by hand, every row before any twice, nothing left to chance."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memescope.errors import UsageError
from memescope.training.mixing import counts, mixed, shares

SIZES = [6400, 1600, 100]


def test_shares_by_hand() -> None:
    assert shares(SIZES, "proportional") == pytest.approx([6400 / 8100, 1600 / 8100, 100 / 8100])
    assert shares(SIZES, "balanced") == pytest.approx([1 / 3] * 3)
    assert shares(SIZES, "temperature", 2) == pytest.approx([80 / 130, 40 / 130, 10 / 130])  # square roots
    assert shares([4, 0], "balanced") == [1.0, 0.0]


def test_counts_by_hand() -> None:
    assert counts(SIZES, 8100, "proportional") == SIZES
    assert counts(SIZES, 1300, "temperature", 2) == [800, 400, 100]
    assert counts(SIZES, 100, "balanced") == [34, 33, 33]  # the row over goes to the first
    assert counts(SIZES, 81, "proportional") == [64, 16, 1]
    assert counts(SIZES, 10, "proportional") == [7, 2, 1]  # 7.9, 1.98, 0.12: the smallest is not forgotten
    assert counts([5, 0, 5], 4, "balanced") == [2, 0, 2]


@given(st.lists(st.integers(1, 5000), min_size=1, max_size=12), st.integers(12, 4000), st.floats(1, 50))
def test_counts_add_up_and_lie_between_proportional_and_balanced(
    sizes: list[int], total: int, temperature: float
) -> None:
    found = counts(sizes, total, "temperature", temperature)
    assert sum(found) == total
    assert min(found) >= 1
    largest = sizes.index(max(sizes))
    even, plain = (shares(sizes, how)[largest] * total for how in ("balanced", "proportional"))
    assert even - 1 - len(sizes) <= found[largest] <= plain + 1


def test_a_mixture_repeats_no_row_before_all_have_come() -> None:
    groups = {"a": [f"a{i}" for i in range(10)], "b": ["b0", "b1", "b2"]}
    found = mixed(groups, 20, "balanced", seed=1)
    of = {name: Counter(row for row, _ in found if row[0] == name) for name in groups}
    assert set(of["a"].values()) == {1}
    assert len(of["a"]) == 10
    assert sorted(of["b"].values()) == [3, 3, 4]  # 10 rows of 3
    assert sorted(copy for row, copy in found if row[0] == "b") == [0] * 3 + [1] * 3 + [2] * 3 + [3]
    assert found == mixed(groups, 20, "balanced", seed=1)
    assert found != mixed(groups, 20, "balanced", seed=2)


def test_another_dataset_does_not_change_which_rows_of_the_first_are_taken() -> None:
    rows = list(range(100))
    alone = {row for row, _ in mixed({"a": rows}, 30, "proportional")}
    beside = {row for row, _ in mixed({"a": rows, "b": [-1] * 100}, 60, "proportional") if row >= 0}
    assert alone == beside


def test_what_cannot_be_mixed_is_refused() -> None:
    with pytest.raises(UsageError, match="cannot hold 3 datasets"):
        counts(SIZES, 2, "balanced")
    with pytest.raises(UsageError, match=r"temperature 0\.5"):
        shares(SIZES, "temperature", 0.5)
