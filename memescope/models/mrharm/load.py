"""New Mr.Harm models from backbones, and saved ones from their folders."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from memescope.backbones.language import Quiet, load_language_model
from memescope.errors import UsageError
from memescope.models.mrharm.config import MrHarmConfig
from memescope.models.mrharm.decoder import MrHarmDecoder
from memescope.models.mrharm.model import REASONS, MrHarm
from memescope.models.mrharm.processor import MrHarmProcessor
from memescope.models.mrharm.seq2seq import MrHarmSeq2Seq
from memescope.models.mrharm.vision import VisualSettings, load_visual_encoder
from memescope.taxonomy.tasks import load_taxonomy

KINDS: dict[str, type[MrHarm]] = {"seq2seq": MrHarmSeq2Seq, "decoder": MrHarmDecoder}
LEAD = "The answer is:"
AS_RELEASED: dict[str, Any] = {
    "max_text": 40,
    "max_rationale": 40,
    "learn_lead": True,
    "vision_settings": {"crop": "centre", "statistics": "half"},
}
"""Settings of the released code where they differ from the defaults: rationales cut at 40 tokens (a third of them is
left), pictures normalised with 0.5 and 0.5 instead of CLIP's statistics, the lead written and learned."""


def create(
    language: str = "smollm2-135m",
    vision: str | None = "effnet-lite0",
    tasks: Sequence[str] = ("harmful",),
    layers: int | None = None,
    silent: bool | None = None,
    as_released: bool = False,
    **settings: Any,
) -> MrHarm:
    """A model to be trained: a pretrained language model with a new fusion, and its processor as `.processor`.

    The paper: `create("google/flan-t5-base", "openai/clip-vit-base-patch32")`. `layers` keeps the first so many layers
    of a decoder-only model. `silent` starts with the fusion's output at zero, so that training starts from the language
    model as it is: by default for decoder-only models; not for T5, where the published start is PyTorch's own.
    `as_released` takes the settings of `AS_RELEASED`; `settings` are fields of `MrHarmConfig`.
    """
    settings = (AS_RELEASED if as_released else {}) | settings
    loaded = load_language_model(language, layers)
    encoder = None
    if settings.get("fusion") == "none":
        vision = None
    elif vision is None:
        raise UsageError(f"fusion {settings.get('fusion', 'cross-attention')!r} needs a picture encoder: vision=NAME")
    else:
        encoder = load_visual_encoder(vision, VisualSettings(**(settings.get("vision_settings") or {})))
    leads = settings.pop("leads", {})
    config = MrHarmConfig(
        language=language,
        language_version=loaded.version,
        kind=loaded.kind,
        language_config=loaded.model.config.to_diff_dict() | {"model_type": loaded.model.config.model_type},
        vision=vision,
        vision_version=encoder.version if encoder else None,
        visual_width=encoder.width if encoder else 0,
        tasks={
            name: {"labels": list(load_taxonomy()[name].labels), "lead": leads.get(name) or lead(name, len(tasks) > 1)}
            for name in tasks
        },
        **settings,
    )
    model = KINDS[loaded.kind](config, loaded.model)
    model.processor = MrHarmProcessor(loaded.tokenizer, config, encoder)
    if model.fusion is not None and (loaded.kind == "decoder" if silent is None else silent):
        model.fusion.start_silent()
    return model


def lead(task: str, several: bool) -> str:
    """What stands before a task's label: as published where it is the only one, else with the task's name."""
    kind = load_taxonomy()[task].kind
    words = task.replace("_", " ")
    if kind == "multilabel":
        return f"{words}: {{label}}? {LEAD}"
    return f"{words}? {LEAD}" if several else LEAD


def load_folder(folder: Path) -> MrHarm:
    """The model saved in a folder, in evaluation mode. The version names its content."""
    weights = folder / "model.safetensors"
    if not weights.is_file():
        raise UsageError(f"{weights}: this file of the model is missing")
    config = MrHarmConfig.from_pretrained(folder)
    with Quiet():
        model = KINDS[config.kind].from_pretrained(folder, config=config)
    model.processor = MrHarmProcessor.from_pretrained(folder, config)
    written = folder / REASONS / weights.name
    model.reasons = written.parent if written.is_file() else None
    digest = hashlib.sha256((folder / "config.json").read_bytes())
    for path in (weights, written) if model.reasons else (weights,):
        with path.open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    model.version = f"{config.name}-{digest.hexdigest()[:12]}"
    return model.eval()
