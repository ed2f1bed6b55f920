"""Encoders by hub id or folder, through transformers: the same protocol as the packaged ones. Needs the extra `train`.

Only safetensors are read, no code from a hub is run, and a model that is already in the hub's cache needs no network.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from memescope.backbones.base import MAX_TOKENS, PictureFeatures, TextFeatures
from memescope.errors import MemescopeError, MissingExtra, UsageError

# two towers in one checkpoint: (text tower, vision tower), classes of transformers
TOWERS = {
    "clip": ("CLIPTextModel", "CLIPVisionModel"),
    "siglip": ("SiglipTextModel", "SiglipVisionModel"),
}


class HubText(TextFeatures):
    """A transformers text encoder with a fast tokenizer.

    BERT, RoBERTa, XLM-R, DeBERTa, E5 ...: `pooled` is the mean of the token states. CLIP and SigLIP: the text tower's
    own pooled state, before projection. Both are scaled to length 1. Texts are cut after 256 tokens, or fewer where
    the model takes fewer. Prefixes such as E5's "query: " are the caller's.
    """

    def __init__(self, name: str, device: str = "cpu") -> None:
        transformers = load_transformers(f"text encoder {name!r}")
        with readable("text encoder", name):
            config = transformers.AutoConfig.from_pretrained(name)
            self._kind, tower = _tower(config, 0)
            tokenizer = transformers.AutoTokenizer.from_pretrained(name)
            self._model = getattr(transformers, tower or "AutoModel").from_pretrained(
                name, use_safetensors=True, dtype="float32"
            )
        if not tokenizer.is_fast:
            raise UsageError(f"text encoder {name!r}: its tokenizer is a slow one, which gives no character offsets")
        config = self._model.config
        if config.is_encoder_decoder or not hasattr(config, "hidden_size"):
            raise UsageError(f"text encoder {name!r}: a {config.model_type} model is not a plain encoder")
        self.name = name
        self.version = content_version(name, config)
        self.dim = config.hidden_size
        self.max_tokens = _max_tokens(config, tokenizer)
        self._device = device
        self._model = self._model.to(device).eval()
        super().__init__(tokenizer.backend_tokenizer, tokenizer.pad_token_id or 0)

    def _forward(self, ids: np.ndarray, mask: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
        import torch

        masks = {"attention_mask": torch.from_numpy(mask).to(self._device)}
        if self._kind == "siglip":  # trained on texts padded to full length, without a mask
            ids = np.pad(ids, ((0, 0), (0, self.max_tokens - ids.shape[1])), constant_values=self._pad_id)
            masks = {}
        with torch.inference_mode():
            out = self._model(input_ids=torch.from_numpy(ids).to(self._device), **masks)
        own = out.pooler_output.cpu().numpy() if self._kind else None
        return out.last_hidden_state.cpu().numpy(), own


class HubVision(PictureFeatures):
    """A transformers vision transformer: CLIP, SigLIP, ViT, DINOv2 ...

    `patches` are the last layer's states of the patches (CLIP's before its final norm). `pooled` is the model's own for
    CLIP and SigLIP, before projection, otherwise the [CLS] state. Mean and deviation of the pixels are the model's own;
    unlike its own processor the picture is not cropped.
    """

    def __init__(self, name: str, device: str = "cpu") -> None:
        import torch

        transformers = load_transformers(f"vision encoder {name!r}")
        with readable("vision encoder", name):
            config = transformers.AutoConfig.from_pretrained(name)
            self._kind, tower = _tower(config, 1)
            self._model = getattr(transformers, tower or "AutoModel").from_pretrained(
                name, use_safetensors=True, dtype="float32"
            )
            processor = transformers.AutoImageProcessor.from_pretrained(name)
        config = self._model.config
        if not (isinstance(getattr(config, "patch_size", None), int) and isinstance(config.image_size, int)):
            raise UsageError(f"vision encoder {name!r}: a {config.model_type} model has no square grid of patches")
        self.name = name
        self.version = content_version(name, config)
        self.dim = config.hidden_size
        self.size = config.image_size
        self.grid = config.image_size // config.patch_size
        self._mean = torch.tensor(processor.image_mean, device=device) * 255
        self._deviation = torch.tensor(processor.image_std, device=device) * 255
        self._device = device
        self._model = self._model.to(device).eval()
        super().__init__()

    def _forward(self, pixels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        import torch

        scaled = (torch.tensor(pixels, dtype=torch.float32, device=self._device) - self._mean) / self._deviation
        with torch.inference_mode():
            out = self._model(pixel_values=scaled.permute(0, 3, 1, 2).contiguous())
        states = out.last_hidden_state
        pooled = out.pooler_output if self._kind else states[:, 0]
        # [CLS] and registers come before the patches
        patches = states[:, -(self.grid**2) :].reshape(len(pixels), self.grid, self.grid, self.dim)
        return patches.cpu().numpy(), pooled.cpu().numpy()


def load_transformers(what: str) -> Any:
    """The package transformers; `MissingExtra` naming `what` needs it where it or PyTorch is absent."""
    try:
        import torch  # noqa: F401
        import transformers
    except ImportError:
        raise MissingExtra(what, "train") from None
    return transformers


@contextmanager
def readable(what: str, name: str) -> Iterator[None]:
    """Inside, what transformers raises for a model that is absent or broken becomes a `MemescopeError` that says so."""
    try:
        yield
    except (OSError, ValueError) as error:
        first = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise MemescopeError(
            f"{what} {name!r} cannot be read: {first}\nexpected a packaged name (memescope models list), a folder, "
            f"or a hub id with safetensors weights that is in the hub's cache or can be reached: hf download {name}"
        ) from None


def _tower(config: Any, side: int) -> tuple[str, str | None]:
    """The family of a two-tower model ("" for others) and the class that reads this side of it."""
    for kind, towers in TOWERS.items():
        if config.model_type == kind or config.model_type.startswith(f"{kind}_"):
            return kind, towers[side]
    return "", None


def _max_tokens(config: Any, tokenizer: Any) -> int:
    places = getattr(config, "max_position_embeddings", MAX_TOKENS)
    # RoBERTa and its kin count positions from the one after the padding id
    if config.model_type in ("roberta", "xlm-roberta", "camembert", "xlm-roberta-xl"):
        places -= config.pad_token_id + 1
    return int(min(MAX_TOKENS, places, tokenizer.model_max_length))


def content_version(name: str, config: Any) -> str:
    """The hub commit, or for a folder the hash of its configuration and weights."""
    commit = getattr(config, "_commit_hash", None)
    if commit:
        return f"{name}@{commit[:12]}"
    digest = hashlib.sha256()
    for path in [Path(name, "config.json"), *sorted(Path(name).glob("*.safetensors"))]:
        with path.open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return f"{Path(name).name}@{digest.hexdigest()[:12]}"
