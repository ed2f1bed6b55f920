"""Memes to batches: token ids cut at a length, pictures squeezed to a square or seen by frozen encoders.

The source cuts texts at 50 tokens and paints the caption over before the picture is looked at (sections 1.1, 2.2).

Shape letters: `b` memes, `t` tokens, `s` side in pixels, `v` places, `e` width, `q` columns of answers.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from memescope.backbones import load_vision_encoder
from memescope.backbones.base import squeeze
from memescope.errors import UsageError
from memescope.meme import Meme
from memescope.models.mamba.config import MambaMemesConfig
from memescope.objectives.label import MISSING
from memescope.perception.pictures import Picture, open_picture
from memescope.taxonomy.tasks import load_taxonomy

See = Callable[[Any], np.ndarray]
"""A picture (path, bytes, ...) -> what the model looks at: uint8 (s, s, 3), or float32 (v, e) of frozen encoders."""


class MambaProcessor:
    """Knows the tokenizer and how pictures are prepared; the tokenizer is saved beside the model."""

    def __init__(self, config: MambaMemesConfig, tokenizer: Any = None) -> None:
        self.config, self.tokenizer = config, tokenizer
        self.tasks = {name: load_taxonomy()[name] for name in config.tasks or {}}
        self.see: See | None = None if config.image is None else looker(config.image)

    def ids(self, meme: Meme) -> list[int]:
        """The tokens of a meme's words, at most `max_tokens` behind the prompt; one blank where there are none."""
        text = self.config.text or {}
        words = self._tokens(meme.text)[: text["max_tokens"]]
        return [*self.prompt, *words] or [self.pad]

    @property
    def prompt(self) -> list[int]:
        """The tokens that stand before every text."""
        text = self.config.text or {}
        return self._tokens(text["prompt"]) if text["prompt"] else []

    def _tokens(self, text: str) -> list[int]:
        return list(self.tokenizer(text, add_special_tokens=False)["input_ids"])

    @property
    def pad(self) -> int:
        """The token that fills rows up; the mask keeps it out of everything."""
        found = self.tokenizer.pad_token_id
        return int(found if found is not None else self.tokenizer.eos_token_id)

    def offsets(self, meme: Meme) -> tuple[int, list[tuple[int, int]]]:
        """Tokens of the prompt, and the part of the text that each token behind it stands for."""
        text = self.config.text or {}
        found = self.tokenizer(meme.text, add_special_tokens=False, return_offsets_mapping=True)["offset_mapping"]
        return len(self.prompt), [(int(a), int(b)) for a, b in found[: text["max_tokens"]]]

    def labels(self, meme: Meme) -> list[int]:
        """One column a task with one label (its number), k for a multilabel task (0, 1); `MISSING` where unlabelled."""
        columns = []
        for name, task in self.tasks.items():
            label = meme.labels.get(name)
            multilabel = task.kind == "multilabel"
            if label is None:
                columns += [MISSING] * (len(task.labels) if multilabel else 1)
                continue
            task.check(label)
            columns += [int(one in label) for one in task.labels] if multilabel else [task.labels.index(str(label))]
        return columns

    def __call__(self, memes: Sequence[Meme], labels: bool = False) -> dict[str, Tensor]:
        """A batch: `input_ids`, `attention_mask` (b, t); `pixels`, `seen` (b,); `labels` (b, q) where asked for."""
        batch: dict[str, Tensor] = {}
        if self.config.text is not None:
            rows = [self.ids(meme) for meme in memes]
            longest = max(map(len, rows))
            batch["input_ids"] = torch.tensor([[*row, *[self.pad] * (longest - len(row))] for row in rows])
            batch["attention_mask"] = torch.tensor([[1] * len(row) + [0] * (longest - len(row)) for row in rows])
        if self.see is not None and self.config.image is not None:
            found = [None if meme.image is None else self.see(meme.image) for meme in memes]
            nothing = no_picture(self.config.image)
            batch["pixels"] = torch.from_numpy(np.stack([nothing if one is None else one for one in found]))
            batch["seen"] = torch.tensor([one is not None for one in found])
        if labels:
            batch["labels"] = torch.tensor([self.labels(meme) for meme in memes])
        return batch

    def prepared(self, meme: Meme) -> Meme:
        """The same meme with its picture opened, captions painted over where the model has that done."""
        if meme.image is None or self.config.image is None:
            return meme
        return replace(meme, image=opened(meme.image, self.config.image["inpaint"]))

    def save_pretrained(self, folder: str | Path) -> None:
        """The tokenizer's files."""
        if self.tokenizer is not None:
            self.tokenizer.save_pretrained(folder)

    @classmethod
    def from_pretrained(cls, folder: str | Path, config: MambaMemesConfig) -> MambaProcessor:
        """From a folder that `save_pretrained` wrote."""
        from transformers import PreTrainedTokenizerFast

        return cls(config, None if config.text is None else PreTrainedTokenizerFast.from_pretrained(folder))


def looker(image: dict[str, Any]) -> See:
    """What turns a picture into what the model looks at. `PictureError` for one that cannot be read."""
    if image["kind"] != "frozen":
        return partial(_pixels, size=image["size"], inpainted=image["inpaint"])
    encoders = [load_vision_encoder(name) for name in image["names"]]
    check_encoders(image, encoders)
    return partial(_features, encoders=encoders, inpainted=image["inpaint"])


def check_encoders(image: dict[str, Any], encoders: Sequence[Any]) -> None:
    """`UsageError` where frozen encoders have different grids, or are not those that a model was trained with."""
    if len({encoder.grid for encoder in encoders}) > 1:
        grids = ", ".join(f"{encoder.name} {encoder.grid} x {encoder.grid}" for encoder in encoders)
        raise UsageError(f"image.names: features are put side by side place by place, but the grids differ: {grids}")
    versions = [encoder.version for encoder in encoders]
    if image["versions"] and versions != list(image["versions"]):
        raise UsageError(
            f"picture encoders are {', '.join(versions)}, but the model was trained with "
            f"{', '.join(image['versions'])}: its answers would not be the same; fetch those versions"
        )


PAINTED = "captions painted over"
"""Stands in a picture's notes when it was looked for text, so that versions of it are not searched again."""


def opened(picture: Any, inpainted: bool) -> Picture:
    """A picture as a model looks at it: with `inpainted`, its captions painted over."""
    found = open_picture(picture)
    if not inpainted or PAINTED in found.notes:
        return found
    from memescope.perception.inpaint import find_lines, inpaint

    # the report masks captions and paints over them with OpenCV; method and radius are not stated
    found = inpaint(found, find_lines(found))
    return replace(found, notes=(*found.notes, PAINTED))


def _pixels(picture: Any, size: int, inpainted: bool) -> np.ndarray:
    # squeezed, not cropped: memes have their text and half of their point at the edges
    return squeeze(opened(picture, inpainted).pixels, size).copy()


def _features(picture: Any, encoders: Sequence[Any], inpainted: bool) -> np.ndarray:
    shown = opened(picture, inpainted)
    found = [encoder.patches([shown])[0].reshape(-1, encoder.dim) for encoder in encoders]
    return np.concatenate(found, -1).astype(np.float32)


def no_picture(image: dict[str, Any]) -> np.ndarray:
    """What stands in a batch for a meme without a picture."""
    if image["kind"] == "frozen":
        return np.zeros((image["count"], image["width"]), np.float32)
    return np.zeros((image["size"], image["size"], 3), np.uint8)
