"""Further columns beside text and picture (MM-ORIENT's task-specific features), each asked for as NAME or NAME=VALUE.

| column | gives |
|---|---|
| surface | 8 figures of the text as it stands: length, capitals, exclamation and question marks ... |
| lexicon=FILE | the share of the text's words in each category of a word list, by mean score where it has scores |
| file=FILE | figures computed elsewhere, by meme id, after a 1 for memes that the file has |
| pooled=MODEL | a text encoder's pooled vector |
| probabilities=MODEL | a text classifier's probabilities (transformers) |

The paper joins 784 of them: RoBERTa trained on toxicity (768), NRCLex emotions (11), Stanford CoreNLP sentiment (5). Of
these the first is `pooled=` or `probabilities=` with a toxicity model, the second `lexicon=` with the NRC emotion
lexicon, which its authors give out for research only, so it does not ship; the third `file=`.

All read the meme's text as it is given, before cleaning: capitals and exclamation marks are gone after it.

Shape letters: `b` memes, `x` columns.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from memescope.backbones import load_text_encoder
from memescope.backbones.hub import content_version, load_transformers, readable
from memescope.errors import UsageError
from memescope.meme import Meme

_WORD = re.compile(r"[^\W\d_]+(?:['’][^\W\d_]+)*")
_AT_ONCE = 32


class Column(Protocol):
    """Some columns of numbers. `version` changes whenever they could; `names` has one entry for each."""

    version: str
    names: tuple[str, ...]

    def __call__(self, memes: Sequence[Meme]) -> np.ndarray:
        """float32 (b, x)."""
        ...


class Surface:
    """What the text looks like: logarithms of its characters, words and lines, and shares of its characters or words
    that are capitals, in capitals, exclamation marks, question marks, digits. All 0 for an empty text."""

    version: str = "surface/1"
    names: tuple[str, ...] = (
        "characters",
        "words",
        "lines",
        "capitals",
        "shouted",
        "exclamations",
        "questions",
        "digits",
    )

    def __call__(self, memes: Sequence[Meme]) -> np.ndarray:
        """float32 (b, 8)."""
        return np.array([self._of(meme.text.strip()) for meme in memes], np.float32).reshape(len(memes), 8)

    @staticmethod
    def _of(text: str) -> list[float]:
        words, long = _WORD.findall(text), max(1, len(text))
        letters = max(1, sum(c.isalpha() for c in text))
        shouted = sum(word.isupper() and len(word) > 1 for word in words)
        return [
            np.log1p(len(text)),
            np.log1p(len(words)),
            np.log1p(len(text.splitlines())),
            sum(c.isupper() for c in text) / letters,
            shouted / max(1, len(words)),
            text.count("!") / long,
            text.count("?") / long,
            sum(c.isdigit() for c in text) / long,
        ]


class Lexicon:
    """A word list: tab-separated lines of word and score (AFINN), or word, category and score (NRC's word-level form).

    Each category gives the sum of the scores of the text's words over the number of its words. Single words only.
    """

    def __init__(self, file: str) -> None:
        path = Path(file)
        try:
            raw = path.read_bytes()
            rows = [line.split("\t") for line in raw.decode("utf-8-sig").splitlines() if line.strip()]
            entries = [(row[0].lower(), row[1] if len(row) == 3 else "score", float(row[-1])) for row in rows]
            if not entries or any(len(row) not in (2, 3) for row in rows):
                raise ValueError("a line without 2 or 3 fields" if entries else "no lines")
        except (OSError, ValueError, IndexError) as error:
            raise UsageError(f"lexicon={file}: expected lines of word, [category,] score with tabs: {error}") from None
        self.names = tuple(sorted({category for _, category, _ in entries}))
        place = {name: i for i, name in enumerate(self.names)}
        self._words: dict[str, list[tuple[int, float]]] = {}
        for word, category, score in entries:
            if score:
                self._words.setdefault(word, []).append((place[category], score))
        self.version = f"lexicon/1@{sha256(raw).hexdigest()[:12]}"

    def __call__(self, memes: Sequence[Meme]) -> np.ndarray:
        """float32 (b, categories)."""
        found = np.zeros((len(memes), len(self.names)), np.float32)
        for row, meme in zip(found, memes, strict=True):
            words = _WORD.findall(meme.text.lower())
            for word in words:
                for place, score in self._words.get(word, ()):
                    row[place] += score / len(words)
        return found


class Stored:
    """Figures by meme id: JSONL of `{"id", "values": [...]}`. A meme that the file does not have gets zeros."""

    def __init__(self, file: str) -> None:
        try:
            raw = Path(file).read_bytes()
            rows = [json.loads(line) for line in raw.decode("utf-8").splitlines() if line.strip()]
            values = {str(row["id"]): np.array(row["values"], np.float32) for row in rows}
            widths = {value.shape for value in values.values()}
            if len(widths) != 1 or len(next(iter(widths))) != 1:
                raise ValueError(f"shapes {sorted(widths)} of values")
            if not all(np.isfinite(value).all() for value in values.values()):
                raise ValueError("values that are not finite")
        except (OSError, ValueError, KeyError, TypeError) as error:
            wanted = 'JSONL of {"id", "values": [numbers]}, as many for every meme'
            raise UsageError(f"file={file}: expected {wanted}: {error}") from None
        self._values = values
        self.names = ("given", *(f"value {i}" for i in range(next(iter(widths))[0])))
        self.version = f"file/1@{sha256(raw).hexdigest()[:12]}"

    def __call__(self, memes: Sequence[Meme]) -> np.ndarray:
        """float32 (b, 1 + values)."""
        found = np.zeros((len(memes), len(self.names)), np.float32)
        for row, meme in zip(found, memes, strict=True):
            value = self._values.get(meme.id)
            if value is not None:
                row[0], row[1:] = 1, value
        return found


class Pooled:
    """A text encoder's pooled vector; zeros for an empty text."""

    def __init__(self, model: str) -> None:
        self._encoder = load_text_encoder(model)
        self.version = f"pooled {self._encoder.version}"
        self.names = tuple(f"pooled {i}" for i in range(self._encoder.dim))

    def __call__(self, memes: Sequence[Meme]) -> np.ndarray:
        """float32 (b, d)."""
        found = np.zeros((len(memes), len(self.names)), np.float32)
        some = [i for i, meme in enumerate(memes) if meme.text.strip()]
        found[some] = self._encoder.pooled([memes[i].text for i in some])
        return found


class Probabilities:
    """A text classifier's probabilities by its own labels, by sigmoid where several may hold; zeros for no text."""

    def __init__(self, model: str) -> None:
        transformers = load_transformers(f"text classifier {model!r}")
        with readable("text classifier", model):
            kind = transformers.AutoModelForSequenceClassification
            self._model = kind.from_pretrained(model, use_safetensors=True, dtype="float32").eval()
            self._tokenizer = transformers.AutoTokenizer.from_pretrained(model)
        config = self._model.config
        self._several = config.problem_type == "multi_label_classification" or config.num_labels == 1
        self._most = min(
            512, int(getattr(config, "max_position_embeddings", 514)) - 2, self._tokenizer.model_max_length
        )
        self.names = tuple(str(config.id2label[i]) for i in range(config.num_labels))
        self.version = f"probabilities {content_version(model, config)}"

    def __call__(self, memes: Sequence[Meme]) -> np.ndarray:
        """float32 (b, labels)."""
        import torch

        found = np.zeros((len(memes), len(self.names)), np.float32)
        some = [i for i, meme in enumerate(memes) if meme.text.strip()]
        for start in range(0, len(some), _AT_ONCE):
            part = some[start : start + _AT_ONCE]
            texts = [memes[i].text for i in part]
            batch = self._tokenizer(texts, padding=True, truncation=True, max_length=self._most, return_tensors="pt")
            with torch.inference_mode():
                logits = self._model(**batch).logits
            found[part] = (logits.sigmoid() if self._several else logits.softmax(-1)).numpy()
        return found


def _surface(value: str) -> Column:
    if value:
        raise UsageError(f"column surface takes no value, found surface={value}")
    return Surface()


COLUMNS: dict[str, Callable[[str], Column]] = {
    "surface": _surface,
    "lexicon": Lexicon,
    "file": Stored,
    "pooled": Pooled,
    "probabilities": Probabilities,
}
"""What can be asked for. Another kind is one function more: from its value to something that is a `Column`."""


def open_column(asked: str) -> Column:
    """A column from `NAME` or `NAME=VALUE`. Raises `UsageError` for an unknown name or a bad value."""
    name, _, value = asked.partition("=")
    if name not in COLUMNS or (not value and name != "surface"):
        names = ", ".join(one if one == "surface" else f"{one}=..." for one in COLUMNS)
        raise UsageError(f"column {asked!r}: expected one of {names}")
    return COLUMNS[name](value)


def columns_of(memes: Sequence[Meme], columns: Sequence[Any]) -> np.ndarray:
    """All columns side by side: float32 (b, x)."""
    return np.concatenate([np.zeros((len(memes), 0), np.float32), *(column(memes) for column in columns)], axis=1)
