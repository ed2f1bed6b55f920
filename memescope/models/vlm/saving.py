"""Run folders of the VLM room.

| in the folder | what |
|---|---|
| config.json | family and settings (`VlmConfig`) |
| vlm/ | the vision-language model in hub layout, where its weights are not those of a hub id |
| adapter/ | the adapter that is not merged, as PEFT and servers read it |

`export` writes the model alone, adapter merged: a folder that transformers, vLLM and servers read.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from memescope.backbones.language import Quiet
from memescope.backbones.vlm import Vlm, load_vlm
from memescope.errors import UsageError
from memescope.models.vlm import adapters
from memescope.models.vlm.config import VlmConfig

if TYPE_CHECKING:
    from memescope.models.vlm.model import VlmModel

WEIGHTS, ADAPTER = "vlm", "adapter"


def load_core(config: VlmConfig) -> Vlm:
    """The vision-language model that a configuration names, as it is before anything was learnt."""
    return load_vlm(config.vlm, config.weights, config.picture, **(config.tiny or {}))


def save(model: VlmModel, folder: Path) -> None:
    """Write a run folder; what an earlier model left in it goes."""
    folder.mkdir(parents=True, exist_ok=True)
    config = model.config
    config.whole = not rests(model)
    for name in (WEIGHTS, ADAPTER):
        shutil.rmtree(folder / name, ignore_errors=True)
    with Quiet():
        if config.whole:
            # the adapter's layers are wrapped: its weights are saved apart, the others under their own names
            _save_core(model, folder / WEIGHTS)
        if model.peft is not None:
            adapters.save(model.peft, folder / ADAPTER)
    (folder / "config.json").write_text(json.dumps(config.to_dict() | {"family": config.family}, indent=1) + "\n")


def rests(model: VlmModel) -> bool:
    """Whether the weights, adapter aside, are still those of a hub id."""
    config = model.config
    named = config.vlm != "tinyvlm" and not Path(config.vlm).is_dir()
    return named and model.peft is not None and not config.whole and not model.vlm.new_parts()


def _save_core(model: VlmModel, folder: Path) -> None:
    if model.peft is None:
        model.vlm.save(folder)
        return
    state = {
        name.replace(".base_layer.", "."): value
        for name, value in model.core.state_dict().items()
        if ".lora_" not in name
    }
    whole, model.vlm.model = model.vlm.model, _Named(model.core, state)
    try:
        model.vlm.save(folder)
    finally:
        model.vlm.model = whole


class _Named:
    """A model that saves these weights instead of its own."""

    def __init__(self, model: Any, state: dict[str, Any]) -> None:
        self._model, self._state = model, state

    def save_pretrained(self, folder: Path) -> None:
        """With the model's configuration."""
        self._model.save_pretrained(folder, state_dict=self._state)


def load(folder: Path) -> tuple[VlmConfig, Vlm, str]:
    """Configuration, vision-language model without its adapter, and what names the folder's content."""
    config = VlmConfig.from_pretrained(folder)
    digest = hashlib.sha256((folder / "config.json").read_bytes())
    for path in sorted([*folder.glob(f"{WEIGHTS}/*.safetensors"), *folder.glob(f"{ADAPTER}/*.safetensors")]):
        with path.open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    if config.whole:
        if not (folder / WEIGHTS / "config.json").is_file():
            raise UsageError(f"{folder / WEIGHTS}: this part of the model is missing")
        vlm = load_vlm(str(folder / WEIGHTS), config.weights, config.picture)
    else:
        vlm = load_core(config)
        if config.vlm_version and vlm.version != config.vlm_version:
            raise UsageError(
                f"{config.vlm!r} is {vlm.version}, but the model was trained on {config.vlm_version}: its answers "
                "would not be the same; fetch that version"
            )
    return config, vlm, digest.hexdigest()[:12]


def export(model: VlmModel, folder: Path) -> None:
    """The vision-language model with its adapter merged, in hub layout; the model itself is then merged too."""
    model.merge()
    with Quiet():
        model.vlm.save(folder)
