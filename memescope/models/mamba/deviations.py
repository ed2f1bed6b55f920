"""What a model does otherwise than the source: lines for its card, read off its configuration."""

from __future__ import annotations

from typing import Any

from memescope.models.mamba.config import MambaMemesConfig
from memescope.models.mamba.vmamba import OFFICIAL

TEXT = "state-spaces/mamba-370m-hf"
IMAGE = OFFICIAL["vmamba_base_s2l15"]


def deviations(config: MambaMemesConfig) -> list[str]:
    """One sentence for each; the wording is that of the configuration as it is, so a card cannot fall behind it."""
    found = []
    text, image = config.text, config.image
    if text is not None:
        if text["kind"] != "mamba":
            found.append(f"The text is read by attention ({text['kind']}): a peer of the same size, not the source's.")
        elif text["name"] != TEXT:
            found.append(f"The text model is {text['name'] or 'one that starts at random'}; the source's is {TEXT}.")
        if text["direction"] in ("shared", "block"):
            how = {"shared": "one backbone reads both ways", "block": "each block reads both ways"}[text["direction"]]
            found.append(f"Bidirectional in that {how}; the source has two backbones.")
        if text["pool"] != "mean":
            found.append(f"Pooled by {text['pool']}; the source takes the mean.")
        if text["max_tokens"] != 50:
            found.append(f"Texts are cut at {text['max_tokens']} tokens; the source's at 50.")
        if text["delta_dropout"]:
            found.append(f"Dropout {text['delta_dropout']:g} on delta; the source has none.")
        if text["prompt"]:
            found.append(f'Before the text stands "{text["prompt"]}", as the source suggests for a multimodal Mamba.')
    if image is not None:
        if image["kind"] == "frozen" and config.fusion == "prefix":
            found.append(
                f"The picture's tokens are features of {' and '.join(image['names'])}, side by side place by place; "
                "Cobra joins DINOv2 and SigLIP."
            )
        elif image["kind"] != "vmamba":
            found.append(f"The picture is seen by a {image['kind']} encoder; the source's is VMamba-B.")
        elif image["name"] == "" or image["size"] != 224 or _sizes(image["config"]) != _sizes(IMAGE.to_dict()):
            found.append(
                f"VMamba is {image['name'] or 'one that starts at random'} ({_sizes(image['config'])}), at "
                f"{image['size']} pixels; the source's is VMamba-B ({_sizes(IMAGE.to_dict())}) at 224."
            )
        if not image["inpaint"]:
            found.append("Captions stay in the picture; the source paints them over.")
        found.append("Pictures are squeezed to a square; how the source crops them is not stated.")
    if config.fusion != "concat":
        how = {"token": "joined to every text token", "prefix": "put before the text"}[config.fusion]
        found.append(f"The picture is {how}, which the source suggests but did not try.")
    if config.hidden != 64:
        found.append(f"The classifier's hidden layer is {config.hidden} wide; the source's is 64.")
    if config.lora is None:
        found.append("No adapters: what is not frozen is trained in full; the source trains LoRA and the head.")
    if config.freeze:
        layers = ", ".join(f"{side} {count}" for side, count in config.freeze.items())
        found.append(f"Embeddings and the first layers are frozen ({layers}); the source freezes by LoRA alone.")
    if config.smoothing or config.dropout:
        found.append(f"Label smoothing {config.smoothing:g}, dropout {config.dropout:g} before the head; none there.")
    return found


def _sizes(vmamba: dict[str, Any]) -> str:
    depths = ", ".join(map(str, vmamba["depths"]))
    return f"{depths} blocks, width {vmamba['width']}, states {vmamba['states']}"
