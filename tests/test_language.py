"""Languages: by script where that settles it, by words otherwise, and "und" rather than a guess."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memescope.perception.language import CANDIDATES, ONE_LANGUAGE, detect
from memescope.perception.scripts import script_counts, script_of


@pytest.mark.parametrize(
    ("text", "script"),
    [
        ("Hello", "Latn"),
        ("țară", "Latn"),
        ("Привет, world", "Cyrl"),
        ("如何让法国", "Hani"),
        ("日本語です", "Jpan"),
        ("नमस्ते", "Deva"),
        ("مرحبا", "Arab"),
        ("বাংলা", "Beng"),
        ("123 !?", "Zyyy"),
        ("", "Zyyy"),
        ("\ud800", "Zyyy"),
    ],
)
def test_script_of_most_letters(text: str, script: str) -> None:
    assert script_of(text) == script


def test_scripts_are_counted_most_first() -> None:
    assert script_counts("ab Где 1") == {"Cyrl": 3, "Latn": 2}


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("When you realise that the weekend is over", "en"),
        ("ONE DOES NOT SIMPLY WALK INTO MORDOR imgflip.com", "en"),
        ("Das Leben macht dich fertig? Würde es dich umbringen, deine Mutter anzurufen?", "de"),
        ("las mujeres son una minoría oprimida, los asiáticos no lo son", "es"),
        ("Când te trezești luni dimineața și afli că e zi liberă", "ro"),
        ("Когда просыпаешься в понедельник, а сегодня выходной", "ru"),
        ("परीक्षा से पहले की रात मैं सो रहा हूँ", "hi"),
        ("عندما تستيقظ صباح يوم الاثنين وتكتشف أنه يوم عطلة", "ar"),
        ("যখন সোমবার সকালে ঘুম ভাঙে", "bn"),
        ("谁感到震惊", "zh"),
        ("これはペンです", "ja"),
        ("월요일 아침", "ko"),
        ("lol", "und"),
        ("42 !!!", "und"),
        ("", "und"),
        ("https://example.org/when-you-are-the-one", "und"),
    ],
)
def test_languages(text: str, language: str) -> None:
    assert detect(text) == language


@given(st.text(max_size=80))
def test_any_text_has_a_known_answer(text: str) -> None:
    known = {"und", *ONE_LANGUAGE.values(), *(code for codes in CANDIDATES.values() for code in codes)}
    assert detect(text) in known


def test_plain_english_does_not_open_the_model() -> None:

    code = (
        "import sys; from memescope.perception.language import detect; assert detect('when you are the boss') == 'en'"
    )
    subprocess.run([sys.executable, "-c", code + "; assert 'py3langid' not in sys.modules"], check=True)


@pytest.mark.real
@pytest.mark.parametrize(("lang", "least"), [("en", 0.95), ("de", 0.95), ("es", 0.9), ("hi", 0.95), ("zh", 0.97)])
def test_parallel_memes_are_told_apart(real_data: Path, lang: str, least: float) -> None:
    lines = (real_data / "ready" / "multi3hate" / "train.jsonl").read_text("utf-8").splitlines()
    rows = [row for row in map(json.loads, lines) if row["lang"] == lang]
    found = Counter(detect(row["text"].replace("<emp>", "")) for row in rows)
    assert found[lang] >= least * len(rows)
    assert len(rows) - found[lang] - found["und"] <= 0.02 * len(rows)
