"""What a model of the VLM room is made of, whatever its family. Every setting that answers depend on is a field."""

from __future__ import annotations

from typing import Any

from transformers import PreTrainedConfig

from memescope.errors import UsageError


class VlmConfig(PreTrainedConfig):
    """Written into `config.json` of a run folder.

    family, name       whose model this is, and what verdicts call it
    vlm, vlm_version   the vision-language model by name, hub id or folder, and its content
    picture, tiny      settings of its picture processor; of a new TinyVLM (`backbones.vlm.tiny.new_tiny`)
    weights            what its weights are kept in: float32 or bfloat16
    whole              the folder `vlm/` beside holds its weights; otherwise they are those of `vlm` by name
    lora               {"r", "alpha", "dropout", "targets"}: adapters (in `adapter/`) instead of full training
    tasks              the tasks that it answers
    settings           what the family adds
    max_text           tokens kept of a meme's words (`VlmModel.short`)
    max_rationale      tokens written or learnt of a rationale
    length             how label scores are summed ("sum" | "mean"; `models.scoring`)
    calibration, abstain   task -> {"temperature", "bias"}; task -> least confidence (null: always abstains)
    writes             whether it was taught to write reasons
    precision          what answers are computed in: float32, or bfloat16 (autocast) where that is fast
    card               what the model card says of each task
    """

    model_type = "memescope-vlm"

    family: str = "vlm"
    name: str = "vlm"
    vlm: str = "tinyvlm"
    vlm_version: str = ""
    picture: dict | None = None
    tiny: dict | None = None
    weights: str = "float32"
    whole: bool = False
    lora: dict | None = None
    tasks: list | None = None
    settings: dict | None = None
    max_text: int = 128
    max_rationale: int = 256
    length: str = "sum"
    calibration: dict | None = None
    abstain: dict | None = None
    writes: bool = False
    precision: str = "float32"
    card: dict | None = None

    def __post_init__(self, **kwargs: Any) -> None:
        if self.precision not in ("float32", "bfloat16"):
            raise UsageError(f"precision {self.precision!r}: expected float32 or bfloat16")
        if self.length not in ("sum", "mean"):
            raise UsageError(f"length {self.length!r} of labels: expected sum or mean")
        super().__post_init__(**kwargs)
