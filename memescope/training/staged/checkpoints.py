"""What a stage keeps on disk while it trains: the weights chosen so far, its log, checkpoints to go on from."""

from __future__ import annotations

import json
import math
import shutil
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from transformers import TrainerCallback
from transformers.trainer import TRAINER_STATE_NAME
from transformers.trainer_utils import get_last_checkpoint

from memescope.atomic import write_whole
from memescope.errors import MemescopeError
from memescope.training.processes import agreed, by_the_first, is_first
from memescope.training.run import Progress

if TYPE_CHECKING:
    from memescope.training.staged.stage import Learner

LOWER = frozenset({"loss"})
"""Selection figures of which the lowest is best."""


@dataclass
class Best:
    """The best checkpoint so far, kept on disk."""

    folder: Path
    select: str
    learner: Learner

    def offer(self, found: dict[str, float], step: int) -> None:
        """Keep the weights as they are now if they are better; of equals the first."""
        value = float(step) if self.select == "last" else found[self.select]
        if math.isnan(value):
            raise MemescopeError(f"the {self.select} at step {step} is not a number: try a lower learning rate")
        if not is_first():
            return
        record = self.folder / "best.json"
        before = json.loads(record.read_text("utf-8"))["value"] if record.is_file() else None
        if before is None or (value < before if self.select in LOWER else value > before):
            self.learner.save(self.folder / "best")
            write_whole(record, json.dumps({"step": step, "value": value, **found}))


class Watch(TrainerCallback):
    """Reports progress, asks for a checkpoint every few minutes, writes the log."""

    def __init__(self, name: str, minutes: float, steps: int, log: Path, report: Progress) -> None:
        self._name, self._seconds, self._log, self._report = name, 60 * minutes, log, report
        self._steps = steps
        self._saved = time.monotonic()

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if is_first():
            self._report(self._name, state.global_step, state.max_steps)
        # After the last step of an epoch comes its evaluation; a checkpoint between the two would skip it on resuming.
        if state.global_step % self._steps:
            self._save_when_due(control)

    def on_epoch_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self._save_when_due(control)

    def _save_when_due(self, control: Any) -> None:
        if agreed(time.monotonic() - self._saved > self._seconds):
            self._saved = time.monotonic()
            control.should_save = True

    def on_save(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self._write(state)

    def on_train_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self._write(state)

    def _write(self, state: Any) -> None:
        if is_first():
            write_log(self._log, state)


def write_log(path: Path, state: Any) -> None:
    """What the Trainer has logged so far."""
    write_whole(path, "".join(json.dumps(entry) + "\n" for entry in state.log_history))


def last_whole(folder: Path) -> str | None:
    """The last checkpoint of a stage; what a kill left half-written is removed."""
    by_the_first(lambda: _remove_halves(folder))
    found: str | None = get_last_checkpoint(str(folder))
    return found


def _remove_halves(folder: Path) -> None:
    for checkpoint in folder.glob("checkpoint-*"):
        try:
            json.loads((checkpoint / TRAINER_STATE_NAME).read_text("utf-8"))  # written last
        except (OSError, ValueError):
            shutil.rmtree(checkpoint)
