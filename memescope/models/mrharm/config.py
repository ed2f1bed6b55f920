"""What a Mr.Harm model is made of. Every setting of the paper and of its ablations is a field here."""

from __future__ import annotations

from typing import Any

from transformers import PreTrainedConfig

from memescope.errors import UsageError

FUSIONS = ("cross-attention", "concatenation", "none")


class MrHarmConfig(PreTrainedConfig):
    """Written into `config.json` of a run folder.

    language, language_version, kind   the language model by name; "seq2seq" (T5) or "decoder"
    language_config                    its own configuration, so that a saved model needs no other folder
    vision, vision_version             the frozen picture encoder, by name; None with fusion "none"
    vision_settings                    how pictures are prepared for it (`vision.VisualSettings`)
    visual_width                       width of its features
    fusion                             cross-attention (the paper) | concatenation | none (text alone)
    fusion_layers, fusion_heads        every | last:N | only:I; 1 head in the paper
    final_fusion                       one more fusion on the encoder's output, as published (T5 only)
    lora                               {"r", "alpha", "dropout", "targets"}: adapters instead of full training
    tasks                              task -> {"labels": strings written, "lead": what stands before them}
    rationale_lead                     what stands before a rationale
    template                           the prompt; {text}, {caption}, {aspect}
    joiner                             between prompt and lead (decoder-only models)
    lower                              texts and rationales lower-cased, as published
    max_text, max_rationale            tokens kept of a prompt and of a rationale
    learn_lead                         whether the loss counts the lead, as published
    length                             how label scores are summed ("sum" | "mean"; `models.scoring`)
    calibration, abstain               task -> {"temperature", "bias"}; task -> least confidence (null: always abstains)
    precision                          what answers are computed in: float32, or bfloat16 (autocast) where that is fast
    card                               what the model card says of each task
    writes                             whether it was taught to write reasons
    """

    model_type = "memescope-mrharm"

    family: str = "mrharm"
    name: str = "mrharm"
    language: str = ""
    language_version: str = ""
    kind: str = "decoder"
    language_config: dict | None = None
    vision: str | None = None
    vision_version: str | None = None
    vision_settings: dict | None = None
    visual_width: int = 0
    fusion: str = "cross-attention"
    fusion_layers: str = "every"
    fusion_heads: int = 1
    final_fusion: bool = True
    lora: dict | None = None
    tasks: dict | None = None
    rationale_lead: str = "Output:"
    template: str = "{text}"
    joiner: str = "\n"
    lower: bool = True
    max_text: int = 128
    max_rationale: int = 256
    learn_lead: bool = False
    length: str = "sum"
    calibration: dict | None = None
    abstain: dict | None = None
    precision: str = "float32"
    card: dict | None = None
    writes: bool = True

    def __post_init__(self, **kwargs: Any) -> None:
        if self.fusion not in FUSIONS:
            raise UsageError(f"fusion {self.fusion!r}: expected one of {', '.join(FUSIONS)}")
        if self.precision not in ("float32", "bfloat16"):
            raise UsageError(f"precision {self.precision!r}: expected float32 or bfloat16")
        super().__post_init__(**kwargs)
