"""Throughput of a whole scan against the naive way, in one run, in turns.

The naive way is what one writes first: one picture at a time, the OCR library as it comes (all its threads), the
reference encoders in PyTorch float32, no evidence, no duplicates, no journal. The scan explains every meme, the most it
can have to do. Both ways read the same drawn memes.
"""

from __future__ import annotations

import json
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from memescope.errors import MissingExtra


def run(quick: bool = False, data: Path | None = None) -> dict[str, Any]:
    """Memes a second of both ways, their OCR character error, seconds by stage, and the share of the ideal reached."""
    count, naive_count, rounds = (40, 12, 1) if quick else (200, 40, 3)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        truth = _draw(folder / "memes", count)
        pictures = sorted(truth)
        naive = _naive()
        naive(pictures[0])
        rates: dict[str, list[float]] = {"scan": [], "scan_without_start": [], "naive": []}
        texts: dict[str, dict[Path, str]] = {"scan": {}, "naive": {}}
        for number in range(rounds):
            scanned = _scan(folder / "memes", folder / f"out{number}")
            rates["scan"].append(count / scanned["seconds"])
            rates["scan_without_start"].append(count / (scanned["seconds"] - scanned["start_seconds"]))
            part = pictures[number * naive_count : (number + 1) * naive_count]
            started = time.perf_counter()
            texts["naive"].update({picture: naive(picture) for picture in part})
            rates["naive"].append(len(part) / (time.perf_counter() - started))
        lines = [json.loads(line) for line in (folder / "out0" / "results.jsonl").read_text("utf-8").splitlines()]
        texts["scan"] = {Path(line["path"]).resolve(): line["ocr_text"] for line in lines}
        explained = sum(bool(line["evidence"]) for line in lines)
        stages = _stages(folder / "out0")
        _scan(pictures[: 20 if quick else 60], folder / "alone", workers=1)
        alone = _stages(folder / "alone")
    cores = os.cpu_count() or 1
    ideal = cores / sum(alone.values())
    medians = {way: round(statistics.median(values), 2) for way, values in rates.items()}
    both = sorted(texts["naive"])
    return {
        "memes": count,
        "longest_side": "500 to 900",
        "cores": cores,
        "memes_per_second": medians,
        "ratio": round(statistics.median(s / n for s, n in zip(rates["scan"], rates["naive"], strict=True)), 2),
        "character_error": {way: round(_error(texts[way], truth, both), 4) for way in ("scan", "naive")},
        "character_error_over": len(both),
        "explained": explained,
        "share_of_time": {stage: round(value / sum(stages.values()), 3) for stage, value in stages.items()},
        "stage_milliseconds_alone": {stage: round(1000 * value, 2) for stage, value in alone.items()},
        "ideal_memes_per_second": round(ideal, 2),
        "share_of_ideal": round(medians["scan"] / ideal, 3),
        "share_of_ideal_without_start": round(medians["scan_without_start"] / ideal, 3),
    }


def _draw(folder: Path, count: int) -> dict[Path, str]:
    from memescope.curation.synth import synth

    synth(folder, count=count, seed=0, languages=("en", "de", "es"))
    rows = [json.loads(line) for line in (folder / "truth.jsonl").read_text("utf-8").splitlines()]
    return {(folder / row["image"]).resolve(): row["text"] for row in rows}


def _scan(memes: Path | list[Path], out: Path, workers: int | None = None) -> dict[str, float]:
    """A scan that explains every meme; `start_seconds` is the time until the first meme is read."""
    from memescope.scanning.pipeline import scan
    from memescope.scanning.policy import Policy, Rule

    always = Policy(rules=(Rule(task="harmful", label="harmful", threshold=0.0, action="review"),))
    first: list[float] = []
    started = time.perf_counter()
    scan(memes, out, policy=always, workers=workers, progress=lambda *_: first.append(time.perf_counter()))
    return {"seconds": time.perf_counter() - started, "start_seconds": first[0] - started}


def _naive() -> Callable[[Path], str]:
    try:
        import torch
        from transformers import AutoModel, AutoTokenizer
    except ImportError:
        raise MissingExtra("bench scan (the naive way runs on PyTorch)", "train") from None
    from PIL import Image
    from rapidocr import RapidOCR

    from memescope.backbones.efficientnet import load_reference
    from memescope.backbones.export import source

    engine = RapidOCR()
    vision = load_reference(source("effnet-lite0")).eval()
    text_folder = source("minilm").parent
    tokenizer, text_model = AutoTokenizer.from_pretrained(text_folder), AutoModel.from_pretrained(text_folder).eval()

    @torch.inference_mode()
    def read(path: Path) -> str:
        found = engine(str(path))
        text = "\n".join(getattr(found, "txts", None) or ())
        text_model(**tokenizer([text], truncation=True, return_tensors="pt"))
        picture = Image.open(path).convert("RGB").resize((224, 224), Image.Resampling.BICUBIC)
        pixels = torch.frombuffer(bytearray(picture.tobytes()), dtype=torch.uint8).reshape(1, 224, 224, 3)
        vision((pixels.permute(0, 3, 1, 2).float() - 127) / 128)
        return text

    return read


def _stages(out: Path) -> dict[str, float]:
    """Seconds a meme by stage as the workers measured them; one worker with nothing beside it: each stage's best."""
    from memescope.store.journal import Journal

    with Journal(out / "memescope.db") as journal:
        rows = [row.stored.record["seconds"] for row in journal.rows() if row.stored and "seconds" in row.stored.record]
    names = dict.fromkeys(stage for row in rows for stage in row)
    return {stage: sum(row.get(stage, 0.0) for row in rows) / len(rows) for stage in names}


def _error(found: dict[Path, str], truth: dict[Path, str], pictures: list[Path]) -> float:
    from memescope.bench.ocr import character_error, letters

    return character_error((letters(found.get(picture, "")), letters(truth[picture])) for picture in pictures)
