"""VMamba's released weights: which names and shapes they have, loading them by name, converting them once.

The authors publish `.pth` files (pickles), of which `model` is the state dict. Nothing here unpickles objects:
`convert` reads tensors alone (`weights_only=True`) and writes safetensors, from which models load.

    python -m memescope.models.mamba.official vssm_base_0229_ckpt_epoch_237.pth vmamba-base
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from memescope.errors import MemescopeError, UsageError
from memescope.models.mamba.vmamba import OFFICIAL, VMamba, VMambaSettings, vmamba_settings

WEIGHTS, CONFIG = "model.safetensors", "config.json"
_SHOWN = 6


def load_named(model: nn.Module, weights: Mapping[str, Tensor], where: str) -> None:
    """Copy weights into a model by name. `MemescopeError` names what is missing, unexpected and of another shape."""
    own = model.state_dict()
    problems = []
    for what, names in (("missing", set(own) - set(weights)), ("unexpected", set(weights) - set(own))):
        if names:
            problems.append(f"{what}: {_some(sorted(names))}")
    wrong = [n for n in own if n in weights and own[n].shape != weights[n].shape]
    if wrong:
        shapes = [f"{n} {tuple(weights[n].shape)} (expected {tuple(own[n].shape)})" for n in wrong]
        problems.append(f"of another shape: {_some(shapes)}")
    if problems:
        raise MemescopeError(f"{where}: these are not the weights of this model; {'; '.join(problems)}")
    model.load_state_dict(dict(weights))


def _some(names: list[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more


def load_vmamba(folder: str | Path) -> VMamba:
    """The backbone in a folder (config.json, model.safetensors), its classifier left out.

    Raises `UsageError` for a folder without both, or with a pickle in their place.
    """
    from safetensors.torch import load_file

    folder = Path(folder)
    if folder.suffix in (".pth", ".pt", ".bin", ".ckpt"):
        raise UsageError(
            f"{folder}: a pickle can run code when it is read; convert it once: "
            f"python -m memescope.models.mamba.official {folder} FOLDER"
        )
    for name in (CONFIG, WEIGHTS):
        if not (folder / name).is_file():
            raise UsageError(f"{folder / name}: no such file; expected a folder with {CONFIG} and {WEIGHTS}")
    settings = vmamba_settings(json.loads((folder / CONFIG).read_text("utf-8"))["vmamba"])
    weights = load_file(folder / WEIGHTS)
    if settings.classes:
        # the 1000 classes of ImageNet are not asked of memes
        head = {"classifier.head.weight", "classifier.head.bias"}
        if absent := head - set(weights):
            raise MemescopeError(f"{folder / WEIGHTS}: missing: {', '.join(sorted(absent))}")
        weights = {name: value for name, value in weights.items() if name not in head}
    model = VMamba(VMambaSettings(**(settings.to_dict() | {"depths": settings.depths, "classes": 0})))
    load_named(model, weights, str(folder / WEIGHTS))
    return model


def save_vmamba(model: VMamba, folder: str | Path) -> None:
    """A folder that `load_vmamba` reads."""
    from safetensors.torch import save_file

    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    about = {"model_type": "vmamba", "vmamba": model.settings.to_dict()}
    (folder / CONFIG).write_text(json.dumps(about, indent=2) + "\n", "utf-8")
    save_file({name: value.contiguous() for name, value in model.state_dict().items()}, folder / WEIGHTS)


def convert(checkpoint: str | Path, folder: str | Path) -> str:
    """Turn a released `.pth` into a folder of safetensors; gives the name of the model it turned out to be.

    Only tensors are read. Raises `MemescopeError` for a file that holds anything else, or another model.
    """
    import pickle

    path = Path(checkpoint)
    if not path.is_file():
        raise UsageError(f"{path}: no such file")
    try:
        content: Any = torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError) as error:
        first = str(error).splitlines()[0]
        raise MemescopeError(
            f"{path}: holds more than tensors, or is no checkpoint, and was not read: {first}"
        ) from None
    weights = content.get("model", content) if isinstance(content, dict) else None
    if not isinstance(weights, dict) or not all(isinstance(value, Tensor) for value in weights.values()):
        raise MemescopeError(f"{path}: expected a state dict, or one under 'model'")
    wanted = weights.get("patch_embed.0.weight")
    for name, settings in OFFICIAL.items():
        blocks = {key.split(".")[3] for key in weights if key.startswith("layers.2.blocks.")}
        if wanted is not None and wanted.shape[0] * 2 == settings.width and len(blocks) == settings.depths[2]:
            model = VMamba(settings)
            load_named(model, weights, str(path))
            save_vmamba(model, folder)
            return name
    raise MemescopeError(f"{path}: none of the models that are known here: {', '.join(OFFICIAL)}")


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit("usage: python -m memescope.models.mamba.official CHECKPOINT.pth FOLDER")
    try:
        print(f"{convert(sys.argv[1], sys.argv[2])} written to {sys.argv[2]}")
    except MemescopeError as error:
        sys.exit(str(error))
