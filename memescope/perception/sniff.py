"""What a file is, by its first bytes and never by its name; and what its header tells before anything is decoded."""

from __future__ import annotations

import struct

SUFFIXES = {
    "JPEG": (".jpg", ".jpeg", ".jpe", ".jfif"),
    "MPO": (".jpg", ".jpeg", ".mpo"),
    "PNG": (".png", ".apng"),
    "GIF": (".gif",),
    "WEBP": (".webp",),
    "BMP": (".bmp", ".dib"),
    "TIFF": (".tif", ".tiff"),
}
"""The formats that are read, and the file names that promise them."""

_MAGIC = (
    (b"\xff\xd8\xff", "JPEG"),
    (b"\x89PNG\r\n\x1a\n", "PNG"),
    (b"GIF87a", "GIF"),
    (b"GIF89a", "GIF"),
    (b"BM", "BMP"),
    (b"II*\x00", "TIFF"),
    (b"MM\x00*", "TIFF"),
    (b"II+\x00", "TIFF"),
    (b"MM\x00+", "TIFF"),
)
_STRANGERS = (
    (b"%PDF", "a PDF document"),
    (b"%!PS", "a PostScript file"),
    (b"PK\x03\x04", "a zip archive"),
    (b"8BPS", "a Photoshop file"),
    (b"\x1f\x8b", "a gzip archive"),
    (b"\x00\x00\x01\x00", "a Windows icon"),
    (b"\x1aE\xdf\xa3", "a WebM or Matroska video"),
    (b"\x7fELF", "a program"),
    (b"MZ", "a program"),
)
_BRANDS = {b"avif": "an AVIF picture", b"avis": "an AVIF picture", b"qt  ": "a QuickTime video"}
_HEIF = (b"heic", b"heix", b"hevc", b"mif1", b"msf1")
MAX_COUNTED_FRAMES = 9999
"""A GIF's frames are counted up to here."""


def picture_format(data: bytes) -> str | None:
    """The format's name (a key of `SUFFIXES`; an MPO counts as JPEG here), or None where it is not one that is read."""
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "WEBP"
    return next((name for magic, name in _MAGIC if data.startswith(magic)), None)


def stranger(data: bytes) -> str:
    """A few words on what a file that is no readable picture seems to be."""
    for magic, words in _STRANGERS:
        if data.startswith(magic):
            return words
    if data[4:8] == b"ftyp":
        brand = data[8:12]
        return "an HEIC picture" if brand in _HEIF else _BRANDS.get(brand, "a video")
    start = data[:512].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if b"<svg" in start:
        return "an SVG drawing"
    if start.startswith((b"<!doctype html", b"<html")):
        return "a web page (perhaps an error page saved as a picture)"
    if not any(data[:512]):
        return "a file of zero bytes only"
    if all(byte in b"\t\r\n" or byte >= 32 for byte in data[:512]):
        return "a text file"
    return "an unknown kind of file"


def webp_size(data: bytes) -> tuple[int, int] | None:
    """Width and height from the header of a WebP file; its decoder allocates memory before it can be asked."""
    chunk, body = data[12:16], data[20:30]
    if len(body) < 10:
        return None
    if chunk == b"VP8X":
        return 1 + int.from_bytes(body[4:7], "little"), 1 + int.from_bytes(body[7:10], "little")
    if chunk == b"VP8 ":
        width, height = struct.unpack("<HH", body[6:10])
        return width & 0x3FFF, height & 0x3FFF
    if chunk == b"VP8L":
        bits = int.from_bytes(body[1:5], "little")
        return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    return None


def gif_frames(data: bytes) -> int:
    """How many frames a GIF has (of a cut file: those there are), undecoded; counted up to `MAX_COUNTED_FRAMES`."""
    frames, at = 0, 13
    if len(data) > 10 and data[10] & 0x80:
        at += 3 << (data[10] & 7) + 1
    while at < len(data) and frames < MAX_COUNTED_FRAMES:
        kind = data[at]
        if kind == 0x21:
            at += 2
        elif kind == 0x2C and at + 9 < len(data):
            frames += 1
            packed = data[at + 9]
            at += 11 + (3 << (packed & 7) + 1 if packed & 0x80 else 0)
        else:
            break
        while at < len(data) and data[at]:
            at += data[at] + 1
        at += 1
    return frames
