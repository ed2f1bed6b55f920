"""Metrics against hand-worked cases and scikit-learn as the reference; weights are counts of rows."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as reference

from memescope.errors import UsageError
from memescope.evaluation.abstention import aurc, risk_coverage
from memescope.evaluation.metrics import (
    Scored,
    by_label,
    deciding,
    figures,
    label_indices,
    measures,
    scored,
    weighted_aurc,
    weighted_auroc,
)


def multiclass(seed: int, n: int = 60, k: int = 4, kind: str = "multiclass") -> Scored:
    rng = np.random.default_rng(seed)
    p = rng.dirichlet(np.ones(k), n).round(2) + 1e-3
    p /= p.sum(axis=1, keepdims=True)
    truth = np.where(rng.random(n) < 0.5, p.argmax(1), rng.integers(0, k, n))
    return Scored(kind, tuple("abcdefgh"[:k]), truth, p.argmax(1), p, rng.random(n) < 0.3)


def multilabel(seed: int, n: int = 50, k: int = 5) -> Scored:
    rng = np.random.default_rng(seed)
    p = rng.random((n, k)).round(2)
    return Scored("multilabel", tuple("abcdefgh"[:k]), rng.random((n, k)) < p, p > 0.5, p, np.zeros(n, bool))


def test_hand_worked_binary():
    # Truth 1 1 0 0, said 1 0 0 0: F1 of 1 is 2/3, of 0 is 2*2/(3+2) = 0.8.
    p = np.array([0.9, 0.4, 0.3, 0.2])
    rows = scored("binary", ["no", "yes"], ["yes", "yes", "no", "no"], ["yes", "no", "no", "no"], np.c_[1 - p, p])
    found = figures(rows)
    assert found["accuracy"] == 0.75
    assert found["macro_f1"] == pytest.approx((2 / 3 + 0.8) / 2)
    assert found["micro_f1"] == 0.75
    assert found["weighted_f1"] == pytest.approx((2 / 3 + 0.8) / 2)
    assert found["auroc"] == 1.0
    assert found["brier"] == pytest.approx((0.1**2 + 0.6**2 + 0.3**2 + 0.2**2) / 4)
    assert found["log_loss"] == pytest.approx(-np.log([0.9, 0.4, 0.7, 0.8]).mean())
    # Four rows in ten bins: each has its own, so ECE is the mean absolute gap.
    assert found["ece"] == pytest.approx((0.1 + 0.6 + 0.3 + 0.2) / 4)
    # Confidences .9 .6 .7 .8 with the error at .6: risks 0 0 0 1/4.
    assert found["aurc"] == pytest.approx(1 / 16)
    assert found["coverage"] == 1.0
    assert found["selective_accuracy"] == 0.75


@pytest.mark.parametrize("seed", range(3))
def test_multiclass_equals_scikit_learn(seed):
    rows = multiclass(seed)
    found, y, said, p = figures(rows), rows.truth, rows.predicted, rows.probabilities
    assert found["accuracy"] == pytest.approx(reference.accuracy_score(y, said))
    for name in ("macro", "micro", "weighted"):
        assert found[f"{name}_f1"] == pytest.approx(reference.f1_score(y, said, average=name))
    assert found["auroc"] == pytest.approx(reference.roc_auc_score(y, p, multi_class="ovr", average="macro"))
    assert found["log_loss"] == pytest.approx(reference.log_loss(y, p))
    assert found["brier"] == pytest.approx(((p - np.eye(4)[y]) ** 2).sum(1).mean())
    kept = ~rows.abstained
    assert found["coverage"] == pytest.approx(kept.mean())
    assert found["selective_accuracy"] == pytest.approx((y == said)[kept].mean())


@pytest.mark.parametrize("seed", range(3))
def test_multilabel_equals_scikit_learn(seed):
    rows = multilabel(seed)
    found, y, said, p = figures(rows), rows.truth, rows.predicted, rows.probabilities
    assert found["subset_accuracy"] == pytest.approx(reference.accuracy_score(y, said))
    assert found["hamming"] == pytest.approx(reference.hamming_loss(y, said))
    for name in ("macro", "micro", "weighted"):
        assert found[f"{name}_f1"] == pytest.approx(reference.f1_score(y, said, average=name))
    assert found["samples_f1"] == pytest.approx(reference.f1_score(y, said, average="samples", zero_division=1))
    assert found["auroc"] == pytest.approx(reference.roc_auc_score(y, p, average="macro"))
    assert found["brier"] == pytest.approx(((p - y) ** 2).mean())
    assert "aurc" not in found
    assert "accuracy" not in found


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000), st.sampled_from(["multiclass", "binary", "multilabel"]))
def test_weights_count_rows(seed, kind):
    """Weights of 0, 1, 2 give what leaving out and repeating rows gives."""
    rows = multilabel(seed, 30, 3) if kind == "multilabel" else multiclass(seed, 40, 2 if kind == "binary" else 3, kind)
    weights = np.random.default_rng(seed).integers(0, 3, (2, len(rows))).astype(float)
    decides = np.ones(len(rows.labels), bool)
    found = measures(rows, weights, decides)
    for r in range(2):
        repeated = rows.take(np.repeat(np.arange(len(rows)), weights[r].astype(int)))
        for name, value in measures(repeated, decides=decides).items():
            if name == "ece":
                continue  # its bins are those of all rows, see test_calibration.py
            assert found[name][r] == pytest.approx(value[0], nan_ok=True), name


def test_absent_and_rare_classes():
    # 40 rows of a, 30 of b, 5 of c, none of d; d is answered once, for a true a.
    truth = ["a"] * 40 + ["b"] * 30 + ["c"] * 5
    said = ["d"] + ["a"] * 39 + ["b"] * 30 + ["a"] * 5
    p = np.full((75, 4), 0.25)
    rows = scored("multiclass", "abcd", truth, said, p)
    found = figures(rows)
    f1_a, f1_b = 2 * 39 / (44 + 40), 1.0
    assert found["macro_f1"] == pytest.approx((f1_a + f1_b + 0) / 3)  # c counts, d does not occur
    assert found["deciding_f1"] == pytest.approx((f1_a + f1_b) / 2)  # c has 5 rows
    assert list(deciding(rows)) == [True, True, False, False]
    table = by_label(rows)
    assert table["c"] == {"rows": 5, "answered": 0, "f1": 0.0, "recall": 0.0, "decides": False} | {
        "precision": pytest.approx(np.nan, nan_ok=True)
    }
    assert np.isnan(table["d"]["f1"])
    assert table["d"]["answered"] == 1


def test_twenty_rows_decide():
    rows = scored("binary", ["no", "yes"], ["no"] * 20 + ["yes"] * 19, ["no"] * 39, np.full((39, 2), 0.5))
    assert list(deciding(rows)) == [True, False]
    assert [one["decides"] for one in by_label(rows).values()] == [True, False]


def test_nothing_to_decide_is_nan():
    rows = scored("binary", ["no", "yes"], ["no"] * 30 + ["yes"] * 3, ["no"] * 33, np.full((33, 2), 0.5))
    assert np.isnan(figures(rows)["deciding_f1"])
    one_class = scored("binary", ["no", "yes"], ["no"] * 3, ["no"] * 3, np.full((3, 2), 0.5))
    found = figures(one_class)
    assert np.isnan(found["auroc"])
    assert found["macro_f1"] == 1.0


def test_probability_zero_for_the_truth_is_finite():
    rows = scored("binary", ["no", "yes"], ["yes"], ["no"], np.array([[1.0, 0.0]]))
    assert figures(rows)["log_loss"] == pytest.approx(reference.log_loss([1], [[1.0, 0.0]], labels=[0, 1]))


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 5), st.booleans()), min_size=2, max_size=40))
def test_auroc_with_ties(pairs):
    scores, truth = np.array([s for s, _ in pairs], float), np.array([t for _, t in pairs])
    found = weighted_auroc(scores, truth, np.ones((1, len(pairs))))[0]
    if truth.all() or not truth.any():
        assert np.isnan(found)
    else:
        assert found == pytest.approx(reference.roc_auc_score(truth, scores))


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 5), st.booleans()), min_size=1, max_size=40))
def test_weighted_aurc_is_the_area_under_the_curve(pairs):
    sure, right = np.array([s for s, _ in pairs], float), np.array([t for _, t in pairs])
    assert weighted_aurc(sure, right, np.ones((1, len(pairs))))[0] == pytest.approx(aurc(sure, right))
    coverage, risk = risk_coverage(sure, right)
    assert coverage[-1] == 1.0
    assert risk[-1] == pytest.approx(1 - right.mean())


def test_constant_confidence_has_aurc_of_its_error():
    assert aurc(np.full(10, 0.7), np.arange(10) < 6) == pytest.approx(0.4)


def test_empty_sets_of_labels_agree():
    rows = scored("multilabel", "ab", [[], ["a"]], [[], ["b"]], np.full((2, 2), 0.5))
    assert figures(rows)["samples_f1"] == 0.5
    assert figures(rows)["subset_accuracy"] == 0.5


def test_errors_name_what_is_wrong():
    with pytest.raises(UsageError, match="no label 'z' among a, b"):
        label_indices("multiclass", "ab", ["a", "z"])
    with pytest.raises(UsageError, match=r"predicted: expected shape \(2,\) for 2 rows and 2 labels, found \(3,\)"):
        Scored("multiclass", ("a", "b"), np.zeros(2, int), np.zeros(3, int), np.full((2, 2), 0.5), np.zeros(2, bool))
