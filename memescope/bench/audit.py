"""The audit: all near pairs of up to a million hashes against the plain numpy way, recall of the pair finder by kind of
change on drawn memes, and pictures hashed a second on one and two processes.

Hashes are drawn at random, and one in a hundred is a copy of another with up to 31 bits negated: each of those pairs
must be found. On 20,000 of them the pairs are held against comparing each with each.
"""

from __future__ import annotations

import os
import resource
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any

import numpy as np

from memescope.bench import changes
from memescope.curation.fingerprints import FilePrint, Fingerprints, fingerprint_files, pixel_key
from memescope.curation.hashes import fingerprint
from memescope.curation.neighbours import RADIUS, near_pairs
from memescope.curation.pairs import LEAKS, Entry, find_pairs
from memescope.curation.sametext import letter_groups
from memescope.meme import Meme
from memescope.perception.cleaning import letters
from memescope.perception.pictures import Picture

if TYPE_CHECKING:
    from memescope.curation.synth.captions import Caption

SIZES, QUICK_SIZES = (10_000, 100_000, 1_000_000), (10_000, 50_000)
PLAIN_UP_TO, QUICK_PLAIN_UP_TO = 100_000, 10_000
"""Comparing each with each takes a hundred times as long for ten times as many: half a day for a million."""
SAMPLE = 20_000
CHANGES: dict[str, changes.Change] = {
    "recompressed, JPEG quality 30": changes.recompressed,
    "rescaled to a half": changes.scaled(0.5),
    "watermarked": changes.watermarked,
    "cropped by 10 %": changes.cropped(0.1),
    "cropped by 30 %": changes.cropped(0.3),
    "cropped by 50 %": changes.cropped(0.5),
    "mirrored": changes.mirrored,
}
"""Parts cut off are of the width and of the height."""


def run(quick: bool = False, data: Path | None = None) -> dict[str, Any]:
    """Measure on drawn hashes and memes; `data` is not used."""
    with tempfile.TemporaryDirectory() as folder, _own_cache(folder):
        sizes, plain = (QUICK_SIZES, QUICK_PLAIN_UP_TO) if quick else (SIZES, PLAIN_UP_TO)
        return {
            "hashes": [_at_scale(size, plain) for size in sizes],
            "against_each_with_each": _against_brute_force(SAMPLE // 4 if quick else SAMPLE),
            "recall": _recall(12 if quick else 60),
            "hashing": _hashing(Path(folder), 40 if quick else 300),
        }


def plot(measured: dict[str, Any], path: str | Path) -> None:
    """The cost by number of hashes, from what `run` gives, as a picture (`.png` or `.svg`). Needs matplotlib."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    rows = measured["hashes"]
    figure, axes = pyplot.subplots(figsize=(5.2, 3.4), dpi=110)
    axes.loglog([r["hashes"] for r in rows], [r["cpu_seconds"] for r in rows], "o-", label="memescope")
    plain = [r for r in rows if r["plain_cpu_seconds"] is not None]
    axes.loglog(
        [r["hashes"] for r in plain], [r["plain_cpu_seconds"] for r in plain], "s--", label="numpy, each with each"
    )
    axes.set(xlabel="hashes of 256 bits", ylabel="seconds of one core", title=f"All pairs within {RADIUS} bits")
    axes.grid(alpha=0.3)
    axes.legend()
    figure.tight_layout()
    figure.savefig(path)
    pyplot.close(figure)


def _at_scale(count: int, plain_up_to: int) -> dict[str, Any]:
    hashes, planted = _drawn_hashes(count, seed=count)
    before, cpu = time.perf_counter(), time.process_time()
    found = {pair for batch in near_pairs(hashes) for pair in zip(*(p.tolist() for p in batch[:2]), strict=True)}
    seconds, cpu = time.perf_counter() - before, time.process_time() - cpu
    plain = plain_cpu = None
    if count <= plain_up_to:
        before, begun = time.perf_counter(), time.process_time()
        assert len(found) == sum(len(some) for some in _each_with_each(hashes))
        plain, plain_cpu = round(time.perf_counter() - before, 2), round(time.process_time() - begun, 2)
    return {
        "hashes": count,
        "planted": len(planted),
        "planted_found": len(planted & found),
        "pairs": len(found),
        "seconds": round(seconds, 2),
        "cpu_seconds": round(cpu, 2),
        "plain_seconds": plain,
        "plain_cpu_seconds": plain_cpu,
        "peak_mib": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
    }


def _drawn_hashes(count: int, seed: int) -> tuple[np.ndarray, set[tuple[int, int]]]:
    """Random hashes, the last hundredth of them near-duplicates of the first, and the pairs of these."""
    rng = np.random.default_rng(seed)
    hashes = rng.integers(0, 256, (count, 32), dtype=np.uint8)
    pairs = {(row, count - 1 - row) for row in range(count // 100)}
    for first, second in pairs:
        negated = np.zeros(256, np.uint8)
        negated[rng.choice(256, rng.integers(0, RADIUS + 1), replace=False)] = 1
        hashes[second] = hashes[first] ^ np.packbits(negated)
    return hashes, pairs


def _each_with_each(hashes: np.ndarray) -> Iterator[list[tuple[int, int]]]:
    """The plain numpy way: the pairs of each row with the later ones."""
    words = hashes.view(np.uint64)
    for row in range(len(words)):
        bits = np.bitwise_count(words[row] ^ words[row + 1 :]).sum(axis=1, dtype=np.uint16)
        yield [(row, row + 1 + int(other)) for other in np.flatnonzero(bits <= RADIUS)]


def _against_brute_force(count: int) -> dict[str, Any]:
    hashes, _ = _drawn_hashes(count, seed=7)
    # Crowded too: families of hashes within each other's reach, as templates are.
    rng = np.random.default_rng(8)
    for row in range(count // 10):
        hashes[row] = hashes[row % 40]
        hashes[row, rng.integers(0, 32, 4)] ^= rng.integers(0, 256, 4, dtype=np.uint8)
    found = [pair for batch in near_pairs(hashes) for pair in zip(*(p.tolist() for p in batch[:2]), strict=True)]
    expected = {pair for some in _each_with_each(hashes) for pair in some}
    # Of equal hashes only the first is paired with others: what it stands for is not asked again.
    stands = {int(b): int(a) for batch in near_pairs(hashes, 0) for a, b, _ in zip(*batch, strict=True)}
    expected = {(a, b) for a, b in expected if a not in stands and (b not in stands or stands[b] == a)}
    return {
        "hashes": count,
        "pairs": len(expected),
        "recall": round(len(expected & set(found)) / len(expected), 6),
        "wrong": len(set(found) - expected),
        "twice": len(found) - len(set(found)),
    }


def _recall(count: int) -> dict[str, Any]:
    """Of changed copies how many are found to be the same meme, with the meme's text given and without any; of the same
    pictures under a new caption how many are found to be one template, and how many are taken for one meme."""
    from memescope.curation.synth.captions import caption
    from memescope.curation.synth.layouts import design, draw

    rng = Random(11)
    said = [caption("en", rng) for _ in range(count)]
    other = [_another(words, lambda: caption("en", rng)) for words in said]
    plans = [design(f"audit {number}", (rng.randint(500, 900), rng.randint(400, 700))) for number in range(count)]
    drawn = [draw(plan, words.top, words.bottom) for plan, words in zip(plans, said, strict=True)]
    originals = [np.asarray(image.convert("RGB")) for image, _ in drawn]
    texts = [text for _, text in drawn]
    base = [_entry(pixels, text) for pixels, text in zip(originals, texts, strict=True)]
    found: dict[str, Any] = {}
    for name, change in CHANGES.items():
        copies = [change(pixels, np.random.default_rng(number)) for number, pixels in enumerate(originals)]
        given = [_entry(pixels, text) for pixels, text in zip(copies, texts, strict=True)]
        bare = [_entry(pixels, "") for pixels in copies]
        found[name] = {
            "with_text": _share(base + given, count, LEAKS),
            "without_text": _share([_entry(p, "") for p in originals] + bare, count, LEAKS),
        }
    again = [draw(plan, words.top, words.bottom) for plan, words in zip(plans, other, strict=True)]
    others = [_entry(np.asarray(image.convert("RGB")), text, inpainted=True) for image, text in again]
    inpainted = [_entry(pixels, text, inpainted=True) for pixels, text in zip(originals, texts, strict=True)]
    plain = [Entry(e.meme, e.set, e.letters, e.groups, e.print) for e in inpainted + others]
    found["new caption"] = {
        "template": _share(plain, count, ("template",)),
        "template_inpainted": _share(inpainted + others, count, ("template",)),
        "taken_for_one_meme": _share(inpainted + others, count, LEAKS),
    }
    return {"memes": count, "changes": found}


def _another(words: Caption, draw: Callable[[], Caption]) -> Caption:
    """A caption that is not the same."""
    new = draw()
    while new.id == words.id:
        new = draw()
    return new


def _entry(pixels: np.ndarray, text: str, inpainted: bool = False) -> Entry:
    picture = Picture(np.ascontiguousarray(pixels), "", pixels.shape[1], pixels.shape[0], "RGB")
    key = pixel_key(picture)
    bare = Fingerprints(inpainted=True).marks(picture) if inpainted else None
    its = FilePrint(key, key, fingerprint(picture))
    return Entry(Meme(text=text, split="train"), "drawn", letters(text), letter_groups(text), its, bare)


def _share(entries: list[Entry], count: int, kinds: tuple[str, ...]) -> float:
    """Of the entries the share whose partner, `count` rows later, is found with one of the classes."""
    pairs = {(pair.first, pair.second) for pair in find_pairs(entries) if pair.kind in kinds}
    return round(sum((row, row + count) in pairs for row in range(count)) / count, 3)


def _hashing(folder: Path, count: int) -> dict[str, Any]:
    from memescope.curation.synth import draw_meme

    paths = []
    for number in range(count):
        paths.append(folder / f"{number}.jpg")
        paths[-1].write_bytes(draw_meme(f"picture {number}\nof many", number, (700, 560)))
    rates: dict[str, float] = {}
    for workers in (1, 2):
        with tempfile.TemporaryDirectory() as place, _own_cache(place):
            rates[str(workers)] = _rate(partial(fingerprint_files, paths, workers=workers), count)
    return {"pictures": count, "a_second_by_processes": rates, "ratio": round(rates["2"] / rates["1"], 2)}


def _rate(work: Callable[[], object], count: int) -> float:
    before = time.perf_counter()
    work()
    return round(count / (time.perf_counter() - before), 1)


class _own_cache:
    """No value that was kept before makes a measurement faster."""

    def __init__(self, folder: str) -> None:
        self._folder, self._before = folder, os.environ.get("MEMESCOPE_CACHE")

    def __enter__(self) -> None:
        os.environ["MEMESCOPE_CACHE"] = self._folder

    def __exit__(self, *_: object) -> None:
        if self._before is None:
            del os.environ["MEMESCOPE_CACHE"]
        else:
            os.environ["MEMESCOPE_CACHE"] = self._before
