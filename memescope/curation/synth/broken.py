"""Files that break careless readers, each with what must come of it: hostile, damaged and merely unusual ones.

Nothing here does harm: the bombs are headers without content, and archives hold drawn memes or zeros.
"""

from __future__ import annotations

import csv
import io
import struct
import zipfile
import zlib
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from memescope.curation.synth.layouts import design, draw

TEXT = ("One small step", "for a potato")
_WIDTH, _HEIGHT = 420, 300


@dataclass(frozen=True, slots=True)
class Expectation:
    """What must come of a file.

    `outcome` picture: it is read, with `says` in one of its notes (empty: any), and `width`, `height` as given;
    error: it is refused, with `says` in the message; entries: an archive, or a list when it is named, whose `entries`
    map each name inside to picture or error. `text` and `lang` are what is lettered on it.
    """

    outcome: Literal["picture", "error", "entries"]
    says: str = ""
    width: int | None = None
    height: int | None = None
    text: str = ""
    lang: str = "und"
    entries: dict[str, str] | None = None

    def to_dict(self) -> dict[str, Any]:
        """JSON values; fields without a value are left out."""
        return {key: value for key, value in asdict(self).items() if value not in (None, "")}


def broken_files(folder: str | Path) -> dict[str, Expectation]:
    """Writes every kind of broken file into `folder` (made if need be); their names and what must come of each."""
    folder = Path(folder)
    expectations = {}
    for name, (data, expectation) in _all_files().items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        expectations[name] = expectation
    return expectations


def _meme() -> Any:
    return draw(design("broken", (_WIDTH, _HEIGHT), "bright", "bar"), *TEXT)[0]


def _saved(image: Any, form: str, **options: Any) -> bytes:
    data = io.BytesIO()
    image.save(data, form, **options)
    return data.getvalue()


def _half(data: bytes) -> bytes:
    return data[: len(data) // 2]


def _png(width: int, height: int, depth: int, colour: int, rows: bytes) -> bytes:
    """A PNG file written by hand; `rows` are the unpacked rows, each with its filter byte."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    parts = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows, 9)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + parts


def _png_48_bit(image: Any) -> bytes:
    deep = np.asarray(image).astype(">u2") * 257
    return _png(image.width, image.height, 16, 2, b"".join(b"\x00" + row.tobytes() for row in deep.astype(">u2")))


def _jpeg_of_size(data: bytes, width: int, height: int) -> bytes:
    """A baseline JPEG file whose header is made to say another size."""
    at = data.index(b"\xff\xc0") + 5
    return data[:at] + struct.pack(">HH", height, width) + data[at + 4 :]


def many_scans(side: int = 8192, scans: int = 400) -> bytes:
    """A progressive JPEG of grey nothing whose many scans each make the decoder visit every block.

    A few bytes tell a scan to skip 32767 blocks at a time, so a small file keeps a decoder busy for as long as wanted.
    """

    def segment(marker: int, body: bytes) -> bytes:
        return struct.pack(">BBH", 0xFF, marker, len(body) + 2) + body

    table = segment(0xDB, b"\x00" + bytes([16] * 64))
    frame = segment(0xC2, struct.pack(">BHHB", 8, side, side, 1) + b"\x01\x11\x00")
    # One code of one bit, 0, for the symbol 0xE0: an end-of-band run of 2**14 plus the 14 bits that follow.
    huffman = segment(0xC4, b"\x10" + bytes([1] + [0] * 15) + b"\xe0")
    runs = -(-(((side + 7) // 8) ** 2) // 32767)
    bits = ("0" + "1" * 14) * runs
    bits += "1" * (-len(bits) % 8)
    body = int(bits, 2).to_bytes(len(bits) // 8, "big").replace(b"\xff", b"\xff\x00")
    scan = segment(0xDA, b"\x01\x01\x00" + b"\x01\x05\x00") + body
    return b"\xff\xd8" + table + frame + huffman + scan * scans + b"\xff\xd9"


def _zip(entries: dict[str, bytes]) -> bytes:
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for name, content in entries.items():
            archive.writestr(zipfile.ZipInfo(name), content, zipfile.ZIP_DEFLATED)
    return data.getvalue()


def _list_file(rows: list[str]) -> bytes:
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(("image", "text"))
    writer.writerows((row, "One small step for a potato") for row in rows)
    return text.getvalue().encode()


def _all_files() -> dict[str, tuple[bytes, Expectation]]:
    image = _meme()
    turned = image.rotate(12, fillcolor=(255, 255, 255))
    good = _saved(image, "JPEG", quality=85)
    grey16 = (np.asarray(image.convert("L")).astype(np.uint16) * 257).astype(">u2")
    palette = image.quantize(64)
    transparent = image.convert("RGBA")
    transparent.putalpha(image.convert("L").point(lambda level: 255 - level // 2))
    several = {"save_all": True, "append_images": [turned, turned.rotate(180)]}
    exif = image.getexif()
    exif[0x0112] = 6
    seen = {"text": "\n".join(TEXT), "lang": "en", "width": _WIDTH, "height": _HEIGHT}

    def fine(says: str = "", **other: Any) -> Expectation:
        return Expectation("picture", says, **{**seen, **other})

    def refused(says: str) -> Expectation:
        return Expectation("error", says)

    bare = {"text": "", "lang": "und"}
    long_rows = b"".join(b"\x00" + bytes(x * 7 % 256 for x in range(20000)) for _ in range(20))
    deep = "level one/स्तर दो/уровень\nтри"
    files: dict[str, tuple[bytes, Expectation]] = {
        "pixel-bomb.png": (_png(50_000, 50_000, 8, 2, b"\x00" * 1000), refused("megapixels")),
        "pixel-bomb.jpg": (_jpeg_of_size(good, 60_000, 60_000), refused("megapixels")),
        "many-scans.jpg": (many_scans(), refused("scans")),
        "truncated.jpg": (_half(good), refused("truncated")),
        "truncated.png": (_half(_saved(image, "PNG")), refused("truncated")),
        "truncated.webp": (_half(_saved(image, "WEBP")), refused("WEBP")),
        "zero-bytes.jpg": (b"", refused("empty file")),
        "only-zeros.png": (bytes(5000), refused("zero bytes")),
        "noise.jpg": (b"\xff\xd8\xff\xe0" + bytes(x * x * 31 % 251 for x in range(4000)), refused("JPEG")),
        "text.jpg": (b"This is no picture.\n", refused("a text file")),
        "web-page.png": (b"<!DOCTYPE html><title>404</title>", refused("a web page")),
        "document.jpg": (b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n", refused("a PDF document")),
        "drawing.png": (b'<svg xmlns="http://www.w3.org/2000/svg"/>', refused("an SVG drawing")),
        "wrong-extension.jpg": (_saved(image, "PNG"), fine("holds PNG")),
        "wrong-extension.png": (_saved(image, "WEBP", quality=90), fine("holds WEBP")),
        "animated.gif": (_saved(image, "GIF", **several), fine("first of 3 frames")),
        "animated.webp": (_saved(image, "WEBP", quality=90, **several), fine("first of 3 frames")),
        "animated.png": (
            _saved(palette, "PNG", save_all=True, append_images=[turned.quantize(64)]),
            fine("first of 2"),
        ),
        "several.mpo": (_saved(image, "MPO", **several), fine("first of 3")),
        "pages.tiff": (
            _saved(image.convert("L"), "TIFF", save_all=True, append_images=[turned.convert("L")]),
            fine("several pages"),
        ),
        "cmyk.jpg": (_saved(image.convert("CMYK"), "JPEG"), fine("CMYK")),
        "grey.jpg": (_saved(image.convert("L"), "JPEG"), fine()),
        "one-bit.png": (_saved(image.convert("1"), "PNG"), fine()),
        "16-bit-grey.png": (
            _png(_WIDTH, _HEIGHT, 16, 0, b"".join(b"\x00" + row.tobytes() for row in grey16)),
            fine("16-bit"),
        ),
        "16-bit-colour.png": (_png_48_bit(image), fine()),
        "palette-alpha.png": (_saved(palette, "PNG", transparency=bytes(range(192, 256))), fine("white")),
        "alpha.png": (_saved(transparent, "PNG"), fine("white")),
        "alpha.webp": (_saved(transparent, "WEBP"), fine("white")),
        "turned.jpg": (_saved(image.rotate(90, expand=True), "JPEG", exif=exif), fine("EXIF orientation 6")),
        "plain.bmp": (_saved(image, "BMP"), fine()),
        "one-pixel.png": (_saved(image.resize((1, 1)), "PNG"), fine(width=1, height=1, **bare)),
        "long.png": (_png(20_000, 20, 8, 0, long_rows), fine("scaled down", width=20_000, height=20, **bare)),
        f"{deep}/图片 ছবি صورة.jpg": (good, fine()),
        f"{deep}/zero.gif": (b"", refused("empty file")),
    }
    inside = {"good.jpg": good, "../outside.jpg": good, "/absolute.jpg": good, "C:\\windows.jpg": good}
    said = {name: "picture" if name == "good.jpg" else "error" for name in inside}
    files["traversal.zip"] = (_zip(inside), Expectation("entries", entries=said))
    bomb = {"good.jpg": good, "bomb.png": bytes(80 * 2**20)}
    said = {"good.jpg": "picture", "bomb.png": "error"}
    files["zip-bomb.zip"] = (_zip(bomb), Expectation("entries", entries=said))
    files["not-a-zip.zip"] = (b"PK\x03\x04" + bytes(200), refused(""))
    listed = ["grey.jpg", "../../outside.jpg", "/etc/hostname", "https://memes.example/a.jpg", "missing.jpg"]
    said = {name: "picture" if name == "grey.jpg" else "error" for name in listed}
    files["list.csv"] = (_list_file(listed), Expectation("entries", entries=said))
    return files
