"""`memescope doctor`: what is installed, what is missing, and how to get it."""

from __future__ import annotations

import json
import platform
import re
import sys
from importlib import metadata
from typing import Annotated, Any

import typer

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)

CORE = (
    "numpy",
    "onnxruntime",
    "rapidocr",
    "opencv-python-headless",
    "pillow",
    "tokenizers",
    "pdqhash",
    "faiss-cpu",
    "sqlalchemy",
)
EXTRAS = {
    "ocr": "reading scripts the default OCR lacks (Hindi, Bengali, Arabic ...)",
    "data": "bringing in, auditing and exporting datasets; drawing memes",
    "teacher": "rationales by a language model behind an OpenAI-compatible endpoint",
    "train": "training, evaluation, backbones from the hub",
}
"""What each extra of the package is for; which packages it needs is in the package's metadata."""


@app.command()
def doctor(as_json: Annotated[bool, typer.Option("--json", help="Print JSON only.")] = False) -> None:
    """Print versions, which extras and OCR engines are there, what is missing and how to get it.

    Example:  memescope doctor
    """
    found = examine()
    print(json.dumps(found, indent=2)) if as_json else _print(found)
    if found["problems"]:
        raise typer.Exit(1)


def examine() -> dict[str, Any]:
    """All that `doctor` prints, as plain values; `problems` lists what keeps a scan from working."""
    from memescope import __version__

    core = {name: _version(name) for name in CORE}
    problems = [f"{name} is missing: pip install memescope" for name, version in core.items() if version is None]
    extras = {}
    for extra, purpose in EXTRAS.items():
        versions = {name: _version(name) for name in _needed(extra)}
        extras[extra] = {
            "for": purpose,
            "there": all(versions.values()),
            "packages": versions,
            "get": f"pip install 'memescope[{extra}]'",
        }
    opencvs = [name for name in _OPENCVS if _version(name)]
    if len(opencvs) > 1:
        problems.append(
            f"several OpenCV packages share one folder ({', '.join(opencvs)}): keep opencv-python-headless only"
        )
    return {
        "memescope": __version__,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "core": core,
        "extras": extras,
        "ocr": _try("OCR", problems, _ocr),
        "starter": _try("the starter model", problems, _starter),
        "training": _try("PyTorch", problems, _training) if _version("torch") else None,
        "problems": problems,
    }


_OPENCVS = ("opencv-python-headless", "opencv-python", "opencv-contrib-python", "opencv-contrib-python-headless")


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _needed(extra: str) -> list[str]:
    marked = [one.split(";") for one in metadata.requires("memescope") or []]
    return [re.split(r"[^\w.-]", name)[0] for name, *marker in marked if marker and f'"{extra}"' in marker[0]]


def _try(what: str, problems: list[str], look: Any) -> Any:
    try:
        return look()
    except Exception as error:
        problems.append(f"{what} does not load: {type(error).__name__}: {error}")
        return None


def _ocr() -> dict[str, Any]:
    from memescope.perception.ocr import ocr_engines

    return ocr_engines()


def _starter() -> dict[str, Any]:
    from memescope.models import load

    model = load("starter")
    return {"version": model.version, "tasks": list(model.tasks)}


def _training() -> dict[str, Any]:
    import torch

    from memescope.backbones.precision import trains_in

    device = f"processor, {torch.get_num_threads()} threads"
    if torch.cuda.is_available():
        device = torch.cuda.get_device_name()
    return {"torch": torch.__version__, "device": device, "bf16 is computed in": trains_in("bf16")}


def _print(found: dict[str, Any]) -> None:
    print(f"memescope {found['memescope']}, Python {found['python']}, {found['platform']}")
    for name, version in found["core"].items():
        print(f"  {'ok ' if version else 'MISSING'} {name} {version or ''}")
    for extra, entry in found["extras"].items():
        missing = [name for name, version in entry["packages"].items() if version is None]
        lacks = "not installed" if len(missing) == len(entry["packages"]) else f"lacks {', '.join(missing)}"
        state = "there" if entry["there"] else f"{lacks}; {entry['get']}"
        print(f"extra '{extra}' ({entry['for']}): {state}")
    if found["starter"]:
        print(f"starter model: version {found['starter']['version']}, {len(found['starter']['tasks'])} tasks")
    if (training := found["training"]) is not None:
        computed = "" if training["bf16 is computed in"] == "bf16" else ", float32 alone: it does not multiply bfloat16"
        print(f"training: PyTorch {training['torch']} on {training['device']}{computed}")
    print("OCR:")
    for line in json.dumps(found["ocr"], indent=2, ensure_ascii=False).splitlines()[1:-1]:
        print(line)
    for problem in found["problems"]:
        print(f"PROBLEM: {problem}", file=sys.stderr)
