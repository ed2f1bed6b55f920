"""Language models by name: one that `memescope models pull` brought in, a hub id, or a folder. Needs the extra `train`.

Decoder-only models (SmolLM2, Llama, Qwen) and encoder-decoders (T5, Flan-T5). Only safetensors are read and no code
from a hub is run. Everything is float32 unless asked otherwise, whatever precision the file has.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from memescope.backbones.catalogue import PULLABLE, pulled
from memescope.backbones.hub import content_version, load_transformers, readable
from memescope.errors import MemescopeError, UsageError

Kind = Literal["decoder", "seq2seq"]
PULLED = tuple(entry.name for entry in PULLABLE if entry.kind == "language model")
DTYPES = ("float32", "bfloat16", "float64")


@dataclass(frozen=True)
class LanguageModel:
    """A language model with its tokenizer; `version` names its content, `kind` what it is."""

    name: str
    version: str
    kind: Kind
    model: Any
    tokenizer: Any


def load_language_model(name: str = "smollm2-135m", layers: int | None = None, dtype: str = "float32") -> LanguageModel:
    """The language model and tokenizer of a pulled name, a hub id (`google/flan-t5-base`) or a folder.

    `layers` keeps the first so many layers of a decoder-only model, with its final norm and its (tied) head: a model
    for small machines, no longer a good one until it is trained. Raises `MissingExtra` without the extra `train`,
    `UsageError` for wrong arguments and `MemescopeError` for a model that is not there or cannot be read.
    """
    what = f"language model {name!r}"
    transformers = load_transformers(what)
    if dtype not in DTYPES:
        raise UsageError(f"{what}: dtype {dtype!r} is none of {', '.join(DTYPES)}")
    folder = language_folder(name)
    with readable("language model", name):
        config = transformers.AutoConfig.from_pretrained(folder)
        kind = kind_of(config, name)
        keep_layers(config, layers, kind, name)
        loader = transformers.AutoModelForSeq2SeqLM if kind == "seq2seq" else transformers.AutoModelForCausalLM
        with Quiet():  # the layers left out are told as unexpected
            model = loader.from_pretrained(folder, config=config, use_safetensors=True, dtype=dtype)
        tokenizer = load_tokenizer(name)
        version = content_version(folder, model.config)
    return LanguageModel(name, version if layers is None else f"{version}/{layers}", kind, model.eval(), tokenizer)


def load_tokenizer(name: str) -> Any:
    """The tokenizer of a language model by the same names; padding is set where it has none."""
    transformers = load_transformers(f"tokenizer of {name!r}")
    with readable("tokenizer of", name):
        tokenizer = transformers.AutoTokenizer.from_pretrained(language_folder(name))
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token
    return tokenizer


def language_folder(name: str) -> str:
    """What transformers is to load for a name: the folder of a pulled one, else the name itself.

    Raises `MemescopeError` for a model that has to be pulled first.
    """
    if name not in PULLED:
        return name
    folder = pulled(name)
    if not Path(folder, "config.json").is_file():
        raise MemescopeError(f"language model {name!r} is not on this machine: memescope models pull {name}")
    return str(folder)


def kind_of(config: Any, name: str = "") -> Kind:
    """Whether a configuration is an encoder-decoder's or a decoder-only model's; `UsageError` for neither."""
    if config.is_encoder_decoder:
        if config.model_type not in ("t5", "mt5", "umt5"):
            raise UsageError(
                f"language model {name!r}: of encoder-decoders only T5 is supported, not {config.model_type}"
            )
        return "seq2seq"
    if not hasattr(config, "num_hidden_layers") or not hasattr(config, "vocab_size"):
        raise UsageError(f"language model {name!r}: a {config.model_type} model is not a language model")
    return "decoder"


def keep_layers(config: Any, layers: int | None, kind: Kind, name: str = "") -> None:
    """Set a configuration to the first `layers` layers of a decoder-only model; None leaves it alone."""
    if layers is None:
        return
    if kind == "seq2seq":
        raise UsageError(f"language model {name!r}: layers={layers} is for decoder-only models; T5 comes in sizes")
    if not 1 <= layers <= config.num_hidden_layers:
        raise UsageError(
            f"language model {name!r} has {config.num_hidden_layers} layers; layers={layers} cannot be kept"
        )
    config.num_hidden_layers = layers
    if getattr(config, "layer_types", None):
        config.layer_types = config.layer_types[:layers]


class Quiet:
    """transformers' warnings and progress bars off inside; as they were afterwards."""

    def __init__(self) -> None:
        from transformers.utils import logging

        self._logging = logging

    def __enter__(self) -> None:
        self._before = self._logging.get_verbosity(), self._logging.is_progress_bar_enabled()
        self._logging.set_verbosity_error()
        self._logging.disable_progress_bar()

    def __exit__(self, *_: object) -> None:
        verbosity, bars = self._before
        self._logging.set_verbosity(verbosity)
        if bars:
            self._logging.enable_progress_bar()
