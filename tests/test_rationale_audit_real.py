"""The audit on the real Harm-C rationales: exact counts, and the figures of 100 read by hand (docs/lab.md)."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest

from memescope.datasets.opening import open_memes
from memescope.meme import Meme
from memescope.rationales.audit import DROPPED, audit, keep
from memescope.rationales.naming import named_labels
from memescope.rationales.published import import_rationales
from memescope.rationales.quotes import check_quotes
from memescope.rationales.store import Rationale, load_captions
from memescope.rationales.things import Ground, unaccounted_names, unaccounted_things
from memescope.rationales.verdicts import concluded, degree_words
from memescope.taxonomy import load_taxonomy

pytestmark = pytest.mark.real
HARMFUL = load_taxonomy()["harmful"]
HAND = Path(__file__).parent.parent / "docs" / "results" / "rationale-audit" / "hand.json"

Case = tuple[dict[str, Meme], dict[str, Rationale], dict[str, str]]


@pytest.fixture(scope="module")
def case(real_data: Path) -> Case:
    memes = open_memes(real_data / "ready" / "harmc")
    stored = import_rationales(real_data / "rationales" / "harmc_rationales.json", memes, "harmful")
    captions = load_captions(real_data / "rationales" / "harmc_captions.json")
    return {meme.id: meme for meme in memes}, {one.id: one for one in stored}, captions


def flags(its: str, case: Case) -> set[str]:
    """The flags that a rationale gets by itself."""
    memes, stored, captions = case
    text, caption = stored[its].rationale, captions.get(its, "")
    ground = Ground([memes[its].text, caption])
    where = {quote.where for quote in check_quotes(text, memes[its].text, caption, task=HARMFUL)}
    found = {
        "names-label": named_labels(text, HARMFUL),
        "names-degree": degree_words(text, HARMFUL),
        "misquotes": where & {"absent", "misplaced"},
        "quotes-caption": where & {"caption", "misplaced"},
        "ungrounded": unaccounted_things(text, ground),
        "brings-in": unaccounted_names(text, ground),
    }
    return {flag for flag, words in found.items() if words}


def test_how_many_of_all_rationales_name_quote_and_invent(case: Case) -> None:
    stored = case[1]
    assert len(stored) == 3190
    counted = Counter(flag for its in stored for flag in flags(its, case))
    assert counted == {
        "names-label": 3147,
        "names-degree": 971,
        "quotes-caption": 321,
        "ungrounded": 16,
        "brings-in": 12,
        "misquotes": 8,
    }
    # two seem to conclude the opposite of their label, 62 conclude nothing
    said = Counter(concluded(one.rationale, HARMFUL) == one.label for one in stored.values())
    assert said[True] == 3126


def test_the_figures_of_the_rationales_read_by_hand(case: Case) -> None:
    """(flagged, true, both) for each flag that a rationale gets by itself, as docs/lab.md states them."""
    read = json.loads(HAND.read_text("utf-8"))["read"]
    assert len(read) == 100
    now = {its: flags(its, case) for its in read}
    figures = {
        flag: (
            sum(flag in now[its] for its in read),
            sum(flag in one["holds"] for one in read.values()),
            sum(flag in now[its] and flag in one["holds"] for its, one in read.items()),
        )
        for flag in ("names-label", "names-degree", "misquotes", "quotes-caption", "ungrounded")
    }
    assert figures == {
        "names-label": (100, 100, 100),
        "names-degree": (28, 28, 28),
        "misquotes": (4, 4, 4),
        "quotes-caption": (31, 30, 30),
        "ungrounded": (6, 11, 6),
    }


def test_a_part_of_the_set_from_end_to_end(case: Case) -> None:
    memes, stored, captions = case
    some = [memes[its] for its in sorted(stored)[:400]]
    found = audit(some, stored, HARMFUL, captions=captions)
    assert found.sufficiency is not None
    # the label can be read from the rationale even without its name, far better than from the meme's text
    assert found.sufficiency.figures["masked"]["auroc"].low > 0.95
    assert found.sufficiency.over_text["auroc"].low > 0.15
    kept = keep(found.rows)
    assert 350 < len(kept) < 400
    assert not any(set(row.flags) & set(DROPPED) for row in found.rows if row.id in set(kept))
