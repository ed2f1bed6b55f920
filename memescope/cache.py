"""What is slow to compute is kept by content: features, baseline answers, OCR text, hashes, inpainted pictures.

One SQLite file for each kind in `$MEMESCOPE_CACHE` (or `~/.cache/memescope`), safe to delete at any time. Keys name
content and the version of the code that made the value, so nothing stale is ever read.
"""

from __future__ import annotations

import hashlib
import json
import os
import sqlite3
from collections.abc import Iterable, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

from memescope.errors import UsageError

_MANY = 500  # keys in one query: SQLite's oldest limit on variables is 999


def cache_folder() -> Path:
    """`$MEMESCOPE_CACHE`, or `~/.cache/memescope`."""
    return Path(os.environ.get("MEMESCOPE_CACHE") or Path.home() / ".cache" / "memescope")


def content_key(*parts: Any) -> str:
    """SHA-256, in hex, of JSON values."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True, ensure_ascii=True).encode()).hexdigest()


class Cache:
    """Bytes by key, written in transactions, so that two processes may share it and a kill leaves it whole."""

    def __init__(self, kind: str) -> None:
        self.path = cache_folder() / f"{kind}.sqlite"
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with closing(self._open()) as db, db:
                db.execute("CREATE TABLE IF NOT EXISTS entries (key TEXT PRIMARY KEY, value BLOB NOT NULL)")
        except (OSError, sqlite3.Error) as error:
            raise UsageError(
                f"cache {self.path} cannot be used ({error}): set MEMESCOPE_CACHE to a folder that can be written, or "
                "delete the file if it is damaged"
            ) from None

    def _open(self) -> sqlite3.Connection:
        db = sqlite3.connect(self.path, timeout=60)
        db.execute("PRAGMA synchronous = OFF")  # nothing here that could not be computed again
        return db

    def get(self, keys: Iterable[str]) -> dict[str, bytes]:
        """The entries there are."""
        wanted = list(dict.fromkeys(keys))
        found: dict[str, bytes] = {}
        with closing(self._open()) as db:
            for start in range(0, len(wanted), _MANY):
                some = wanted[start : start + _MANY]
                marks = ",".join("?" * len(some))
                found |= dict(db.execute(f"SELECT key, value FROM entries WHERE key IN ({marks})", some).fetchall())
        return found

    def has(self, keys: Iterable[str]) -> set[str]:
        """Which of the keys there are, without reading their values."""
        wanted = list(dict.fromkeys(keys))
        found: set[str] = set()
        with closing(self._open()) as db:
            for start in range(0, len(wanted), _MANY):
                some = wanted[start : start + _MANY]
                marks = ",".join("?" * len(some))
                found.update(row[0] for row in db.execute(f"SELECT key FROM entries WHERE key IN ({marks})", some))
        return found

    def put(self, entries: Mapping[str, bytes]) -> None:
        """Keep these entries."""
        with closing(self._open()) as db, db:
            db.executemany("INSERT OR REPLACE INTO entries VALUES (?, ?)", list(entries.items()))
