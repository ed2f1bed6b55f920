"""The tasks of `tasks.yaml`: those of MemeLens (arXiv 2601.12539), coarse forms, affect, propaganda techniques."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from typing import Any, Literal, get_args

from memescope.errors import UsageError
from memescope.meme import Label

Kind = Literal["binary", "multiclass", "ordinal", "multilabel"]


@dataclass(frozen=True)
class Task:
    """One question asked of a meme. For binary tasks `labels` is (negative, positive). With `aspect` it is about
    the phrase that a meme names beside its text (`Meme.aspect`)."""

    name: str
    kind: Kind
    category: str
    labels: tuple[str, ...]
    definition: str
    aspect: bool = False
    memelens: str | None = None
    coarse_task: str | None = None
    coarse_labels: dict[str, str] = field(default_factory=dict, hash=False)

    @property
    def positive(self) -> str:
        """The label a binary task looks for."""
        if self.kind != "binary":
            raise UsageError(f"task {self.name!r} is {self.kind}: only a binary task has one positive label")
        return self.labels[1]

    def check(self, label: Label) -> None:
        """Raise `UsageError` unless `label` is of this task's kind and all of it is known."""
        if (self.kind == "multilabel") != isinstance(label, list):
            wanted = "a list of labels" if self.kind == "multilabel" else "one label"
            raise UsageError(f"task {self.name!r} expects {wanted}, found {label!r}")
        for one in label if isinstance(label, list) else [label]:
            if one not in self.labels:
                raise UsageError(f"task {self.name!r} has no label {one!r}; its labels: {', '.join(self.labels)}")


@dataclass(frozen=True)
class Taxonomy:
    """All tasks by name, with the version that verdicts carry."""

    version: str
    categories: dict[str, str]
    tasks: dict[str, Task]

    def __getitem__(self, name: str) -> Task:
        if name not in self.tasks:
            raise UsageError(f"no task {name!r} in the taxonomy; the tasks: {', '.join(self.tasks)}")
        return self.tasks[name]

    def with_coarse(self, labels: dict[str, Label]) -> dict[str, Label]:
        """`labels` and, for each graded label, the coarse one it implies.

        A coarse label given beside a finer one must agree with it (`UsageError` otherwise).
        """
        full = dict(labels)
        for name, label in labels.items():
            task = self[name]
            task.check(label)
            if task.coarse_task is None or not isinstance(label, str):
                continue
            implied = task.coarse_labels[label]
            if full.setdefault(task.coarse_task, implied) != implied:
                raise UsageError(
                    f"{name}={label!r} means {task.coarse_task}={implied!r}, but the row says "
                    f"{full[task.coarse_task]!r}: correct one of the two"
                )
        return full


def _task(name: str, entry: dict[str, Any]) -> Task:
    if entry["kind"] not in get_args(Kind):
        raise UsageError(f"task {name!r}: kind {entry['kind']!r} is none of {get_args(Kind)}")
    coarse = entry.get("coarse") or {}
    return Task(
        name=name,
        kind=entry["kind"],
        category=entry["category"],
        labels=tuple(entry["labels"]),
        definition=entry["definition"],
        aspect=entry.get("aspect", False),
        memelens=entry.get("memelens"),
        coarse_task=coarse.get("task"),
        coarse_labels=coarse.get("labels", {}),
    )


@cache
def load_taxonomy() -> Taxonomy:
    """The taxonomy shipped with the package."""
    import yaml

    content = yaml.safe_load(files("memescope.taxonomy").joinpath("tasks.yaml").read_text("utf-8"))
    tasks = {name: _task(name, entry) for name, entry in content["tasks"].items()}
    return Taxonomy(version=str(content["version"]), categories=content["categories"], tasks=tasks)
