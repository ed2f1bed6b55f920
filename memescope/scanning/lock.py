"""One scan at a time writes to a folder."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from memescope.errors import UsageError


@contextmanager
def only_one(folder: Path) -> Iterator[None]:
    """Hold `folder/scan.lock` while the block runs; `UsageError` when another process holds it. Released by a kill."""
    try:
        import fcntl
    except ImportError:  # Windows: the journal's own locking still keeps the file whole
        yield
        return
    with (folder / "scan.lock").open("w") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UsageError(f"{folder}: another scan is writing here; wait for it or choose another --out") from None
        yield
