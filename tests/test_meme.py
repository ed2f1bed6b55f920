"""The nouns survive a round trip through JSON."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import asdict

import pytest

import memescope
from memescope.meme import Answer, Evidence, Reading, Region, Span, Verdict, reading_from_dict, worst


def _verdict() -> Verdict:
    return Verdict(
        id="a/b.jpg",
        path="/x/a/b.jpg",
        text="hi",
        answers={
            "harmful": Answer("harmful", {"not-harmful": 0.2, "harmful": 0.8}),
            "propaganda_techniques": Answer(["smears"], {"smears": 0.7, "doubt": 0.1}, abstain=True),
        },
        evidence={"harmful": Evidence([Span("hi", 0, 2, 0.5)], [Region(0, 0, 0.5, 0.5, 0.1)], "Rests on 'hi'.")},
        action="flag",
    )


def test_a_verdict_survives_json() -> None:
    assert Verdict.from_dict(json.loads(json.dumps(_verdict().to_dict()))) == _verdict()


def test_a_reading_survives_json() -> None:
    reading = Reading(answers=_verdict().answers, evidence=_verdict().evidence, model="m")
    assert reading_from_dict(json.loads(json.dumps(asdict(reading)))) == reading


def test_a_results_line_has_the_keys_others_rely_on() -> None:
    wanted = "id path text ocr_text lang answers rationale evidence duplicate_of action error model taxonomy"
    assert set(wanted.split()) <= set(_verdict().to_dict())


def test_confidence_is_that_of_the_least_sure_decision() -> None:
    answers = _verdict().answers
    assert answers["harmful"].confidence == 0.8
    assert answers["propaganda_techniques"].confidence == 0.7


def test_the_worst_action_wins() -> None:
    assert worst(["pass", "flag", "review"]) == "flag"
    assert worst([]) == "pass"


def test_public_names_are_found_and_others_are_named() -> None:
    assert memescope.Meme(text="x").lang == "und"
    with pytest.raises(AttributeError, match="no attribute 'Mem'"):
        memescope.Mem  # noqa: B018


def test_import_brings_in_nothing_heavy() -> None:
    heavy = ("numpy", "torch", "cv2", "onnxruntime", "sklearn", "PIL", "pydantic", "yaml")
    code = f"import sys, memescope; print([m for m in {heavy} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
