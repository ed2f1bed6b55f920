"""New MM-ORIENT models from encoders, and saved ones from their folders."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from memescope.backbones.language import Quiet
from memescope.errors import UsageError
from memescope.models.mmorient.config import MmOrientConfig
from memescope.models.mmorient.making import Making, MakingSettings
from memescope.models.mmorient.model import MmOrient
from memescope.taxonomy.tasks import load_taxonomy


def create(tasks: Sequence[str], making: Making | MakingSettings | None = None, **settings: Any) -> MmOrient:
    """A model to be trained: `making` says how memes become features, `settings` are fields of `MmOrientConfig`.

    Thresholds are needed before it learns: `settings["thresholds"]`, or `set_thresholds` from training features.
    """
    if not isinstance(making, Making):
        making = Making(making or MakingSettings())
    taxonomy = load_taxonomy()
    settings |= making.widths
    config = MmOrientConfig(
        features=making.record,
        tasks={name: {"kind": taxonomy[name].kind, "labels": list(taxonomy[name].labels)} for name in tasks},
        **settings,
    )
    model = MmOrient(config)
    model.making = making
    return model


def load_folder(folder: Path) -> MmOrient:
    """The model saved in a folder, in evaluation mode. The version names its content."""
    weights = folder / "model.safetensors"
    if not weights.is_file():
        raise UsageError(f"{weights}: this file of the model is missing")
    config = MmOrientConfig.from_pretrained(folder)
    with Quiet():
        model = MmOrient.from_pretrained(folder, config=config)
    model.making = Making.from_record(config.features or {})
    digest = hashlib.sha256((folder / "config.json").read_bytes())
    with weights.open("rb") as file:
        digest.update(hashlib.file_digest(file, "sha256").digest())
    model.version = f"{config.name}-{digest.hexdigest()[:12]}"
    return model.eval()
