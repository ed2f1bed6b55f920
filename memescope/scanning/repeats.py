"""Which entries of a scan are the same meme again, found from what the journal keeps of each picture."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from memescope.curation.duplicates import cluster
from memescope.curation.hashes import Fingerprint
from memescope.store.journal import Journal


@dataclass(frozen=True, slots=True)
class Repeat:
    """`of` is the id of the first entry that is the same meme, `kind` how this one was changed; `same_picture_as` is
    the id of the first entry with the same picture and another text. Any may be None."""

    of: str | None
    kind: str | None
    same_picture_as: str | None


class _Stored:
    """The fingerprints of a journal, read when asked: thousands of pictures' keypoints are not held in memory."""

    def __init__(self, journal: Journal, readings: list[str]) -> None:
        self._journal = journal
        self._readings = readings

    def __len__(self) -> int:
        return len(self._readings)

    def __getitem__(self, index: int) -> Fingerprint:
        blob = self._journal.fingerprint(self._readings[index])
        if blob is None:
            raise KeyError(f"reading {self._readings[index]} has no fingerprint")
        return Fingerprint.from_bytes(blob)


def find_repeats(journal: Journal) -> dict[int, Repeat]:
    """For each entry (by `seq`) that repeats another what it repeats; the others are left out."""
    seqs: list[int] = []
    ids: list[str] = []
    readings: list[str] = []
    keys: list[str] = []
    texts: list[str] = []
    given: list[bool] = []
    embeddings: list[np.ndarray] = []
    for row in journal.rows():
        if row.error is not None or row.reading is None or row.stored is None or row.stored.fingerprint is None:
            continue
        seqs.append(row.seq)
        ids.append(row.id)
        readings.append(row.reading)
        keys.append(row.stored.record["picture"]["sha256"])
        texts.append(row.stored.record["text"])
        given.append(row.stored.record["ocr_text"] is None)
        embeddings.append(np.frombuffer(row.stored.embedding or b"", np.float16))
    if not seqs:
        return {}
    found = cluster(
        _Stored(journal, readings),
        keys=keys,
        texts=texts,
        given=given,
        embeddings=np.stack(embeddings).astype(np.float32),
    )
    repeats = {}
    for seq, duplicate, alike in zip(seqs, found.duplicates, found.alike, strict=True):
        if duplicate is not None or alike is not None:
            repeats[seq] = Repeat(
                of=None if duplicate is None else ids[duplicate.of],
                kind=None if duplicate is None else duplicate.kind,
                same_picture_as=None if alike is None else ids[alike],
            )
    return repeats
