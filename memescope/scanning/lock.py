"""One scan at a time writes to a folder."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from memescope.errors import UsageError
from memescope.locks import lock


@contextmanager
def only_one(folder: Path) -> Iterator[None]:
    """Hold `folder/scan.lock` while the block runs; `UsageError` when another process holds it. Released by a kill."""
    # where nothing can be locked the journal's own locking still keeps the file whole
    with lock(folder / "scan.lock") as held:
        if not held:
            raise UsageError(f"{folder}: another scan is writing here; wait for it or choose another --out")
        yield
