"""What a picture shows, in a sentence: BLIP (Li et al. 2022, arXiv:2201.12086) from the hub or a folder.

MR.HARM captions with ClipCap (Mokady et al. 2021), which transformers has no class for: its captions of Harm-C, Harm-P
and FHM are read from a file instead (`memescope.datasets.stored.StoredCaptions`). BLIP stands in where none are stored.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import numpy as np

from memescope.backbones.hub import content_version, load_transformers, readable
from memescope.errors import UsageError
from memescope.perception.pictures import Picture

CAPTIONER = "Salesforce/blip-image-captioning-base"
MOST_TOKENS = 30


class Captioner:
    """A BLIP captioning model. `version` names the checkpoint. Greedy, so that a picture always gets one caption.

    Raises `MissingExtra` without the extra `train`, `UsageError` for another kind of model.
    """

    def __init__(self, name: str = CAPTIONER, device: str = "cpu") -> None:
        transformers = load_transformers(f"captioner {name!r}")
        with readable("captioner", name):
            config = transformers.AutoConfig.from_pretrained(name)
            if config.model_type != "blip":
                raise UsageError(
                    f"captioner {name!r}: a {config.model_type} model; expected a blip one such as {CAPTIONER} "
                    "(captions of other models, such as ClipCap, can be read from a file: captions=FILE)"
                )
            self._model = transformers.BlipForConditionalGeneration.from_pretrained(
                name, use_safetensors=True, dtype="float32"
            )
            self._processor = transformers.AutoImageProcessor.from_pretrained(name)
            self._tokenizer = transformers.AutoTokenizer.from_pretrained(name)
        self.name, self._device = name, device
        self.version = content_version(name, self._model.config)
        self._model = self._model.to(device).eval()

    def captions(self, pictures: Sequence[Picture], most_tokens: int = MOST_TOKENS) -> list[str]:
        """One caption for each picture, of at most `most_tokens` tokens."""
        import torch

        if not pictures:
            return []
        pixels = [np.ascontiguousarray(picture.pixels) for picture in pictures]
        inputs = self._processor(images=pixels, return_tensors="pt").to(self._device)
        with torch.inference_mode():
            ids = self._model.generate(**inputs, max_new_tokens=most_tokens, do_sample=False, num_beams=1)
        return [text.strip() for text in self._tokenizer.batch_decode(ids, skip_special_tokens=True)]


@cache
def load_captioner(name: str = CAPTIONER, device: str = "cpu") -> Captioner:
    """The captioner, opened once in each process."""
    return Captioner(name, device)
