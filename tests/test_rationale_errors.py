"""Audit against errors, changed rationales, background knowledge: odds ratios and areas by an independent reckoning."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from memescope.cli import run
from memescope.errors import UsageError
from memescope.evaluation.predictions import MODEL, Row, Said, to_lines
from memescope.evaluation.strata import Errors
from memescope.meme import Meme
from memescope.rationales.background import background, kinds
from memescope.rationales.changing import change
from memescope.rationales.errors import ANY, find_errors, odds_ratio, within_label
from memescope.rationales.store import Rationale, load_rationales
from memescope.taxonomy import load_taxonomy

HARMFUL = load_taxonomy()["harmful"]


# flags against errors ------------------------------------------------------------------------------------------------


def _drawn(n: int = 400, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Flags that go with the label, and errors that go with the label alone: marginally related, within it not."""
    rng = np.random.default_rng(seed)
    label = rng.integers(0, 2, n)
    flag = rng.random(n) < np.where(label == 1, 0.6, 0.1)
    wrong = (rng.random(n) < np.where(label == 1, 0.5, 0.1)).astype(float)
    return flag, wrong, label


def test_the_pooled_odds_ratio_is_that_of_the_textbook() -> None:
    flag, wrong, label = _drawn()
    above = below = 0.0
    for k in (0, 1):
        cells = Counter(zip(flag[label == k].tolist(), wrong[label == k].tolist(), strict=True))
        a, b, c, d = (cells[f, w] + 0.5 for f in (True, False) for w in (1.0, 0.0))
        above, below = above + a * d / (a + b + c + d), below + b * c / (a + b + c + d)
    found = odds_ratio(flag, wrong, label, np.ones((1, len(label))))
    assert found[0] == pytest.approx(above / below, rel=1e-12)
    # counted twice is drawn twice
    twice = odds_ratio(np.tile(flag, 2), np.tile(wrong, 2), np.tile(label, 2), np.ones((1, 2 * len(label))))
    assert odds_ratio(flag, wrong, label, np.full((1, len(label)), 2.0))[0] == pytest.approx(twice[0])


def test_the_area_within_labels_counts_pairs() -> None:
    rng = np.random.default_rng(1)
    score, label = rng.integers(0, 4, 60).astype(float), rng.integers(0, 2, 60)
    wrong = rng.choice([0.0, 0.5, 1.0], 60)
    better = pairs = 0.0
    for i in range(60):
        for j in range(60):
            if label[i] == label[j]:
                weight = wrong[i] * (1 - wrong[j])
                better += weight * (1.0 if score[i] > score[j] else 0.5 if score[i] == score[j] else 0.0)
                pairs += weight
    assert within_label(score, wrong, label, np.ones((1, 60)))[0] == pytest.approx(better / pairs, rel=1e-12)


def _audited(flags: np.ndarray, **scores: np.ndarray) -> dict[str, dict[str, object]]:
    return {
        str(i): {"flags": ["misquotes"] if flag else [], **{name: float(its[i]) for name, its in scores.items()}}
        for i, flag in enumerate(flags)
    }


def _errors(wrong: np.ndarray, label: np.ndarray) -> Errors:
    ids = tuple(map(str, range(len(wrong))))
    return Errors(ids, wrong, label, HARMFUL.labels, np.arange(len(wrong)))


def test_what_the_gold_label_explains_is_no_finding_and_what_it_does_not_is_one() -> None:
    flag, wrong, label = _drawn(1200)
    by_chance = find_errors(_audited(flag), _errors(wrong, label), resamples=400)
    first = by_chance.flags[0]
    assert (first.flag, first.n) == (ANY, int(flag.sum()))
    assert first.error is not None
    assert first.otherwise is not None
    assert first.error > first.otherwise + 0.1  # flagged memes are more often wrong, for they are more often harmful
    assert first.odds_ratio is not None
    assert first.odds_ratio.low < 1 < first.odds_ratio.high
    worse = np.where(flag & (np.random.default_rng(5).random(len(flag)) < 0.4), 1.0, wrong)
    found = find_errors(_audited(flag), _errors(worse, label), _errors(wrong, label), resamples=400)
    assert found.flags[0].odds_ratio is not None
    assert found.flags[0].odds_ratio.low > 1.5
    ranked = {one.score: one for one in found.scores}
    assert ranked["hallucination"].auroc.low > 0.5
    assert ranked["hallucination"].less is not None
    assert ranked["hallucination"].less.low > 0  # the other student does not err there
    assert [one.name for one in found.strata] == ["0 of the five", "1 of the five"]
    assert found.strata[1].verdict == "more errors"
    json.dumps(found.to_dict())


def test_rare_flags_are_counted_scores_without_a_value_left_out_and_strangers_refused() -> None:
    _, wrong, label = _drawn(60)
    rare = np.zeros(60, bool)
    rare[:3] = True
    audited = _audited(rare, words=np.arange(60.0))
    for i in range(30):
        audited[str(i)]["necessity"] = 0.1 * i
    audited["not answered"] = {"flags": []}
    del audited["59"]
    found = find_errors(audited, _errors(wrong, label), resamples=50)
    assert found.n == 59
    assert found.flags[0].odds_ratio is None
    assert {one.score: one.n for one in found.scores}["necessity"] == 30
    with pytest.raises(UsageError, match="are both of one dataset"):
        find_errors({"x": {"flags": []}}, _errors(wrong, label))
    with pytest.raises(UsageError, match="not measured on the same memes"):
        find_errors(audited, _errors(wrong, label), _errors(wrong[:-1], label[:-1]))


def test_the_verb_reads_what_eval_writes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    flag, wrong, label = _drawn(80)
    parts = []
    for part in (range(40), range(40, 80)):
        rows = []
        for i in part:
            said = HARMFUL.labels[int(label[i]) ^ int(wrong[i])]
            p = {name: 0.8 if name == said else 0.2 for name in HARMFUL.labels}
            rows.append(
                Row(str(i), i % 40, (), {"harmful": HARMFUL.labels[label[i]]}, {MODEL: {"harmful": Said(said, p)}})
            )
        parts.append(tmp_path / f"{len(parts)}.jsonl")
        parts[-1].write_text(to_lines(rows))
    audit = tmp_path / "audit.jsonl"
    audit.write_text("".join(json.dumps({"id": name, **line}) + "\n" for name, line in _audited(flag).items()))
    both = ["--predictions", str(parts[0]), "--predictions", str(parts[1])]
    assert run(["rationales", "errors", str(audit), *both, "--out", str(tmp_path / "f" / "found.json")]) == 0
    said = capsys.readouterr().out
    assert f"80 memes with a rationale (80 distinct), wrong on {wrong.mean():.1%}" in said
    assert f"| misquotes | {flag.sum()} |" in said
    assert json.loads((tmp_path / "f" / "found.json").read_text())["n"] == 80
    assert run(["rationales", "errors", str(audit), *both, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["distinct"] == 80
    for wrong_use, says in (
        ([], "--table NAME, or --predictions FILE"),
        ([*both, "--against", "x"], "--against names a row of a table"),
        ([*both[:2], *both[:2]], "stands there more than once"),
        ([*both, "--task", "humour"], "they are of harmful"),
    ):
        assert run(["rationales", "errors", str(audit), *wrong_use]) == 2
        assert says in capsys.readouterr().err
    assert run(["rationales", "errors", str(parts[0]), *both]) == 2
    assert "expected lines of memescope rationales audit" in capsys.readouterr().err


# changed rationales --------------------------------------------------------------------------------------------------


def _word(number: int) -> str:
    """A word of seven letters that no other number has."""
    return "".join(chr(97 + (number * (3 + 2 * k) + 11 * k * k) % 26) for k in range(7))


def _memes(count: int = 12) -> tuple[list[Meme], dict[str, Rationale]]:
    memes, stored = [], {}
    for i in range(count):
        label = HARMFUL.labels[i % 2]
        text = f"number {i} {'abcdefghijklmnop'[i] * 6} is the only one that says {i * 7919} of the {chr(97 + i) * 9}"
        memes.append(Meme(text=text, id=f"m{i}", labels={"harmful": label}, split="train" if i < 8 else "val"))
        # every rationale has words of its own: none is nearly the same as another
        reason = (
            f"A {' '.join(_word(4 * i + k) for k in range(4))}. Case {i * 104729} stands for it. This makes it {label}."
        )
        stored[f"m{i}"] = Rationale(f"m{i}", reason, task="harmful", label=label, prompt="abductive", parts={"a": 1})
    return memes, stored


def test_silent_rationales_lose_the_sentences_that_name_the_label() -> None:
    memes, stored = _memes()
    stored["m3"].rationale = "This is harmful. Short now."
    found = change(memes, stored, HARMFUL, "silent")
    assert [one.id for one in found] == [meme.id for meme in memes if meme.id != "m3"]
    assert found[0].rationale == f"A {' '.join(map(_word, range(4)))}. Case 0 stands for it."
    assert (found[0].prompt, found[0].parts, found[0].label) == ("abductive (silent)", {}, "not-harmful")


def test_swapped_rationales_are_of_another_meme_of_the_same_split_and_label() -> None:
    memes, stored = _memes()
    memes[2] = Meme(text=memes[0].text, id="m2", labels=memes[2].labels, split="train")  # the same meme again
    found = {one.id: one for one in change(memes, stored, HARMFUL, "swapped", seed=3)}
    source = {one.rationale: name for name, one in stored.items()}
    of = {meme.id: meme for meme in memes}
    assert len(found) == 12
    assert len({one.rationale for one in found.values()}) == 12  # none is used twice
    for name, one in found.items():
        other = source[one.rationale]
        assert other != name
        assert (of[other].split, of[other].labels) == (of[name].split, of[name].labels)
        assert of[other].text != of[name].text
    assert found == {one.id: one for one in change(memes, stored, HARMFUL, "swapped", seed=3)}
    assert found != {one.id: one for one in change(memes, stored, HARMFUL, "swapped", seed=4)}
    with pytest.raises(UsageError, match="nothing is left of 1 rationales"):
        change(memes[:1], {"m0": stored["m0"]}, HARMFUL, "swapped")
    with pytest.raises(UsageError, match="expected one of silent, swapped"):
        change(memes, stored, HARMFUL, "louder")


def test_the_verb_writes_a_file_that_training_reads(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    memes, stored = _memes()
    for split in ("train", "val"):
        rows = [{"id": m.id, "image": None, "text": m.text, "labels": m.labels} for m in memes if m.split == split]
        (tmp_path / f"{split}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    published = tmp_path / "r.json"
    published.write_text(json.dumps({name: one.rationale for name, one in stored.items()}))
    out = tmp_path / "out" / "silent.jsonl"
    options = ["rationales", "change", str(published), "--data", str(tmp_path), "--out", str(out)]
    assert run([*options, "--how", "silent"]) == 0
    assert "12 of 12 rationales, silent" in capsys.readouterr().out
    assert load_rationales(out)["m0"].rationale.endswith("stands for it.")
    assert run([*options, "--how", "silent", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["words_after"] < json.loads(json.dumps(20))
    assert run([*options, "--how", "other"]) == 2
    assert "expected one of silent, swapped" in capsys.readouterr().err


# background knowledge ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("Donald TRUMP and Melania's doctor", {"person": ["donald trump", "melania"]}),
        ("#Wuhan is in China", {"place": ["wuhan", "china"]}),
        ("Spanish Flu, 1918", {"place": ["spanish"], "event": ["spanish flu"]}),
        ("Make America Great Again", {"symbol": ["make america great again"], "place": []}),
        ("Me in quarantine wearing a mask against corona", {}),
        ("the chinaware of my trumpeter", {}),
        ("posted on memes.com by imgflip.com", {}),
        ("", {}),
    ],
)
def test_names_that_a_text_presumes(text: str, found: dict[str, list[str]]) -> None:
    assert background(text) == {kind: names for kind, names in found.items() if names}


def test_every_kind_has_words_and_no_word_is_of_two_kinds() -> None:
    from importlib.resources import files

    lines = files("memescope.rationales").joinpath("background.txt").read_text("utf-8").splitlines()
    listed = Counter(
        name.strip() for line in lines if not line.startswith("#") for name in line.partition(":")[2].split(",")
    )
    assert kinds() == ("person", "people", "place", "institution", "event", "symbol", "fiction")
    assert {name for name, count in listed.items() if count > 1} == set()
    assert "" not in listed
