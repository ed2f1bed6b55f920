"""A backbone being pretrained: its batches, its weights, and the folder from which other recipes take it."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from memescope.errors import UsageError
from memescope.meme import Meme, Reading
from memescope.training.mamba import side
from memescope.training.staged.recipe import Objective

if TYPE_CHECKING:
    from torch import Tensor

    from memescope.training.mamba_pretrain import PretrainRecipe


class PretrainLearner:
    """A backbone with what its objective needs beside it."""

    tasks: tuple[str, ...] = ()

    def __init__(self, recipe: PretrainRecipe) -> None:
        import torch

        from memescope.models.mamba import create
        from memescope.models.mamba.pretraining import Distil, Masked, NextToken
        from memescope.training.mamba_pixels import Kept

        torch.manual_seed(recipe.train.seed)
        part = recipe.model
        whole = create(side(part.text), side(part.image), tasks=())
        self._processor = whole.processor
        self.version = "tokens"
        tower = whole.text if whole.text is not None else whole.picture
        assert tower is not None
        self.backbone: Any = tower.backbone
        if whole.picture is not None:
            teacher = {"kind": "frozen", "names": [part.teacher], "inpaint": part.image.inpaint, "size": 0}  # type: ignore[union-attr]
            frozen = create(None, teacher, tasks=())
            about = frozen.config.image
            assert about is not None
            assert whole.config.image is not None
            assert frozen.processor.see is not None
            self._teacher = Kept(frozen.processor.see, about, limit=0)
            self._see = Kept(whole.processor.see, whole.config.image)  # type: ignore[arg-type]
            self.version = about["versions"][0]
            self.model: Any = Distil(whole.picture, about["width"])
        elif part.objective == "next":
            self.model = NextToken(self.backbone)
        else:
            self.model = Masked(self.backbone, whole.processor.tokenizer.mask_token_id)

    def collate(self, memes: Sequence[Meme], objective: Objective) -> dict[str, Tensor]:
        """Texts; pictures with the teacher's features."""
        import numpy as np
        import torch

        if self._processor.config.text is None:
            return {
                "pixels": torch.from_numpy(np.stack([self._see(meme.image) for meme in memes])),
                "labels": torch.from_numpy(np.stack([self._teacher(meme.image) for meme in memes])),
            }
        batch: dict[str, Tensor] = self._processor(memes)
        return batch

    def length(self, meme: Meme, objective: Objective) -> int:
        """Tokens of a text; 1 of a picture."""
        return 1 if self._processor.config.text is None else len(self._processor.ids(meme))

    def answer(self, memes: Sequence[Meme]) -> list[Reading]:
        """Never asked: nothing is answered while pretraining."""
        raise UsageError("a backbone that is being pretrained answers nothing")

    def save(self, folder: Path) -> None:
        """The weights, with those of the objective."""
        from safetensors.torch import save_model

        folder.mkdir(parents=True, exist_ok=True)
        save_model(self.model, str(folder / "model.safetensors"))

    def load(self, folder: Path) -> None:
        """Weights that `save` wrote."""
        from safetensors.torch import load_model

        load_model(self.model, str(folder / "model.safetensors"))

    def keep(self, folder: Path) -> None:
        """The backbone alone, in hub layout, with its tokenizer: what `pretrained: NAME` loads.

        It is written beside the folder and takes its place when it is whole.
        """
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f".{folder.name}-", dir=folder.parent) as scratch:
            new, old = Path(scratch) / "new", Path(scratch) / "old"
            self._write(new)
            if folder.exists():
                folder.rename(old)
            new.rename(folder)

    def _write(self, folder: Path) -> None:
        from memescope.backbones.language import Quiet
        from memescope.models.mamba.official import save_vmamba
        from memescope.models.mamba.vmamba import VMamba

        if isinstance(self.backbone, VMamba):
            save_vmamba(self.backbone, folder)
            return
        with Quiet():
            self.backbone.save_pretrained(folder)
        self._processor.save_pretrained(folder)
