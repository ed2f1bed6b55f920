"""What an MM-ORIENT model is made of. Every setting of the paper, of its ablations and of its baselines is a field."""

from __future__ import annotations

from typing import Any

from transformers import PreTrainedConfig

from memescope.errors import UsageError

VARIANTS = ("mmorient", "text", "image", "concatenation", "late", "cross-attention")
"""The method, and what it is compared with on the same features: each modality alone, features joined, decisions
averaged, words and regions attending to each other."""
GRAPHS = ("image-image", "text-text", "image-text", "text-image")
"""Nodes of the first modality, edges where the second one is similar (CMRL)."""
MODES = ("support", "transductive")


class MmOrientConfig(PreTrainedConfig):
    """Written into `config.json` of a run folder.

    variant                     one of `VARIANTS`
    features                    how memes become features (`making.Making`), and the versions of what made them
    word_width, region_width    widths of token states and of regions: 768 and 2048 in the paper
    text_width, image_width     widths of the pooled vectors of the graphs: 512 (CLIP)
    extra_width                 task-specific columns: 784 in the paper; 0 for none
    level_one, level_two        HIMA's levels; without level one the mean of a meme's states stands in for it
    graphs                      those of `GRAPHS` that there are; none: no CMRL
    thresholds                  graph -> cosine above which two memes are joined
    quantiles                   graph -> share of pairs below the threshold, where it was set that way (for the card)
    graph_width                 of each graph's output: 512
    normalise                   graph outputs scaled to length 1, as GraphSAGE has it
    hidden, dropout             the dense layers and what follows each: 4618, 2048 and 0.2
    tasks                       task -> {"kind", "labels"}
    mode                        what `answer` does: "support" or "transductive"
    support_size                memes in the stored support set; 0: none yet
    support_memes               source, id and labels of each, so that relations can be told; neither text nor picture
    calibration, abstain        task -> {"temperature", "bias"}; task -> least confidence (null: always abstains)
    card                        what the model card says of each task
    """

    model_type = "memescope-mmorient"

    family: str = "mmorient"
    name: str = "mmorient"
    variant: str = "mmorient"
    features: dict | None = None
    word_width: int = 768
    region_width: int = 2048
    text_width: int = 512
    image_width: int = 512
    extra_width: int = 0
    level_one: bool = True
    level_two: bool = True
    graphs: list | None = None
    thresholds: dict | None = None
    quantiles: dict | None = None
    graph_width: int = 512
    normalise: bool = True
    hidden: list | None = None
    dropout: float = 0.2
    tasks: dict | None = None
    mode: str = "support"
    support_size: int = 0
    support_memes: list | None = None
    calibration: dict | None = None
    abstain: dict | None = None
    card: dict | None = None

    def __post_init__(self, **kwargs: Any) -> None:
        if self.variant not in VARIANTS:
            raise UsageError(f"variant {self.variant!r}: expected one of {', '.join(VARIANTS)}")
        if self.mode not in MODES:
            raise UsageError(f"mode {self.mode!r}: expected one of {', '.join(MODES)}")
        self.graphs = list(GRAPHS if self.graphs is None else self.graphs)
        unknown = [name for name in self.graphs if name not in GRAPHS]
        if unknown or len(set(self.graphs)) < len(self.graphs):
            raise UsageError(f"graphs {', '.join(self.graphs)}: expected some of {', '.join(GRAPHS)}, each once")
        self.hidden = list(self.hidden or (4618, 2048))
        super().__post_init__(**kwargs)
