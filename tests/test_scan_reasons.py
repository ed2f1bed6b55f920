"""Reasons in a scan: asked of models that write them, for the memes that are acted on, for all, or for none."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import tiny

pytest.importorskip("torch")

from memescope.cli import run
from memescope.errors import UsageError
from memescope.models.mrharm import create
from memescope.scanning.pipeline import scan
from memescope.scanning.policy import Policy, parse_policy


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("model")
    made = create(tiny.llama(folder / "llama"), tiny.clip(folder / "clip"), name="tiny", max_rationale=4)
    made.save_pretrained(folder / "run")
    return str(folder / "run")


@pytest.fixture
def memes(tmp_path: Path) -> Path:
    lines = []
    for i, meme in enumerate(tiny.memes(3)):
        meme.image.save(tmp_path / f"{i}.png")
        lines.append(json.dumps({"image": f"{i}.png", "text": meme.text}))
    listed = tmp_path / "memes.jsonl"
    listed.write_text("\n".join(lines))
    return listed


def policy(threshold: float) -> Policy:
    return parse_policy(
        {"rules": [{"task": "harmful", "label": "harmful", "threshold": threshold, "action": "flag"}]}, "test"
    )


def verdicts(out: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (out / "results.jsonl").read_text("utf-8").splitlines()]


def test_reasons_are_written_for_what_is_acted_on_and_later_for_the_rest(
    model: str, memes: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    scan(memes, out, model=model, policy=policy(1.0), workers=1)
    assert all(verdict["action"] == "pass" for verdict in verdicts(out))
    assert all(verdict["rationale"] is None for verdict in verdicts(out))

    # the same scan with another policy reads again only because reasons and evidence are missing
    again = scan(memes, out, model=model, policy=policy(0.0), workers=1)
    assert (again.read_now, again.known) == (3, 0)
    assert all(verdict["rationale"] for verdict in verdicts(out))
    assert scan(memes, out, model=model, policy=policy(0.0), reasons="all", workers=1).read_now == 0


def test_reasons_for_all_and_for_none(model: str, memes: Path, tmp_path: Path) -> None:
    scan(memes, tmp_path / "all", model=model, policy=policy(1.0), reasons="all", workers=1)
    assert all(verdict["rationale"] for verdict in verdicts(tmp_path / "all"))
    scan(memes, tmp_path / "none", model=model, policy=policy(0.0), reasons="none", workers=1)
    assert all(verdict["rationale"] is None for verdict in verdicts(tmp_path / "none"))


def test_a_model_that_writes_none_is_not_asked_for_all(memes: Path, tmp_path: Path, model: str) -> None:
    with pytest.raises(UsageError, match="'starter' writes no reasons"):
        scan(memes, tmp_path / "out", model="starter", reasons="all", workers=1)
    config = Path(model) / "config.json"
    before = config.read_text("utf-8")
    config.write_text(json.dumps(json.loads(before) | {"writes": False}))
    try:
        scan(memes, tmp_path / "silent", model=model, policy=policy(0.0), workers=1)
    finally:
        config.write_text(before)
    assert all(verdict["rationale"] is None for verdict in verdicts(tmp_path / "silent"))


def test_an_unknown_choice_is_named(memes: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["scan", str(memes), "--reasons", "some"]) == 2
    assert "expected one of acted-on, all, none" in capsys.readouterr().err
