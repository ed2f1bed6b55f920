"""A Mamba meme model to be trained, and one from its run folder."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any

import torch

from memescope.backbones import load_vision_encoder
from memescope.backbones.hub import content_version, load_transformers, readable
from memescope.backbones.language import Quiet
from memescope.backbones.packaged import ASSETS, manifest
from memescope.cache import cache_folder
from memescope.errors import MemescopeError, UsageError
from memescope.models.mamba.config import MambaMemesConfig
from memescope.models.mamba.model import MambaMemes
from memescope.models.mamba.official import load_vmamba
from memescope.models.mamba.picture import image_config
from memescope.models.mamba.processor import MambaProcessor, check_encoders, no_picture
from memescope.models.mamba.text import text_config
from memescope.taxonomy.tasks import load_taxonomy

TOKENIZER = "minilm"
"""The packaged WordPiece vocabulary (30,522 pieces, uncased): what small models without a checkpoint read with."""
SIZES = {"width", "layers", "states", "depths", "drop_path"}


def pretrained_folder(name: str) -> Path:
    """Where pretraining on this machine leaves weights of a name."""
    return cache_folder() / "pretrained" / name


def find_pretrained(name: str) -> str:
    """A folder or hub id of pretrained weights: a name in the user's cache, a folder, a hub id.

    Raises `MemescopeError` for a name that was not pretrained here.
    """
    kept = pretrained_folder(name)
    if kept.is_dir():
        return str(kept)
    if "/" in name or Path(name).is_dir():
        return name
    raise MemescopeError(
        f"pretrained weights {name!r} are not on this machine (looked in {kept}); make them with "
        f"memescope train recipes/mamba/pretrain-{name}.yaml, or name a folder or a hub id"
    )


def create(
    text: dict[str, Any] | None = None,
    image: dict[str, Any] | None = None,
    tasks: Sequence[str] = ("hateful",),
    **settings: Any,
) -> MambaMemes:
    """A model to be trained, and its processor as `.processor`.

    `text` and `image` have the keys of `config.TEXT` and `config.IMAGE`; `pretrained` names weights (a hub id such as
    `state-spaces/mamba-370m-hf`, a folder, what was pretrained here), and without it `width`, `layers`, `states`,
    `tokenizer` (text) or `width`, `depths`, `states`, `drop_path` (image) give the sizes of one that starts at random.
    `settings` are fields of `MambaMemesConfig`. The source: `create({"pretrained": "state-spaces/mamba-370m-hf"},
    lora={})` for TextMamba.
    """
    reader, tokenizer, text = _text(text)
    looker, image = _image(image)
    names = {name: list(load_taxonomy()[name].labels) for name in tasks}
    config = MambaMemesConfig(text=text, image=image, tasks=names, **settings)
    if config.text is not None and reader is None:
        config.text["version"] = "random"
    model = MambaMemes(config, reader, looker)
    if model.text is not None:
        model.text.start()
    model.processor = MambaProcessor(config, tokenizer)
    _check_places(model)
    return model


def _check_places(model: MambaMemes) -> None:
    """`UsageError` where attention has fewer places than the longest row has tokens. Mamba has no such bound."""
    text, image = model.config.text, model.config.image
    if text is None or text["kind"] != "bert" or model.text is None:
        return
    beside = len(model.processor.prompt) + (text["pool"] == "cls")
    if model.config.fusion == "prefix" and model.picture is not None and image is not None:
        with torch.inference_mode():  # a copy: looking would move a ResNet's running means
            beside += deepcopy(model.picture).eval()(torch.from_numpy(no_picture(image))[None]).shape[1]
    most = model.text.backbone.config.max_position_embeddings - beside
    if text["max_tokens"] > most:
        raise UsageError(
            f"text.max_tokens {text['max_tokens']} and text.kind 'bert': attention has places for {most} tokens of a "
            f"text here; set text.max_tokens to {most} at most, or take a mamba"
        )


def _text(given: dict[str, Any] | None) -> tuple[Any, Any, dict[str, Any] | None]:
    """Backbone (None: random), tokenizer and configuration of the text side."""
    if given is None:
        return None, None, None
    about = dict(given)
    name, kind = about.pop("pretrained", None), about.get("kind", "mamba")
    sizes = {key: about.pop(key) for key in list(about) if key in SIZES}
    tokenizer_name = about.pop("tokenizer", None)
    if name is None:
        tokenizer = load_tokenizer(tokenizer_name or TOKENIZER)
        config = text_config(kind, sizes["width"], sizes["layers"], sizes.get("states", 16), len(tokenizer))
        return None, tokenizer, about | {"config": config}
    transformers = load_transformers(f"text backbone {name!r}")
    place = find_pretrained(name)
    with readable("text backbone", name):
        found = transformers.AutoConfig.from_pretrained(place).model_type
    if found != kind:
        raise UsageError(f"text backbone {name!r} is a {found}, not a {kind}; say text.kind")
    with readable("text backbone", name):
        with Quiet():  # the language model's head is told as unexpected
            options = {"add_pooling_layer": False} if kind == "bert" else {}
            loaders = {"mamba": "MambaModel", "bert": "BertModel", "llama": "LlamaModel"}
            backbone = getattr(transformers, loaders[kind]).from_pretrained(
                place, use_safetensors=True, dtype="float32", **options
            )
        tokenizer = load_tokenizer(tokenizer_name or place)
    config = backbone.config.to_diff_dict() | {"model_type": found}
    about |= {"name": name, "version": content_version(place, backbone.config), "config": config}
    return backbone, tokenizer, about


def load_tokenizer(name: str) -> Any:
    """The packaged WordPiece tokenizer by its name (`minilm`), or one of a folder or hub id; fast ones only."""
    transformers = load_transformers(f"tokenizer of {name!r}")
    if name == TOKENIZER:
        file = ASSETS / manifest()[TOKENIZER]["tokenizer"]["file"]
        named = {"pad_token": "[PAD]", "unk_token": "[UNK]", "mask_token": "[MASK]", "sep_token": "[SEP]"}
        return transformers.PreTrainedTokenizerFast(tokenizer_file=str(file), cls_token="[CLS]", **named)
    with readable("tokenizer of", name):
        tokenizer = transformers.AutoTokenizer.from_pretrained(name)
    if not tokenizer.is_fast:
        raise UsageError(f"tokenizer of {name!r}: it is a slow one, which gives no character offsets")
    return tokenizer


def _image(given: dict[str, Any] | None) -> tuple[Any, dict[str, Any] | None]:
    """Backbone (None: random) and configuration of the picture side."""
    if given is None:
        return None, None
    about = dict(given)
    name, kind = about.pop("pretrained", None), about.get("kind", "vmamba")
    sizes = {key: about.pop(key) for key in list(about) if key in SIZES}
    if kind == "frozen":
        encoders = [load_vision_encoder(one) for one in about.get("names", ())]
        if not encoders:
            raise UsageError("image.names: name the frozen picture encoders, for example [effnet-lite0]")
        check_encoders({"versions": []}, encoders)
        about |= {"versions": [encoder.version for encoder in encoders], "count": encoders[0].grid ** 2}
        return None, about | {"width": sum(encoder.dim for encoder in encoders)}
    if name is None:
        depths, states = tuple(sizes["depths"]), sizes.get("states", 1)
        size = about.get("size", 224)
        config = image_config(kind, sizes["width"], depths, states, sizes.get("drop_path", 0.0), size)
        return None, about | {"config": config, "version": "random"}
    place = find_pretrained(name)
    if kind == "vmamba":
        backbone: Any = load_vmamba(place)
        if "drop_path" in sizes:
            backbone = _with_drop_path(backbone, sizes["drop_path"])
        config = {"model_type": "vmamba", **backbone.settings.to_dict()}
        return backbone, about | {"name": name, "version": content_version(place, None), "config": config}
    transformers = load_transformers(f"picture backbone {name!r}")
    with readable("picture backbone", name), Quiet():
        loader = transformers.ResNetModel if kind == "resnet" else transformers.ViTModel
        options = {"add_pooling_layer": False} if kind == "vit" else {}
        backbone = loader.from_pretrained(place, use_safetensors=True, dtype="float32", **options)
    config = backbone.config.to_diff_dict() | {"model_type": kind}
    return backbone, about | {"name": name, "version": content_version(place, backbone.config), "config": config}


def _with_drop_path(backbone: Any, rate: float) -> Any:
    from dataclasses import replace

    from memescope.models.mamba.vmamba import VMamba

    other = VMamba(replace(backbone.settings, drop_path=rate))
    other.load_state_dict(backbone.state_dict())
    return other


def load_folder(folder: Path) -> MambaMemes:
    """The model saved in a folder, in evaluation mode. The version names its content."""
    weights = folder / "model.safetensors"
    if not weights.is_file():
        raise UsageError(f"{weights}: this file of the model is missing")
    config = MambaMemesConfig.from_pretrained(folder)
    with Quiet():
        model = MambaMemes.from_pretrained(folder, config=config)
    model.processor = MambaProcessor.from_pretrained(folder, config)
    digest = hashlib.sha256((folder / "config.json").read_bytes())
    with weights.open("rb") as file:
        digest.update(hashlib.file_digest(file, "sha256").digest())
    model.version = f"{config.name}-{digest.hexdigest()[:12]}"
    found: MambaMemes = model.eval()
    return found
