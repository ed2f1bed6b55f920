"""What any model has to beat, fitted in the same run on the set's own training split.

| name | what it is |
|---|---|
| majority | the most frequent training label, with the training rates as probabilities |
| tfidf | words (1-2) and characters (3-5) of the text, TF-IDF, logistic regression |
| probe | logistic regression on the packaged frozen text and vision features, standardised |

All are trained on the given text; with `--text ocr` they read the OCR text at test time, as the model does.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
from numpy.typing import NDArray

from memescope.cache import Cache, content_key
from memescope.curation.identity import Identity, Progress
from memescope.errors import MissingExtra
from memescope.evaluation.features import TEXT, VISION, encode
from memescope.evaluation.intervals import clusters
from memescope.evaluation.linear import Choice, choose, fit_predict
from memescope.evaluation.metrics import label_indices
from memescope.evaluation.predictions import Said, rounded
from memescope.meme import Meme
from memescope.taxonomy import Task

BASELINES = ("majority", "tfidf", "probe")
VERSION = "2"  # part of every cache key: raise it when anything here or in linear.py changes the answers
_TFIDF_C = (0.3, 1.0, 3.0, 10.0)
_PROBE_C = (3e-4, 1e-3, 3e-3, 1e-2)


def answer_baselines(
    tasks: Sequence[Task],
    train: Sequence[Meme],
    test: Sequence[Meme],
    train_identities: Sequence[Identity],
    test_identities: Sequence[Identity],
    *,
    names: Sequence[str] = BASELINES,
    seed: int = 0,
    progress: Progress = lambda stage, done, total: None,
) -> dict[str, dict[str, list[Said]]]:
    """`{baseline: {task: what it says of each test row}}` for these `names`; a task without two labels in `train` is
    left out.

    All pictures must be readable. Answers are kept by content of both splits, so a second model on the same set costs
    nothing here.
    """
    cache = Cache("baselines")
    rows = [_content(train, train_identities), _content(test, test_identities)]
    answers: dict[str, dict[str, list[Said]]] = {name: {} for name in names}
    inputs = _Inputs(train, test, train_identities, test_identities, progress)
    jobs = [(name, task) for name in names for task in tasks if _varied(task, train)]
    for done, (name, task) in enumerate(jobs):
        key = content_key(VERSION, name, inputs.version(name), task.name, list(task.labels), seed, rows)
        stored = cache.get([key])
        if key not in stored:
            said = _answer(name, task, train, inputs, seed, cache, rows[0])
            stored[key] = json.dumps([one.to_dict() for one in said]).encode()
            cache.put({key: stored[key]})
        answers[name][task.name] = [Said(**one) for one in json.loads(stored[key])]
        progress("baselines", done + 1, len(jobs))
    return answers


class _Inputs:
    """Feature matrices of both splits, made when first asked for."""

    def __init__(
        self,
        train: Sequence[Meme],
        test: Sequence[Meme],
        train_identities: Sequence[Identity],
        test_identities: Sequence[Identity],
        progress: Progress,
    ) -> None:
        self._train, self._test = train, test
        self._identities = (train_identities, test_identities)
        self._progress = progress
        self._made: dict[str, tuple[Any, Any]] = {}
        self.groups = clusters([identity.keys for identity in train_identities])
        self.test_rows = len(test)

    def version(self, name: str) -> str:
        if name != "probe":
            return ""
        from memescope.backbones import load_text_encoder, load_vision_encoder

        return f"{load_text_encoder(TEXT).version} {load_vision_encoder(VISION).version}"

    def matrices(self, name: str) -> tuple[Any, Any]:
        if name not in self._made:
            self._made[name] = self._tfidf() if name == "tfidf" else self._features()
        return self._made[name]

    def _tfidf(self) -> tuple[Any, Any]:
        try:
            from scipy.sparse import csr_matrix, hstack
            from sklearn.feature_extraction.text import TfidfVectorizer
        except ImportError:
            raise MissingExtra("the TF-IDF baseline of `eval`", "train") from None
        texts, others = [meme.text for meme in self._train], [meme.text for meme in self._test]
        least = 2 if len(texts) >= 100 else 1
        parts = []
        for settings in ({"ngram_range": (1, 2)}, {"analyzer": "char_wb", "ngram_range": (3, 5)}):
            vectoriser = TfidfVectorizer(min_df=least, sublinear_tf=True, **settings)
            try:
                parts.append((vectoriser.fit_transform(texts), vectoriser.transform(others)))
            except ValueError:  # no text has a word: there is nothing to learn from, and the intercept is what is left
                parts.append((csr_matrix((len(texts), 1)), csr_matrix((len(others), 1))))
        return hstack([a for a, _ in parts]).tocsr(), hstack([b for _, b in parts]).tocsr()

    def _features(self) -> tuple[Any, Any]:
        train = encode(self._train, self._identities[0], self._progress)
        test = encode(self._test, self._identities[1], self._progress)
        mean, scale = train.mean(axis=0), train.std(axis=0) + 1e-6
        return (train - mean) / scale, (test - mean) / scale


def _answer(
    name: str, task: Task, train: Sequence[Meme], inputs: _Inputs, seed: int, cache: Cache, content: str
) -> list[Said]:
    """One baseline's answers to one task. What was chosen on the training split (`content`) serves any test split."""
    rows = np.array([i for i, meme in enumerate(train) if task.name in meme.labels])
    truth = label_indices(task.kind, task.labels, [train[i].labels[task.name] for i in rows])
    if name == "majority":
        return _majority(task, truth, inputs.test_rows)
    before, after = inputs.matrices(name)
    groups = np.unique(inputs.groups[rows], return_inverse=True)[1]
    strengths = _TFIDF_C if name == "tfidf" else _PROBE_C
    key = content_key("choice", VERSION, name, inputs.version(name), task.name, list(task.labels), seed, content)
    stored = cache.get([key])
    if key not in stored:
        choice = choose(before[rows], truth, len(task.labels), groups, strengths, seed)
        stored[key] = json.dumps(asdict(choice)).encode()
        cache.put(stored)
    choice = Choice(**json.loads(stored[key]))
    return said(task, *fit_predict(before[rows], truth, after, len(task.labels), choice))


def said(task: Task, predicted: NDArray[np.generic], probabilities: NDArray[np.float64]) -> list[Said]:
    """Label indices (m,) or bool (m, k), and probabilities (m, k), as one `Said` a row."""
    if task.kind == "multilabel":
        labels: list[Any] = [[task.labels[j] for j in np.flatnonzero(row)] for row in predicted]
    else:
        labels = [task.labels[int(index)] for index in predicted]
    return [
        Said(label, rounded(dict(zip(task.labels, map(float, row), strict=True))))
        for label, row in zip(labels, probabilities, strict=True)
    ]


def _majority(task: Task, truth: NDArray[np.generic], rows: int) -> list[Said]:
    k = len(task.labels)
    if task.kind == "multilabel":
        rates = truth.mean(axis=0)
        return said(task, np.tile(rates > 0.5, (rows, 1)), np.tile(rates, (rows, 1)))
    rates = np.bincount(truth.astype(int), minlength=k) / len(truth)
    return said(task, np.full(rows, rates.argmax()), np.tile(rates, (rows, 1)))


def _varied(task: Task, train: Sequence[Meme]) -> bool:
    return len({json.dumps(meme.labels[task.name]) for meme in train if task.name in meme.labels}) > 1


def _content(memes: Sequence[Meme], identities: Sequence[Identity]) -> str:
    return content_key(
        [[meme.text, identity.picture, meme.labels] for meme, identity in zip(memes, identities, strict=True)],
        [[list(key) for key in identity.keys] for identity in identities],
    )
