"""Near-duplicates: recall by kind of change, other memes on the same picture taken for copies, throughput at 100,000.

Each change is measured by itself: all originals and that change's copies in one clustering, so that no other copy can
serve as a bridge. Recall is given without texts (pictures alone decide) and with OCR's, as in a scan.
"""

from __future__ import annotations

import resource
import time
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

import numpy as np

from memescope.backbones import load_vision_encoder
from memescope.bench.changes import CHANGES
from memescope.curation.duplicates import Clusters, cluster
from memescope.curation.hashes import KEYPOINTS, Fingerprint, fingerprint
from memescope.datasets import read_split
from memescope.datasets.prepared import SPLITS
from memescope.perception.pictures import Picture, open_picture

DIMENSIONS = 128
COMPANY = 150
"""Other memes among which a copy must find its original."""


@dataclass
class _Item:
    """A meme with what a clustering needs. `family` names its template, `same` the meme itself."""

    pixels: np.ndarray
    text: str
    family: str
    same: str
    marks: Fingerprint
    embedding: np.ndarray


def run(quick: bool = False, data: Path | None = None) -> dict[str, Any]:
    """Measure on drawn memes, or with `data` on the memes of its sets `multi3hate` (English) and `harmc`."""
    encode = _Encoder()
    started = time.process_time()
    items = _real(data, quick, encode) if data else _drawn(120 if quick else 400, encode)
    asked = items[:: max(1, len(items) // (25 if quick else 50))]
    result: dict[str, Any] = {
        "pictures": "real" if data else "drawn",
        "memes": len(items),
        "changed": len(asked),
        "fingerprint_ms": encode.milliseconds(),
        "recall_without_text": _recall(items, asked, encode, ocr=False),
    }
    if not quick:
        result["recall_with_ocr_text"] = _recall(items, asked, encode, ocr=True)
    for name, texts in (("with_text", [item.text for item in items]), ("without_text", None)):
        before = time.process_time()
        found = _cluster(items, texts)
        spent = time.process_time() - before
        result[f"originals_{name}"] = _mistakes(items, found) | {"ms_an_item": round(1000 * spent / len(items), 2)}
    result["random"] = _at_scale(10_000 if quick else 100_000)
    result["cpu_seconds"] = round(time.process_time() - started, 1)
    return result


class _Encoder:
    """Fingerprints and embeddings as a scan makes them, and what a fingerprint costs."""

    def __init__(self) -> None:
        self._encoder = load_vision_encoder("effnet-lite0")
        rng = np.random.default_rng(0)
        self._projection = rng.standard_normal((self._encoder.dim, DIMENSIONS)).astype(np.float32)
        self._spent: list[float] = []

    def item(self, pixels: np.ndarray, text: str, family: str, same: str) -> _Item:
        picture = Picture(pixels, f"{family} {same} {len(self._spent)}", pixels.shape[1], pixels.shape[0], "RGB")
        started = time.process_time()
        marks = fingerprint(picture)
        self._spent.append(time.process_time() - started)
        vector = self._encoder.pooled([picture])[0] @ self._projection
        vector /= max(float(np.linalg.norm(vector)), 1e-6)
        return _Item(pixels, text, family, same, Fingerprint.from_bytes(marks.to_bytes()), vector.astype(np.float16))

    def milliseconds(self) -> float:
        return round(1000 * float(np.median(self._spent)), 2)


def _drawn(count: int, encode: _Encoder) -> list[_Item]:
    """Drawn memes: each picture with three texts."""
    from memescope.curation.synth.captions import Caption, caption
    from memescope.curation.synth.layouts import design, draw

    rng = Random(5)
    items = []
    for number in range(count // 3):
        plan = design(f"bench {number}", (rng.randint(500, 900), rng.randint(400, 700)))
        said: dict[str, Caption] = {}
        while len(said) < 3:
            words = caption("en", rng)
            said.setdefault(words.id, words)
        for words in said.values():
            image, text = draw(plan, words.top, words.bottom)
            items.append(encode.item(np.asarray(image.convert("RGB")), text, str(number), f"{number} {words.id}"))
    return items


def _real(data: Path, quick: bool, encode: _Encoder) -> list[_Item]:
    """English multi3hate, whose templates are known, and Harm-C for company (its own duplicates are not counted)."""
    items = []
    for name, most in (("multi3hate", 300), ("harmc", 100 if quick else 700)):
        memes = [meme for split in SPLITS for meme in read_split(data / name, split)]
        for meme in [meme for meme in memes if name != "multi3hate" or meme.lang == "en"][:most]:
            family = f"{name} {meme.meta.get('template', '')}"
            items.append(encode.item(open_picture(meme.image).pixels, meme.text, family, f"{name} {meme.id}"))
    return items


def _cluster(items: list[_Item], texts: list[str] | None) -> Clusters:
    vectors = np.stack([item.embedding for item in items])
    return cluster([item.marks for item in items], texts=texts, embeddings=vectors)


def _recall(items: list[_Item], asked: list[_Item], encode: _Encoder, ocr: bool) -> dict[str, Any]:
    read = _reader() if ocr else None
    found: dict[str, Any] = {}
    # Without texts every neighbour's keypoints are compared: some company is enough to err among.
    items = asked + [item for item in items if not any(item is one for one in asked)][:COMPANY]
    if read:
        items = [_Item(i.pixels, read(i.pixels), i.family, i.same, i.marks, i.embedding) for i in asked]
    place = {item.same: number for number, item in enumerate(items)}
    for name, change in CHANGES.items():
        copies = []
        for number, item in enumerate(asked):
            pixels = change(item.pixels, np.random.default_rng(number))
            copies.append(encode.item(pixels, read(pixels) if read else "", item.family, item.same))
        together = items + copies
        result = _cluster(together, [item.text for item in together] if read else None)
        hits, alike = 0, 0
        for number, copy in enumerate(copies, len(items)):
            hit = _first(result, number) == _first(result, place[copy.same])
            hits += hit
            alike += not hit and result.alike[number] is not None
        found[name] = {"recall": round(hits / len(copies), 3), "said_alike": round(alike / len(copies), 3)}
    return found


def _first(found: Clusters, number: int) -> int:
    duplicate = found.duplicates[number]
    return number if duplicate is None else duplicate.of


def _reader() -> Any:
    from memescope.perception.ocr import load_ocr

    engine = load_ocr()
    return lambda pixels: engine.read(Picture(pixels, "", pixels.shape[1], pixels.shape[0], "RGB")).text


def _mistakes(items: list[_Item], found: Clusters) -> dict[str, Any]:
    """How many pairs with one picture and two texts were taken for one meme, and how many were said to be alike."""
    families: dict[str, list[int]] = defaultdict(list)
    for number, item in enumerate(items):
        if not item.family.startswith("harmc"):
            families[item.family].append(number)
    pairs = [(a, b) for family in families.values() for a in family for b in family if a < b]
    joined = sum(_first(found, a) == _first(found, b) for a, b in pairs)

    def kin(number: int) -> int:
        alike = found.alike[number]
        return _first(found, number) if alike is None else alike

    across: dict[int, set[str]] = defaultdict(set)
    for number, item in enumerate(items):
        across[_first(found, number)].add(item.family)
    return {
        "pairs_same_picture_other_text": len(pairs),
        "taken_for_one_meme": joined,
        "said_alike": sum(kin(a) == kin(b) and _first(found, a) != _first(found, b) for a, b in pairs),
        "clusters_across_pictures": sum(len(names) > 1 for names in across.values()),
    }


def _at_scale(count: int) -> dict[str, Any]:
    """Clustering of random fingerprints with a tenth of re-encoded copies; embeddings share a mean as real ones do."""
    rng = np.random.default_rng(1)
    hashes = rng.integers(0, 256, (count, 32), dtype=np.uint8)
    copies = np.arange(count - count // 10, count)
    hashes[copies] = hashes[copies - count // 2]
    hashes[copies, 0] ^= 0b101
    vectors = rng.standard_normal((count, DIMENSIONS)).astype(np.float32) / DIMENSIONS**0.5
    vectors += 0.9 * vectors[0] / np.linalg.norm(vectors[0])
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    points = (rng.random((KEYPOINTS, 2)) * 384).astype(np.float32)

    class Stored:
        def __len__(self) -> int:
            return count

        def __getitem__(self, index: int, /) -> Fingerprint:
            descriptors = np.random.default_rng(index).integers(0, 256, (KEYPOINTS, 32), dtype=np.uint8)
            return Fingerprint(hashes[index].tobytes(), 100, bytes(32), (384, 384), points, descriptors)

    words = [f"{number:x}" for number in rng.integers(16**5, 16**6, 5000)]
    texts = [" ".join(words[w] for w in rng.integers(0, len(words), 10)) for _ in range(count)]
    for copy in copies:
        texts[copy] = texts[copy - count // 2]
    before, memory = time.process_time(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    found = cluster(Stored(), texts=texts, embeddings=vectors.astype(np.float16))
    return {
        "entries": count,
        "cpu_seconds": round(time.process_time() - before, 1),
        "more_memory_mib": round((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - memory) / 1024),
        "copies": len(copies),
        "copies_found": sum(duplicate is not None for duplicate in found.duplicates),
    }
