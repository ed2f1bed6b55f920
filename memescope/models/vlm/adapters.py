"""Low-rank adapters in the language model of a VLM, as PEFT has them: added, merged, saved and read.

Only the language model gets adapters: pictures are seen with what was pretrained, so that their features can be kept.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch.distributed.tensor import DTensor, distribute_tensor

from memescope.backbones.vlm import Vlm
from memescope.errors import UsageError

LORA: dict[str, Any] = {"r": 16, "alpha": 32, "dropout": 0.05}
"""MemeLens (arXiv 2601.12539)."""
TARGETS = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
"""All linear layers of the blocks."""


def add(vlm: Vlm, lora: Mapping[str, Any]) -> Any:
    """A new adapter, its weights by PyTorch's seed; only it and parts without pretraining are then trained. The
    `PeftModel` that holds it."""
    import peft

    unknown = set(lora) - {*LORA, "targets"}
    if unknown:
        raise UsageError(f"lora: unknown {', '.join(sorted(unknown))}; known: {', '.join(LORA)}, targets")
    full = LORA | dict(lora)
    targets = "|".join(full.get("targets") or TARGETS)
    path = vlm.text_path.replace(".", r"\.")
    config = peft.LoraConfig(
        r=full["r"],
        lora_alpha=full["alpha"],
        lora_dropout=full["dropout"],
        target_modules=rf".*{path}\.layers\..*\.({targets})",
        task_type="CAUSAL_LM",
        base_model_name_or_path=vlm.name,
    )
    with _quiet():
        made = peft.get_peft_model(vlm.model, config)
    for part in vlm.new_parts():
        part.requires_grad_(True)
    return made


def merge(vlm: Vlm, peft: Any) -> None:
    """The adapter's product becomes part of the weights; nothing is left of it but what it does."""
    from peft.tuners.lora import LoraLayer

    adapted = [layer for layer in peft.modules() if isinstance(layer, LoraLayer)]
    shared = [layer for layer in adapted if isinstance(layer.get_base_layer().weight, DTensor)]
    for layer in shared:
        _add_to_share(layer)
    vlm.model = peft.unload() if shared else peft.merge_and_unload()


@torch.no_grad()
def _add_to_share(layer: Any) -> None:
    """What PEFT does to weights that are whole, where each process has a part of them (`training.sharding`)."""
    weight = layer.get_base_layer().weight
    for name in layer.active_adapters:
        whole = layer.get_delta_weight(name).to(weight.dtype)
        weight += distribute_tensor(whole, weight.device_mesh, weight.placements)


def save(peft: Any, folder: Path) -> None:
    """`adapter_config.json` and `adapter_model.safetensors`, as PEFT and servers read them."""
    peft.save_pretrained(folder, save_embedding_layers=False)


def read(vlm: Vlm, folder: Path) -> Any:
    """The adapter that `save` wrote, to be used."""
    import peft

    with _quiet():
        return peft.PeftModel.from_pretrained(vlm.model, str(folder))


@contextmanager
def _quiet() -> Iterator[None]:
    """Without the warning that PEFT asks transformers something by an old name."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*is_gradient_checkpointing.*", FutureWarning)
        yield
