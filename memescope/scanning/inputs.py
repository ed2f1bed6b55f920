"""What a scan reads: folders, single files, globs, zip files and lists, as one stream of entries.

Whatever was named is accounted for: an entry that cannot be used is an entry with its cause. The stream holds the names
of one folder at a time and no file's content, so that a million files need no more memory than their names.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from memescope.errors import PictureError, UsageError
from memescope.scanning.archives import ZIP_SUFFIXES, read_member, zip_entries
from memescope.scanning.entry import Entry, Limits, display, read_file, suffix_of
from memescope.scanning.folders import expand, file_entries, fixed_folder, folder_entries
from memescope.scanning.lists import LIST_SUFFIXES, check_list, list_entries

__all__ = ["Entry", "Limits", "entries", "read_bytes"]

LIMITS = Limits()


def entries(
    paths: Sequence[str | Path], *, limits: Limits = LIMITS, skipped: Counter[str] | None = None
) -> Iterator[Entry]:
    """The entries of some paths, in their order and sorted by name within each; ids are unique.

    A folder `memes` gives ids such as `memes/funny/a.jpg`, a zip `memes.zip/a.jpg`, a list `list.csv#12` (line 12) or
    the list's own id, a single file `a.jpg`. Files that are not pictures are counted in `skipped`, by suffix or reason.
    Raises `UsageError`, before the first entry, for a path that does not exist, a glob that matches nothing, and a list
    without an image column.
    """
    roots = _roots([os.fspath(path) for path in paths])
    for root in roots:
        if root.kind == "list":
            try:
                check_list(root.path, limits)
            except PictureError as error:
                raise UsageError(str(error)) from None
    return _stream(roots, limits, Counter() if skipped is None else skipped)


@dataclass(frozen=True)
class _Root:
    """One path to scan. `within` is set for what a glob found: the folder that its links must not leave."""

    path: str
    within: str | None = None

    @property
    def kind(self) -> str:
        if os.path.isdir(self.path):
            return "folder"
        if suffix_of(self.path) in ZIP_SUFFIXES:
            return "zip"
        return "list" if suffix_of(self.path) in LIST_SUFFIXES and self.within is None else "file"


def _stream(roots: list[_Root], limits: Limits, skipped: Counter[str]) -> Iterator[Entry]:
    # A list's own ids are kept as they are where nothing else is scanned with it that might have the same.
    ids: dict[str, str] | None = {} if len(roots) == 1 else None
    for root, label in zip(roots, _labels(roots), strict=True):
        path, kind = root.path, root.kind
        if root.within is not None and (kind != "folder" or os.path.islink(path)):
            yield from file_entries(path, label, os.lstat(path).st_mode, root.within, limits, skipped)
        elif kind == "folder":
            yield from folder_entries(path, label, limits, skipped)
        elif kind == "zip":
            yield from zip_entries(path, label, limits, skipped)
        elif kind == "list":
            yield from list_entries(path, label, limits, ids)
        else:
            yield Entry(label, display(path), "file", file=os.path.realpath(path))


def read_bytes(entry: Entry, limits: Limits = LIMITS) -> bytes:
    """The bytes of an entry's picture. Raises `PictureError`: the entry's own error, or why it cannot be read."""
    if entry.error is not None:
        raise PictureError(entry.error)
    if entry.member is not None:
        return read_member(entry.file, entry.member, limits)
    return read_file(entry.file, limits.file_bytes)


def _roots(paths: list[str]) -> list[_Root]:
    """The paths with globs expanded, each once."""
    if not paths:
        raise UsageError("nothing to scan: name a folder, a picture, a zip file or a list")
    roots: dict[str, _Root] = {}
    for path in paths:
        if "\0" in path or not path:
            raise UsageError(f"'{display(path)}' is not a path")
        if os.path.lexists(path):
            if not os.path.exists(path):
                raise UsageError(f"{display(path)} is a symbolic link to something that is not there")
            found = [_Root(os.path.normpath(path))]
        elif any(c in path for c in "*?["):
            within = os.path.realpath(fixed_folder(path))
            found = [_Root(match, within) for match in expand(path)]
            if not found:
                raise UsageError(f"{display(path)}: no file matches this pattern")
        else:
            hint = "; URLs are never fetched, download it first" if "://" in path else ""
            raise UsageError(f"{display(path)}: no such file or folder{hint}")
        for root in found:
            roots.setdefault(os.path.abspath(root.path), root)
    return list(roots.values())


def _labels(roots: list[_Root]) -> list[str]:
    """What the ids of each root start with: its name, told apart where two roots have the same.

    Single files with one name get their path below the folder they share; folders, zips and lists get `name~2`.
    """
    names = {root: os.path.abspath(root.path) for root in roots}
    files = [root for root in roots if root.kind == "file"]
    labels = {root: display(os.path.basename(names[root])) for root in files}
    if len(set(labels.values())) < len(files):
        shared = os.path.commonpath([os.path.dirname(names[root]) for root in files])
        labels = {root: display(os.path.relpath(names[root], shared)) for root in files}
    # No label may be the start of another: `memes` with `memes/a.jpg`, or `list.csv` with a file `list.csv#12`.
    taken = {part for label in labels.values() for part in (label, label.split("/", 1)[0], label.split("#", 1)[0])}
    for root in (root for root in roots if root not in labels):
        name = display(os.path.basename(names[root])) or "root"
        label, number = name, 2
        while label in taken:
            label, number = f"{name}~{number}", number + 1
        taken.add(label)
        labels[root] = label
    return [labels[root] for root in roots]
