"""Cold starts: what a user waits for before anything happens."""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any


def run(quick: bool = False, data: Path | None = None) -> dict[str, Any]:
    """Median wall seconds of `import memescope`, and of `memescope scan` of one drawn picture, in new processes."""
    from memescope.curation.synth import synth

    rounds = 3 if quick else 7
    with tempfile.TemporaryDirectory() as folder:
        synth(Path(folder) / "memes", count=1, seed=0)
        picture = next(path for path in sorted((Path(folder) / "memes").rglob("*")) if path.suffix in (".jpg", ".png"))
        bare = _median([sys.executable, "-c", "pass"], rounds)
        imported = _median([sys.executable, "-c", "import memescope"], rounds)
        scans = []
        for number in range(rounds):
            out = f"{folder}/out{number}"
            command = [sys.executable, "-m", "memescope.cli", "scan", str(picture), "--out", out, "--json"]
            scans.append(_seconds(command))
    return {
        "python_alone_seconds": bare,
        "import_seconds": round(imported - bare, 3),
        "scan_one_picture_seconds": round(statistics.median(scans), 3),
        "runs": rounds,
    }


def _median(command: list[str], rounds: int) -> float:
    return round(statistics.median(_seconds(command) for _ in range(rounds)), 3)


def _seconds(command: list[str]) -> float:
    started = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return time.perf_counter() - started
