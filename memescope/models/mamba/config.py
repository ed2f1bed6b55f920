"""What a Mamba meme model is made of: every choice of the source, of its peers and of its remedies is a field here."""

from __future__ import annotations

from typing import Any

from transformers import PreTrainedConfig

from memescope.errors import UsageError

TEXT_KINDS = ("mamba", "bert", "llama")
IMAGE_KINDS = ("vmamba", "resnet", "vit", "frozen")
DIRECTIONS = ("forward", "both", "shared", "block")
POOLS = ("mean", "last", "cls")
MERGES = ("concat", "mean")
FUSIONS = ("concat", "token", "prefix")

TEXT: dict[str, Any] = {
    "kind": "mamba", "name": "", "version": "", "config": None, "direction": "forward", "merge": "concat",
    "pool": "mean", "max_tokens": 50, "delta_dropout": 0.0, "prompt": "",
}  # fmt: skip
IMAGE: dict[str, Any] = {
    "kind": "vmamba", "name": "", "version": "", "config": None, "size": 224, "inpaint": False, "names": [],
    "versions": [], "width": 0, "count": 0,
}  # fmt: skip


class MambaMemesConfig(PreTrainedConfig):
    """Written into `config.json` of a run folder.

    text      None, or a dict with the keys of `TEXT`: kind (mamba; bert, llama: the peers), the weights' name and
              version, the backbone's own configuration, direction (forward; both: two backbones; shared: one, run both
              ways; block: both ways inside each block), merge of the two directions, pool (mean, last, cls at the
              end), max_tokens, delta_dropout, prompt (put before the text)
    image     None, or a dict with the keys of `IMAGE`: kind (vmamba; resnet and vit, the peers; frozen: encoders by
              `names`, side by side), its configuration, side in pixels, whether the caption is painted over first
    fusion    concat: pooled vectors side by side (ConcatMamba); token: the picture's vector joined to every text token;
              prefix: the picture's tokens before the text (Cobra)
    hidden    width of the classifier's hidden layer; dropout before it
    lora      {"r", "alpha", "dropout", "text", "image"}: the last two name the layers that get adapters
    freeze    {"text": n, "image": n}: embeddings and the first n layers (stages) are not trained
    smoothing label smoothing of the loss
    tasks     task -> labels
    calibration, abstain, precision, card: as in the other families
    """

    model_type = "memescope-mamba"

    family: str = "mamba"
    name: str = "mamba"
    text: dict | None = None
    image: dict | None = None
    fusion: str = "concat"
    hidden: int = 64
    dropout: float = 0.0
    lora: dict | None = None
    freeze: dict | None = None
    smoothing: float = 0.0
    tasks: dict | None = None
    calibration: dict | None = None
    abstain: dict | None = None
    precision: str = "float32"
    card: dict | None = None

    def __post_init__(self, **kwargs: Any) -> None:
        self.text = _complete("text", self.text, TEXT)
        self.image = _complete("image", self.image, IMAGE)
        if self.text is None and self.image is None:
            raise UsageError("a model needs a text part, an image part, or both")
        _one_of("fusion", self.fusion, FUSIONS)
        _one_of("precision", self.precision, ("float32", "bfloat16"))
        if self.fusion != "concat" and (self.text is None or self.image is None):
            raise UsageError(
                f"fusion {self.fusion!r} joins a picture to text tokens: it needs a text and an image part"
            )
        if self.text is not None:
            for key, allowed in (("kind", TEXT_KINDS), ("direction", DIRECTIONS), ("pool", POOLS), ("merge", MERGES)):
                _one_of(f"text.{key}", self.text[key], allowed)
            if (kind := self.text["kind"]) != "mamba" and self.text["direction"] != "forward":
                raise UsageError(f"text.direction: directions are Mamba's; leave it at 'forward' for {kind}")
        if self.image is not None:
            _one_of("image.kind", self.image["kind"], IMAGE_KINDS)
        super().__post_init__(**kwargs)


def _complete(part: str, given: dict | None, defaults: dict[str, Any]) -> dict | None:
    if given is None:
        return None
    if unknown := set(given) - set(defaults):
        raise UsageError(f"{part}: unknown {', '.join(sorted(unknown))}; known: {', '.join(defaults)}")
    return defaults | given


def _one_of(what: str, value: Any, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise UsageError(f"{what} {value!r}: expected one of {', '.join(allowed)}")
