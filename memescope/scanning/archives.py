"""Zip files as inputs: members are read one at a time, and nothing is ever unpacked to disk.

Every member is accounted for. Names that leave the zip, encrypted members, links, zips inside zips and bombs become
entries with an error. Sizes are not believed: a member is inflated in pieces and cut off at its limit.
"""

from __future__ import annotations

import io
import os
import re
import stat
import struct
import zipfile
import zlib
from collections import Counter
from collections.abc import Iterator
from functools import lru_cache

from memescope.errors import PictureError
from memescope.scanning.entry import (
    PICTURE_SUFFIXES,
    SNIFF_BYTES,
    Entry,
    Limits,
    display,
    looks_like_picture,
    open_regular,
    reason,
    suffix_of,
)

ZIP_SUFFIXES = frozenset({".zip", ".cbz"})
# What zipfile and the decompressors raise for damaged or hostile input.
_BROKEN = (
    zipfile.BadZipFile,
    zipfile.LargeZipFile,
    zlib.error,
    struct.error,
    EOFError,
    OSError,
    ValueError,
    NotImplementedError,
    RuntimeError,
    KeyError,
    IndexError,
    OverflowError,
    MemoryError,
)
_ENCRYPTED = 0x1
_UTF8 = 0x800


def zip_entries(path: str, label: str, limits: Limits, skipped: Counter[str]) -> Iterator[Entry]:
    """The entries of one zip file, in the order of its directory; ids are `label/member/name`."""
    shown = display(path)
    try:
        with _open_zip(path, limits) as archive:
            yield from _members(archive, path, label, limits, skipped)
    except PictureError as error:
        yield Entry(label, shown, "file", error=str(error))
    except _BROKEN as error:
        yield Entry(label, shown, "file", error=f"{shown} is not a zip file that can be read: {reason(error)}")


def _members(archive: zipfile.ZipFile, path: str, label: str, limits: Limits, skipped: Counter[str]) -> Iterator[Entry]:
    total, total_limit = 0, limits.zip_total_bytes + limits.zip_total_ratio * os.path.getsize(path)
    seen: set[str] = set()
    for index, info in enumerate(archive.infolist()):
        name = member_name(info)
        parts = name.replace("\\", "/").split("/")
        if name.endswith("/"):
            continue
        if any(part.startswith(".") and part not in (".", "..") for part in parts) or "__MACOSX" in parts:
            skipped["hidden"] += 1
            continue
        id, number = f"{label}/{display(name)}", 2
        while id in seen:
            id, number = f"{label}/{display(name)} ({number})", number + 1
        seen.add(id)
        error = _refusal(info, name, limits)
        if error is None and suffix_of(name) not in PICTURE_SUFFIXES:
            try:
                with archive.open(info) as file:
                    if not looks_like_picture(file.read(SNIFF_BYTES)):
                        skipped[suffix_of(name) or "no suffix"] += 1
                        continue
            except _BROKEN as broken:
                error = f"cannot be read: {reason(broken)}"
        if error is None:
            total += info.file_size
            if total > total_limit:
                error = f"is not read: the members before it already inflate to more than {total_limit} bytes"
        shown = f"{display(path)}/{display(name)}"
        if error is None:
            yield Entry(id, shown, "member", file=path, member=index)
        else:
            yield Entry(id, shown, "member", error=f"{shown} {error}")


def member_name(info: zipfile.ZipInfo) -> str:
    """A member's whole name. Zips that hold UTF-8 without saying so are common; their names are read as UTF-8."""
    name = info.orig_filename
    if not info.flag_bits & _UTF8:
        try:
            return name.encode("cp437").decode("utf-8")
        except (UnicodeEncodeError, UnicodeDecodeError):
            return name
    return name


def _refusal(info: zipfile.ZipInfo, name: str, limits: Limits) -> str | None:
    """Why a member is not read, judged by the zip's directory alone; None if it may be."""
    if name.startswith("/") or ".." in name.replace("\\", "/").split("/") or re.match(r"[A-Za-z]:", name):
        return "has a name that leaves the zip file"
    if "\\" in name or "\0" in name or not name:
        return "has a name with a backslash or NUL, or none"
    if info.flag_bits & _ENCRYPTED:
        return "is encrypted: unpack the zip file with its password and scan the folder"
    if stat.S_ISLNK(info.external_attr >> 16):
        return "is a symbolic link"
    if suffix_of(name) in ZIP_SUFFIXES:
        return "is a zip file inside a zip file, which is not opened: unpack it and scan it by itself"
    if info.file_size > limits.file_bytes:
        return f"inflates to {info.file_size} bytes; a picture file may have at most {limits.file_bytes}"
    if info.file_size > limits.zip_ratio_from and info.file_size > limits.zip_ratio * max(info.compress_size, 1):
        return f"inflates {info.compress_size} bytes to {info.file_size}, more than {limits.zip_ratio} to 1: a zip bomb"
    return None


def read_member(path: str, index: int, limits: Limits) -> bytes:
    """One member's bytes, checked against its CRC. Raises `PictureError`."""
    shown = display(path)
    try:
        about = os.stat(path)
        archive = _cached_zip(path, about.st_mtime_ns, about.st_size, os.getpid(), limits)
        info = archive.infolist()[index]
        shown = f"{shown}/{display(member_name(info))}"
        parts, total = [], 0
        with archive.open(info) as file:
            while part := file.read(1 << 20):
                parts.append(part)
                total += len(part)
                if total > limits.file_bytes:
                    raise PictureError(f"{shown} inflates to more than the {limits.file_bytes} bytes allowed")
        if total != info.file_size:
            raise PictureError(f"{shown} is cut off: {total} of {info.file_size} bytes")
        return b"".join(parts)
    except _BROKEN as error:
        raise PictureError(f"{shown} cannot be read: {reason(error)}") from None


@lru_cache(maxsize=2)
def _cached_zip(path: str, modified: int, size: int, process: int, limits: Limits) -> zipfile.ZipFile:
    """An open zip file for reading members one by one; its own for each process, as a file position is not shared."""
    return _open_zip(path, limits)


def _open_zip(path: str, limits: Limits) -> zipfile.ZipFile:
    file = _Guarded(io.FileIO(open_regular(path), "rb"), limits.zip_directory_bytes)
    try:
        archive = zipfile.ZipFile(file)
        if len(archive.infolist()) > limits.zip_members:
            raise PictureError(
                f"{display(path)} holds {len(archive.infolist())} members; at most {limits.zip_members} are read:"
                " unpack it and scan the folder"
            )
    except BaseException:
        file.close()
        raise
    return archive


class _Guarded(io.BufferedReader):
    """A file that refuses to be read in huge pieces: zipfile would hold any directory in memory, however large."""

    def __init__(self, raw: io.FileIO, most: int) -> None:
        super().__init__(raw)
        self._most = most

    def read(self, size: int | None = -1, /) -> bytes:
        if size is not None and size > self._most:
            raise ValueError(f"its directory has {size} bytes; at most {self._most} are read")
        return super().read(self._most if size is None or size < 0 else size)
