"""Everything that can be made of a meme beside its label, by name: the one place where trainers and verbs ask for it.

    perceived = perceive(memes, ["inpainted", "grid", "captions=harmc_captions.json"])
    perceived.run()                     # both cores; what is in the cache is not done again
    perceived[0]["grid"].features       # (49, 1280)

Transforms that need an encoder are here; OCR and inpainting are in `memescope.datasets.perceived`.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from memescope.backbones.captioner import CAPTIONER, MOST_TOKENS, load_captioner
from memescope.backbones.load import load_vision_encoder
from memescope.backbones.regions import (
    MOST_CONFIDENT,
    Regions,
    grid_regions,
    load_detr,
    pack_regions,
    unpack_regions,
)
from memescope.backbones.stored_regions import StoredRegions
from memescope.datasets.perceived import Inpainted, Ocr, Perceived
from memescope.datasets.stored import StoredCaptions, StoredParaphrases
from memescope.datasets.transforms import Lookup, Transform
from memescope.errors import UsageError
from memescope.meme import Meme
from memescope.perception.inpaint import METHODS, Method, find_lines, inpaint
from memescope.perception.pictures import Picture, open_picture


class _OfPictures(Transform):
    """A model over the picture, or over the picture without its text (`clean=True`)."""

    def __init__(self, model: str, clean: bool = False) -> None:
        self.model, self.clean = model, clean
        self._version = ""

    @property
    def version(self) -> str:  # type: ignore[override]  # known once the model is open
        if not self._version:
            self._version = self._opened_version()
        return f"{self._version}|{Inpainted.version}" if self.clean else self._version

    @property
    def parameters(self) -> Mapping[str, Any]:
        return {"clean": self.clean}

    @abstractmethod
    def _opened_version(self) -> str:
        """The version of the model, which is open afterwards."""

    def open(self) -> None:
        self._opened_version()

    def _picture(self, meme: Meme) -> Picture:
        picture = open_picture(meme.image)
        return inpaint(picture, find_lines(picture)) if self.clean else picture


class Grid(_OfPictures):
    """The places of a vision encoder's grid as `Regions`, kept in float16."""

    name = "grid"

    def __init__(self, model: str = "effnet-lite0", clean: bool = False) -> None:
        super().__init__(model, clean)

    def _opened_version(self) -> str:
        return load_vision_encoder(self.model).version

    def apply(self, meme: Meme) -> Regions:
        return grid_regions(self._picture(meme), self.model)

    def pack(self, value: Regions) -> bytes:
        return pack_regions(value)

    def unpack(self, data: bytes, meme: Meme) -> Regions:
        return unpack_regions(data)


class Detected(_OfPictures):
    """The `count` most confident regions of a DETR model, kept in float16."""

    name = "regions"

    def __init__(self, model: str, count: int = MOST_CONFIDENT, clean: bool = False, device: str = "cpu") -> None:
        super().__init__(model, clean)
        self.count, self.device = count, device

    @property
    def parameters(self) -> Mapping[str, Any]:
        return {"clean": self.clean, "count": self.count}

    def _opened_version(self) -> str:
        return load_detr(self.model, self.device).version

    def apply(self, meme: Meme) -> Regions:
        return load_detr(self.model, self.device).regions(self._picture(meme), self.count)

    def pack(self, value: Regions) -> bytes:
        return pack_regions(value)

    def unpack(self, data: bytes, meme: Meme) -> Regions:
        return unpack_regions(data)


class Captioned(_OfPictures):
    """A BLIP caption. By default of the picture without its text, as MR.HARM has it, or it is the text it tells of."""

    name = "captions"

    def __init__(self, model: str = CAPTIONER, clean: bool = True, device: str = "cpu") -> None:
        super().__init__(model, clean)
        self.device = device

    @property
    def parameters(self) -> Mapping[str, Any]:
        return {"clean": self.clean, "most_tokens": MOST_TOKENS}

    def _opened_version(self) -> str:
        return load_captioner(self.model, self.device).version

    def apply(self, meme: Meme) -> str:
        return load_captioner(self.model, self.device).captions([self._picture(meme)])[0]

    def pack(self, value: str) -> bytes:
        return value.encode()

    def unpack(self, data: bytes, meme: Meme) -> str:
        return data.decode()


def _ocr(value: str) -> Transform:
    if value:
        raise UsageError(f"ocr takes no value, found ocr={value}")
    return Ocr()


def _inpainted(value: str) -> Transform:
    method: Method | None = next((known for known in METHODS if known == (value or "telea")), None)
    if method is None:
        raise UsageError(f"inpainted={value}: expected one of {', '.join(METHODS)}")
    return Inpainted(method)


def _grid(value: str) -> Transform:
    return Grid(value or "effnet-lite0")


def _captions(value: str) -> Transform | Lookup:
    file, _, prefix = value.partition(",prefix=")
    if prefix or Path(file).is_file():
        return StoredCaptions(file, prefix)
    return Captioned(_model(value or CAPTIONER, "captions"))


def _regions(value: str) -> Transform | Lookup:
    if not value:
        raise UsageError("regions: expected regions=DIR (npz, npy or tsv files) or regions=facebook/detr-resnet-50")
    path = Path(value)
    stored = path.exists() and not (path / "config.json").is_file()
    return StoredRegions(path) if stored else Detected(_model(value, "regions"))


def _paraphrases(value: str) -> Lookup:
    if not value:
        raise UsageError("paraphrases: expected paraphrases=FILE (JSONL of id and paraphrases)")
    return StoredParaphrases(value)


def _model(value: str, kind: str) -> str:
    """A hub id or folder; something that looks like a file which is not there is said to be missing."""
    if Path(value).suffix in (".json", ".jsonl", ".tsv", ".npz", ".npy") or value.startswith((".", "/")):
        if not Path(value).exists():
            raise UsageError(f"{kind}={value}: no such file or folder")
        if not Path(value, "config.json").is_file():
            raise UsageError(f"{kind}={value}: neither stored {kind} nor a folder with a model's config.json")
    return value


KINDS: dict[str, Callable[[str], Transform | Lookup]] = {
    "ocr": _ocr,
    "inpainted": _inpainted,
    "grid": _grid,
    "captions": _captions,
    "regions": _regions,
    "paraphrases": _paraphrases,
}
"""What can be asked for, each as NAME or NAME=VALUE."""


def open_kind(asked: str) -> Transform | Lookup:
    """A transform or lookup from `NAME` or `NAME=VALUE`. Raises `UsageError` for an unknown name or a bad value."""
    name, _, value = asked.partition("=")
    if name not in KINDS:
        raise UsageError(f"{asked!r}: expected one of {', '.join(KINDS)}, as NAME or NAME=VALUE")
    return KINDS[name](value)


def perceive(memes: Sequence[Meme], asked: Sequence[str | Transform | Lookup]) -> Perceived:
    """Memes with what was asked for, by name or as objects; `run()` makes it, indexing and iterating give it back."""
    return Perceived(memes, [open_kind(one) if isinstance(one, str) else one for one in asked])
