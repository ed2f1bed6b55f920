"""Calibration fits against closed forms, ECE against hand-worked bins, its band against perfectly calibrated draws."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from memescope.errors import UsageError
from memescope.evaluation.calibration import (
    METHODS,
    Calibration,
    choose,
    fit_platt,
    fit_sigmoid,
    fit_softmax,
    log_loss,
    out_of_fold,
)
from memescope.evaluation.reliability import (
    bin_of,
    brier_parts,
    ece,
    events,
    perfect_band,
    reliability_curve,
    weighted_ece,
)


def logit(p: float) -> float:
    return float(np.log(p / (1 - p)))


def test_temperature_closed_form():
    # Logits (+-3, 0), right in 80 of 100: sigmoid(3 / T) = .8, so 1 / T = logit(.8) / 3.
    truth = np.tile([0, 1], 50)
    side = np.where(np.arange(100) < 80, 1, -1) * np.where(truth == 1, 1, -1)
    logits = np.c_[np.zeros(100), 3.0 * side]
    fitted = fit_softmax(logits, truth, "temperature")
    assert fitted.scale == pytest.approx([logit(0.8) / 3] * 2, rel=1e-6)
    assert fitted.bias == (0.0, 0.0)
    assert fitted.softmax(logits).max() == pytest.approx(0.8, rel=1e-6)


def test_platt_closed_form():
    # Score +1: 30 of 40 hold; score -1: 10 of 50. sigmoid(a + b) = .75, sigmoid(b - a) = .2.
    scores = np.r_[np.ones(40), -np.ones(50)]
    truth = np.r_[np.arange(40) < 30, np.arange(50) < 10]
    a, b = fit_platt(scores, truth, smooth=False)
    assert a == pytest.approx((logit(0.75) - logit(0.2)) / 2, rel=1e-8)
    assert b == pytest.approx((logit(0.75) + logit(0.2)) / 2, rel=1e-8)


def test_platt_smoothed_targets_by_hand():
    # Separable: 3 ups at +1, 2 downs at -1. Targets 4/5 and 1/4 instead of 1 and 0, reached exactly.
    a, b = fit_platt(np.array([1, 1, 1, -1, -1.0]), np.array([1, 1, 1, 0, 0]))
    assert a + b == pytest.approx(logit(4 / 5), rel=1e-8)
    assert b - a == pytest.approx(logit(1 / 4), rel=1e-8)


def test_bias_alone_gives_the_class_rates():
    # The same logits everywhere: the likelihood is greatest at the rates of the classes.
    truth = np.repeat([0, 1, 2], [50, 30, 20])
    fitted = fit_softmax(np.zeros((100, 3)), truth, "vector", ridge=0)
    assert fitted.softmax(np.zeros((1, 3)))[0] == pytest.approx([0.5, 0.3, 0.2], abs=1e-5)
    assert sum(fitted.bias) == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize("method", ["bias", "vector"])
def test_mean_probability_of_each_class_is_its_rate(method):
    """The slope of the log-loss in a bias is the mean probability minus the rate: 0 at the fit without a ridge."""
    rng = np.random.default_rng(3)
    logits = rng.normal(size=(300, 3)) * 2
    truth = np.where(rng.random(300) < 0.6, logits.argmax(1), rng.choice(3, 300, p=[0.7, 0.2, 0.1]))
    fitted = fit_softmax(logits, truth, method, ridge=0)
    assert fitted.softmax(logits).mean(axis=0) == pytest.approx(np.bincount(truth) / 300, abs=1e-4)
    assert log_loss(fitted.logits(logits), truth) < log_loss(logits, truth)


def test_ridge_holds_a_class_without_rows():
    logits = np.random.default_rng(0).normal(size=(50, 3))
    truth = np.arange(50) % 2
    fitted = fit_softmax(logits, truth, "vector")
    assert np.isfinite([*fitted.scale, *fitted.bias]).all()
    assert min(fitted.scale) > 0
    assert 0 < fitted.softmax(logits)[:, 2].mean() < 0.1


def test_ridge_by_its_own_condition():
    """Logits of 0: only the biases move, to where n * p - count + ridge * bias = 0."""
    counts = np.array([12, 6, 2])
    fitted = fit_softmax(np.zeros((20, 3)), np.repeat([0, 1, 2], counts), "vector", ridge=3)
    p = fitted.softmax(np.zeros((1, 3)))[0]
    assert 20 * p - counts + 3 * np.array(fitted.bias) == pytest.approx(np.zeros(3), abs=1e-4)
    assert p[2] > 0.1  # held back from its rate


def test_fit_sigmoid_fits_labels_apart_and_survives_constants():
    rng = np.random.default_rng(1)
    logits = rng.normal(size=(400, 3))
    truth = np.c_[rng.random(400) < 1 / (1 + np.exp(-(2 * logits[:, 0] - 1))), np.zeros(400), np.ones(400)]
    fitted = fit_sigmoid(logits, truth)
    assert (fitted.scale[0], fitted.bias[0]) == fit_platt(logits[:, 0], truth[:, 0])
    means = fitted.sigmoid(logits).mean(axis=0)
    assert means[1] == pytest.approx(1 / 402)
    assert means[2] == pytest.approx(401 / 402)


def test_choose_prefers_simple_and_finds_needed():
    rng = np.random.default_rng(5)
    good = rng.normal(size=(600, 3)) * 1.5
    p = np.exp(good) / np.exp(good).sum(1, keepdims=True)
    truth = np.array([rng.choice(3, p=row) for row in p])
    assert choose(good, truth)[0].method == "none"
    fitted, losses = choose(good * 4, truth)
    assert fitted.method == "temperature"
    assert fitted.scale[0] == pytest.approx(0.25, rel=0.2)
    assert set(losses) == set(METHODS)
    shifted, _ = choose(good + np.array([3.0, 0, 0]), truth)
    assert shifted.method in ("bias", "vector")
    assert shifted.bias[0] - shifted.bias[1] == pytest.approx(-3 * shifted.scale[0], abs=0.6)


def test_choose_is_not_taken_in_by_noise():
    """Calibrated logits: about half of the sets lie better with a temperature by chance alone."""
    chosen = []
    for seed in range(20):
        rng = np.random.default_rng(seed)
        logits = rng.normal(size=(200, 2)) * 1.5
        p = 1 / (1 + np.exp(logits[:, 0] - logits[:, 1]))
        truth = (rng.random(200) < p).astype(int)
        chosen.append(choose(logits, truth, methods=("none", "temperature"), seed=seed)[0].method)
    assert chosen.count("none") >= 16


def test_choose_keeps_groups_together():
    logits, truth = np.random.default_rng(0).normal(size=(40, 2)), np.arange(40) % 2
    by_group = choose(logits, truth, groups=np.arange(40) // 4, seed=1)[1]
    assert by_group != choose(logits, truth, seed=1)[1]
    with pytest.raises(UsageError, match="two groups"):
        choose(logits, truth, groups=np.zeros(40))


@pytest.mark.parametrize(
    ("logits", "truth", "match"),
    [
        (np.zeros((0, 2)), np.zeros(0, int), "n above 0"),
        (np.zeros((3, 2)), np.zeros(2, int), "n above 0"),
        (np.full((1, 2), np.nan), np.zeros(1, int), "finite"),
        (np.zeros((1, 2)), np.array([2]), "0 .. 1"),
    ],
)
def test_bad_input_is_named(logits, truth, match):
    with pytest.raises(UsageError, match=match):
        fit_softmax(logits, truth)


def test_unknown_method_is_named():
    with pytest.raises(UsageError, match="'isotonic' is none of none, temperature"):
        fit_softmax(np.zeros((2, 2)), np.array([0, 1]), "isotonic")


def test_calibration_does_not_reorder_with_temperature():
    x = np.random.default_rng(0).normal(size=(20, 4))
    p = Calibration("temperature", (0.5,) * 4, (0.0,) * 4).softmax(x)
    assert (p.argmax(1) == x.argmax(1)).all()
    assert p.sum(axis=1) == pytest.approx(np.ones(20))


def test_ece_by_hand():
    # Two bins: .1 .3 | .6 .8, one event in the upper: |.2 - 0| / 2 + |.7 - .5| / 2 = .2.
    p, y = np.array([0.8, 0.1, 0.6, 0.3]), np.array([1, 0, 0, 0])
    assert list(bin_of(p, 2)) == [1, 0, 1, 0]
    assert ece(p, y, bins=2) == pytest.approx(0.2)
    assert reliability_curve(p, y, bins=2) == [
        {"rows": 2, "probability": pytest.approx(0.2), "rate": 0.0},
        {"rows": 2, "probability": pytest.approx(0.7), "rate": 0.5},
    ]


def test_equal_probabilities_share_a_bin():
    assert ece(np.full(50, 0.3), np.arange(50) < 15) == pytest.approx(0)
    # One, eight and one rows: the middle of the eight lies in the upper half, so all eight do.
    assert list(bin_of(np.repeat([0.1, 0.5, 0.9], [1, 8, 1]), 2)) == [0] + [1] * 9


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 10), st.booleans(), st.integers(0, 3)), min_size=1, max_size=50))
def test_weighted_ece_keeps_the_bins(rows):
    p, y, w = (np.array([row[i] for row in rows], float) for i in range(3))
    if w.sum() == 0:
        return
    which = bin_of(p / 10)
    by_hand = sum(abs((w * (p / 10 - y))[which == b].sum()) for b in range(10)) / w.sum()
    assert weighted_ece(p / 10, y, w[None])[0] == pytest.approx(by_hand)
    assert weighted_ece(p / 10, y, np.ones((1, len(p))))[0] == pytest.approx(ece(p / 10, y))


def test_several_events_of_a_row_carry_its_weight():
    # Two rows of two events; the second row is not drawn: only the gaps of the first are left, each in its own bin.
    p, y = np.array([0.1, 0.9, 0.4, 0.6]), np.array([0, 1, 1, 0])
    assert weighted_ece(p, y, np.array([[1.0, 0.0]]))[0] == pytest.approx((0.1 + 0.1) / 2)
    assert weighted_ece(p, y, np.array([[0.0, 2.0]]))[0] == pytest.approx((0.6 + 0.6) / 2)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 20), st.booleans()), min_size=1, max_size=80))
def test_brier_parts_add_up(rows):
    p, y = np.array([r[0] for r in rows]) / 20, np.array([r[1] for r in rows], float)
    parts = brier_parts(p, y)
    total = parts["reliability"] - parts["resolution"] + parts["uncertainty"] + parts["within"]
    assert total == pytest.approx(((p - y) ** 2).mean())
    assert ece(p, y) ** 2 <= parts["reliability"] + 1e-12  # Jensen


def test_brier_parts_by_hand():
    # Two probabilities, each in a bin of its own: nothing is hidden within.
    p, y = np.repeat([0.2, 0.8], 10), np.r_[np.arange(10) < 3, np.arange(10) < 7].astype(float)
    parts = brier_parts(p, y, bins=2)
    assert parts["reliability"] == pytest.approx(0.01)
    assert parts["resolution"] == pytest.approx(0.04)
    assert parts["uncertainty"] == pytest.approx(0.25)
    assert parts["within"] == pytest.approx(0, abs=1e-12)


def test_perfect_models_fall_inside_the_band():
    """By construction 95 % of perfectly calibrated models lie below the band's upper end."""
    rng = np.random.default_rng(0)
    inside = 0
    for trial in range(200):
        p = rng.beta(0.8, 0.8, 300)
        inside += perfect_band(p, rng.random(300) < p, seed=trial, simulations=300).inside
    assert 0.90 <= inside / 200 <= 0.99


def test_overconfidence_falls_outside_the_band():
    rng = np.random.default_rng(0)
    p = rng.beta(0.8, 0.8, 600)
    sharper = p**2 / (p**2 + (1 - p) ** 2)
    band = perfect_band(sharper, rng.random(600) < p)
    assert not band.inside
    assert 0 < band.mean < band.high < 0.1


def test_events_by_kind():
    p, y = np.array([[0.7, 0.3], [0.2, 0.8]]), np.array([[0.0, 1.0], [0.0, 1.0]])
    assert [list(v) for v in events("binary", p, y)] == [[0.3, 0.8], [1, 1]]
    assert [list(v) for v in events("multiclass", p, y)] == [[0.7, 0.8], [0, 1]]
    assert [list(v) for v in events("multilabel", p, y)] == [[0.7, 0.3, 0.2, 0.8], [0, 1, 0, 1]]


def test_out_of_fold_no_row_sees_itself_or_its_group() -> None:
    logits, truth = np.zeros((6, 2)), np.array([0, 0, 1, 1, 1, 1])
    groups = np.array([0, 0, 1, 1, 2, 2])
    seen = []

    def fit(x: np.ndarray, y: np.ndarray) -> Calibration:
        seen.append(len(x))
        return Calibration("mean", (1.0, 1.0), (0.0, float(y.mean())))

    found = out_of_fold(logits, truth, fit, folds=3, groups=groups)
    # three folds, one of each group: the first group's rows get the mean of the others, 1; the others' 2 of 4
    assert found[:, 1].tolist() == [1, 1, 0.5, 0.5, 0.5, 0.5]
    assert seen == [4, 4, 4]
    with pytest.raises(UsageError, match="at least two groups"):
        out_of_fold(logits, truth, fit, groups=np.zeros(6))
