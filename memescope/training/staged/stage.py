"""One stage of training: a model, memes and an objective go in; the chosen weights come out. Resumes after a kill.

Runs on the transformers Trainer. In the stage's folder:

| file | what |
|---|---|
| checkpoint-N/ | from which a killed stage goes on: weights, optimiser, schedule, random state; one at a time |
| best/ | the weights chosen so far |
| log.jsonl | losses and figures by step |
| done.json | written last: what was chosen and why; a stage that has it is never trained again |
"""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
import transformers
from torch.utils.data import Dataset
from transformers import PrinterCallback, Trainer, TrainingArguments

from memescope.atomic import write_whole
from memescope.backbones.precision import trains_in
from memescope.errors import UsageError
from memescope.evaluation.metrics import Scored, figures, scored
from memescope.locks import lock
from memescope.meme import Meme, Reading
from memescope.objectives.generation import IGNORED
from memescope.taxonomy import load_taxonomy
from memescope.training.processes import by_the_first, is_first, processes, wait_for_all
from memescope.training.run import Progress
from memescope.training.staged.checkpoints import Best, Watch, last_whole, write_log
from memescope.training.staged.heap import keep_freed_memory
from memescope.training.staged.recipe import Objective, Stage, StagedTraining
from memescope.training.staged.sampling import LengthBuckets
from memescope.training.staged.tricks import Averager, EarlyEnd, Tricks, decayed

PLAIN = Tricks()
"""Training as its stage says, with nothing added."""
DONE = "done.json"


class Learner(Protocol):
    """What a family gives to be trained in stages. `model(**batch)` returns an output with a `loss`."""

    model: Any
    tasks: tuple[str, ...]

    def collate(self, memes: Sequence[Meme], objective: Objective) -> dict[str, torch.Tensor]:
        """A batch."""
        ...

    def length(self, meme: Meme, objective: Objective) -> int:
        """Tokens of one meme in a batch, for batches of like length."""
        ...

    def answer(self, memes: Sequence[Meme]) -> list[Reading]:
        """Answers of the model as it is now."""
        ...

    def save(self, folder: Path) -> None:
        """Write the weights."""
        ...

    def load(self, folder: Path) -> None:
        """Take over weights that `save` wrote."""
        ...


class _Memes(Dataset[Meme]):
    def __init__(self, memes: Sequence[Meme]) -> None:
        self.memes = memes

    def __len__(self) -> int:
        return len(self.memes)

    def __getitem__(self, index: int) -> Meme:
        return self.memes[index]


class _StageTrainer(Trainer):
    """The Trainer over memes: batches of like length; evaluation also answers the selection split."""

    def __init__(
        self,
        learner: Learner,
        stage: Stage,
        train: Sequence[Meme],
        val: Sequence[Meme],
        best: Best,
        tricks: Tricks,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self._learner, self._stage, self._best, self._tricks = learner, stage, best, tricks
        self._memes, self._val = train, val
        self._average = Averager(learner.model, tricks) if tricks.average else None
        if self._average is not None:
            self.add_callback(self._average)
        if tricks.patience:
            self.add_callback(EarlyEnd(tricks.patience))

    def _get_train_sampler(self, train_dataset: Any = None) -> LengthBuckets:
        lengths = [self._learner.length(meme, self._stage.objective) for meme in self._memes]
        return LengthBuckets(lengths, self._stage.batch_size * self._stage.accumulate, self.args.seed)

    def get_batch_samples(self, *args: Any, **kwargs: Any) -> Any:
        batches, items = super().get_batch_samples(*args, **kwargs)
        if (len(batches) > 1 or processes() > 1) and all("task" in batch for batch in batches):
            totals = torch.stack([places_by_task(batch["labels"], batch["task"]) for batch in batches]).sum(0)
            totals = self.accelerator.gather(totals.to(self.args.device)[None]).sum(0)
            batches = [{**batch, "totals": totals} for batch in batches]
        return batches, items

    def create_optimizer(self, *args: Any, **kwargs: Any) -> torch.optim.Optimizer:
        if self._tricks.groups is not None and self.optimizer is None:
            kind, options = self.get_optimizer_cls_and_kwargs(self.args)
            self.optimizer = kind(self._tricks.groups(self.args.learning_rate), **options)
        found: torch.optim.Optimizer = super().create_optimizer(*args, **kwargs)
        return found

    def create_scheduler(self, num_training_steps: int, optimizer: Any = None) -> Any:
        if self._tricks.gamma is not None and self.lr_scheduler is None:
            stage = self._stage
            steps = math.ceil(math.ceil(len(self._memes) / stage.batch_size) / stage.accumulate)
            if optimizer is None:
                optimizer = self.optimizer
            self.lr_scheduler = decayed(optimizer, self._tricks.gamma, steps)
        return super().create_scheduler(num_training_steps, optimizer)

    def _save_checkpoint(self, *args: Any, **kwargs: Any) -> None:
        # first the average: what the Trainer writes last says that a checkpoint is whole
        if self._average is not None and is_first():
            self._average.save(Path(str(self.args.output_dir)) / f"checkpoint-{self.state.global_step}")
        super()._save_checkpoint(*args, **kwargs)

    def resume(self, checkpoint: str | None) -> None:
        """Train, from a checkpoint where there is one."""
        if checkpoint is not None and self._average is not None:
            self._average.load(Path(checkpoint))
        self.train(resume_from_checkpoint=checkpoint)

    def prediction_step(self, model: Any, inputs: Any, *_: Any, **__: Any) -> tuple[torch.Tensor, None, None]:
        """The loss alone, whatever a batch calls what is right in it (`labels`, `answers`)."""
        with torch.no_grad(), self.compute_loss_context_manager():
            loss = self.compute_loss(model, self._prepare_inputs(inputs))
        assert isinstance(loss, torch.Tensor)
        return loss.detach().mean(), None, None

    def evaluate(self, *args: Any, **kwargs: Any) -> dict[str, float]:
        with self._average.swapped() if self._average is not None else nullcontext():
            return self._look(*args, **kwargs)

    def _look(self, *args: Any, **kwargs: Any) -> dict[str, float]:
        metrics: dict[str, float] = super().evaluate(*args, **kwargs)
        found = {"loss": metrics["eval_loss"]}
        if self._stage.objective in ("label", "both", "explain"):
            self._learner.model.eval()
            found |= mean_figures(self._learner.answer(self._val), self._val, self._learner.tasks)
            self.log({f"eval_{name}": value for name, value in found.items() if name != "loss"})
        self._best.offer(found, self.state.global_step)
        return metrics


def run_stage(
    learner: Learner,
    stage: Stage,
    train: Sequence[Meme],
    val: Sequence[Meme],
    settings: StagedTraining,
    folder: Path,
    report: Progress,
    tricks: Tricks = PLAIN,
) -> dict[str, Any]:
    """Train one stage in `folder`, or take it from there when it is done; `learner` then has the chosen weights.

    `train` and `val` hold what the objective needs (labels, rationales). Gives the content of `done.json`.
    """
    done = folder / DONE
    # two runs that begin alike do not train one stage twice: the second waits, then takes it
    with lock(folder.with_name(f"{folder.name}.lock"), wait=True) if is_first() else nullcontext():
        wait_for_all()
        if not done.is_file():
            _train(learner, stage, train, val, settings, folder, report, tricks)
            by_the_first(lambda: _finish(stage, len(train), folder))
    learner.load(folder / "best")
    found: dict[str, Any] = json.loads(done.read_text("utf-8"))
    return found


def _finish(stage: Stage, rows: int, folder: Path) -> None:
    history = [json.loads(line) for line in (folder / "log.jsonl").read_text("utf-8").splitlines()]
    chosen = json.loads((folder / "best.json").read_text("utf-8"))
    evaluations = [entry for entry in history if any(key.startswith("eval_") for key in entry)]
    content = {"stage": stage.name, "rows": rows, "chosen": chosen, "val": evaluations}
    write_whole(folder / DONE, json.dumps(content))
    for old in folder.glob("checkpoint-*"):
        shutil.rmtree(old)


def _train(
    learner: Learner,
    stage: Stage,
    train: Sequence[Meme],
    val: Sequence[Meme],
    settings: StagedTraining,
    folder: Path,
    report: Progress,
    tricks: Tricks,
) -> None:
    share, rest = divmod(stage.batch_size, processes())
    if rest:
        raise UsageError(
            f"stage {stage.name!r}: {processes()} processes cannot share batches of {stage.batch_size}: "
            "set stages.N.batch_size to a multiple"
        )
    folder.mkdir(parents=True, exist_ok=True)
    on_cpu = not torch.cuda.is_available()
    if on_cpu:
        keep_freed_memory()
    transformers.utils.logging.disable_progress_bar()
    steps = math.ceil(math.ceil(len(train) / stage.batch_size) / stage.accumulate)
    total = settings.max_steps or math.ceil(steps * stage.epochs)
    kinds = {"linear": "linear", "cosine": "cosine", "constant": "constant_with_warmup"}
    arguments = TrainingArguments(
        output_dir=str(folder),
        max_steps=total,
        per_device_train_batch_size=share,
        per_device_eval_batch_size=share,
        gradient_accumulation_steps=stage.accumulate,
        learning_rate=stage.learning_rate,
        weight_decay=stage.weight_decay,
        warmup_steps=math.ceil(stage.warmup * total),
        lr_scheduler_type=kinds[stage.schedule],
        seed=settings.seed,
        bf16=trains_in(settings.precision) == "bf16",
        optim="adamw_torch_fused",
        use_cpu=on_cpu,
        eval_strategy="steps" if total < steps else "epoch",
        eval_steps=total,
        save_strategy="no",
        save_total_limit=1,
        logging_steps=max(1, total // 50),
        remove_unused_columns=False,
        dataloader_pin_memory=False,
        report_to="none",
        disable_tqdm=True,
    )
    trainer = _StageTrainer(
        learner,
        stage,
        train,
        val,
        Best(folder, stage.select, learner),
        tricks,
        model=learner.model,
        args=arguments,
        train_dataset=_Memes(train),
        eval_dataset=_Memes(val),
        data_collator=lambda memes: learner.collate(memes, stage.objective),
        callbacks=[Watch(stage.name, settings.minutes, steps, folder / "log.jsonl", report)],
    )
    trainer.remove_callback(PrinterCallback)
    trainer.resume(last_whole(folder))
    if not any(
        entry["step"] == trainer.state.global_step for entry in trainer.state.log_history if "eval_loss" in entry
    ):
        # A stage that ends between two epochs has not been looked at since.
        trainer.evaluate()
        by_the_first(lambda: write_log(folder / "log.jsonl", trainer.state))


def places_by_task(labels: torch.Tensor, task: torch.Tensor) -> torch.Tensor:
    """How many tokens of a batch (b, t) are learnt for task 0 and for task 1, int64 (2,): of a family that learns two
    things at once, each by a mean of its own."""
    learnt = task[:, 1:][labels[:, 1:] != IGNORED]
    return torch.stack([(learnt == number).sum() for number in range(2)])


def mean_figures(readings: Sequence[Reading], memes: Sequence[Meme], tasks: Sequence[str]) -> dict[str, float]:
    """Accuracy and macro-F1, means over the tasks, of the memes that are labelled."""
    found: dict[str, list[float]] = {"accuracy": [], "macro_f1": []}
    for name in tasks:
        rows = score_task(name, readings, memes)
        if rows is not None:
            its = figures(rows)
            found["accuracy"].append(its["subset_accuracy" if rows.multilabel else "accuracy"])
            found["macro_f1"].append(its["macro_f1"])
    return {name: sum(values) / len(values) if values else math.nan for name, values in found.items()}


def score_task(name: str, readings: Sequence[Reading], memes: Sequence[Meme]) -> Scored | None:
    """One task's answers beside the truth, of the memes that are labelled; None when none is."""
    task = load_taxonomy()[name]
    rows = [
        (meme.labels[name], r.answers[name]) for meme, r in zip(memes, readings, strict=True) if name in meme.labels
    ]
    if not rows:
        return None
    probabilities = np.array([[answer.probabilities[label] for label in task.labels] for _, answer in rows])
    truth: list[Any] = [label for label, _ in rows]
    predicted: list[Any] = [answer.label for _, answer in rows]
    return scored(task.kind, task.labels, truth, predicted, probabilities)
