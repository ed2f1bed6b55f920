"""Errors by stratum: shares counted by hand, one mix of labels, intervals over distinct memes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from memescope.errors import UsageError
from memescope.evaluation.predictions import MODEL, Row, Said
from memescope.evaluation.strata import Errors, by_stratum, errors_of
from memescope.taxonomy import load_taxonomy


def _errors(wrong: list[float], label: list[int], cluster: list[int] | None = None) -> Errors:
    count = len(wrong)
    return Errors(
        tuple(map(str, range(count))),
        np.array(wrong, float),
        np.array(label),
        ("no", "yes"),
        np.array(cluster if cluster is not None else range(count)),
    )


def test_strata_are_compared_at_one_mix_of_labels() -> None:
    # Both strata err on 1 of 10 "no" and 5 of 10 "yes", but `a` has twice the "yes": it errs more; at one mix, no.
    wrong = [1.0] + [0.0] * 9 + ([1.0] * 5 + [0.0] * 5) * 2 + ([1.0] + [0.0] * 9) * 2 + [1.0] * 5 + [0.0] * 5
    label = [0] * 10 + [1] * 20 + [0] * 20 + [1] * 10
    found = {one.name: one for one in by_stratum(_errors(wrong, label), ["a"] * 30 + ["b"] * 30, 400)}
    assert found["a"].error.value == pytest.approx(11 / 30)
    assert found["b"].error.value == pytest.approx(7 / 30)
    assert found["a"].by_label == {"no": (10, 0.1), "yes": (20, 0.5)}
    assert found["a"].more is not None
    assert found["a"].more.value == pytest.approx(0)
    assert found["a"].verdict == "no difference shown"


def test_a_stratum_that_errs_more_is_found_and_small_ones_decide_nothing() -> None:
    wrong = [1.0, 1.0, 1.0, 0.0] * 10 + [0.0, 0.0, 0.0, 1.0] * 10
    label = [0, 1] * 40
    first, second = by_stratum(_errors(wrong, label), ["hard"] * 40 + ["easy"] * 40, 500)
    assert first.more is not None
    assert first.more.value == pytest.approx(0.5)  # 1/2 on "yes" and 1 on "no", against 1/2 and 0
    assert (first.verdict, second.verdict) == ("more errors", "fewer errors")
    small = by_stratum(_errors(wrong, label), ["few"] * 10 + ["rest"] * 70, 200)
    assert [one.verdict for one in small] == ["too few rows", "too few rows"]
    assert by_stratum(_errors(wrong, label), ["all"] * 80, 50)[0].more is None


def test_copies_of_one_meme_are_drawn_together() -> None:
    wrong, label = ([1.0] * 20 + [0.0] * 20) * 2, [0, 1] * 40
    names = ["a"] * 40 + ["b"] * 40
    alone = by_stratum(_errors(wrong, label), names, 800)[0].error
    # Runs of ten rows are one meme: eight memes in all.
    copies = by_stratum(_errors(wrong, label, [i // 10 for i in range(80)]), names, 800)[0]
    assert copies.distinct == 4
    assert copies.error.high - copies.error.low > 2 * (alone.high - alone.low)


def test_errors_are_means_over_seeds_of_the_same_memes() -> None:
    task = load_taxonomy()["harmful"]

    def row(number: int, truth: str, said: str) -> Row:
        p = 0.9 if said == "harmful" else 0.1
        return Row(
            str(number),
            number,
            (),
            {"harmful": truth},
            {MODEL: {"harmful": Said(said, {"not-harmful": 1 - p, "harmful": p})}},
        )

    one = [row(0, "harmful", "harmful"), row(1, "not-harmful", "harmful"), Row("2", 2, (), {})]
    two = [row(0, "harmful", "not-harmful"), row(1, "not-harmful", "harmful"), Row("2", 2, (), {})]
    found = errors_of([one, two], task)
    assert found.ids == ("0", "1")
    assert found.wrong.tolist() == [0.5, 1.0]
    assert found.label.tolist() == [1, 0]
    with pytest.raises(UsageError, match="the same memes"):
        errors_of([one, [replace(two[0], id="9"), *two[1:]]], task)
    with pytest.raises(UsageError, match="labelled for 'harmful'"):
        errors_of([[Row("2", 2, (), {})]], task)
    with pytest.raises(UsageError, match="expected one for each of 2 rows, found 1"):
        by_stratum(found, ["a"])
