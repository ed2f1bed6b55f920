"""Does a rationale tell its label to a reader who sees nothing else? TF-IDF of words and pairs, logistic regression.

Read out of fold: a rationale is judged by a classifier that saw neither it nor one of the same meme. Four readings
beside each other: `rationale` as written; `masked`, without the words that name the label (and what grades or denies
them directly); `silent`, without the sentences that have such a word; and the meme's own `text`, for what the label
owes to the meme. Sufficiency as in DeYoung et al., ERASER, ACL 2020, asked of free text.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from memescope.errors import MissingExtra
from memescope.evaluation.intervals import Comparison, Figure, compare, distributions, interval
from memescope.evaluation.linear import Choice, fit_predict
from memescope.evaluation.metrics import Scored, label_indices
from memescope.rationales.naming import named_labels
from memescope.rationales.rules import sentences_in
from memescope.taxonomy.tasks import Task

FOLDS = 5
FEWEST = 50
"""With fewer labelled rationales there is nothing to learn from."""
_C = 3.0  # of the TF-IDF floor of `eval`, fixed: a choice within each fold would cost ten times as much
_SHOWN = ("auroc", "macro_f1", "accuracy")
_GRADE = r"(?:(?:not|very|somewhat|slightly|partially|moderately|highly|extremely|potentially|more|less|most)\s+)*"


@dataclass(frozen=True)
class Sufficiency:
    """`figures[reading][figure]`, the masked rationale's advantage over the text, and each row's probability of its own
    label from the rationale as written and masked; NaN for rows without a label."""

    rows: int
    figures: dict[str, dict[str, Figure]]
    over_text: dict[str, Comparison]
    own: NDArray[np.float64]
    own_masked: NDArray[np.float64]


def mask_label(text: str, task: Task) -> str:
    """The text with the words that name a label, and those that grade or deny them directly before them, as `_`."""
    for word in sorted(named_labels(text, task), key=len, reverse=True):
        text = re.sub(rf"(?i)(?<!\w){_GRADE}{re.escape(word)}(?!\w)", "_", text)
    return text


def silent_sentences(text: str, task: Task) -> str:
    """The sentences of a text that name no label."""
    return " ".join(sentence for sentence in sentences_in(text) if not named_labels(sentence, task))


def sufficiency(
    rationales: Sequence[str],
    texts: Sequence[str],
    labels: Sequence[str | None],
    task: Task,
    groups: NDArray[np.int64],
    seed: int = 0,
) -> Sufficiency | None:
    """How well `task`'s label is read from each rationale, out of fold by `groups` (n,).

    None where too few are labelled, or all alike, or the task is multilabel. `MissingExtra` without scikit-learn.
    """
    rows = np.array([i for i, label in enumerate(labels) if label is not None], dtype=np.int64)
    if task.kind == "multilabel" or len(rows) < FEWEST or len({labels[i] for i in rows}) < 2:
        return None
    truth = label_indices(task.kind, task.labels, [str(labels[i]) for i in rows]).astype(np.int64)
    cluster = np.unique(groups[rows], return_inverse=True)[1].astype(np.int64)
    fold = np.random.default_rng(seed).permutation(int(cluster.max()) + 1)[cluster] % FOLDS
    readings = {
        "rationale": [rationales[i] for i in rows],
        "masked": [mask_label(rationales[i], task) for i in rows],
        "silent": [silent_sentences(rationales[i], task) for i in rows],
        "text": [texts[i] for i in rows],
    }
    systems = {name: _read(some, truth, task, fold) for name, some in readings.items()}
    drawn = distributions(systems, cluster, seed=seed)
    own = {name: np.full(len(labels), np.nan) for name in ("rationale", "masked")}
    for name, values in own.items():
        values[rows] = systems[name].probabilities[np.arange(len(rows)), truth]
    return Sufficiency(
        len(rows),
        {name: {figure: interval(its[figure]) for figure in _SHOWN} for name, its in drawn.items()},
        {figure: compare(drawn["masked"][figure], drawn["text"][figure], figure) for figure in _SHOWN},
        own["rationale"],
        own["masked"],
    )


def _read(texts: Sequence[str], truth: NDArray[np.int64], task: Task, fold: NDArray[np.int64]) -> Scored:
    """What a classifier of the other folds says of each text."""
    probabilities = np.zeros((len(texts), len(task.labels)))
    for number in range(FOLDS):
        inside, outside = np.flatnonzero(fold != number).tolist(), np.flatnonzero(fold == number).tolist()
        if inside and outside:
            before, after = _tfidf([texts[i] for i in inside], [texts[i] for i in outside])
            choice = Choice(_C, 0.0, 0.0)
            probabilities[outside] = fit_predict(before, truth[inside], after, len(task.labels), choice)[1]
    return Scored(
        task.kind, task.labels, truth, probabilities.argmax(axis=1), probabilities, np.zeros(len(truth), bool)
    )


def _tfidf(train: Sequence[str], test: Sequence[str]) -> tuple[Any, Any]:
    try:
        from scipy.sparse import csr_matrix
        from sklearn.feature_extraction.text import TfidfVectorizer
    except ImportError:
        raise MissingExtra("the sufficiency score of `rationales audit`", "train") from None
    vectoriser = TfidfVectorizer(ngram_range=(1, 2), min_df=2, sublinear_tf=True)
    try:
        return vectoriser.fit_transform(train), vectoriser.transform(test)
    except ValueError:  # no word stands in two texts: the rates are all there is to learn
        return csr_matrix((len(train), 1)), csr_matrix((len(test), 1))
