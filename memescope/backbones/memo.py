"""A small memory of the last results by content, so that answer, explain and duplicate search encode a meme once."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from threading import Lock

import numpy as np


class Memo:
    """The most recently used arrays by key, at most `limit` bytes of them. Safe between threads."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.size = 0
        self._arrays: OrderedDict[str, np.ndarray] = OrderedDict()
        self._lock = Lock()

    def get(self, key: str) -> np.ndarray | None:
        """The array of a key, read-only, or None."""
        with self._lock:
            array = self._arrays.get(key)
            if array is not None:
                self._arrays.move_to_end(key)
            return array

    def put(self, key: str, array: np.ndarray) -> None:
        """Remember a copy; the least recently used make room."""
        if array.nbytes > self.limit:
            return
        kept = array.copy()
        kept.flags.writeable = False
        with self._lock:
            if key in self._arrays:
                self.size -= self._arrays.pop(key).nbytes
            self._arrays[key] = kept
            self.size += kept.nbytes
            while self.size > self.limit:
                self.size -= self._arrays.popitem(last=False)[1].nbytes

    def through(self, keys: Sequence[str], compute: Callable[[list[int]], list[np.ndarray]]) -> list[np.ndarray]:
        """An array for each key. `compute` gets the positions of the keys that are not remembered, each key once."""
        found = {key: self.get(key) for key in keys}
        first = {key: i for i, key in reversed(list(enumerate(keys)))}
        missing = sorted(first[key] for key, array in found.items() if array is None)
        for i, array in zip(missing, compute(missing) if missing else [], strict=True):
            found[keys[i]] = array
            self.put(keys[i], array)
        return [array for array in (found[key] for key in keys) if array is not None]
