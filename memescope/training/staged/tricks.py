"""What a family may add to the plain training of a stage: learning rates apart, decay, averaged weights, an early end.

    Tricks(groups=..., gamma=0.8, average="ema", decay=0.99, patience=3)

The default adds nothing. A stage's own settings go into its cache key through the family's recipe, not through this.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn
from transformers import TrainerCallback

AVERAGED = "average.safetensors"


@dataclass(frozen=True)
class Tricks:
    """
    groups     learning rate -> optimiser groups ({"params", "lr", "weight_decay"}); None: the Trainer's own
    gamma      the learning rate is multiplied by it after every epoch, and stays as it is within one; None: `schedule`
    average    evaluated and kept are averaged weights: "ema", a running mean with `decay`; "swa", the plain mean of the
               weights after every step from the share `start` of the training on
    patience   training ends when the loss on the selection split was not the lowest for so many looks; 0: never
    """

    groups: Callable[[float], list[dict[str, Any]]] | None = None
    gamma: float | None = None
    average: Literal["ema", "swa"] | None = None
    decay: float = 0.99
    start: float = 0.5
    patience: int = 0


class Averager(TrainerCallback):
    """Keeps the mean of the trainable weights; inside `swapped` the model has them."""

    def __init__(self, model: nn.Module, tricks: Tricks) -> None:
        self._own = {name: p for name, p in model.named_parameters() if p.requires_grad}
        self._tricks = tricks
        self._mean: dict[str, Tensor] = {}
        self._count = 0

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Take the weights after a step into the mean."""
        if self._tricks.average == "swa" and state.global_step < self._tricks.start * state.max_steps:
            return
        self._count += 1
        with torch.no_grad():
            if not self._mean:
                self._mean = {name: p.detach().clone() for name, p in self._own.items()}
                return
            # the decay is shorter at first, so that the start is forgotten (as in TensorFlow's moving averages)
            ema = min(self._tricks.decay, (1 + self._count) / (10 + self._count))
            share = 1 / self._count if self._tricks.average == "swa" else 1 - ema
            for name, p in self._own.items():
                self._mean[name].lerp_(p, share)

    @contextmanager
    def swapped(self) -> Iterator[None]:
        """Averaged weights inside, the trained ones again afterwards."""
        kept = {name: p.detach().clone() for name, p in self._own.items()}
        self._fill(self._mean)
        try:
            yield
        finally:
            self._fill(kept)

    def save(self, checkpoint: Path) -> None:
        """Beside a checkpoint, so that a resumed stage averages on."""
        from safetensors.torch import save_file

        checkpoint.mkdir(parents=True, exist_ok=True)
        tensors = {name: value.contiguous() for name, value in self._mean.items()}
        save_file(tensors, checkpoint / AVERAGED, metadata={"count": str(self._count)})

    def load(self, checkpoint: Path) -> None:
        """What `save` wrote."""
        from safetensors import safe_open

        with safe_open(checkpoint / AVERAGED, framework="pt") as file:
            self._count = int(file.metadata()["count"])
            self._mean = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a dict

    def _fill(self, values: dict[str, Tensor]) -> None:
        with torch.no_grad():
            for name, value in values.items():
                self._own[name].copy_(value)


class EarlyEnd(TrainerCallback):
    """Ends the training when the selection loss has not been the lowest for `patience` looks."""

    def __init__(self, patience: int) -> None:
        self._patience = patience

    def on_evaluate(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Look at all losses so far: they are in the state, so a resumed stage ends where it would have."""
        losses = [entry["eval_loss"] for entry in state.log_history if "eval_loss" in entry]
        if len(losses) - 1 - losses.index(min(losses)) >= self._patience:
            control.should_training_stop = True


def decayed(optimiser: torch.optim.Optimizer, gamma: float, steps: int) -> torch.optim.lr_scheduler.LambdaLR:
    """The learning rate times gamma after every epoch of `steps` steps."""
    return torch.optim.lr_scheduler.LambdaLR(optimiser, lambda step: gamma ** (step // steps))
