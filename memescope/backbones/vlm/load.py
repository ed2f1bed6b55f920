"""`load_vlm`: a vision-language model by its name alone.

| make | classes | for example |
|---|---|---|
| qwen3_vl | Qwen3-VL | Qwen/Qwen3-VL-8B-Instruct, -4B, -2B |
| qwen2_5_vl | Qwen2.5-VL | Qwen/Qwen2.5-VL-7B-Instruct, -3B |
| smolvlm, idefics3 | SmolVLM, SmolVLM2, Idefics3 | HuggingFaceTB/SmolVLM-256M-Instruct, SmolVLM2-500M-Video-Instruct |
| memescope-tinyvlm | TinyVLM | tinyvlm, or a folder of one |

A new make is one subclass of `Vlm` and one line of `MAKES`. Nothing here needs torchvision: the processors' picture
part comes by itself, without the part for videos, and pictures are prepared with Pillow.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from memescope.backbones.hub import content_version, load_transformers, readable
from memescope.backbones.language import DTYPES, Quiet
from memescope.backbones.vlm.base import Vlm
from memescope.errors import MemescopeError, UsageError

TINY = "tinyvlm"
PICTURE = ("min_pixels", "max_pixels", "do_image_splitting")
"""Settings of the picture processor that a recipe may give."""


def _makes() -> dict[str, Callable[..., Vlm]]:
    from memescope.backbones.vlm.qwen import QwenVl
    from memescope.backbones.vlm.smol import SmolVl
    from memescope.backbones.vlm.tiny import TinyVl

    return {
        "qwen3_vl": QwenVl,
        "qwen2_5_vl": QwenVl,
        "smolvlm": SmolVl,
        "idefics3": SmolVl,
        "memescope-tinyvlm": TinyVl,
    }


def load_vlm(
    name: str = TINY,
    dtype: str = "float32",
    picture: Mapping[str, Any] | None = None,
    layers: int | None = None,
    **tiny: Any,
) -> Vlm:
    """The model of a hub id or folder, or a new TinyVLM (`tiny`: arguments of `new_tiny`), in evaluation mode.

    `picture` are settings of the picture processor (`PICTURE`), `layers` keeps the first so many of a TinyVLM's
    language model. Raises `MissingExtra` without the extra `train`, `UsageError` for wrong arguments or a make that is
    not known, `MemescopeError` for a model that is not there or cannot be read.
    """
    what = f"vision-language model {name!r}"
    transformers = load_transformers(what)
    if dtype not in DTYPES:
        raise UsageError(f"{what}: dtype {dtype!r} is none of {', '.join(DTYPES)}")
    unknown = set(picture or {}) - set(PICTURE)
    if unknown:
        raise UsageError(f"{what}: picture setting {', '.join(sorted(unknown))}; known: {', '.join(PICTURE)}")
    if name == TINY:
        from memescope.backbones.vlm.tiny import new_tiny

        return new_tiny(layers=layers, dtype=dtype, **tiny)
    if tiny or layers is not None:
        raise UsageError(f"{what}: {', '.join([*tiny, *(['layers'] if layers else [])])} are settings of {TINY!r} only")
    makes = _makes()
    with readable("vision-language model", name):
        config = transformers.AutoConfig.from_pretrained(name)
        if config.model_type not in makes:
            raise UsageError(f"{what}: a {config.model_type} model; the makes that are known: {', '.join(makes)}")
        tokenizer = transformers.AutoTokenizer.from_pretrained(name)
        template = chat_template(name, tokenizer)
        images = transformers.AutoImageProcessor.from_pretrained(name, **(picture or {}))
        with Quiet():
            model = transformers.AutoModelForImageTextToText.from_pretrained(name, use_safetensors=True, dtype=dtype)
        version = content_version(name, model.config)
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token
    return makes[config.model_type](name, version, model.eval(), tokenizer, images, template)


def chat_template(name: str, tokenizer: Any) -> str:
    """The processor's template: in a file of its own, or the tokenizer's. Raises `MemescopeError` where there is none.

    Older repositories have it in `chat_template.json`, which a tokenizer by itself does not read.
    """
    from transformers.utils import cached_file

    if not Path(name, "chat_template.jinja").is_file():
        found = cached_file(
            name,
            "chat_template.json",
            _raise_exceptions_for_missing_entries=False,
            _raise_exceptions_for_connection_errors=False,
            _raise_exceptions_for_gated_repo=False,
        )
        if found is not None:
            return str(json.loads(Path(found).read_text("utf-8"))["chat_template"])
    if not tokenizer.chat_template:
        raise MemescopeError(f"vision-language model {name!r} has no chat template: expected chat_template.jinja")
    return str(tokenizer.chat_template)
