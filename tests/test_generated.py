"""Figures of written text: values worked out by hand, independent float64 references, empty and odd texts."""

from __future__ import annotations

import math
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from memescope.errors import UsageError
from memescope.evaluation.generated import (
    TEXT_FIGURES,
    compare_texts,
    distinct,
    matching,
    means,
    text_figures,
    words_of,
)


class OneHot:
    """An encoder whose vectors can be seen through: each word its own direction, a text the sum of its words."""

    name, version, dim, max_tokens = "one-hot", "1", 32, 64

    def __init__(self) -> None:
        self._places: dict[str, int] = {}

    def _row(self, word: str) -> np.ndarray:
        return np.eye(self.dim, dtype=np.float32)[self._places.setdefault(word, len(self._places))]

    def tokens(self, texts):
        special = np.full((1, self.dim), 0.5, np.float32)  # would match anything: must not be counted
        return [np.concatenate([special, *[self._row(w)[None] for w in text.split()], special]) for text in texts]

    def offsets(self, texts):
        return [np.array([(0, 0), *[(i, i + 1) for i in range(len(text.split()))], (0, 0)]) for text in texts]

    def pooled(self, texts):
        return np.stack([sum(self._row(word) for word in text.split()) for text in texts])


def one(written: str, reference: str) -> dict[str, float]:
    found = text_figures([written], [reference], OneHot())
    assert tuple(found) == TEXT_FIGURES
    return {name: float(values[0]) for name, values in found.items()}


def test_by_hand():
    """Written: the cat sat on mat (5 words). Reference: the cat sat on a mat (6)."""
    found = one("the cat sat on mat", "the cat sat on a mat")
    # precisions 5/5, 3/4, 2/3, 1/2; shorter than the reference: times exp(1 - 6/5)
    assert found["bleu"] == pytest.approx(math.exp(1 - 6 / 5) * (1 * 3 / 4 * 2 / 3 * 1 / 2) ** 0.25, abs=1e-9)
    # common subsequence of 5: precision 5/5, recall 5/6
    assert found["rouge_l"] == pytest.approx(2 * 1 * (5 / 6) / (1 + 5 / 6), abs=1e-9)
    # 5 words matched in 2 runs: F = PR / (0.9 P + 0.1 R), penalty 0.5 (2/5)^3
    assert found["meteor"] == pytest.approx((5 / 6) / (0.9 + 0.1 * 5 / 6) * (1 - 0.5 * (2 / 5) ** 3), abs=1e-9)
    assert found["similarity"] == pytest.approx(5 / math.sqrt(5 * 6), abs=1e-6)
    # each written word stands in the reference; of that, 5 of 6 stand in what was written
    assert found["bertscore"] == pytest.approx(2 * (5 / 6) / (1 + 5 / 6), abs=1e-6)
    assert (found["distinct_1"], found["distinct_2"], found["words"]) == (1.0, 1.0, 5.0)


def test_bertscore_by_hand():
    """a b against a c c: precision 1/2, recall 1/3."""
    assert one("a b", "a c c")["bertscore"] == pytest.approx(2 * (1 / 2) * (1 / 3) / (5 / 6), abs=1e-6)
    assert matching(np.array([[1.0, 0.0]]), np.array([[0.6, 0.8], [0.0, 1.0]])) == pytest.approx(
        2 * 0.6 * 0.3 / 0.9, abs=1e-9
    )


def test_meteor_takes_stems_for_words():
    """`sitting` and `sits` share a stem: all 3 words match in one run, 1 - 0.5 (1/3)^3."""
    assert one("dogs sitting here", "dog sits here")["meteor"] == pytest.approx(1 - 0.5 / 27, abs=1e-9)


def test_distinct_is_of_what_was_written():
    found = one("no no no no", "every word another one")
    assert found["distinct_1"] == 1 / 4
    assert found["distinct_2"] == 1 / 3
    assert distinct(["a"], 2) == 0.0


def test_an_empty_text_has_nothing():
    found = one("", "the cat sat")
    assert all(value == 0.0 for value in found.values())
    assert one("the cat", "")["similarity"] == 0.0


def test_marks_are_words_of_their_own():
    assert words_of('"Prediction": Neutral.') == ["``", "prediction", "''", ":", "neutral", "."]


def bleu(written: list[str], reference: list[str]) -> float:
    """BLEU-4 of one text as the paper has it, in float64."""
    logs = 0.0
    for n in range(1, 5):
        a, b = (Counter(tuple(some[i : i + n]) for i in range(len(some) - n + 1)) for some in (written, reference))
        hits = sum(min(count, b[run]) for run, count in a.items())
        if not hits:
            return 0.0
        logs += math.log(hits / sum(a.values())) / 4
    return math.exp(logs) * min(1.0, math.exp(1 - len(reference) / len(written)))


def common(a: list[str], b: list[str]) -> int:
    table = np.zeros((len(a) + 1, len(b) + 1), int)
    for i, x in enumerate(a):
        for j, y in enumerate(b):
            table[i + 1, j + 1] = table[i, j] + 1 if x == y else max(table[i, j + 1], table[i + 1, j])
    return int(table[-1, -1])


WORDS = st.lists(st.sampled_from(["red", "blue", "green", "cat", "dog", "sun"]), min_size=1, max_size=14)


@settings(max_examples=60, deadline=None)
@given(WORDS, WORDS)
def test_bleu_and_rouge_equal_their_definitions(a, b):
    found = one(" ".join(a), " ".join(b))
    assert found["bleu"] == pytest.approx(bleu(a, b), abs=1e-9)
    length = common(a, b)
    p, r = length / len(a), length / len(b)
    assert found["rouge_l"] == pytest.approx(2 * p * r / (p + r) if length else 0.0, abs=1e-9)


@settings(max_examples=40, deadline=None)
@given(st.text(max_size=40), st.text(max_size=40))
def test_any_text_gives_numbers(a, b):
    found = text_figures([a, a], [b, a])
    for name, values in found.items():
        assert np.isfinite(values).all(), name
        if name != "words":
            assert (values <= 1 + 1e-5).all(), name


def test_means_and_differences_are_paired_by_meme():
    figures = {"bleu": np.array([0.0, 1.0, 1.0]), "words": np.array([3.0, 4.0, 5.0])}
    lower = {"bleu": figures["bleu"] - 0.25, "words": figures["words"]}
    cluster = np.array([0, 1, 1])
    found = means(figures, cluster, resamples=200)
    assert found["bleu"].value == pytest.approx(2 / 3)
    assert (found["bleu"].low, found["bleu"].high) == (0.0, 1.0)
    less = compare_texts(figures, lower, cluster, resamples=200)
    assert set(less) == {"bleu"}
    assert (less["bleu"].low, less["bleu"].high) == (pytest.approx(0.25), pytest.approx(0.25))
    assert less["bleu"].verdict == "better"


def test_texts_without_a_reference_are_refused():
    with pytest.raises(UsageError, match="2 written texts and 1 references"):
        text_figures(["a", "b"], ["a"], OneHot())
