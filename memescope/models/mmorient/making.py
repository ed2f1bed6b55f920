"""Memes to features (PAE: preprocess, extract), the same in training and wherever a model answers.

Text: cleaned as the paper does or as our own models do. Picture: with its letters painted over (`inpaint`) or as it is.
Encoders by name, packaged or from a hub. In training every meme is encoded once and kept by content.

Noise is for experiments (question O4): Gaussian, `noise[modality]` times the spread of the meme's own numbers, on token
states and pooled text, or on regions and pooled picture. It is drawn from the meme's content, so it is the same
whatever the meme is answered with.

Shape letters: those of `features.py`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch

from memescope.backbones import load_text_encoder
from memescope.cache import Cache, content_key
from memescope.errors import UsageError
from memescope.meme import Meme
from memescope.models.mmorient.columns import columns_of, open_column
from memescope.models.mmorient.copies import COPY, picture_of_copy
from memescope.models.mmorient.features import Features
from memescope.models.mmorient.providers import PUBLISHED, load_pooled_image, load_pooled_text, load_regions
from memescope.perception.cleaning import clean
from memescope.perception.paper_cleaning import PAPER_CLEANING
from memescope.perception.pictures import Picture, open_picture

VERSION = 1
"""Raise it when the same meme would give other features."""
BATCH = 32
MODALITIES = ("text", "image")
LATER = {"most_regions": PUBLISHED, "columns": ()}
"""Settings that came later, which are left out of keys where they are as before: what was kept is still found."""


@dataclass(frozen=True)
class MakingSettings:
    """`words` and `regions` are the encoders of token states and regions, `text` and `image` those of pooled vectors.

    `clean`: "own" (`perception.cleaning`) or "paper" (letters alone, lower case). `inpaint` paints the letters over
    before the picture is encoded. `max_words` tokens of a text are kept, and `most_regions` of a detector's regions.
    What regions and pooled vectors can be: `mmorient.providers`; further `columns`: `mmorient.columns`.
    """

    words: str = "minilm"
    regions: str = "effnet-lite0"
    text: str = "minilm"
    image: str = "effnet-lite0"
    clean: Literal["own", "paper"] = "own"
    inpaint: bool = False
    max_words: int = 64
    most_regions: int = PUBLISHED
    columns: Sequence[str] = ()
    noise: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "columns", tuple(self.columns))
        if self.clean not in ("own", "paper"):
            raise UsageError(f"clean {self.clean!r}: expected own or paper")
        unknown = set(self.noise) - set(MODALITIES)
        if unknown or any(level < 0 for level in self.noise.values()):
            raise UsageError(f"noise {dict(self.noise)}: expected text and image, each with 0 or more")


class Making:
    """Makes features; `keep` keeps them in the user's cache (training), where all but the noise is found again."""

    def __init__(self, settings: MakingSettings, keep: bool = False) -> None:
        self.settings = settings
        self._words = load_text_encoder(settings.words)
        self._regions = load_regions(settings.regions, settings.most_regions)
        self._text = load_pooled_text(settings.text)
        self._image = load_pooled_image(settings.image)
        self._columns = [open_column(asked) for asked in settings.columns]
        self.versions = {name: getattr(self, f"_{name}").version for name in ("words", "regions", "text", "image")}
        self.versions |= {asked: column.version for asked, column in zip(settings.columns, self._columns, strict=True)}
        if settings.inpaint:
            from memescope.perception.inpaint import INPAINT_VERSION

            self.versions["inpaint"] = INPAINT_VERSION
        self.widths = {
            "word_width": self._words.dim,
            "region_width": self._regions.dim,
            "text_width": self._text.dim,
            "image_width": self._image.dim,
            "extra_width": sum(len(column.names) for column in self._columns),
        }
        self._cache = Cache("mmorient-features") if keep else None

    @property
    def record(self) -> dict[str, Any]:
        """What a saved model keeps of it."""
        return {"settings": asdict(self.settings), "versions": self.versions}

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> Making:
        """As it was when the model was trained. `UsageError` where an encoder is another version now."""
        made = cls(MakingSettings(**record["settings"]))
        for name, version in record["versions"].items():
            if _content(version) != _content(made.versions[name]):
                raise UsageError(
                    f"encoder of {name}: {made.versions[name]}, but the model was trained with {version}: its answers "
                    "would not be the same; fetch that version"
                )
        return made

    def cleaned(self, meme: Meme) -> str:
        """The text as it is read."""
        return PAPER_CLEANING["mmorient"](meme.text) if self.settings.clean == "paper" else clean(meme.text)

    def picture(self, meme: Meme) -> Picture | None:
        """The picture as it is looked at."""
        if meme.image is None:
            return None
        picture = open_picture(meme.image)
        if self.settings.inpaint:
            from memescope.perception.inpaint import find_lines, inpaint

            picture = inpaint(picture, find_lines(picture))
        # letters that were painted over cannot be mirrored into nonsense
        return picture_of_copy(picture, meme, mirror_letters=self.settings.inpaint)

    def offsets(self, text: str) -> np.ndarray:
        """Start and end of each token that is read, as characters of a cleaned text: int32 (t, 2)."""
        return self._words.offsets([text])[0][: self.settings.max_words]

    def boxes(self, meme: Meme) -> np.ndarray:
        """Where each region of a meme's picture is: left, top, right, bottom as fractions, float32 (r, 4)."""
        [found] = self._regions.of([meme], [self.picture(meme)])
        return np.zeros((0, 4), np.float32) if found is None else found.boxes

    def __call__(self, memes: Sequence[Meme], half: bool = False) -> Features:
        """Features float32; with `half` token states and regions in float16, as they are kept."""
        rows: list[_Row] = []
        for start in range(0, len(memes), BATCH):
            rows.extend(self._rows(memes[start : start + BATCH]))
        return self._stacked(rows, torch.float16 if half else torch.float32)

    def _rows(self, memes: Sequence[Meme]) -> list[_Row]:
        texts = [self.cleaned(meme) for meme in memes]
        if self._cache is None:
            return self._made(memes, texts)
        keys = [self._key(meme, text) for meme, text in zip(memes, texts, strict=True)]
        known = self._cache.get(keys)
        missing = [i for i, key in enumerate(keys) if key not in known]
        if missing:
            made = self._made([memes[i] for i in missing], [texts[i] for i in missing])
            fresh = {keys[i]: self._packed(row) for i, row in zip(missing, made, strict=True)}
            self._cache.put(fresh)
            known |= fresh
        return [
            self._unpacked(known[key], _seed(text, meme)) for key, text, meme in zip(keys, texts, memes, strict=True)
        ]

    def _made(self, memes: Sequence[Meme], texts: Sequence[str]) -> list[_Row]:
        pictures = [self.picture(meme) for meme in memes]
        read = [i for i, text in enumerate(texts) if text.strip()]
        seen = [(i, picture) for i, picture in enumerate(pictures) if picture is not None]
        rows = [
            _Row(
                np.zeros((0, self._words.dim), np.float32),
                np.zeros((0, self._regions.dim), np.float32),
                np.zeros(self._text.dim, np.float32),
                np.zeros(self._image.dim, np.float32),
                extra,
                _seed(text, meme),
            )
            for text, meme, extra in zip(texts, memes, columns_of(memes, self._columns), strict=True)
        ]
        if read:
            some = [texts[i] for i in read]
            for i, states, pooled in zip(read, self._words.tokens(some), self._text.pooled(some), strict=True):
                rows[i].words, rows[i].text = states[: self.settings.max_words], pooled
        if seen:
            shown = [picture for _, picture in seen]
            for (i, _), pooled in zip(seen, self._image.pooled(shown), strict=True):
                rows[i].image = pooled
        for row, found in zip(rows, self._regions.of(memes, pictures), strict=True):
            row.regions = row.regions if found is None else found.features
        return rows

    def _stacked(self, rows: Sequence[_Row], states: torch.dtype) -> Features:
        n = len(rows)
        longest = max((len(row.words) for row in rows), default=0)
        most = max((len(row.regions) for row in rows), default=0)
        words = torch.zeros(n, longest, self._words.dim, dtype=states)
        regions = torch.zeros(n, most, self._regions.dim, dtype=states)
        text, image = torch.zeros(n, self._text.dim), torch.zeros(n, self._image.dim)
        for i, row in enumerate(rows):
            noised = row.noised(self.settings.noise)
            words[i, : len(row.words)] = torch.tensor(noised.words)
            regions[i, : len(row.regions)] = torch.tensor(noised.regions)
            text[i], image[i] = torch.tensor(noised.text), torch.tensor(noised.image)
        lengths = torch.tensor([len(row.words) for row in rows], dtype=torch.int64)
        counts = torch.tensor([len(row.regions) for row in rows], dtype=torch.int64)
        word_mask = torch.arange(longest) < lengths[:, None]
        region_mask = torch.arange(most) < counts[:, None]
        extra = torch.from_numpy(np.stack([row.extra for row in rows])) if rows else torch.zeros(0, 0)
        return Features(words, word_mask, regions, region_mask, text, image, extra)

    def _key(self, meme: Meme, text: str) -> str:
        settings = {name: value for name, value in asdict(self.settings).items() if name not in ("noise", *LATER)}
        settings |= {name: v for name in LATER if (v := getattr(self.settings, name)) != LATER[name]}
        # stored regions and columns go by the id, columns by the text as it was given
        own = [meme.id, meme.text] if self.settings.columns or "stored" in self.versions["regions"] else []
        parts = [VERSION, settings, self.versions, text, _digest(meme.image), meme.meta.get(COPY), own]
        return content_key(*(part for part in parts if part not in (None, [])))

    def _packed(self, row: _Row) -> bytes:
        head = np.array([len(row.words), len(row.regions)], np.int32).tobytes()
        states = row.words.astype(np.float16).tobytes() + row.regions.astype(np.float16).tobytes()
        return head + states + row.text.tobytes() + row.image.tobytes() + row.extra.tobytes()

    def _unpacked(self, data: bytes, seed: str) -> _Row:
        words, regions = np.frombuffer(data, np.int32, 2)
        at = 8
        parts = []
        for count, width, kind in (
            (words, self._words.dim, np.float16),
            (regions, self._regions.dim, np.float16),
            (1, self._text.dim, np.float32),
            (1, self._image.dim, np.float32),
            (1, self.widths["extra_width"], np.float32),
        ):
            value = np.frombuffer(data, kind, int(count) * width, at)
            parts.append(value.reshape(int(count), width))
            at += value.nbytes
        return _Row(parts[0], parts[1], parts[2][0], parts[3][0], parts[4][0], seed)


@dataclass
class _Row:
    """One meme: `words` (t, w), `regions` (r, v), `text` (p,), `image` (q,), `extra` (x,), `seed` names its content."""

    words: np.ndarray
    regions: np.ndarray
    text: np.ndarray
    image: np.ndarray
    extra: np.ndarray
    seed: str

    def noised(self, noise: Mapping[str, float]) -> _Row:
        """The same with the noise asked for."""
        parts = {"text": ("words", "text"), "image": ("regions", "image")}
        found = {name: getattr(self, name) for names in parts.values() for name in names}
        for modality, level in noise.items():
            draw = np.random.default_rng(int(content_key(self.seed, modality)[:16], 16))
            for name in parts[modality] if level else ():
                value = found[name].astype(np.float32)
                drawn = draw.standard_normal(value.shape, np.float32)
                # a meme without this modality has no spread, and stays without
                found[name] = value + np.float32(level) * (value.std() if value.any() else np.float32(0)) * drawn
        return _Row(**found, extra=self.extra, seed=self.seed)


def _digest(image: Any) -> str | None:
    """Names a picture's content without decoding it."""
    if image is None:
        return None
    if isinstance(image, bytes):
        return hashlib.sha256(image).hexdigest()
    if isinstance(image, str | Path):
        return hashlib.sha256(Path(image).read_bytes()).hexdigest()
    return open_picture(image).key


def _seed(text: str, meme: Meme) -> str:
    return content_key(text, _digest(meme.image), meme.meta.get(COPY))


def _content(version: str) -> str:
    """A folder's version is its name and the hash of its content: a copy has another name."""
    return version.rpartition("@")[2]
