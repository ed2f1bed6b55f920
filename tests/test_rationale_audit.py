"""The audit of rationales: quotations, mentions, conclusions, sameness, sufficiency, necessity, reports and filter."""

from __future__ import annotations

import json
import random
import string
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from memescope.cli import run
from memescope.errors import UsageError
from memescope.evaluation.predictions import MODEL, Row, Said, to_lines
from memescope.meme import Answer, Meme, Reading
from memescope.rationales.audit import DROPPED, FLAGS, Audited, audit, keep
from memescope.rationales.audit_input import read_any
from memescope.rationales.audit_report import page, summary
from memescope.rationales.matching import allowed, edits, fold, stands_in, stem
from memescope.rationales.necessity import cited_words, necessity
from memescope.rationales.quotes import check_quotes, quoted
from memescope.rationales.sameness import sameness
from memescope.rationales.store import Rationale, load_rationales, save
from memescope.rationales.sufficiency import mask_label, silent_sentences, sufficiency
from memescope.rationales.things import Ground, invented_details, unaccounted_names, unaccounted_things
from memescope.rationales.verdicts import concluded, degree_words
from memescope.taxonomy import load_taxonomy

HARMFUL = load_taxonomy()["harmful"]
FEELING = load_taxonomy()["aspect_sentiment"]
ON_MEME = "WHEN THE NEIGHBOUR\nBORROWS YOUR LADDER\nfor the third time"


def places(rationale: str, text: str = ON_MEME, caption: str = "") -> list[str]:
    return [quote.where for quote in check_quotes(rationale, text, caption, task=HARMFUL)]


# matching


@pytest.mark.parametrize(
    ("string", "text"),
    [
        ("borrows your ladder", ON_MEME),
        ("Borrows your... third time.", ON_MEME),  # each part between ellipses
        ("borrows your ladder", "BORROWSYOUR\nLADOER"),  # joined, and D read as O
        ("third borrows neighbour", ON_MEME),  # lines in another order: every word is there
        ("ladders", ON_MEME),  # inflected
        ("café", "CAFE NOIR"),
        ("ocean", "осеаn view"),  # Cyrillic look-alikes
        ("gonna wait", "i'm gon na wait here"),
        ("?!", "anything"),
    ],
)
def test_what_stands_in_a_text(string: str, text: str) -> None:
    assert stands_in(string, text)


@pytest.mark.parametrize(
    "string", ["borrows your bicycle", "lender", "for the fourth week", "cat", "neighbours from hell"]
)
def test_what_does_not_stand_in_it(string: str) -> None:
    assert not stands_in(string, ON_MEME)
    assert not stands_in(string, "")


def test_edits_by_hand() -> None:
    assert edits("ladder", "theladderfell") == 0
    assert edits("ladder", "thelaaderfell") == 1
    assert edits("kitten", "sitting", inside=False) == 3
    assert edits("abc", "xyz") == 3
    assert [allowed(n) for n in (3, 4, 8, 11, 12)] == [0, 1, 2, 2, 3]
    assert fold("ÉCOLE") == "ecole"
    assert stem("masks") == stem("mask") == "mask"


WORDS = "river candle monday elephant window garden blanket thunder pencil orange market kettle".split()  # noqa: SIM905


@settings(max_examples=150, deadline=None)
@given(st.integers(0, 10_000))
def test_slips_below_the_tolerance_are_forgiven(seed: int) -> None:
    rng = random.Random(seed)
    said = rng.sample(WORDS, rng.randint(3, 6))
    letters = "".join(said)
    read = list(" ".join(said))
    places_ = [i for i, c in enumerate(read) if c != " "]
    for i in rng.sample(places_, rng.randint(0, allowed(len(letters)))):
        read[i] = rng.choice(["", "x", read[i].upper(), read[i] + "q"])
    before, after = (" ".join(rng.choices(WORDS, k=rng.randint(0, 5))) for _ in range(2))
    text = f"{before}\n{''.join(read)}\n{after}".upper()
    assert stands_in(" ".join(said), text)
    assert places(f'the text says "{" ".join(said)}" to everybody.', text) == ["found"]


@settings(max_examples=150, deadline=None)
@given(st.integers(0, 10_000))
def test_an_absent_string_is_always_flagged(seed: int) -> None:
    """A quotation that shares no letter with the text cannot be any part of it."""
    rng = random.Random(seed)
    alphabet = list(string.ascii_lowercase)
    rng.shuffle(alphabet)
    here, other = alphabet[:13], alphabet[13:]

    def phrase(letters: Sequence[str]) -> str:
        return " ".join("".join(rng.choices(letters, k=rng.randint(4, 8))) for _ in range(rng.randint(3, 6)))

    quote = phrase(other)
    assert not stands_in(quote, phrase(here))
    assert places(f'the text says "{quote}" to everybody.', phrase(here)) == ["absent"]


# quotations


def test_quotations_are_found_whatever_marks_they_have() -> None:
    assert [text for text, _ in quoted('it says "one two" and “three four” and «five» and \'six seven\'.')] == [
        "one two", "three four", "five", "six seven",
    ]  # fmt: skip
    assert quoted("the dog's owner doesn't say what the neighbours' cat did") == []
    assert [text for text, _ in quoted('the 5" screen says "hello there".')] == ["hello there"]


def test_where_quotations_come_from() -> None:
    assert places('the text "borrows your ladder" complains.') == ["found"]
    assert places('the text reads "never lend anything".') == ["absent"]
    assert places('the caption "a man on a roof" is odd.', caption="a man on a roof.") == ["caption"]
    assert places('the phrase "a man on a roof" in the image caption.', caption="a man on a roof.") == ["caption"]
    assert places('the phrase "a man on a roof" is rude.', caption="a man on a roof.") == ["misplaced"]
    assert places('it is a play on the slogan "just do it now".') == ["alluded"]
    assert places('it may be "somewhat harmful" to some.') == ["named"]
    assert places('there is a "right" way to ask.') == ["meant"]
    assert places('the sign in the picture reads "no ladders on sunday".') == ["unseen"]
    assert places('the sign in the picture reads "no ladders on sunday".', caption="a sign.") == ["absent"]
    assert places('Image_analysis: A sign.\nIt says "no ladders on sunday".') == ["absent"]
    assert places('Image_analysis: A sign. It says "no ladders on sunday".') == ["unseen"]
    assert places("it tells of 'a whole new world of trouble'.") == ["absent"]


# names, things, details


def test_names_are_accounted_for_by_what_stands_for_them() -> None:
    text = "the meme mocks donald trump for his speech."
    assert unaccounted_names(text, Ground(["MR PRESIDENT, PLEASE"])) == []
    assert unaccounted_names(text, Ground(["TRUNMP speaks"])) == []  # an OCR slip
    assert unaccounted_names(text, Ground(["my cat on a monday"])) == ["donald trump"]
    assert unaccounted_names("it does not target muslims.", Ground(["my cat"])) == []
    assert unaccounted_names("it mentions the popular netflix series.", Ground(["my cat"])) == []
    assert unaccounted_names("the disease came from china.", Ground(["WUHAN tonight"])) == []
    assert unaccounted_names("The meme shows how Ada Lovelace would code.", Ground(["my cat"])) == ["ada lovelace"]
    assert unaccounted_names("The meme shows how Ada Lovelace would code.", Ground(["ADA writes code"])) == []


def test_things_count_only_where_the_picture_is_spoken_of() -> None:
    cat = Ground(["me on monday", "a kitten on a sofa"])
    assert unaccounted_things("the image shows a cat on a sofa.", cat) == []
    assert unaccounted_things("the image shows a horse on a sofa.", cat) == ["horse"]
    assert unaccounted_things("people who keep a horse would laugh.", cat) == []
    assert unaccounted_things("the image does not matter. there is no horse.", cat) == []


def test_details_of_the_picture() -> None:
    ground = Ground(["me on monday", "this is how i feel"])
    said = "the image shows a person crying on a staircase, which is relatable."
    assert invented_details(said, ground) == ["crying", "staircase"]
    assert invented_details(said, Ground(["a woman cries on the staircase"])) == []
    assert invented_details("the image shows a person with a different expression.", ground) == []
    assert invented_details(said, ground, usual={"cry"}) == []  # one word alone may be a paraphrase


# conclusions


@pytest.mark.parametrize(
    ("text", "label"),
    [
        ("it mocks nurses. overall, it is somewhat harmful.", "harmful"),
        ("it mocks nobody. therefore it can be classified as not harmful.", "not-harmful"),
        ("the meme does not contain any elements that could be considered harmful.", "not-harmful"),
        ("while it may not be overtly offensive or harmful, it could be seen as somewhat harmful.", "harmful"),
        ("it seems to be a harmless joke.", "not-harmful"),
        ("it is a joke rather than a harmful message.", "not-harmful"),
        ("the lack of care in the meme can be considered very harmful.", "harmful"),
        ("it is hard to say whether it is harmful.", None),
        ("it is about ladders.", None),
    ],
)
def test_what_a_rationale_concludes(text: str, label: str | None) -> None:
    assert concluded(text, HARMFUL) == label


def test_conclusions_of_other_tasks_and_degrees() -> None:
    assert concluded("The text is neutral. Overall the feeling towards the team is positive.", FEELING) == "positive"
    assert concluded("Overall it is neither positive nor negative.", FEELING) is None
    assert degree_words("it is somewhat harmful, even very harmful", HARMFUL) == ["somewhat harmful", "very harmful"]
    assert degree_words("it could be potentially harmful", HARMFUL) == []


# sameness, sufficiency, necessity


def test_formulas_twins_and_own_words() -> None:
    formula = "based on the given text and image it can be concluded that the meme is fine"
    texts = [f"{formula} {word} {word}s {number}" for number, word in enumerate(WORDS)]
    texts.append("a ladder leans on the shed while two neighbours argue about who paid for it in spring")
    grounds = [Ground([word]) for word in WORDS] + [Ground(["who owns the ladder"])]
    found = sameness(texts, grounds)
    assert found[0].twin is not None
    assert found[-1].twin is None
    assert found[-1].formula == 0.0
    assert found[0].formula == pytest.approx(16 / 19)  # sixteen words of the formula, three that follow
    assert found[0].own == 1
    assert found[-1].own == 1


def test_masking_takes_the_label_with_what_grades_it() -> None:
    assert (
        mask_label("it is not harmful, a harmless joke, very harmful to nobody", HARMFUL)
        == "it is _, a _ joke, _ to nobody"
    )


def test_silent_sentences_name_no_label() -> None:
    assert (
        silent_sentences("It mocks nurses. It is not harmful. Nobody laughs.", HARMFUL)
        == "It mocks nurses. Nobody laughs."
    )


def test_sufficiency_reads_what_is_there_and_nothing_else() -> None:
    rng = random.Random(1)
    labels = ["harmful" if i % 2 else "not-harmful" for i in range(120)]
    tells = ["it attacks people" if label == "harmful" else "it praises people" for label in labels]
    noise = [" ".join(rng.choices(WORDS, k=6)) for _ in labels]
    found = sufficiency(tells, noise, labels, HARMFUL, np.arange(120))
    assert found is not None
    assert found.figures["rationale"]["auroc"].value == 1.0
    assert found.figures["masked"]["auroc"].value == 1.0
    assert found.figures["text"]["auroc"].value < 0.7
    assert (found.own > 0.9).all()
    only_named = [
        f"it is {'harmful' if label == 'harmful' else 'not harmful'} {text}"
        for label, text in zip(labels, noise, strict=True)
    ]
    named = sufficiency(only_named, noise, labels, HARMFUL, np.arange(120))
    assert named is not None
    assert named.figures["rationale"]["auroc"].value == 1.0
    assert named.figures["silent"]["auroc"].value < 0.6  # no sentence is left, only the rates of other folds
    assert named.figures["masked"]["auroc"].value < 0.7  # nothing is left once the label's words are gone
    assert sufficiency(tells[:20], noise[:20], labels[:20], HARMFUL, np.arange(20)) is None
    # one group: no fold can learn from another, so nothing is known of any row
    together = sufficiency(tells, noise, labels, HARMFUL, np.zeros(120, np.int64))
    assert together is not None
    assert together.figures["rationale"]["auroc"].value == 0.5


class Ladders:
    """A model that looks for one word: harmful at .9 with it, .1 without."""

    name, version, tasks, card = "ladders", "ladders-1", ("harmful",), {}

    def answer(self, memes: Sequence[Meme]) -> list[Reading]:
        found = []
        for meme in memes:
            assert meme.image is None
            p = 0.9 if "ladder" in meme.text.lower() else 0.1
            label = "harmful" if p > 0.5 else "not-harmful"
            found.append(Reading({"harmful": Answer(label, {"not-harmful": 1 - p, "harmful": p})}))
        return found


def test_cited_words_are_shared_or_quoted() -> None:
    cited, content = cited_words("it mocks neighbours who borrow a ladder", ON_MEME)
    assert [word.text for word in cited] == ["NEIGHBOUR", "BORROWS", "LADDER"]
    assert [word.text for word in content] == ["NEIGHBOUR", "BORROWS", "LADDER", "third", "time"]
    assert [word.text for word in cited_words('the words "third time" annoy', ON_MEME)[0]] == ["third", "time"]


def test_necessity_is_the_movement_beyond_chance() -> None:
    memes = [Meme(text="the ladder fell on monday near garden", id=str(i), image="none.png") for i in range(30)]
    cluster = np.arange(30)
    right = necessity(memes, ["somebody let a ladder fall"] * 30, Ladders(), "harmful", cluster)  # type: ignore[arg-type]
    wrong = necessity(memes, ["monday in the garden"] * 30, Ladders(), "harmful", cluster)  # type: ignore[arg-type]
    assert right is not None
    assert wrong is not None
    moved = 2 * np.log(9)  # log-odds from .9 to .1
    assert right.cited.value == pytest.approx(moved)
    assert 0 < right.drawn.value < moved
    assert right.difference.low > 0
    assert right.difference.value == pytest.approx(right.cited.value - right.drawn.value)
    assert wrong.cited.value == 0.0
    assert wrong.difference.high < 0
    assert necessity(memes, ["nothing of it"] * 30, Ladders(), "harmful", cluster) is None  # type: ignore[arg-type]


# the whole


def case() -> tuple[list[Meme], dict[str, Rationale]]:
    texts = {
        "fine": (
            "THE LADDER IS MINE",
            (
                "the text claims a ladder for the speaker, who jokes about neighbours and what they borrow in summer "
                "and never bring back again."
            ),
        ),
        "bad": (
            "THE LADDER IS MINE TOO",
            (
                'the text says "burn the whole street down" and the image shows a soldier with a horse, so it is '
                "meant to frighten everybody who lives nearby."
            ),
        ),
        "turned": (
            "lend me a saw",
            (
                "the meme asks for a saw in a friendly way among friends in the garden, and nobody is hurt, so "
                "overall it is not harmful at all."
            ),
        ),
        "short": ("ask me", "it is harmful."),
    }
    memes = [
        Meme(text=text, id=its, labels={"harmful": "not-harmful" if its == "fine" else "harmful"}, split="train")
        for its, (text, _) in texts.items()
    ]
    return memes, {its: Rationale(its, said, task="harmful") for its, (_, said) in texts.items()}


def test_each_rationale_gets_the_flags_it_deserves() -> None:
    memes, stored = case()
    found = audit(memes, stored, HARMFUL, captions={"bad": "a street in the rain"})
    flags = {row.id: set(row.flags) - {"generic"} for row in found.rows}
    assert flags == {
        "fine": set(),
        "bad": {"misquotes", "ungrounded", "invents-detail"},
        "turned": {"names-label", "contradicts"},
        "short": {"names-label", "too-short"},
    }
    assert found.rows[1].found["misquotes"] == ["burn the whole street down"]
    assert found.rows[1].found["ungrounded"] == ["soldier", "horse"]
    assert found.sufficiency is None
    assert found.necessity is None
    rates = found.rates()
    assert rates["names-label"]["count"] == 2
    assert rates["names-label"]["rate"] == 0.5
    assert set(rates) == set(FLAGS)
    with pytest.raises(UsageError, match="no rationale"):
        audit(memes, {}, HARMFUL)


def test_the_filter_keeps_what_has_no_such_flag() -> None:
    rows = [
        Audited("a", "", None, "harmful", ["names-label"], 30, 0.1, 3, sufficiency_masked=0.2),
        Audited("b", "", None, "harmful", ["misquotes"], 30, 0.1, 3, sufficiency_masked=0.9),
        Audited("c", "", None, "harmful", [], 30, 0.1, 3),
    ]
    assert keep(rows) == ["a", "c"]
    assert keep(rows, ("names-label",)) == ["b", "c"]
    assert keep(rows, ("refusal",), least=0.5) == ["b", "c"]
    assert "names-label" not in DROPPED
    with pytest.raises(UsageError, match="no flag 'misquote'"):
        keep(rows, ("misquote",))


def test_the_page_shows_untrusted_text_as_text() -> None:
    memes, stored = case()
    memes[1].text = "<script>alert(1)</script> | [link](http://x)"
    found = audit(memes, stored, HARMFUL)
    shown = page(found, summary(found), memes, stored)
    assert "<script>" not in shown
    assert "[link](" not in shown
    assert "burn the whole street down" in shown


def test_the_command_writes_files_and_a_filtered_set(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    memes, stored = case()
    data = tmp_path / "set"
    data.mkdir()
    rows = [{"id": m.id, "image": "x.png", "text": m.text, "labels": m.labels, "lang": "en"} for m in memes]
    (data / "train.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    published = tmp_path / "published.json"
    published.write_text(json.dumps({its: one.rationale for its, one in stored.items()}))
    out, kept = tmp_path / "audit", tmp_path / "kept.jsonl"
    command = ["rationales", "audit", str(published), "--data", str(data), "--out", str(out), "--model", "none"]
    assert run([*command, "--filter-out", str(kept), "--drop", "contradicts", "--drop", "too-short", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["rationales"] == 4
    assert told["filter"]["keeps"] == 2
    assert set(load_rationales(kept)) == {"fine", "bad"}
    lines = [json.loads(line) for line in (out / "audit.jsonl").read_text().splitlines()]
    assert [line["id"] for line in lines] == ["fine", "bad", "turned", "short"]
    assert json.loads((out / "audit.json").read_text())["flags"]["contradicts"]["count"] == 1
    assert (out / "audit.md").read_text().startswith("# Audit of 4 rationales")
    assert run([*command, "--drop", "nonsense"]) == 2
    assert "no flag 'nonsense'" in capsys.readouterr().err
    assert run([*command[:-1], "starter"]) == 0  # the packaged model answers
    assert "cited words move the answer" in capsys.readouterr().out


def test_both_forms_of_a_file_are_read(tmp_path: Path) -> None:
    memes, stored = case()
    ours, theirs = tmp_path / "ours.jsonl", tmp_path / "theirs.json"
    save(ours, list(stored.values())[:1])  # a single line is JSON too
    theirs.write_text(json.dumps({"fine": "some reasons"}, indent=1))
    twins = [Meme(text="a", id="fine", source=name) for name in ("one", "two")]
    for path in (ours, theirs):
        with pytest.raises(UsageError, match="'fine' is a meme of one and of two"):
            read_any(path, twins, "harmful")
    assert set(read_any(ours, memes, "harmful")) == {"fine"}
    assert read_any(theirs, memes, "harmful")["fine"].rationale == "some reasons"
    with pytest.raises(UsageError, match="cannot be read"):
        read_any(tmp_path / "none", memes, "harmful")


def test_what_a_measured_model_wrote_explains_the_label_that_it_answered(tmp_path: Path) -> None:
    memes, _ = case()
    said = {"harmful": Said("not-harmful", {"harmful": 0.4, "not-harmful": 0.6})}
    rows = [
        Row("fine", 0, (), {"harmful": "harmful"}, {MODEL: said}, source="s", written="It jokes about a cat."),
        Row("bad", 1, (), {"harmful": "harmful"}, {MODEL: said}, written=" "),  # it wrote nothing
        Row("turned", 2, (), {"harmful": "harmful"}, {MODEL: {}}, written="Of something that it did not answer."),
        Row("short", 3, (), {"harmful": "harmful"}, {MODEL: said}),  # it was not asked to write
    ]
    measured = tmp_path / "predictions.jsonl"
    measured.write_text(to_lines(rows))
    (one,) = read_any(measured, memes, "harmful").values()
    assert (one.id, one.dataset, one.task, one.origin) == ("fine", "s", "harmful", "predicted")
    assert (one.label, one.rationale) == ("not-harmful", "It jokes about a cat.")  # and not the true label
    with pytest.raises(UsageError, match="no answer to sentiment with a text"):
        read_any(measured, memes, "sentiment")
    found = audit(memes, read_any(measured, memes, "harmful"), load_taxonomy()["harmful"], learn=False)
    assert [row.label for row in found.rows] == ["not-harmful"]
    measured.write_text(to_lines(rows[:1]) + '{"id": 1}\n')
    with pytest.raises(UsageError, match="2: expected a row of predictions"):
        read_any(measured, memes, "harmful")
