"""Safe loading of pictures: any bytes give a `Picture` or a `PictureError` that says why, never anything else.

The format is found by content, and only raster formats that Pillow decodes by itself are tried (nothing that runs
another program). The size in the header is checked before a pixel is decoded, and conversions work on bands of rows, so
memory is bounded by the decoded picture. A decoder that hangs or dies is the business of the process that runs it.
"""

from __future__ import annotations

import hashlib
import io
import os
import stat
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import numpy as np

from memescope.errors import PictureError
from memescope.perception.sniff import MAX_COUNTED_FRAMES, SUFFIXES, gif_frames, picture_format, stranger, webp_size

if TYPE_CHECKING:
    from PIL import Image

MAX_SIDE = 2048
"""Longest side of `Picture.pixels`; larger pictures are scaled down."""
ENOUGH_SIDE = 1536
"""A JPEG may be decoded at 1/2, 1/4 or 1/8 of its size (much faster) as long as this longest side is left."""
MAX_PIXELS = 80_000_000
MAX_WEBP_PIXELS = 32_000_000
"""Lower, since Pillow's WebP decoder needs 16 bytes a pixel: every picture within the limits loads in half a GiB."""
MAX_BYTES = 64 * 2**20
MAX_SCANS = 100
"""Of a JPEG. Encoders make 10 or so; each may cost a pass over all pixels, however few bytes it has."""
_PLAINLY = {
    "not identified by this driver": "its header cannot be read",
    "decoder error": "its pixels cannot be decoded",
    "could not create decoder object": "its header cannot be read",
}
"""What some of Pillow's messages mean."""
_BAND_PIXELS = 4_000_000
_ORIENTATION = 0x0112
_TURN: dict[int, Callable[[np.ndarray], np.ndarray]] = {
    2: np.fliplr,
    3: lambda pixels: np.rot90(pixels, 2),
    4: np.flipud,
    5: lambda pixels: pixels.transpose(1, 0, 2),
    6: lambda pixels: np.rot90(pixels, -1),
    7: lambda pixels: np.rot90(pixels, 2).transpose(1, 0, 2),
    8: np.rot90,
}
"""EXIF orientation -> how to turn the pixels upright."""


@dataclass(frozen=True, slots=True, eq=False)
class Picture:
    """A decoded picture. What was done to it on the way is told in `notes`.

    `pixels` is uint8 (h, w, 3) RGB, longest side at most `MAX_SIDE`; `key` the SHA-256 of the file's bytes (of the
    pixels for a PIL picture), in hex; `width` and `height` are those of the file, after EXIF rotation.
    """

    pixels: np.ndarray
    key: str
    width: int
    height: int
    format: str
    notes: tuple[str, ...] = ()


def open_picture(source: bytes | str | Path | Image.Image | Picture, *, enough_side: int = ENOUGH_SIDE) -> Picture:
    """The picture in a file, in bytes or in a PIL picture; a `Picture` is returned as it is.

    A JPEG may come at a fraction of its size, its longest side at least `enough_side`.

    Raises `PictureError`, naming cause and remedy, for whatever cannot be read: a missing file, one over `MAX_BYTES`, a
    header that promises over `MAX_PIXELS`, a format that is not read, truncated or damaged content.
    """
    if isinstance(source, Picture):
        return source
    if isinstance(source, bytes | bytearray | memoryview):
        return _from_bytes(bytes(source), "", enough_side)
    if isinstance(source, str | Path):
        try:
            return _from_bytes(_read(source), Path(source).suffix.lower(), enough_side)
        except PictureError as error:
            raise PictureError(f"{str(source)!r}: {error}") from None
    from PIL import Image

    if isinstance(source, Image.Image):
        return _guarded(lambda: _from_pil(source))
    raise PictureError(f"expected a path, bytes or a PIL picture, found {type(source).__name__}")


def _read(path: str | Path) -> bytes:
    """A regular file's bytes. Never waits for a pipe or a device, never fetches an address."""
    if isinstance(path, str) and "://" in path[:16]:
        raise PictureError("an address, not a file; addresses are never fetched: download it first")
    try:
        # O_NONBLOCK: opening a named pipe must not wait for a writer.
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
        with open(descriptor, "rb") as file:
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode):
                raise PictureError("not a regular file; expected a picture")
            _check_bytes(status.st_size)
            return file.read(MAX_BYTES + 1)
    except OSError as error:
        raise PictureError(f"cannot be read: {error.strerror or error}") from None
    except ValueError as error:
        raise PictureError(f"not a file name: {error}") from None


def _check_bytes(size: int) -> None:
    if size > MAX_BYTES:
        raise PictureError(
            f"file of {size / 2**20:.1f} MiB is over the limit of {MAX_BYTES // 2**20} MiB: save the picture smaller"
        )


def _check_size(width: int, height: int, limit: int = MAX_PIXELS) -> None:
    if width < 1 or height < 1:
        raise PictureError(f"header says {width}x{height} pixels: the file is damaged; get another copy")
    if width * height > limit:
        raise PictureError(
            f"header says {width}x{height} = {width * height / 1e6:.0f} megapixels, over the limit of "
            f"{limit / 1e6:.0f} (a pixel bomb?); not decoded: scale it down if it is a real picture"
        )


def _from_bytes(data: bytes, suffix: str, enough_side: int) -> Picture:
    if not data:
        raise PictureError("empty file (0 bytes): get another copy")
    _check_bytes(len(data))
    name = picture_format(data)
    if name is None:
        raise PictureError(f"not a picture that can be read but {stranger(data)}: save it as JPEG, PNG or WebP")
    return _guarded(lambda: _decode(data, name, suffix, enough_side), name)


def _guarded(load: Callable[[], Picture], name: str = "") -> Picture:
    """Runs `load`; whatever a decoder throws at hostile bytes becomes a `PictureError`."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return load()
    except PictureError:
        raise
    except MemoryError:
        raise PictureError("not enough memory to decode the picture: scale it down") from None
    # Pillow's decoders raise nearly every built-in type on damaged files (SyntaxError, struct.error, IndexError, ...).
    except Exception as error:
        said = " ".join(str(error).split()) or type(error).__name__
        said = next((plain for jargon, plain in _PLAINLY.items() if jargon in said), said)
        cause = "truncated" if "truncat" in said.lower() else "damaged"
        raise PictureError(f"{cause} {name or 'picture'}: {said}; get another copy or save it anew") from None


def _plugin(name: str) -> Callable[[IO[bytes]], Any]:
    """The one Pillow class that reads this format: `Image.open` would import, and may try, all the others too."""
    if name == "JPEG":
        from PIL.JpegImagePlugin import jpeg_factory

        return jpeg_factory
    if name == "PNG":
        from PIL.PngImagePlugin import PngImageFile

        return PngImageFile
    if name == "GIF":
        from PIL.GifImagePlugin import GifImageFile

        return GifImageFile
    if name == "WEBP":
        from PIL.WebPImagePlugin import WebPImageFile

        return WebPImageFile
    if name == "BMP":
        from PIL.BmpImagePlugin import BmpImageFile

        return BmpImageFile
    from PIL.TiffImagePlugin import TiffImageFile

    return TiffImageFile


def _decode(data: bytes, name: str, suffix: str, enough_side: int) -> Picture:
    if name == "WEBP" and (size := webp_size(data)):
        _check_size(*size, MAX_WEBP_PIXELS)
    if name == "JPEG" and (scans := data.count(b"\xff\xda")) > MAX_SCANS:
        raise PictureError(
            f"JPEG of {scans} scans, over the limit of {MAX_SCANS} (made to keep a decoder busy?); not decoded"
        )
    image = _plugin(name)(io.BytesIO(data))
    width, height = image.size
    _check_size(width, height)
    if name == "JPEG":
        name = image.format
        side = max(width, height)
        image.draft(None, tuple(max(1, length * enough_side // side) for length in (width, height)))
    notes = []
    if suffix and suffix not in SUFFIXES[name]:
        notes.append(f"named {suffix} but holds {name}")
    notes += _several(image, data, name)
    turn = image.getexif().get(_ORIENTATION, 1)
    image.load()
    pixels = _pixels(image, notes)
    if turn in _TURN:
        notes.append(f"turned as EXIF orientation {turn} asks")
    if name == "TIFF":
        width, height = image.size
        turn = 1  # Pillow has turned a TIFF, and its size, while loading it
    return _picture(pixels, (width, height), turn, hashlib.sha256(data).hexdigest(), name, notes)


def _from_pil(image: Image.Image) -> Picture:
    size = image.size
    _check_size(*size)
    notes: list[str] = []
    image.load()
    turn = image.getexif().get(_ORIENTATION, 1)
    pixels = _pixels(image, notes)
    key = hashlib.sha256(f"{pixels.shape} {turn}".encode() + pixels.tobytes()).hexdigest()
    return _picture(pixels, size, turn, key, image.format or "PIL", notes)


def _picture(pixels: np.ndarray, size: tuple[int, int], turn: int, key: str, name: str, notes: list[str]) -> Picture:
    width, height = size if turn not in (5, 6, 7, 8) else size[::-1]
    if turn in _TURN:
        pixels = np.ascontiguousarray(_TURN[turn](pixels))
    if max(width, height) > MAX_SIDE:
        notes.append(f"scaled down from {width}x{height}")
    return Picture(pixels, key, width, height, name, tuple(notes))


def _several(image: Any, data: bytes, name: str) -> list[str]:
    """A note where the file holds more than the one picture that is read."""
    if name == "GIF":
        count = gif_frames(data)
    elif name == "TIFF":
        return ["several pages: the first"] if image.is_animated else []
    else:
        count = getattr(image, "n_frames", 1)
    if count < 2:
        return []
    if name == "MPO":
        return [f"several pictures: first of {count}"]
    return [f"animated: first of {'at least ' if count >= MAX_COUNTED_FRAMES else ''}{count} frames"]


def _pixels(image: Image.Image, notes: list[str]) -> np.ndarray:
    """uint8 (h, w, 3), longest side at most `MAX_SIDE`, transparency on white; converted in bands of rows."""
    from PIL import Image

    width, height = image.size
    factor = max(1, max(width, height) // MAX_SIDE)
    convert = _converter(image, notes)
    rows = max(1, _BAND_PIXELS // (width * factor)) * factor
    out = np.empty((-(-height // factor), -(-width // factor), 3), np.uint8)
    for top in range(0, height, rows):
        whole = rows >= height
        band = convert(image if whole else image.crop((0, top, width, min(top + rows, height))))
        if factor > 1:
            band = band.reduce(factor)
        out[top // factor : top // factor + band.height] = np.asarray(band)
    if max(out.shape) <= MAX_SIDE:
        return out
    new_width, new_height = (max(1, round(length * MAX_SIDE / max(width, height))) for length in (width, height))
    return np.array(Image.fromarray(out).resize((new_width, new_height), Image.Resampling.BICUBIC))


def _converter(image: Image.Image, notes: list[str]) -> Callable[[Image.Image], Image.Image]:
    """How a band of this picture becomes RGB. Modes: https://pillow.readthedocs.io/en/stable/handbook/concepts.html"""
    mode = image.mode
    if mode in ("F", "I") or mode.startswith("I;16"):
        return _deep(image, notes)
    opaque = mode in ("RGBA", "LA") and image.getchannel("A").getextrema()[0] == 255
    if image.has_transparency_data and not opaque:
        notes.append("transparent parts shown on white")
        return _on_white
    if mode == "CMYK":
        notes.append("CMYK shown as RGB without its colour profile")
    if mode == "RGB":
        return lambda band: band
    return lambda band: band.convert("RGB")


def _on_white(band: Image.Image) -> Image.Image:
    from PIL import Image

    band = band.convert("RGBA")
    white = Image.new("RGB", band.size, "white")
    white.paste(band, mask=band.getchannel("A"))
    return white


def _deep(image: Image.Image, notes: list[str]) -> Callable[[Image.Image], Image.Image]:
    """Greys deeper than 8 bits: 16-bit values by their full range, 32-bit and fractions by the range they use."""
    from PIL import Image

    low, high = (0, 65535) if image.mode.startswith("I;16") else image.getextrema()
    for full in (1, 255, 65535):
        if low >= 0 and high <= full:  # type: ignore[operator]
            low, high = 0, full
            break
    notes.append(f"{'16' if high == 65535 else '32'}-bit grey shown in 8 bits")
    clear = image.info.get("transparency")

    def convert(band: Image.Image) -> Image.Image:
        values = np.asarray(band).astype(np.float64)
        grey = np.nan_to_num((values - low) * 255 / max(high - low, 1e-30))  # type: ignore[operator]
        if isinstance(clear, int):
            grey[values == clear] = 255
        return Image.fromarray(grey.clip(0, 255).round().astype(np.uint8)).convert("RGB")

    return convert
