"""The policy: what a person should do about a verdict, from its calibrated probabilities.

A rule names a task, one of its labels, the least probability and an action. The most severe action of the rules that
hold is taken. A `flag` on an answer the model itself is not sure of becomes `review`: a person looks before anything
happens.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from memescope.errors import UsageError
from memescope.meme import Action, Answer, worst
from memescope.taxonomy import load_taxonomy


class Rule(BaseModel):
    """One line of a policy."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    task: str
    label: str
    threshold: float = Field(ge=0, le=1)
    action: Action

    def __str__(self) -> str:
        return f"{self.action} when {self.task} is {self.label} with at least {self.threshold:.0%}"


class Policy(BaseModel):
    """The rules, and what happens to pictures that could not be read."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    rules: tuple[Rule, ...]
    unreadable: Action = "review"

    def holding(self, answers: Mapping[str, Answer]) -> list[Rule]:
        """The rules whose label reaches its threshold."""
        return [
            rule
            for rule in self.rules
            if rule.task in answers and answers[rule.task].probabilities.get(rule.label, 0.0) >= rule.threshold
        ]

    def explained_tasks(self, answers: Mapping[str, Answer]) -> list[str]:
        """The tasks whose answer makes the policy act, in rule order: these get evidence."""
        return list(dict.fromkeys(rule.task for rule in self.holding(answers) if rule.action != "pass"))

    def decide(self, answers: Mapping[str, Answer]) -> tuple[Action, list[str]]:
        """The action and the reasons for it, one sentence for each rule that led to it."""
        decisions: list[tuple[Action, str]] = []
        for rule in self.holding(answers):
            answer = answers[rule.task]
            action: Action = "review" if rule.action == "flag" and answer.abstain else rule.action
            found = f"{rule.label} {answer.probabilities[rule.label]:.0%}"
            said = f"{rule.task}: {found} (at least {rule.threshold:.0%}: {rule.action})"
            decisions.append(
                (action, said + (", but the model is not sure: a person should look" if action != rule.action else ""))
            )
        action = worst([decision for decision, _ in decisions])
        return action, [said for decision, said in decisions if decision == action and action != "pass"]


def parse_policy(content: Any, where: str) -> Policy:
    """A policy from parsed YAML; `UsageError` names the place, what was expected and what is known."""
    try:
        policy = Policy.model_validate(content)
    except ValidationError as error:
        problems = "; ".join(f"{'.'.join(map(str, e['loc'])) or 'file'}: {e['msg']}" for e in error.errors())
        raise UsageError(
            f"{where}: not a policy: {problems}. Expected 'rules:' with task, label, threshold (0 to 1) and action "
            f"(pass, review or flag) each, and perhaps 'unreadable:'"
        ) from None
    for rule in policy.rules:
        task = load_taxonomy()[rule.task]
        if rule.label not in task.labels:
            raise UsageError(
                f"{where}: task {rule.task!r} has no label {rule.label!r}; its labels: {', '.join(task.labels)}"
            )
    return policy


def load_policy(path: str | Path | None = None) -> Policy:
    """The policy in a YAML file, or the one shipped with the package."""
    import yaml

    if path is None:
        text, where = files("memescope.scanning").joinpath("default_policy.yaml").read_text("utf-8"), "default policy"
    else:
        try:
            text, where = Path(path).read_text("utf-8"), str(path)
        except (OSError, UnicodeDecodeError) as error:
            raise UsageError(f"{path}: cannot read this policy: {error}") from None
    try:
        content = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise UsageError(f"{where}: not YAML: {error}") from None
    return parse_policy(content, where)
