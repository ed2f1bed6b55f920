"""A vision-language model as memescope uses it, whatever its make: chat template, picture tokens, frozen features.

A picture is encoded once, apart from any words (`see`), into a `Sight`: what the language model gets for each of its
tokens. Sights can be kept, so nothing frozen is computed twice. Words and sights become rows of vectors (`embed`), and
the language model (`decoder`) never knows the difference. One subclass for each make.

Shape letters: `b` rows, `t` tokens, `n` tokens of one picture, `e` width of its features, `d` width of the language
model.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import torch
from torch import Tensor, nn

from memescope.backbones.vlm.chat import Chat
from memescope.errors import UsageError
from memescope.perception.pictures import Picture


@dataclass(frozen=True)
class Sight:
    """One picture for the language model: features float32 (n, e) on a grid of (rows, columns).

    What the grid counts is the make's own: places of the picture, or tiles of it.
    """

    features: Tensor
    grid: tuple[int, int]


@dataclass(frozen=True)
class Decoder:
    """The language model alone, in the form that `models.prefix.CausalPrefix` runs."""

    base_model: Any
    head: Any
    config: Any

    def get_output_embeddings(self) -> Any:
        """The head."""
        return self.head

    @property
    def dtype(self) -> torch.dtype:
        """What the weights are kept in."""
        found: torch.dtype = next(self.base_model.parameters()).dtype
        return found


class Vlm(ABC):
    """A model of `transformers` with what is needed to speak to it. `name` is a hub id, a folder or a packaged name."""

    kind: str
    text_path: str
    """Where the language model is in the whole: `model.language_model`."""

    def __init__(self, name: str, version: str, model: Any, tokenizer: Any, images: Any, template: str) -> None:
        self.name, self.version, self.model, self.tokenizer, self.images = name, version, model, tokenizer, images
        tokenizer.chat_template = template  # wherever it came from, it is saved beside the model
        self.image = int(model.config.image_token_id)
        self.chat = Chat(tokenizer, template, str(tokenizer.convert_ids_to_tokens(self.image)))
        self.pad = int(tokenizer.pad_token_id)
        self.end, self.gap = self.chat.end, self.chat.gap
        self.span = cache(self._span)

    # words

    def open(self, system: str, user: str, picture: Sequence[int] | None) -> list[int]:
        """The prompt's tokens up to where the assistant writes, those of the picture where the template puts them."""
        return self.chat.open(system, user, picture)

    def words(self, text: str) -> list[int]:
        """The tokens of a piece of text by itself."""
        return self.chat.words(text)

    def text(self, ids: Sequence[int]) -> str:
        """What was written, as text."""
        return str(self.tokenizer.decode(list(ids), skip_special_tokens=True)).strip()

    # pictures

    fixed_grid: tuple[int, int] | None = None
    """The grid of every picture, where it does not depend on its size."""

    @abstractmethod
    def grid(self, picture: Picture) -> tuple[int, int]:
        """The grid of the picture's `Sight`, without encoding it."""

    @abstractmethod
    def _span(self, grid: tuple[int, int]) -> tuple[int, ...]:
        """The tokens that stand for a picture of this grid, marks around it included."""

    def places(self, grid: tuple[int, int]) -> Tensor:
        """Where each of a picture's tokens looks: float32 (n, 2), its middle as fractions of height and width."""
        return centres(*grid)

    @abstractmethod
    def see(self, pictures: Sequence[Picture]) -> list[Sight]:
        """Frozen features, on the CPU. A picture's do not depend on the others."""

    @property
    def seen_by(self) -> str:
        """Names the frozen weights that `see` runs, and what they are kept in: rounded weights see otherwise."""
        return f"{self.version} {self.model.dtype}"

    @property
    def settings(self) -> Any:
        """What `see` depends on beside those weights and the picture."""
        return self.images.to_dict() if hasattr(self.images, "to_dict") else None

    # vectors

    @property
    def text_model(self) -> Any:
        """The language model without its head."""
        return self.model.get_submodule(self.text_path)

    @property
    def decoder(self) -> Decoder:
        """The language model with its head."""
        return Decoder(self.text_model, self.model.get_output_embeddings(), self.text_model.config)

    def embed(self, ids: Tensor, sights: Sequence[Sight]) -> tuple[Tensor, dict[str, Any]]:
        """(b, t, d) for int64 (b, t) tokens and the sights of their pictures in order; and what the language model
        needs beside them, the first time it reads them."""
        seen = ids == self.image
        places = sum(len(sight.features) for sight in sights)
        if int(seen.sum()) != places:
            raise UsageError(f"{int(seen.sum())} image tokens in the rows, but their pictures have {places} places")
        embeddings = self.text_model.get_input_embeddings()
        # an image token may have no embedding: any word's stands there until it is replaced
        words = embeddings(ids.masked_fill(seen, 0))
        if not sights:
            return words, {}
        features = torch.cat([sight.features for sight in sights]).to(words.device)
        projected, first = self._project(features, seen)
        return words.masked_scatter(seen[..., None], projected.to(words.dtype)), first

    def _project(self, features: Tensor, seen: Tensor) -> tuple[Tensor, dict[str, Any]]:
        """Features of all pictures (n, e) to vectors (n, d), and what else the language model gets; `seen` bool (b, t)
        tells where they stand."""
        return features, {}

    def positions(self, ids: Tensor, mask: Tensor, sights: Sequence[Sight]) -> tuple[Tensor | None, Tensor]:
        """Positions for the language model, (b, t) or (3, b, t); None where they are counted as usual. And int64 (b,):
        the position of what follows each row."""
        return None, mask.sum(1)

    # training

    def new_parts(self) -> list[nn.Module]:
        """Modules that no pretraining has seen: trained in full even beside adapters."""
        return []

    def freeze(self) -> None:
        """Leave only the language model and new parts to be trained: pictures are seen with what was pretrained."""
        self.model.requires_grad_(False)
        for part in (self.text_model, self.model.get_output_embeddings(), *self.new_parts()):
            part.requires_grad_(True)

    def save(self, folder: Any) -> None:
        """In hub layout: configuration, safetensors, tokenizer, chat template, picture processor."""
        self.model.save_pretrained(folder)
        self.tokenizer.save_pretrained(folder)
        self.images.save_pretrained(folder)


def rows_of(pictures: Sequence[Any], compute: Any) -> list[Any]:
    """`compute` of each different picture once, in the order of all. Pictures are told apart by their `key`."""
    first: dict[str, int] = {}
    some: list[Any] = []
    for picture in pictures:
        if picture.key not in first:
            first[picture.key] = len(some)
            some.append(picture)
    found = compute(some) if some else []
    return [found[first[picture.key]] for picture in pictures]


def centres(rows: int, columns: int) -> Tensor:
    """float32 (rows * columns, 2): the middles of a grid's places, row by row."""
    y, x = torch.meshgrid((torch.arange(rows) + 0.5) / rows, (torch.arange(columns) + 0.5) / columns, indexing="ij")
    return torch.stack([y.flatten(), x.flatten()], 1)
