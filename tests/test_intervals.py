"""Clusters, resamples, intervals and paired verdicts: by hand, against closed forms, by coverage under simulation."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from memescope.errors import UsageError
from memescope.evaluation.intervals import clusters, compare, distributions, interval, resample
from memescope.evaluation.metrics import Scored


def binary(truth: np.ndarray, predicted: np.ndarray, sure: float = 0.7) -> Scored:
    p = np.where(predicted == 1, sure, 1 - sure)
    n = len(truth)
    return Scored("binary", ("no", "yes"), truth, predicted, np.c_[1 - p, p], np.zeros(n, bool))


def test_clusters_join_through_shared_keys():
    keys = [["a"], ["b"], ["a", "c"], [], ["c"], [], ["b"]]
    assert clusters(keys).tolist() == [0, 1, 0, 2, 0, 3, 1]
    # A late row may join two clusters that had nothing in common.
    assert clusters([["a"], ["b"], ["a", "b"]]).tolist() == [0, 0, 0]


@settings(max_examples=60, deadline=None)
@given(st.lists(st.lists(st.integers(0, 8), max_size=3), min_size=1, max_size=14))
def test_clusters_are_the_connected_components(keys):
    n = len(keys)
    joined = np.array([[bool(set(a) & set(b)) or i == j for j, b in enumerate(keys)] for i, a in enumerate(keys)])
    for _ in range(n):
        joined = joined @ joined
    found = clusters(keys)
    assert ((found[:, None] == found[None, :]) == joined).all()
    assert sorted(set(found.tolist())) == list(range(found.max() + 1))


def test_resamples_draw_whole_clusters_and_repeat():
    cluster = np.array([0, 0, 1, 2, 2, 2])
    blocks = np.concatenate(list(resample(cluster, 500, seed=3)))
    assert blocks.shape == (500, 6)
    assert (blocks[:, 0] == blocks[:, 1]).all()
    assert (blocks[:, 3] == blocks[:, 5]).all()
    assert (blocks[:, [0, 2, 3]].sum(axis=1) == 3).all()  # as many clusters as there are
    assert blocks.mean(axis=0) == pytest.approx(np.ones(6), abs=0.15)
    assert (np.concatenate(list(resample(cluster, 500, seed=3))) == blocks).all()
    assert (np.concatenate(list(resample(cluster, 500, seed=4))) != blocks).any()


def test_blocks_bound_memory_and_change_nothing(monkeypatch):
    cluster = np.arange(20)
    whole = np.concatenate(list(resample(cluster, 50, seed=0)))
    monkeypatch.setattr("memescope.evaluation.intervals._BLOCK", 100)
    parts = list(resample(cluster, 50, seed=0))
    assert [len(part) for part in parts] == [5] * 10
    assert (np.concatenate(parts) == whole).all()


def test_no_rows_is_an_error():
    with pytest.raises(UsageError, match="no rows"):
        next(resample(np.zeros(0, np.int64)))


@settings(max_examples=20, deadline=None)
@given(st.integers(2, 40), st.integers(0, 1000))
def test_a_constant_figure_has_no_width(n, seed):
    truth = np.arange(n) % 2
    found = distributions({"all right": binary(truth, truth)}, np.arange(n), 50, seed)["all right"]
    assert vars(interval(found["accuracy"])) == {"value": 1.0, "low": 1.0, "high": 1.0}
    assert vars(interval(found["brier"])) == {k: pytest.approx(0.09) for k in ("value", "low", "high")}


def test_interval_is_that_of_the_binomial():
    """Accuracy over 200 independent rows: percentiles of the resampled mean, standard error sqrt(.8 * .2 / 200)."""
    truth = np.ones(200, int)
    found = distributions({"x": binary(truth, (np.arange(200) < 160).astype(int))}, np.arange(200), 4000)["x"]
    accuracy = interval(found["accuracy"])
    error = np.sqrt(0.8 * 0.2 / 200)
    assert accuracy.value == 0.8
    assert accuracy.low == pytest.approx(0.8 - 1.96 * error, abs=0.006)
    assert accuracy.high == pytest.approx(0.8 + 1.96 * error, abs=0.006)


def test_interval_takes_the_percentiles():
    found = interval(np.r_[0.4, np.linspace(0, 1, 1001)])
    assert (found.value, found.low, found.high) == (0.4, pytest.approx(0.025), pytest.approx(0.975))
    assert interval(np.r_[0.4, np.linspace(0, 1, 1001)], level=0.9).low == pytest.approx(0.05)


def test_duplicates_count_once():
    """Every row three times: drawn apart, the interval would be much too narrow; drawn together it stays the same."""
    truth, said = np.ones(60, int), (np.arange(60) < 40).astype(int)
    once = interval(distributions({"x": binary(truth, said)}, np.arange(60))["x"]["accuracy"])
    thrice = binary(np.repeat(truth, 3), np.repeat(said, 3))
    together = interval(distributions({"x": thrice}, np.repeat(np.arange(60), 3))["x"]["accuracy"])
    apart = interval(distributions({"x": thrice}, np.arange(180))["x"]["accuracy"])
    assert (together.low, together.high) == (once.low, once.high)
    assert apart.high - apart.low < 0.7 * (once.high - once.low)


def test_intervals_cover_the_truth():
    rng = np.random.default_rng(0)
    covered = 0
    for trial in range(200):
        right = (rng.random(120) < 0.7).astype(int)
        found = interval(
            distributions({"x": binary(np.ones(120, int), right)}, np.arange(120), 300, trial)["x"]["accuracy"]
        )
        covered += found.low <= 0.7 <= found.high
    assert 0.90 <= covered / 200 <= 0.99


def test_paired_verdicts():
    rng = np.random.default_rng(1)
    truth = rng.integers(0, 2, 300)
    good = np.where(rng.random(300) < 0.9, truth, 1 - truth)
    bad = np.where(rng.random(300) < 0.6, truth, 1 - truth)
    also = good.copy()
    also[:2] = 1 - also[:2]
    systems = {"good": binary(truth, good), "bad": binary(truth, bad), "also": binary(truth, also)}
    found = distributions(systems, np.arange(300))
    for figure in ("accuracy", "deciding_f1", "auroc", "brier", "log_loss", "aurc"):
        assert compare(found["good"][figure], found["bad"][figure], figure).verdict == "better", figure
        assert compare(found["bad"][figure], found["good"][figure], figure).verdict == "worse", figure
        assert compare(found["good"][figure], found["also"][figure], figure).verdict == "no difference shown", figure
    difference = compare(found["good"]["accuracy"], found["bad"]["accuracy"], "accuracy")
    assert difference.value == pytest.approx((good == truth).mean() - (bad == truth).mean())
    itself = compare(found["good"]["accuracy"], found["good"]["accuracy"], "accuracy")
    assert (itself.value, itself.low, itself.high, itself.verdict) == (0, 0, 0, "no difference shown")


def test_pairing_sees_what_unpaired_intervals_hide():
    """One system is right wherever the other is and on 12 rows more: the intervals overlap, the difference does not."""
    truth = np.ones(200, int)
    less, more = (np.arange(200) < 120).astype(int), (np.arange(200) < 132).astype(int)
    found = distributions({"less": binary(truth, less), "more": binary(truth, more)}, np.arange(200))
    low, high = interval(found["less"]["accuracy"]), interval(found["more"]["accuracy"])
    assert low.high > high.low
    assert compare(found["more"]["accuracy"], found["less"]["accuracy"], "accuracy").verdict == "better"


def test_undefined_figures_are_undecided():
    truth = np.zeros(30, int)
    found = distributions({"x": binary(truth, truth)}, np.arange(30), 100)["x"]
    assert np.isnan([interval(found["auroc"]).value, interval(found["auroc"]).low]).all()
    assert compare(found["auroc"], found["auroc"], "auroc").verdict == "undecided"
    # One positive row: a third of the resamples miss it, the rest still give an interval.
    truth[0] = 1
    assert interval(distributions({"x": binary(truth, truth)}, np.arange(30), 400)["x"]["auroc"]).low == 1.0
