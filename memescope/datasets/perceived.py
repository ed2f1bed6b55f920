"""OCR and inpainting over datasets, and the accessor that gives trainers every derived thing beside its meme.

`Perceived` holds memes with transforms and lookups: `run()` makes what is missing, indexing and iterating read one item
or one batch at a time from the cache. Transforms that need an encoder are in `memescope.backbones.perceiving`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any

import numpy as np

from memescope.cache import Cache
from memescope.datasets.transforms import (
    TIMEOUT,
    Lookup,
    Progress,
    Ran,
    Transform,
    cache_of,
    error_key,
    run_transform,
)
from memescope.errors import PictureError, UsageError
from memescope.meme import Meme
from memescope.perception.inpaint import (
    DILATION,
    INPAINT_VERSION,
    METHODS,
    RADIUS,
    Method,
    find_lines,
    inpaint,
)
from memescope.perception.language import detect
from memescope.perception.lines import Line, OcrResult
from memescope.perception.ocr import OCR_VERSION, load_ocr
from memescope.perception.pictures import Picture, open_picture

_BATCH = 32


class Ocr(Transform):
    """What the picture says: an `OcrResult` with the box of each line."""

    name, version = "ocr", OCR_VERSION

    def open(self) -> None:
        load_ocr()

    def apply(self, meme: Meme) -> OcrResult:
        return load_ocr().read(open_picture(meme.image))

    def pack(self, value: OcrResult) -> bytes:
        return json.dumps(asdict(value), separators=(",", ":")).encode()

    def unpack(self, data: bytes, meme: Meme) -> OcrResult:
        record = json.loads(data)
        lines = [Line(e["text"], tuple((x, y) for x, y in e["box"]), e["confidence"]) for e in record.pop("lines")]
        return OcrResult(lines=lines, **record)


class Inpainted(Transform):
    """The picture without its text, as a `Picture`; one without text is the picture itself.

    Text is where the OCR's detector finds it, legible or not. Kept as PNG, or as JPEG of quality 95 in a quarter of the
    room.
    """

    name, version = "inpainted", f"{INPAINT_VERSION}+ppocrv6-det"

    def __init__(
        self, method: Method = "telea", radius: float = RADIUS, dilation: float = DILATION, form: str = "png"
    ) -> None:
        if method not in METHODS:
            raise UsageError(f"inpainting method: expected one of {', '.join(METHODS)}, found {method!r}")
        if form not in ("png", "jpeg"):
            raise UsageError(f"form of inpainted pictures: expected png or jpeg, found {form!r}")
        self.method, self.radius, self.dilation, self.form = method, float(radius), float(dilation), form

    @property
    def parameters(self) -> Mapping[str, Any]:
        return {"method": self.method, "radius": self.radius, "dilation": self.dilation, "form": self.form}

    def open(self) -> None:
        find_lines(Picture(np.zeros((32, 32, 3), np.uint8), "", 32, 32, "PNG"))

    def apply(self, meme: Meme) -> Picture:
        picture = open_picture(meme.image)
        return inpaint(picture, find_lines(picture), self.method, self.radius, self.dilation)

    def pack(self, value: Picture) -> bytes:
        """A line of JSON (key, notes, size, format) and the picture's file; no file where nothing was painted over."""
        head = {"key": value.key, "notes": value.notes, "size": [value.width, value.height], "format": value.format}
        changed = any(note.startswith("text inpainted") for note in value.notes)
        return json.dumps(head).encode() + b"\n" + (_encoded(value.pixels, self.form) if changed else b"")

    def unpack(self, data: bytes, meme: Meme) -> Picture:
        head, _, file = data.partition(b"\n")
        if not file:
            return open_picture(meme.image)
        record = json.loads(head)
        pixels = open_picture(file).pixels
        width, height = record["size"]
        return Picture(pixels, record["key"], width, height, record["format"], tuple(record["notes"]))


def _encoded(pixels: np.ndarray, form: str) -> bytes:
    import cv2

    options = [cv2.IMWRITE_PNG_COMPRESSION, 4] if form == "png" else [cv2.IMWRITE_JPEG_QUALITY, 95]
    _, data = cv2.imencode(f".{form}", pixels[:, :, ::-1], options)
    return data.tobytes()


class Perceived(Sequence[dict[str, Any]]):
    """Memes with what is made of them: item i is `{name: value or None}` for meme i, None where it cannot be had.

    `run()` first. Picklable and free of state, so that data loaders may share one between processes.
    """

    def __init__(self, memes: Sequence[Meme], kinds: Sequence[Transform | Lookup]) -> None:
        names = [kind.name for kind in kinds]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise UsageError(f"asked for {', '.join(twice)} twice")
        self.memes, self.kinds = memes, list(kinds)
        self._caches: dict[str, Cache] = {kind.name: cache_of(kind) for kind in kinds if isinstance(kind, Transform)}

    def run(
        self,
        workers: int | None = None,
        progress: Progress = lambda stage, done, total: None,
        timeout: float = TIMEOUT,
    ) -> list[Ran]:
        """Make what is missing of each transform, one after the other; see `run_transform`."""
        wanted = [kind for kind in self.kinds if isinstance(kind, Transform)]
        return [run_transform(kind, self.memes, workers, progress, timeout) for kind in wanted]

    @property
    def lookups(self) -> list[Lookup]:
        """What is looked up rather than made."""
        return [kind for kind in self.kinds if isinstance(kind, Lookup)]

    def batch(self, places: Sequence[int]) -> list[dict[str, Any]]:
        """The items at these places, each transform's values read at once."""
        memes = [self.memes[place] for place in places]
        items: list[dict[str, Any]] = [{} for _ in memes]
        for kind in self.kinds:
            for item, value in zip(items, self._values(kind, memes), strict=True):
                item[kind.name] = value
        return items

    def _values(self, kind: Transform | Lookup, memes: Sequence[Meme]) -> list[Any]:
        if isinstance(kind, Lookup):
            return [kind.of(meme) for meme in memes]
        keys = [_key(kind, meme) for meme in memes]
        wanted = [key for key in keys if key is not None]
        cache = self._caches[kind.name]
        found = cache.get(wanted)
        bad = cache.get(error_key(key) for key, data in found.items() if not data)
        values: list[Any] = []
        for key, meme in zip(keys, memes, strict=True):
            if key is None or error_key(key) in bad:
                values.append(None)
                continue
            data = found.get(key)
            values.append(None if data is None else kind.unpack(data, meme))
        return values

    def __len__(self) -> int:
        return len(self.memes)

    def __getitem__(self, place: int) -> dict[str, Any]:  # type: ignore[override]  # slices: use batch
        return self.batch([place])[0]

    def __iter__(self) -> Iterator[dict[str, Any]]:
        for start in range(0, len(self.memes), _BATCH):
            yield from self.batch(range(start, min(start + _BATCH, len(self.memes))))


def _key(transform: Transform, meme: Meme) -> str | None:
    try:
        return transform.key(meme)
    except PictureError:
        return None


def read_missing_text(
    memes: Sequence[Meme],
    workers: int | None = None,
    progress: Progress = lambda stage, done, total: None,
    everywhere: bool = False,
) -> tuple[list[Meme], Ran]:
    """The memes with our OCR's text where they have none (`everywhere`: in place of theirs too), and what came of it.

    `meta["ocr"]` then tells `version` and `engine`, so that nobody takes it for the dataset's own text, and
    `given_text` where there was some. A language that was "und" is detected. Memes that cannot be read stay as they
    are.
    """
    wanted = [i for i, meme in enumerate(memes) if everywhere or not meme.text.strip()]
    read = Perceived([memes[i] for i in wanted], [Ocr()])
    [ran] = read.run(workers, progress)
    out = list(memes)
    for place, item in zip(wanted, read, strict=True):
        if (result := item["ocr"]) is not None:
            out[place] = _with_text(memes[place], result)
    return out, ran


def _with_text(meme: Meme, result: OcrResult) -> Meme:
    told = {"version": OCR_VERSION, "engine": result.engine}
    if meme.text.strip():
        told["given_text"] = meme.text
    lang = detect(result.text) if meme.lang == "und" else meme.lang
    return replace(meme, text=result.text, lang=lang, meta={**meme.meta, "ocr": told})
