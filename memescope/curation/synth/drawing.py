"""Folders of drawn memes with known truth: originals, near-duplicates, confounders and broken files.

A drawn folder is a prepared set: `truth.jsonl` (and, asked for, `train|val|test.jsonl`) beside the pictures. The same
arguments give the same bytes, with the same versions of Pillow and HarfBuzz.
"""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any

from memescope.curation.synth.broken import broken_files
from memescope.curation.synth.captions import Caption, caption, check_languages
from memescope.curation.synth.changes import CHANGES, USUAL_CHANGES
from memescope.curation.synth.layouts import Design, design, draw
from memescope.errors import UsageError

if TYPE_CHECKING:
    from PIL import Image

Row = dict[str, Any]
SPLIT_SHARES = {"train": 0.7, "val": 0.1, "test": 0.2}
QUALITY = 88
SIDES = (500, 900)
"""Shortest and longest side of a drawn meme, unless asked for others."""


def jpeg(image: Image.Image, quality: int = QUALITY) -> bytes:
    """The picture as a JPEG file."""
    data = io.BytesIO()
    image.save(data, "JPEG", quality=quality)
    return data.getvalue()


def draw_meme(text: str, seed: int | str = 0, size: tuple[int, int] | None = None, layout: str | None = None) -> bytes:
    """One meme with any text as a JPEG file. A newline in the text parts the upper from the lower half."""
    top, _, bottom = text.partition("\n") if "\n" in text else _halves(text)
    return jpeg(draw(design(str(seed), size or _size(f"size {seed}", SIDES), layout=layout), top, bottom)[0])


def _halves(text: str) -> tuple[str, str, str]:
    words = text.split(" ")
    middle = (len(words) + 1) // 2
    return " ".join(words[:middle]), "", " ".join(words[middle:])


def synth(
    out: str | Path,
    count: int = 200,
    seed: int = 0,
    languages: Sequence[str] = (),
    near_duplicates: int = 0,
    changes: Sequence[str] = USUAL_CHANGES,
    confounders: int = 0,
    broken: bool = False,
    splits: bool = False,
    sides: tuple[int, int] = SIDES,
    progress: Callable[[int, int], None] | None = None,
) -> list[Row]:
    """Draws memes into the folder `out` and returns the rows of its `truth.jsonl`.

    `count` originals take turns through `languages` (all ten when empty). `near_duplicates` copies of originals are
    each changed in one of the `changes`, in turn. Every second of the `confounders` has an original's picture with
    another text, the others its text with another picture. `broken` adds the folder of `broken_files`. `splits` also
    writes train, val and test, in which whatever comes from one original stays together. Width and height are each
    between the two `sides`, in pixels. `progress` is told (done, all).

    A row has `id, image, text, labels, lang, meta`, labels canonical, text as lettered; `meta` says `kind` (`original`,
    `near-duplicate`, `same-picture`, `same-text`, `broken`), `template`, `family` (the original's id) and, by kind,
    `duplicate_of` and `change`, `caption`, `mood`, or for broken files `expect`.

    Raises `UsageError` for numbers out of range, an unknown language or change, or a folder that is not empty.
    """
    out = Path(out)
    langs = check_languages(list(languages))
    if not 200 <= sides[0] <= sides[1] <= 4000:
        raise UsageError(
            f"sides: expected two numbers from 200 to 4000, the smaller first, found {sides[0]}, {sides[1]}"
        )
    _check(out, {"count": count, "near_duplicates": near_duplicates, "confounders": confounders}, changes)
    (out / "images").mkdir(parents=True, exist_ok=True)
    total = count + near_duplicates + confounders
    rows: list[Row] = []

    def keep(row: Row, data: bytes) -> None:
        (out / row["image"]).write_bytes(data)
        rows.append(row)
        if progress:
            progress(len(rows), total)

    originals: list[tuple[Row, Design, Caption]] = []
    for number in range(count):
        rng = Random(f"{seed} meme {number}")
        words = caption(langs[number % len(langs)], rng)
        plan = design(f"{seed} picture {number}", _size(f"{seed} size {number}", sides), words.mood)
        row, data = _meme(f"m{number:05d}", "original", plan, words)
        originals.append((row, plan, words))
        keep(row, data)
    mixed = Random(f"{seed} order").sample(originals, count)
    for number in range(near_duplicates):
        change = changes[number % len(changes)]
        keep(*_near_duplicate(out, f"n{number:05d}", change, mixed[number % count][0], Random(f"{seed} copy {number}")))
    for number in range(confounders):
        original = mixed[-1 - number // 2 % count]
        keep(*_confounder(f"c{number:05d}", number % 2 == 0, original, f"{seed} confounder {number}"))
    if broken:
        for name, expectation in broken_files(out / "broken").items():
            meta = {"kind": "broken", "expect": expectation.to_dict()}
            rows.append(
                {"id": f"broken/{name}", "image": f"broken/{name}", "text": expectation.text}
                | {"labels": {}, "lang": expectation.lang, "meta": meta}
            )
    _write(out / "truth.jsonl", rows)
    if splits:
        _write_splits(out, [row for row in rows if row["meta"]["kind"] != "broken"], Random(f"{seed} splits"))
    return rows


def _size(seed: str, sides: tuple[int, int]) -> tuple[int, int]:
    rng = Random(seed)
    return rng.randint(*sides), rng.randint(*sides)


def _check(out: Path, numbers: dict[str, int], changes: Sequence[str]) -> None:
    for name, number in numbers.items():
        if number < 0:
            raise UsageError(f"{name}: expected 0 or more, found {number}")
    if not numbers["count"] and (numbers["near_duplicates"] or numbers["confounders"]):
        raise UsageError("near-duplicates and confounders need originals: expected a count of 1 or more, found 0")
    for change in changes:
        if change not in CHANGES:
            raise UsageError(f"unknown change {change!r}; there are: {', '.join(CHANGES)}")
    if numbers["near_duplicates"] and not changes:
        raise UsageError(f"near-duplicates need at least one change of: {', '.join(CHANGES)}")
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise UsageError(f"{out}: not an empty folder; name a new one, nothing is overwritten")


def _meme(identifier: str, kind: str, plan: Design, words: Caption) -> tuple[Row, bytes]:
    image, text = draw(plan, words.top, words.bottom)
    meta = {"kind": kind, "template": plan.template, "family": identifier}
    meta |= {"caption": words.id, "mood": plan.mood}
    row = {"id": identifier, "image": f"images/{identifier}.jpg", "text": text, "labels": words.labels(plan.mood)}
    return row | {"lang": words.lang, "meta": meta}, jpeg(image)


def _near_duplicate(out: Path, identifier: str, change: str, row: Row, rng: Random) -> tuple[Row, bytes]:
    from PIL import Image

    with Image.open(out / row["image"]) as image:
        changed = CHANGES[change](image.convert("RGB"), rng)
    meta = row["meta"] | {"kind": "near-duplicate", "duplicate_of": row["id"], "change": change}
    return row | {"id": identifier, "image": f"images/{identifier}.jpg", "meta": meta}, jpeg(changed)


def _confounder(identifier: str, same_picture: bool, of: tuple[Row, Design, Caption], seed: str) -> tuple[Row, bytes]:
    original, plan, words = of
    if same_picture:
        words = caption(words.lang, Random(seed), plan.mood, unlike=words)
    else:
        # Where the caption goes with both, the other mood: then an ironic one changes its meaning.
        mood = words.mood or ("gloomy" if plan.mood == "bright" else "bright")
        plan = design(seed, (plan.width, plan.height), mood, plan.layout)
    row, data = _meme(identifier, "same-picture" if same_picture else "same-text", plan, words)
    row["meta"] |= {"family": original["id"], "confounds": original["id"]}
    return row, data


def _write(path: Path, rows: Sequence[Row]) -> None:
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), "utf-8")


def _write_splits(out: Path, rows: list[Row], rng: Random) -> None:
    families = sorted({row["meta"]["family"] for row in rows})
    rng.shuffle(families)
    start = 0.0
    for split, share in SPLIT_SHARES.items():
        here = set(families[round(start * len(families)) : round((start + share) * len(families))])
        start += share
        _write(out / f"{split}.jsonl", [row for row in rows if row["meta"]["family"] in here])
