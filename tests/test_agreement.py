"""Krippendorff's alpha against worked examples, the package and its own invariants; votes of datasets."""

from __future__ import annotations

from itertools import permutations
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from memescope.curation.agreement import alpha, alpha_of, coincidences, label_agreement, vote_agreement
from memescope.curation.grouping import group
from memescope.meme import Meme

# Krippendorff, Computing Krippendorff's Alpha-Reliability (2011), example C: four observers, twelve units, five values.
WORKED = """
1 2 3 3 2 1 4 1 2 . . .
1 2 3 3 2 2 4 1 2 5 . 3
. 3 3 3 2 3 4 2 2 5 1 .
1 2 3 3 2 4 4 1 2 5 1 .
"""


def _counts(table: str, labels: str) -> np.ndarray:
    columns = zip(*(line.split() for line in table.strip().splitlines()), strict=True)
    return np.array([[column.count(label) for label in labels] for column in columns], np.int64)


def test_alpha_by_hand() -> None:
    # Two annotators, four memes: aa, aa, ab, bb. Coincidences: aa 4, ab 1, ba 1, bb 2; a 5, b 3, in all 8.
    # Observed 2 of 8 = .25; expected 2*5*3 / (8*7) = 30/56; alpha = 1 - .25*56/30 = .53333.
    counts = np.array([[2, 0], [2, 0], [1, 1], [0, 2]])
    assert coincidences(counts).sum(axis=0).tolist() == [[4, 1], [1, 2]]
    value, low, high = alpha(counts, "nominal")
    assert value == pytest.approx(1 - 0.25 * 56 / 30)
    assert low <= value <= high <= 1


def test_alpha_of_the_worked_example_of_krippendorff() -> None:
    counts = _counts(WORKED, "12345")
    assert alpha(counts, "nominal")[0] == pytest.approx(0.743, abs=5e-4)
    assert alpha(counts, "ordinal")[0] == pytest.approx(0.815, abs=5e-4)


@pytest.mark.parametrize("level", ["nominal", "ordinal"])
def test_alpha_is_that_of_the_package(level: str) -> None:
    krippendorff = pytest.importorskip("krippendorff")
    rng = np.random.default_rng(1)
    for votes in (2, 3, 5):
        counts = rng.multinomial(votes, [0.5, 0.3, 0.15, 0.05], size=80)
        counts[rng.random(80) < 0.2] = [1, 0, 0, 0]  # one vote alone, which counts for nothing
        reference = krippendorff.alpha(value_counts=counts, level_of_measurement=level, dtype=np.float64)
        assert alpha(counts, level, resamples=10)[0] == pytest.approx(reference, abs=1e-12)  # type: ignore[arg-type]


votes = st.lists(st.lists(st.sampled_from("abc"), min_size=2, max_size=4), min_size=2, max_size=12)


def _table(rows: list[list[str]]) -> np.ndarray:
    return np.array([[row.count(label) for label in "abc"] for row in rows], np.int64)


@given(votes, st.sampled_from(["nominal", "ordinal"]))
@settings(max_examples=60, deadline=None)
def test_alpha_is_a_loop_over_pairs_of_votes(rows: list[list[str]], level: str) -> None:
    """The definition in plain float64: observed over expected disagreement of pairs."""
    values = [v for row in rows for v in row]
    n, given_ = len(values), {label: values.count(label) for label in "abc"}

    def apart(a: str, b: str) -> float:
        if level == "nominal":
            return float(a != b)
        low, high = sorted((a, b))
        between = sum(given_[label] for label in "abc" if low <= label <= high)
        return 0.0 if a == b else (between - (given_[a] + given_[b]) / 2) ** 2

    observed = sum(sum(apart(a, b) for a, b in permutations(row, 2)) / (len(row) - 1) for row in rows) / n
    expected = sum(apart(a, b) for a, b in permutations(values, 2)) / (n * (n - 1))
    value = alpha(_table(rows), level, resamples=2)[0]  # type: ignore[arg-type]
    assert np.isnan(value) if expected == 0 else value == pytest.approx(1 - observed / expected, abs=1e-9)


@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(2, 5)), min_size=2, max_size=12))
@settings(max_examples=40, deadline=None)
def test_perfect_agreement_is_one(rows: list[tuple[str, int]]) -> None:
    for level in ("nominal", "ordinal"):
        value, low, high = alpha(_table([[label] * n for label, n in rows]), level, resamples=50)  # type: ignore[arg-type]
        if len({label for label, _ in rows}) == 1:
            assert np.isnan(value)
        else:
            assert value == pytest.approx(1)
            assert np.isnan(low) or (low == pytest.approx(1) and high == pytest.approx(1))


@given(votes, st.randoms(use_true_random=False))
@settings(max_examples=40, deadline=None)
def test_neither_the_order_of_annotators_nor_of_memes_matters(rows: list[list[str]], random: object) -> None:
    before = alpha(_table(rows), "nominal", resamples=2)[0]
    for row in rows:
        random.shuffle(row)  # type: ignore[attr-defined]
    random.shuffle(rows)  # type: ignore[attr-defined]
    assert alpha(_table(rows), "nominal", resamples=2)[0] == pytest.approx(before, nan_ok=True)


def test_ordinal_counts_far_labels_more() -> None:
    near = np.array([[5, 0, 0], [0, 0, 5], [1, 1, 0], [0, 5, 0]])
    far = np.array([[5, 0, 0], [0, 0, 5], [1, 0, 1], [0, 5, 0]])
    assert alpha(near, "ordinal")[0] > alpha(far, "ordinal")[0]


def test_alpha_keeps_leading_axes() -> None:
    each = coincidences(np.array([[2, 0], [1, 1], [0, 2]]))
    both = np.stack([each.sum(axis=0), each[:2].sum(axis=0)])
    assert alpha_of(both, "nominal").tolist() == [
        pytest.approx(float(alpha_of(each.sum(axis=0), "nominal"))),
        pytest.approx(float(alpha_of(each[:2].sum(axis=0), "nominal"))),
    ]


def test_memes_of_one_cluster_are_drawn_together() -> None:
    counts = np.array([[2, 0], [0, 2], [1, 1], [2, 0]] * 10)
    _, low, high = alpha(counts, "nominal")
    repeated = np.arange(40) % 4  # the same four memes ten times over
    _, wide_low, wide_high = alpha(counts, "nominal", repeated)
    assert wide_high - wide_low > high - low


def _memes(votes: list[list[str]], lang: str = "en", name: str = "multi3hate") -> list[Meme]:
    return [
        Meme(
            text="x",
            id=f"{lang}_{number}",
            lang=lang,
            labels={"hateful": "hateful" if its.count("hateful") * 2 > len(its) else "not-hateful"},
            source=name,
            meta={"meme_id": number, "votes": {"hate": its}},
        )
        for number, its in enumerate(votes)
    ]


def test_votes_by_language_and_over_all_of_them() -> None:
    # English annotators are at one on every meme, German ones too, and each says the opposite of the other.
    english = [["hateful"] * 3 if n % 2 else ["not_hateful"] * 3 for n in range(30)]
    german = [["not_hateful"] * 3 if n % 2 else ["hateful"] * 3 for n in range(30)]
    memes = _memes(english) + _memes(german, "de")
    found = {a.where: a for a in vote_agreement(memes, ["multi3hate"] * 60, group(memes))}
    assert set(found) == {"multi3hate:en", "multi3hate:de", "multi3hate: all votes on a meme"}
    assert found["multi3hate:en"].task == "hateful"
    assert (found["multi3hate:en"].memes, found["multi3hate:en"].votes) == (30, 90)
    assert found["multi3hate:de"].alpha == pytest.approx(1)
    # All together: of six votes three and three on each of 30 memes: observed 3/5, expected 180 * 90 / (180 * 179).
    assert found["multi3hate: all votes on a meme"].votes == 180
    assert found["multi3hate: all votes on a meme"].alpha == pytest.approx(1 - 0.6 * 179 / 90)
    between = {a.where: a for a in label_agreement(memes, ["multi3hate"] * 60, group(memes))}
    # Two labels on each meme, always different: observed 1, expected 60 * 30 / (60 * 59).
    assert between["multi3hate:de / multi3hate:en"].alpha == pytest.approx(1 - 59 / 30)


def test_votes_with_several_labels_are_a_yes_or_no_for_each() -> None:
    both, one = [["race"], ["race", "religion"]], [["religion"], ["religion"]]
    memes = [
        Meme(id=str(n), source="fhm_fine_grained", meta={"votes": {"protected_category": both if n % 2 else one}})
        for n in range(40)
    ]
    found = {a.task: a for a in vote_agreement(memes, ["fhm_fine_grained"] * 40, group(memes))}
    assert found["protected_category=race"].alpha == pytest.approx(1)
    # religion: 20 memes yes yes, 20 no yes: observed 20/40; 60 yes, 20 no: expected 2 * 60 * 20 / (80 * 79).
    assert found["protected_category=religion"].alpha == pytest.approx(1 - 0.5 * 80 * 79 / 2400)


def test_a_row_that_stands_in_two_splits_does_not_agree_with_itself() -> None:
    def rows(split: str) -> list[Meme]:
        return [
            Meme(Path(f"/x/img/{n}.png"), "t", f"{n}", "en", {"hateful": "hateful"}, source="fhm", split=split)
            for n in range(30)
        ]

    memes = rows("val") + rows("val_seen")
    assert label_agreement(memes, ["fhm"] * 60, group(memes)) == []


@pytest.mark.real
def test_votes_of_multi3hate(real_data: Path) -> None:
    krippendorff = pytest.importorskip("krippendorff")
    import csv

    from memescope.curation.collection import collect

    collection = collect([real_data / "native" / "multi3hate"])
    found = {a.where: a for a in vote_agreement(collection.memes, collection.names, group(collection.memes))}
    with (real_data / "native/multi3hate/data/raw_annotations.csv").open(encoding="utf-8") as file:
        raw = list(csv.DictReader(file))
    for lang, votes in {"en": 1388, "de": 1405, "es": 1423, "hi": 1429, "zh": 1438}.items():
        counts: dict[str, list[int]] = {}
        for row in raw:
            if row["dataset_language"] == lang:
                counts.setdefault(row["Meme ID"], [0, 0])[int(float(row["hatespeech"]))] += 1
        reference = krippendorff.alpha(value_counts=list(counts.values()), level_of_measurement="nominal")
        here = found[f"multi3hate:{lang}"]
        assert (here.memes, here.votes) == (300, votes)
        assert here.alpha == pytest.approx(reference)
        assert here.low < here.alpha < here.high
    assert found["multi3hate: all votes on a meme"].votes == 7083
