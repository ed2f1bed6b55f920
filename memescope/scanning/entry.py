"""`Entry`: one thing a scan accounts for, whether it can be read or not, and how its bytes are read safely.

An entry is small, picklable and holds no picture: workers read the bytes when its turn comes.
"""

from __future__ import annotations

import os
import stat
import unicodedata
from dataclasses import dataclass
from typing import Literal

from memescope.errors import PictureError
from memescope.perception.sniff import picture_format

# fmt: off
PICTURE_SUFFIXES = frozenset(
    {
        ".apng", ".avif", ".bmp", ".dib", ".gif", ".heic", ".heif", ".ico", ".jfif",
        ".jp2", ".jpe", ".jpeg", ".jpg", ".jxl", ".mpo", ".pbm", ".pgm", ".png",
        ".pnm", ".ppm", ".svg", ".tga", ".tif", ".tiff", ".webp",
    }
)
# fmt: on
SNIFF_BYTES = 32
_OTHER_PICTURES = (b"avif", b"avis", b"heic", b"heix", b"hevc", b"mif1", b"msf1")
_BIDI = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


@dataclass(slots=True, frozen=True)
class Limits:
    """What a scan reads at most. Sizes in bytes; `zip_ratio` is inflated size over stored size of one member."""

    file_bytes: int = 64 << 20
    zip_members: int = 200_000
    zip_directory_bytes: int = 24 << 20
    zip_ratio: int = 200
    zip_ratio_from: int = 1 << 20
    zip_total_bytes: int = 4 << 30
    zip_total_ratio: int = 20
    line_bytes: int = 1 << 20


@dataclass(slots=True, frozen=True)
class Entry:
    """One picture to read, or the cause why it cannot be.

    `id` is unique within a scan and stable while the arguments and names stay; `path` is for people. Both are free of
    control characters, bidirectional overrides and undecodable bytes. `text` and `lang` are given by a list, or None.
    `file` is what is opened (for a zip member the zip, with `member` its index in the zip's directory).
    """

    id: str
    path: str
    kind: Literal["file", "member", "row"]
    file: str = ""
    member: int | None = None
    text: str | None = None
    lang: str | None = None
    error: str | None = None


def display(name: str) -> str:
    r"""A file name as text that can be shown and stored: one-to-one, so that two names never become one.

    Backslashes are doubled; undecodable bytes become `\xff`, control and bidirectional characters `\n`, `\u202e` ...
    """
    if os.sep == "\\":  # Windows: no name holds a backslash, it only parts folders
        name = name.replace("\\", "/")
    if name.isascii() and name.isprintable() and "\\" not in name:
        return name
    return "".join(_shown(character) for character in name)


def _shown(character: str) -> str:
    if "\udc80" <= character <= "\udcff":
        return f"\\x{ord(character) - 0xDC00:02x}"
    if character == "\\" or character in _BIDI or unicodedata.category(character) in ("Cc", "Cs", "Zl", "Zp"):
        # An undecodable byte is \x80 and above; control characters up there are written \u0085 to stay apart from it.
        code = ord(character)
        return f"\\u{code:04x}" if code >= 0x80 else character.encode("unicode_escape").decode("ascii")
    return character


def suffix_of(name: str) -> str:
    """The lower-case suffix with its dot, or an empty string."""
    return os.path.splitext(name)[1].lower()


def looks_like_picture(head: bytes) -> bool:
    """Whether a file's first `SNIFF_BYTES` bytes are those of a picture format; text that starts alike is not taken."""
    found = picture_format(head)
    if found == "BMP":  # two letters are weak: look at the fields behind them too
        return head[6:10] == bytes(4) and int.from_bytes(head[14:18], "little") in (12, 40, 52, 56, 64, 108, 124)
    return found is not None or (head[4:8] == b"ftyp" and head[8:12] in _OTHER_PICTURES)


def special_kind(mode: int) -> str | None:
    """What a file that is neither regular, folder nor link is called; None for those."""
    kinds = {
        stat.S_IFIFO: "a named pipe",
        stat.S_IFSOCK: "a socket",
        stat.S_IFCHR: "a character device",
        stat.S_IFBLK: "a block device",
    }
    return kinds.get(stat.S_IFMT(mode))


def open_regular(path: str) -> int:
    """A descriptor of a regular file. Anything else is refused before it is opened, so that nothing can block.

    The last component is never followed if it is a link. Raises `PictureError`.
    """
    try:
        mode = os.lstat(path).st_mode
        if not stat.S_ISREG(mode):
            what = special_kind(mode) or ("a folder" if stat.S_ISDIR(mode) else "a symbolic link")
            raise PictureError(f"{display(path)} is {what}, not a regular file")
        # Between the look and the opening the file may have been replaced: open without following and without waiting.
        flags = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
        descriptor = os.open(path, flags)
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            os.close(descriptor)
            raise PictureError(f"{display(path)} was replaced while it was read")
    except (OSError, ValueError) as error:
        raise PictureError(f"{display(path)} cannot be opened: {reason(error)}") from None
    return descriptor


def read_head(path: str) -> bytes:
    """The first `SNIFF_BYTES` bytes of a regular file. Raises `PictureError`."""
    with os.fdopen(open_regular(path), "rb", buffering=0) as file:
        try:
            return file.read(SNIFF_BYTES) or b""
        except OSError as error:
            raise PictureError(f"{display(path)} cannot be read: {reason(error)}") from None


def read_file(path: str, limit: int) -> bytes:
    """The bytes of a regular file of at most `limit` bytes. Raises `PictureError`."""
    with os.fdopen(open_regular(path), "rb", buffering=0) as file:
        try:
            size = os.fstat(file.fileno()).st_size
            if size <= limit:
                # Read by what comes, not by what the size says: a file may grow meanwhile.
                parts, total = [], 0
                while total <= limit and (part := file.read(min(max(size + 1 - total, 65536), limit + 1 - total))):
                    parts.append(part)
                    total += len(part)
                if total <= limit:
                    return b"".join(parts)
                size = total
        except OSError as error:
            raise PictureError(f"{display(path)} cannot be read: {reason(error)}") from None
    raise PictureError(f"{display(path)} is {size} bytes or more; a picture file may have at most {limit}")


def reason(error: BaseException) -> str:
    """The cause alone, without the path that `OSError` repeats."""
    return (error.strerror or type(error).__name__) if isinstance(error, OSError) else str(error)
