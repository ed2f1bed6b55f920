"""Walks folders: sorted, without recursion, links never followed out of the folder, names held one folder at a time."""

from __future__ import annotations

import os
import stat
from collections import Counter
from collections.abc import Iterator
from fnmatch import fnmatchcase

from memescope.errors import PictureError, UsageError
from memescope.scanning.archives import ZIP_SUFFIXES, zip_entries
from memescope.scanning.entry import (
    PICTURE_SUFFIXES,
    Entry,
    Limits,
    display,
    looks_like_picture,
    read_head,
    reason,
    special_kind,
    suffix_of,
)

JOURNAL = "memescope.db"
OUTPUTS = frozenset({JOURNAL, f"{JOURNAL}-wal", f"{JOURNAL}-shm", "results.jsonl", "results.csv", "report.html"})
_WILD = "*?["
_CLUTTER = frozenset({"__MACOSX", "Thumbs.db", "desktop.ini"})


def folder_entries(folder: str, label: str, limits: Limits, skipped: Counter[str]) -> Iterator[Entry]:
    """The entries of a folder and all folders below it; ids are `label/relative/path`.

    What is not a picture (by suffix or by its first bytes) is counted in `skipped`, by suffix or reason.
    """
    root = os.path.realpath(folder)
    waiting = [(folder, label, _children(folder, label, skipped))]
    while waiting:
        path, id, children = waiting[-1]
        try:
            child = next(children, None)
            if child is None:
                waiting.pop()
                continue
            path, id = child
            mode = os.lstat(path).st_mode
            if stat.S_ISDIR(mode):
                waiting.append((path, id, _children(path, id, skipped)))
                continue
        except (OSError, ValueError) as error:
            yield Entry(id, display(path), "file", error=f"{display(path)} cannot be read: {reason(error)}")
        else:
            yield from file_entries(path, id, mode, root, limits, skipped)


def _children(folder: str, id: str, skipped: Counter[str]) -> Iterator[tuple[str, str]]:
    """Path and id of each child, sorted by the bytes of the name so that every machine sees one order."""
    names = sorted(os.listdir(folder), key=os.fsencode)
    ours = JOURNAL in names
    for name in names:
        if name.startswith(".") or name in _CLUTTER:
            skipped["hidden"] += 1
        elif ours and name in OUTPUTS:
            skipped["memescope output"] += 1
        else:
            yield os.path.join(folder, name), f"{id}/{display(name)}"


def file_entries(path: str, id: str, mode: int, root: str, limits: Limits, skipped: Counter[str]) -> Iterator[Entry]:
    """What one file of a folder gives: an entry, a zip's entries, or nothing but a count; `mode` is that of `lstat`.

    A link is read where it leads to a regular file below `root`, a resolved path.
    """
    target = path
    if stat.S_ISLNK(mode):
        try:
            target = os.path.realpath(path, strict=True)
        except (OSError, ValueError) as error:
            yield Entry(id, display(path), "file", error=f"{display(path)} is a broken symbolic link: {reason(error)}")
            return
        if not is_inside(target, root):
            yield Entry(id, display(path), "file", error=f"{display(path)} is a symbolic link that leaves the folder")
            return
        mode = os.stat(target).st_mode
    if stat.S_ISDIR(mode):
        skipped["link to a folder that is scanned anyway"] += 1
    elif special := special_kind(mode):
        yield Entry(id, display(path), "file", error=f"{display(path)} is {special}, not a regular file")
    elif suffix_of(path) in ZIP_SUFFIXES:
        yield from zip_entries(target, id, limits, skipped)
    else:
        try:
            wanted = suffix_of(path) in PICTURE_SUFFIXES or looks_like_picture(read_head(target))
        except PictureError as error:
            yield Entry(id, display(path), "file", error=str(error))
            return
        if wanted:
            yield Entry(id, display(path), "file", file=target)
        else:
            skipped[suffix_of(path) or "no suffix"] += 1


def is_inside(path: str, root: str) -> bool:
    """Whether an absolute, normalised path is `root` or below it."""
    return path == root or path.startswith(root.rstrip(os.sep) + os.sep)


def expand(pattern: str) -> list[str]:
    """The paths a glob names, sorted; `*`, `?`, `[...]` and `**` (any number of folders).

    Hidden names match only a pattern that starts with a dot; linked folders are not entered by `**`.
    """
    drive, rest = os.path.splitdrive(pattern)
    rest = rest.replace(os.sep, "/")
    parts = [part for part in rest.split("/") if part]
    parts = [part for i, part in enumerate(parts) if part != "**" or parts[i - 1 : i] != ["**"]]
    try:
        return sorted(set(_match(drive + "/" if rest.startswith("/") else drive, parts)), key=os.fsencode)
    except RecursionError:
        raise UsageError(
            f"{display(pattern)}: the folders are nested too deeply for a pattern; scan the folder"
        ) from None


def fixed_folder(pattern: str) -> str:
    """The folder a glob starts in: its parts before the first wildcard."""
    while any(c in pattern for c in _WILD):
        pattern = os.path.dirname(pattern.rstrip("/" + os.sep))
    return pattern or "."


def _match(base: str, parts: list[str]) -> Iterator[str]:
    if not parts:
        yield base
        return
    part, rest = parts[0], parts[1:]
    if not any(c in part for c in _WILD):
        path = os.path.join(base, part)
        if os.path.lexists(path):
            yield from _match(path, rest)
        return
    try:
        names = os.listdir(base or ".")
    except OSError:
        return
    if part == "**":
        # `**` at the end names everything below; zero folders first, then one more level at a time.
        yield from _match(base, rest) if rest else ()
        for name in names:
            path = os.path.join(base, name)
            if not name.startswith("."):
                if os.path.isdir(path) and not os.path.islink(path):
                    yield from _match(path, parts)
                elif not rest:
                    yield path
        return
    for name in names:
        if fnmatchcase(name, part) and (part.startswith(".") or not name.startswith(".")):
            path = os.path.join(base, name)
            if not rest or os.path.isdir(path):
                yield from _match(path, rest)
