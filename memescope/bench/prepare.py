"""Rows a second of `data prepare` against `datasets` and its `map` written plainly, in one run, in turns.

Both read the same JSON lines, decode each picture, take its SHA-256, check the label and save a hub dataset on disk.
The plain way does that one row after the other, as its documentation begins; with several processes it is measured
too. `prepare_again` is a second preparation, in which no picture is decoded anew.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import random
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from memescope.errors import MissingExtra

SIDES = (640, 480)
_LABELS = ("not-hateful", "hateful")


def run(quick: bool = False, data: Path | None = None) -> dict[str, Any]:
    """Median rows a second of each way and its ratio to the plain one. `data` is not used: the pictures are drawn."""
    try:
        import datasets
    except ImportError:
        raise MissingExtra("bench prepare", "data") from None
    rows, rounds = (600, 1) if quick else (4000, 3)
    cores = os.cpu_count() or 1
    datasets.disable_progress_bars()
    seconds: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory() as name, _own_cache(Path(name)):
        folder = Path(name)
        _draw(folder / "memes", rows)
        ways: dict[str, Callable[[Path], int]] = {
            "prepare": lambda out: _prepare(folder / "memes", out, fresh=True),
            "prepare_again": lambda out: _prepare(folder / "memes", out, fresh=False),
            "datasets_map": lambda out: _map(folder / "memes", out, None),
            "datasets_map_all_cores": lambda out: _map(folder / "memes", out, cores),
        }
        for number in range(rounds):
            for way, do in ways.items():
                started = time.perf_counter()
                written = do(folder / f"{way}{number}")
                seconds.setdefault(way, []).append(time.perf_counter() - started)
                if written != rows:
                    raise AssertionError(f"{way} wrote {written} of {rows} rows")
    rates = {way: rows / statistics.median(taken) for way, taken in seconds.items()}
    return {
        "rows": rows,
        "picture": "x".join(map(str, SIDES)),
        "cores": cores,
        "runs": rounds,
        "rows_per_second": {way: round(rate, 1) for way, rate in rates.items()},
        "against_datasets_map": {way: round(rate / rates["datasets_map"], 2) for way, rate in rates.items()},
    }


@contextlib.contextmanager
def _own_cache(folder: Path) -> Iterator[None]:
    before = os.environ.get("MEMESCOPE_CACHE")
    os.environ["MEMESCOPE_CACHE"] = str(folder / "cache")
    try:
        yield
    finally:
        if before is None:
            del os.environ["MEMESCOPE_CACHE"]
        else:
            os.environ["MEMESCOPE_CACHE"] = before


def _draw(folder: Path, rows: int) -> None:
    """Pictures of a photograph's cost to decode, each of another content."""
    from PIL import Image

    luck = random.Random(0)
    (folder / "images").mkdir(parents=True)
    coarse = [Image.frombytes("RGB", (40, 30), luck.randbytes(3600)) for _ in range(16)]
    photographs = [picture.resize(SIDES, Image.Resampling.BICUBIC) for picture in coarse]
    with (folder / "train.jsonl").open("w") as lines:
        for number in range(rows):
            picture = photographs[number % len(photographs)].copy()
            picture.paste((number % 256, number // 256, 0), (0, 0, 16, 16))
            picture.save(folder / "images" / f"{number}.jpg", quality=85)
            label = luck.choice(_LABELS)
            row = {"id": str(number), "image": f"images/{number}.jpg", "text": f"caption {number}", "hateful": label}
            lines.write(json.dumps(row) + "\n")


def _prepare(memes: Path, out: Path, fresh: bool) -> int:
    from memescope.cache import cache_folder
    from memescope.datasets.prepare import prepare

    if fresh:
        shutil.rmtree(cache_folder(), ignore_errors=True)
    return int(prepare([memes], out).record["pictures_found"])


def _map(memes: Path, out: Path, processes: int | None) -> int:
    import datasets
    from PIL import Image

    def check(row: dict[str, Any]) -> dict[str, Any]:
        content = (memes / row["image"]).read_bytes()
        Image.open(memes / row["image"]).convert("RGB").load()
        if row["hateful"] not in _LABELS:
            raise ValueError(row["hateful"])
        return {"image_sha256": hashlib.sha256(content).hexdigest(), "labels": {"hateful": row["hateful"]}}

    cache = str(out.with_name(f"{out.name}-cache"))
    table = datasets.load_dataset("json", data_files=str(memes / "train.jsonl"), split="train", cache_dir=cache)
    table = table.map(check, num_proc=processes)
    datasets.DatasetDict({"train": table}).save_to_disk(str(out))
    return len(table)
