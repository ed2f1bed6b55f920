"""Exact binomial bounds by their definition; the chosen threshold keeps its promise under simulation."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binom

from memescope.errors import UsageError
from memescope.evaluation.abstention import (
    choose_threshold,
    lower_bound,
    risk_coverage,
    threshold_table,
    upper_bound,
)


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 400), st.data(), st.sampled_from([0.01, 0.05, 0.2]))
def test_bounds_by_definition(n, data, delta):
    """The upper bound is the rate at which so few errors have probability delta; the lower one mirrors it."""
    k = data.draw(st.integers(0, n))
    high, low = upper_bound(k, n, delta), lower_bound(k, n, delta)
    assert low <= k / n <= high
    if k < n:
        assert binom.cdf(k, n, high) == pytest.approx(delta, rel=1e-6)
    else:
        assert high == 1
    assert low == pytest.approx(1 - upper_bound(n - k, n, delta), abs=1e-9)


def test_no_errors_closed_form():
    # (1 - bound)^n = delta
    assert upper_bound(0, 29, 0.05) == pytest.approx(1 - 0.05 ** (1 / 29))


def test_threshold_by_hand():
    # 300 rows at .9 all right, 100 at .7 half wrong: .7 would mean 50 errors of 400.
    sure = np.r_[np.full(300, 0.9), np.full(100, 0.7)]
    right = np.r_[np.ones(300, bool), np.arange(100) < 50]
    found = choose_threshold(sure, right, 0.05)
    assert found is not None
    assert (found.answered, found.errors, found.coverage) == (300, 0, 0.75)
    assert found.threshold == 0.9  # the highest that the same rows reach
    assert found.bound == pytest.approx(upper_bound(0, 300, 0.05 / 4))
    assert found.to_dict()["coverage"] == 0.75
    # At 20 % everything passes: 50 of 400 has an upper bound of about .17.
    everything = choose_threshold(sure, right, 0.2)
    assert everything is not None
    assert everything.answered == 400


def test_no_threshold_qualifies():
    rng = np.random.default_rng(0)
    assert choose_threshold(rng.random(500), rng.random(500) < 0.6, 0.1) is None
    assert choose_threshold(np.full(10, 0.99), np.ones(10, bool), 0.05) is None  # too few rows to show 5 %
    assert choose_threshold(np.zeros(0), np.zeros(0, bool), 0.05) is None


def test_later_starts_survive_a_bad_top():
    """A few confident errors at the very top end one start, not the search."""
    sure = np.r_[np.full(60, 0.99), np.linspace(0.6, 0.95, 940)]
    right = np.ones(1000, bool)
    right[:8] = False
    found = choose_threshold(sure, right, 0.05)
    assert found is not None
    assert found.answered == 1000
    assert choose_threshold(sure, right, 0.05, starts=1) is None


def test_the_promise_holds_under_simulation():
    """True error above the target may be let through in at most delta of the draws."""
    rng = np.random.default_rng(7)
    broken = found = 0
    for _ in range(400):
        sure = rng.uniform(0.5, 1, 600)
        right = rng.random(600) < sure  # error of "answer at t and above" is 1 - (1 + t) / 2
        chosen = choose_threshold(sure, right, 0.15, delta=0.1)
        if chosen is not None:
            found += 1
            broken += (1 - chosen.threshold) / 2 > 0.15
    assert found > 300  # it does find thresholds: .7 is the true answer
    assert broken / 400 <= 0.1


def test_groups_count_once():
    sure, right = np.repeat(np.full(20, 0.9), 5), np.ones(100, bool)
    assert choose_threshold(sure, right, 0.1) is not None
    assert choose_threshold(sure, right, 0.1, groups=np.repeat(np.arange(20), 5)) is None


def test_risk_coverage_by_hand():
    coverage, risk = risk_coverage(np.array([0.9, 0.8, 0.8, 0.5]), np.array([True, False, True, False]))
    assert list(coverage) == [0.25, 0.75, 1.0]
    assert list(risk) == pytest.approx([0, 1 / 3, 0.5])


def test_threshold_table_by_hand():
    table = threshold_table(np.array([0.95, 0.85, 0.6, 0.55]), np.array([True, False, True, True]), (0.5, 0.8, 0.99))
    assert [row["answered"] for row in table] == [4, 2, 0]
    assert [row["error"] for row in table] == [0.25, 0.5, None]
    assert table[0]["high"] == pytest.approx(upper_bound(1, 4, 0.025))


@pytest.mark.parametrize(("target", "delta", "starts"), [(0, 0.05, 4), (1, 0.05, 4), (0.1, 0, 4), (0.1, 0.05, 0)])
def test_impossible_settings_are_named(target, delta, starts):
    with pytest.raises(UsageError, match="must lie in"):
        choose_threshold(np.ones(5), np.ones(5, bool), target, delta=delta, starts=starts)


def test_shapes_are_checked():
    with pytest.raises(UsageError, match="one length"):
        choose_threshold(np.ones(5), np.ones(4, bool), 0.1)
    with pytest.raises(UsageError, match="5 errors of 4 rows"):
        upper_bound(5, 4)
