"""What picture files are, from their first bytes: format and size, nothing decoded; and the hash of the file."""

from __future__ import annotations

import hashlib
import io
import warnings
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from memescope.perception.pictures import MAX_BYTES
from memescope.perception.sniff import picture_format, stranger, webp_size

_THREADS, _BATCH = 2, 512


@dataclass(frozen=True, slots=True)
class Header:
    """`format` as Pillow names it, None where `error` says why; `digest`: SHA-256 of the bytes, in hex."""

    format: str | None
    width: int
    height: int
    digest: str
    error: str | None = None


def read_headers(pictures: Sequence[Any], progress: Callable[[str, int, int], None]) -> list[Header | None]:
    """The header of each picture, a path or a file's bytes; None where there is none."""
    found: list[Header | None] = []
    with ThreadPoolExecutor(_THREADS) as threads:
        for start in range(0, len(pictures), _BATCH):
            progress("picture headers", start, len(pictures))
            found += threads.map(_header, pictures[start : start + _BATCH])
    progress("picture headers", len(pictures), len(pictures))
    return found


def _header(picture: Any) -> Header | None:
    if isinstance(picture, Path):
        try:
            if not picture.is_file():
                return None
            if picture.stat().st_size > MAX_BYTES:
                return Header(None, 0, 0, "", f"larger than {MAX_BYTES} bytes")
            data = picture.read_bytes()
        except OSError as error:
            return Header(None, 0, 0, "", error.strerror or str(error))
    elif isinstance(picture, bytes):
        data = picture
    else:
        return None
    digest = hashlib.sha256(data).hexdigest()
    name = picture_format(data)
    if name is None:
        return Header(None, 0, 0, digest, stranger(data) if data else "an empty file")
    size = webp_size(data) if name == "WEBP" else _size(data, name)
    if isinstance(size, str) or size is None:
        return Header(None, 0, 0, digest, size or "its header cannot be read")
    return Header(name, *size, digest)


def _size(data: bytes, name: str) -> tuple[int, int] | str:
    """Width and height, or why they cannot be told."""
    from PIL import Image

    with warnings.catch_warnings():
        # Large pictures are only counted here, never decoded; beyond twice Pillow's limit they cannot be opened.
        warnings.simplefilter("ignore")
        try:
            with Image.open(io.BytesIO(data), formats=[name]) as image:
                return image.size
        except Image.DecompressionBombError:
            return "more pixels than can be read"
        except (OSError, ValueError, SyntaxError):
            return "its header cannot be read"
