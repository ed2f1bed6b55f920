"""What an audit leaves: `audit.jsonl` (a line for each rationale), `audit.json` (the set) and `audit.md` (for people).

Rationales and memes are untrusted text: in the page every cell is plain, without markup, control characters or links.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from memescope.curation.markdown import table
from memescope.evaluation.intervals import Figure
from memescope.meme import Meme
from memescope.rationales.audit import DROPPED, FLAGS, Audit, Audited, keep
from memescope.rationales.store import Rationale, save

WORST = 30
"""Rationales shown on the page."""
_EXCERPT = 300
_SUFFICIENCY = """How well the label is read, out of fold, from the rationale, from the rationale without the words that
name the label (masked), without the sentences that have such a word (silent), and from the meme's text.
"""
_NECESSITY = """How far the answer of {model} moves (log-odds) without the words of the text that a rationale cites,
against as many random ones; {rows} rationales cite some, not all.
"""


def summary(found: Audit) -> dict[str, Any]:
    """The set as plain JSON values: rates of all, by label and by split, sufficiency, necessity, what the filter
    keeps."""
    kept = keep(found.rows)
    return {
        "task": found.task,
        "rationales": len(found.rows),
        "flags": _rounded(found.rates()),
        "by_label": _by(found, lambda row: str(row.label)),
        "by_split": _by(found, lambda row: str(row.split)),
        "sufficiency": _sufficiency(found),
        "necessity": _necessity(found),
        "filter": {"drops": list(DROPPED), "keeps": len(kept)},
    }


def write(out: Path, found: Audit, memes: Sequence[Meme], rationales: Mapping[str, Rationale]) -> list[Path]:
    """The three files in `out`, which is made where needed."""
    out.mkdir(parents=True, exist_ok=True)
    told = summary(found)
    paths = [out / "audit.jsonl", out / "audit.json", out / "audit.md"]
    save(paths[0], [row.to_dict() for row in found.rows])
    paths[1].write_text(json.dumps(told, indent=1, ensure_ascii=False) + "\n", "utf-8")
    paths[2].write_text(page(found, told, memes, rationales), "utf-8")
    return paths


def page(found: Audit, told: Mapping[str, Any], memes: Sequence[Meme], rationales: Mapping[str, Rationale]) -> str:
    """The audit in Markdown."""
    texts = {meme.id: meme.text for meme in memes}
    parts = [
        f"# Audit of {len(found.rows)} rationales, task {found.task}\n",
        "Rates with Wilson's 95 % intervals; other intervals are bootstrap over memes that say the same.\n",
        table(
            ["flag", "means", "count", "rate", "low", "high"],
            [
                [flag, FLAGS[flag], its["count"], its["rate"], its["low"], its["high"]]
                for flag, its in told["flags"].items()
            ],
        ),
        f"The filter drops {', '.join(DROPPED)} and keeps {told['filter']['keeps']}.\n",
    ]
    if found.sufficiency:
        parts += [
            "## Sufficiency\n",
            _SUFFICIENCY,
            table(
                ["read from", "figure", "value", "low", "high"],
                [
                    [reading, name, its.value, its.low, its.high]
                    for reading, figures in found.sufficiency.figures.items()
                    for name, its in figures.items()
                ],
            ),
        ]
    if found.necessity:
        parts += [
            "## Necessity\n",
            _NECESSITY.format(model=found.model, rows=found.necessity.rows),
            table(
                ["taken out", "moves", "low", "high"],
                [
                    [name, its.value, its.low, its.high]
                    for name, its in (
                        ("cited words", found.necessity.cited),
                        ("random words", found.necessity.drawn),
                        ("difference", found.necessity.difference),
                    )
                ],
            ),
        ]
    worst = sorted((row for row in found.rows if set(row.flags) & set(DROPPED)), key=_badness)[:WORST]
    if worst:
        rows = [
            [
                row.id,
                row.label,
                ", ".join(row.flags),
                _why(row),
                *_excerpts(row.id, texts, rationales),
            ]
            for row in worst
        ]
        parts += ["## The worst\n", table(["id", "label", "flags", "because of", "meme", "rationale"], rows)]
    return "\n".join(part for part in parts if part)


def _excerpts(its: str, texts: Mapping[str, str], rationales: Mapping[str, Rationale]) -> list[str]:
    return [
        text if len(text) <= _EXCERPT else f"{text[:_EXCERPT]}…" for text in (texts[its], rationales[its].rationale)
    ]


def _badness(row: Audited) -> tuple[int, float, str]:
    return -len(set(row.flags) & set(DROPPED)), row.sufficiency_masked or 0.0, row.id


def _why(row: Audited) -> str:
    shown = ("misquotes", "ungrounded", "brings_in", "details", "concluded", "like", "language")
    return "; ".join(
        f"{name}: {', '.join(value) if isinstance(value, list) else value}"
        for name, value in row.found.items()
        if name in shown
    )


def _by(found: Audit, key: Any) -> dict[str, Any]:
    groups: dict[str, list[Audited]] = {}
    for row in found.rows:
        groups.setdefault(key(row), []).append(row)
    return {name: {"rationales": len(rows), "flags": _rounded(found.rates(rows))} for name, rows in groups.items()}


def _sufficiency(found: Audit) -> dict[str, Any] | None:
    if found.sufficiency is None:
        return None
    its = found.sufficiency
    return {
        "rationales": its.rows,
        "read_from": {name: {one: _figure(f) for one, f in figures.items()} for name, figures in its.figures.items()},
        "masked_over_text": _rounded({name: difference.to_dict() for name, difference in its.over_text.items()}),
    }


def _necessity(found: Audit) -> dict[str, Any] | None:
    if found.necessity is None:
        return None
    its = found.necessity
    return {
        "model": found.model,
        "rationales": its.rows,
        "cited": _figure(its.cited),
        "random": _figure(its.drawn),
        "difference": _figure(its.difference),
    }


def _figure(figure: Figure) -> dict[str, float]:
    return {name: round(value, 4) for name, value in asdict(figure).items()}


def _rounded(rates: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    return {
        flag: {name: round(value, 4) if isinstance(value, float) else value for name, value in its.items()}
        for flag, its in rates.items()
    }
