"""Peak memory of a whole scan, parent and workers together, as the number of memes grows (Linux)."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from typing import Any

from memescope.errors import MemescopeError

SIDES = (320, 480)
"""Width and height of the drawn memes, pixels."""


def run(quick: bool = False, data: Path | None = None) -> dict[str, Any]:
    """Peak resident memory in MiB (sum over processes, shared pages counted once) for two sizes of folder."""
    if not Path("/proc/self/smaps_rollup").exists():
        raise MemescopeError("bench memory reads /proc/PID/smaps_rollup, which this system does not have")
    sizes = (50, 200) if quick else (1000, 10_000)
    peaks = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for size in sizes:
            memes = folder / f"memes{size}"
            _many(memes, size)
            peaks[str(size)] = _peak(
                [sys.executable, "-m", "memescope.cli", "scan", str(memes), "--out", f"{memes}-out", "--json"]
            )
    return {"sides": SIDES, "peak_mib": peaks, "growth_mib": round(peaks[str(sizes[1])] - peaks[str(sizes[0])], 1)}


def _many(folder: Path, count: int) -> None:
    """Drawn memes, each a content of its own: every picture is repeated with other bytes after its end."""
    from memescope.curation.synth import synth

    drawn = folder.with_name("drawn")
    if not drawn.exists():
        synth(drawn, count=100, seed=0, languages=("en", "de", "es", "zh"), sides=SIDES)
    pictures = [path.read_bytes() for path in sorted(drawn.rglob("*.jpg"))]
    folder.mkdir()
    for number in range(count):
        (folder / f"{number:06}.jpg").write_bytes(pictures[number % len(pictures)] + number.to_bytes(4, "big"))


def _peak(command: list[str]) -> float:
    """Highest proportional set size of a process and its children, sampled five times a second, MiB."""
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    done, peak = threading.Event(), 0.0

    def sample() -> None:
        nonlocal peak
        while not done.wait(0.2):
            peak = max(peak, sum(_pss(pid) for pid in _tree(process.pid)) / 1024)

    sampler = threading.Thread(target=sample)
    sampler.start()
    status = process.wait()
    done.set()
    sampler.join()
    if status != 0:
        raise MemescopeError(f"the measured scan failed with exit status {status}")
    return round(peak, 1)


def _tree(root: int) -> list[int]:
    children: dict[int, list[int]] = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                parent = int(Path(f"/proc/{entry}/stat").read_text().rsplit(")", 1)[1].split()[1])
            except OSError:
                continue
            children.setdefault(parent, []).append(int(entry))
    found = [root]
    for pid in found:
        found.extend(children.get(pid, []))
    return found


def _pss(pid: int) -> int:
    try:
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1])
    except OSError:
        pass
    return 0
