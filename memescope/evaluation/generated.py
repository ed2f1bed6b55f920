"""Figures of written text against references: how near its words and its sense are, and how varied it is.

| figure | what | between |
|---|---|---|
| bleu | sentence BLEU-4, 13a tokens, no smoothing, mean over texts (Papineni et al. 2002; sacrebleu) | 0 and 1 |
| rouge_l | F1 of the longest common subsequence of words (Lin 2004; rouge-score) | 0 and 1 |
| meteor | METEOR on lower-case Treebank words (Banerjee and Lavie 2005; nltk) | 0 and 1 |
| similarity | cosine of sentence vectors | -1 and 1 |
| bertscore | F1 of greedily matched token states by cosine, unscaled (Zhang et al. 2020) | -1 and 1 |
| distinct_1, distinct_2 | distinct words, pairs of words as a share of all *written* (Li et al. 2016) | 0 and 1 |
| words | length of the written text | 0 and up |

The first four, with the same tokens, and Distinct are those of MulCoT-RD (arXiv 2508.05234), whose released code
measures Distinct on the references, which says nothing of a model. MemeLens (arXiv 2601.12539) reports BERTScore. The
two that need an encoder use the packaged one, which is small and English: figures of another encoder cannot be compared
with them. METEOR counts synonyms only where nltk has WordNet (`synonyms_known`). An empty text has 0 everywhere.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from memescope.backbones.protocols import TextEncoder
from memescope.errors import MissingExtra, UsageError
from memescope.evaluation.intervals import RESAMPLES, Comparison, Figure, compare, interval, resample

Floats = NDArray[np.float64]
TEXT_FIGURES = ("bleu", "rouge_l", "meteor", "similarity", "bertscore", "distinct_1", "distinct_2", "words")
"""In the order of tables."""
_AT_ONCE = 64


def text_figures(
    written: Sequence[str], references: Sequence[str], encoder: TextEncoder | None = None
) -> dict[str, Floats]:
    """Every figure of each text: (n,). `encoder` is the packaged one unless given.

    Raises `UsageError` for numbers of texts that differ, and `MissingExtra` without the extra `train`.
    """
    if len(written) != len(references):
        raise UsageError(f"{len(written)} written texts and {len(references)} references: expected one of each")
    if encoder is None:
        from memescope.backbones import load_text_encoder

        encoder = load_text_encoder()
    texts, right = ([" ".join(text.split()) for text in some] for some in (written, references))
    own, other = ([words_of(text) for text in some] for some in (texts, right))
    found: dict[str, list[float]] = {
        "bleu": [_bleu(a, b) for a, b in zip(texts, right, strict=True)],
        "rouge_l": [_rouge_l(a, b) for a, b in zip(texts, right, strict=True)],
        "meteor": [_meteor(a, b) for a, b in zip(own, other, strict=True)],
        "distinct_1": [distinct(words, 1) for words in own],
        "distinct_2": [distinct(words, 2) for words in own],
        "words": [float(len(text.split())) for text in texts],
    }
    figures = {name: np.array(values, np.float64) for name, values in found.items()}
    figures["similarity"], figures["bertscore"] = _by_sense(texts, right, encoder)
    return {name: figures[name] for name in TEXT_FIGURES}


def means(
    figures: dict[str, Floats], cluster: NDArray[np.int64], resamples: int = RESAMPLES, seed: int = 0
) -> dict[str, Figure]:
    """The mean of each figure over texts, with its interval by the bootstrap over clusters (n,)."""
    return {name: interval(values) for name, values in _drawn(figures, cluster, resamples, seed).items()}


def compare_texts(
    first: dict[str, Floats],
    second: dict[str, Floats],
    cluster: NDArray[np.int64],
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> dict[str, Comparison]:
    """First less second, paired: both wrote about the same memes, in one order. `words` is not judged."""
    a, b = (_drawn(one, cluster, resamples, seed) for one in (first, second))
    return {name: compare(a[name], b[name], name) for name in a if name != "words"}


def _drawn(figures: dict[str, Floats], cluster: NDArray[np.int64], resamples: int, seed: int) -> dict[str, Floats]:
    """(1 + r,): the mean itself, then that of each resample."""
    names = list(figures)
    table = np.stack([figures[name] for name in names], axis=1)
    rows = [table.mean(axis=0)[None]]
    for weights in resample(cluster, resamples, seed):
        rows.append(weights @ table / weights.sum(axis=1, keepdims=True))
    drawn = np.concatenate(rows)
    return {name: drawn[:, column] for column, name in enumerate(names)}


def distinct(words: Sequence[str], n: int) -> float:
    """Distinct runs of `n` words as a share of all runs; 0 where there is none."""
    runs = [tuple(words[i : i + n]) for i in range(len(words) - n + 1)]
    return len(set(runs)) / len(runs) if runs else 0.0


def words_of(text: str) -> list[str]:
    """Lower-case words by the rules of the Penn Treebank, marks apart."""
    return list(_nltk().tokenize.TreebankWordTokenizer().tokenize(text.lower()))


def synonyms_known() -> bool:
    """Whether METEOR counts synonyms: where WordNet has been put where nltk looks for it."""
    return not isinstance(_wordnet(), _NoSynonyms)


def _bleu(written: str, reference: str) -> float:
    if not written:
        return 0.0
    # a corpus of one text: sacrebleu's own `sentence_score` is the same and advises smoothing every time
    return float(_scorers()["bleu"].corpus_score([written], [[reference]]).score) / 100


def _rouge_l(written: str, reference: str) -> float:
    return float(_scorers()["rouge"].score(reference, written)["rougeL"].fmeasure)


def _meteor(written: list[str], reference: list[str]) -> float:
    if not written or not reference:
        return 0.0
    from nltk.translate.meteor_score import single_meteor_score

    return float(single_meteor_score(reference, written, wordnet=_wordnet()))


def _by_sense(written: Sequence[str], references: Sequence[str], encoder: TextEncoder) -> tuple[Floats, Floats]:
    """Sentence similarity and BERTScore of each pair."""
    similarity, matched = np.zeros(len(written)), np.zeros(len(written))
    there = [i for i in range(len(written)) if written[i] and references[i]]
    for start in range(0, len(there), _AT_ONCE):
        some = there[start : start + _AT_ONCE]
        pairs = [[texts[i] for i in some] for texts in (written, references)]
        a, b = (_unit(encoder.pooled(texts)) for texts in pairs)
        similarity[some] = (a * b).sum(axis=1)
        states = [_states(texts, encoder) for texts in pairs]
        matched[some] = [matching(x, y) for x, y in zip(*states, strict=True)]
    return similarity, matched


def _states(texts: Sequence[str], encoder: TextEncoder) -> list[NDArray[np.float32]]:
    """Token states without those of special tokens, of length 1."""
    found = []
    for states, places in zip(encoder.tokens(texts), encoder.offsets(texts), strict=True):
        found.append(_unit(states[places[:, 1] > places[:, 0]]))
    return found


def matching(written: NDArray[Any], reference: NDArray[Any]) -> float:
    """BERTScore F1 from unit vectors of tokens (t, d) and (u, d): each token is matched with its nearest."""
    if not len(written) or not len(reference):
        return 0.0
    cosines = written @ reference.T
    precision, recall = float(cosines.max(axis=1).mean()), float(cosines.max(axis=0).mean())
    return 2 * precision * recall / (precision + recall) if precision + recall > 0 else 0.0


def _unit(vectors: NDArray[Any]) -> NDArray[Any]:
    return vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-12)


class _NoSynonyms:
    """Stands for WordNet where there is none: no word has a synonym."""

    @staticmethod
    def synsets(word: str) -> list[Any]:
        return []


@cache
def _wordnet() -> Any:
    nltk = _nltk()
    for name in ("corpora/wordnet", "corpora/wordnet.zip"):
        try:
            nltk.data.find(name)
        except LookupError:
            continue
        from nltk.corpus import wordnet

        return wordnet
    return _NoSynonyms()


@cache
def _nltk() -> Any:
    try:
        import nltk.data
        import nltk.tokenize
    except ImportError:
        raise _missing() from None
    return nltk


@cache
def _scorers() -> dict[str, Any]:
    try:
        from rouge_score.rouge_scorer import RougeScorer
        from sacrebleu.metrics import BLEU
    except ImportError:
        raise _missing() from None
    return {"bleu": BLEU(smooth_method="none", effective_order=False), "rouge": RougeScorer(["rougeL"])}


def _missing() -> MissingExtra:
    return MissingExtra("figures of written text", "train")
