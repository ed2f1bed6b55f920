"""Draws the example memes anew: examples/memes and examples/truth.jsonl. The same versions give the same bytes.

python examples/draw.py
"""

from __future__ import annotations

import json
import shutil
import tempfile
from pathlib import Path

from memescope.curation.synth import CHANGES, broken_files, synth

HERE = Path(__file__).resolve().parent
BROKEN = ("truncated.jpg", "pixel-bomb.png")


def main() -> None:
    """20 memes in ten languages, one near-duplicate for each kind of change, 2 confounders and 2 broken files."""
    memes = HERE / "memes"
    shutil.rmtree(memes, ignore_errors=True)
    memes.mkdir()
    with tempfile.TemporaryDirectory() as folder:
        drawn, broken = Path(folder) / "drawn", Path(folder) / "broken"
        rows = synth(
            drawn, 20, seed=7, near_duplicates=len(CHANGES), changes=list(CHANGES), confounders=2, sides=(420, 600)
        )
        for row in rows:
            name = f"{row['id']}-{row['lang']}.jpg"
            shutil.copyfile(drawn / row["image"], memes / name)
            row["image"] = f"memes/{name}"
        expected = broken_files(broken)
        for name in BROKEN:
            shutil.copyfile(broken / name, memes / name)
            meta = {"kind": "broken", "expect": expected[name].to_dict()}
            rows.append({"id": name, "image": f"memes/{name}", "text": "", "labels": {}, "lang": "und", "meta": meta})
    lines = (json.dumps(row, ensure_ascii=False) for row in rows)
    (HERE / "truth.jsonl").write_text("\n".join(lines) + "\n", "utf-8")
    size = sum(file.stat().st_size for file in memes.iterdir())
    print(f"{len(rows)} files, {size / 1000:.0f} kB in {memes}")


if __name__ == "__main__":
    main()
