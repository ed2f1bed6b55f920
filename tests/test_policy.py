"""The policy: thresholds, severity, and a person wherever the model is not sure."""

from __future__ import annotations

from pathlib import Path

import pytest

from memescope.errors import UsageError
from memescope.meme import Answer
from memescope.scanning.policy import load_policy, parse_policy

RULES = {
    "rules": [
        {"task": "harmful", "label": "harmful", "threshold": 0.8, "action": "flag"},
        {"task": "harmful", "label": "harmful", "threshold": 0.5, "action": "review"},
        {"task": "propaganda_techniques", "label": "smears", "threshold": 0.6, "action": "review"},
    ]
}


def _harmful(probability: float, abstain: bool = False) -> dict[str, Answer]:
    label = "harmful" if probability > 0.5 else "not-harmful"
    return {"harmful": Answer(label, {"not-harmful": 1 - probability, "harmful": probability}, abstain)}


@pytest.mark.parametrize(
    ("answers", "action"),
    [
        (_harmful(0.80), "flag"),
        (_harmful(0.79), "review"),
        (_harmful(0.49), "pass"),
        (_harmful(0.95, abstain=True), "review"),
        ({"propaganda_techniques": Answer(["smears"], {"smears": 0.6})}, "review"),
        ({}, "pass"),
    ],
)
def test_the_most_severe_rule_decides(answers: dict[str, Answer], action: str) -> None:
    assert parse_policy(RULES, "x").decide(answers)[0] == action


def test_reasons_are_those_of_the_action_taken() -> None:
    assert parse_policy(RULES, "x").decide(_harmful(0.9))[1] == ["harmful: harmful 90% (at least 80%: flag)"]
    assert parse_policy(RULES, "x").decide(_harmful(0.1))[1] == []
    unsure = parse_policy(RULES, "x").decide(_harmful(0.9, abstain=True))[1]
    assert unsure[0].endswith("but the model is not sure: a person should look")


def test_tasks_the_policy_acts_on_are_explained_once() -> None:
    assert parse_policy(RULES, "x").explained_tasks(_harmful(0.9)) == ["harmful"]
    assert parse_policy(RULES, "x").explained_tasks(_harmful(0.3)) == []


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("rules: [{task: harmful, label: harmful, threshold: 2, action: flag}]", "rules.0.threshold"),
        (
            "rules: [{task: harmful, label: bad, threshold: 0.5, action: flag}]",
            "no label 'bad'; its labels: not-harmful",
        ),
        ("rules: [{task: fun, label: bad, threshold: 0.5, action: flag}]", "no task 'fun'"),
        ("rules: [{task: harmful, label: harmful, threshold: 0.5, action: shout}]", "rules.0.action"),
        ("rule: []", "rules: Field required"),
        ("rules: [", "not YAML"),
        ("", "not a policy"),
    ],
)
def test_a_bad_policy_is_named(tmp_path: Path, content: str, message: str) -> None:
    path = tmp_path / "policy.yaml"
    path.write_text(content)
    with pytest.raises(UsageError, match=message):
        load_policy(path)


def test_the_default_policy_loads_and_a_missing_file_is_named(tmp_path: Path) -> None:
    assert load_policy().decide(_harmful(0.95))[0] == "flag"
    with pytest.raises(UsageError, match="cannot read this policy"):
        load_policy(tmp_path / "none.yaml")
