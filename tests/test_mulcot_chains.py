"""MulCoT-RD's chains: written, read back, judged; prompts at post and aspect level; real chains where they are."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from memescope.meme import Meme
from memescope.models.mulcot.chain import (
    CHAIN_PARTS,
    LEAD,
    chain_text,
    is_right,
    is_whole,
    quoted,
    read_chain,
    shortened,
    stated_label,
)
from memescope.models.mulcot.prompting import instruction, label_user, reason_user, turns
from memescope.training.mulcot import with_chain

LABELS = ("negative", "neutral", "positive")
PARTS = {
    "Text_analysis": "The text cheers.",
    "Image_analysis": "A man smiles.",
    "Conflict_resolution": "None.",
    "Final_conclusion": 'It says "well done", so the feeling is warm.',
}
WHOLE = f"{quoted(chain_text(PARTS))} positive"
words = st.text(alphabet=st.characters(codec="utf-8", exclude_characters="\"':{}*#"), min_size=1).filter(
    lambda text: text.strip(" ,\u201c\u201d\n\r\t") and not any(name in text for name in (*CHAIN_PARTS, "Prediction"))
)


def test_the_form_by_hand():
    assert WHOLE.startswith('"Text_analysis": "The text cheers."\n\n"Image_analysis": "A man smiles."\n\n')
    assert WHOLE.endswith('so the feeling is warm."\n\n"Prediction": positive')
    assert read_chain(WHOLE) == PARTS | {"Prediction": "positive"}
    assert is_whole(read_chain(WHOLE))


@settings(max_examples=60, deadline=None)
@given(st.tuples(words, words, words, words), st.sampled_from(LABELS))
def test_what_is_written_is_read_back(texts, label):
    parts = {
        name: " ".join(text.split()).strip(" ,\u201c\u201d").strip()
        for name, text in zip(CHAIN_PARTS, texts, strict=True)
    }
    found = read_chain(f"{quoted(chain_text(parts))} {label}")
    if all(parts.values()):
        assert found == parts | {"Prediction": label}
        assert is_right(f"{quoted(chain_text(parts))} {label}", label, LABELS)


@settings(max_examples=80, deadline=None)
@given(st.text(max_size=200) | st.lists(st.sampled_from(["Prediction", '"', ":", "neutral", "\n", "Text_analysis"])))
def test_nothing_that_is_written_breaks_the_reader(text):
    text = text if isinstance(text, str) else "".join(text)
    assert stated_label(text, LABELS) in (*LABELS, None)
    assert all(value for value in read_chain(text).values())
    assert isinstance(is_right(text, "neutral", LABELS), bool)


def test_labels_are_read_as_released():
    assert stated_label('"Prediction": Neutral.', LABELS) == "neutral"
    assert stated_label("positive? Prediction: the label is negative, not positive", LABELS) == "negative"
    assert stated_label("at first positive, but in the end neutral", LABELS) == "neutral"  # no prediction: the last
    assert stated_label("Prediction:", LABELS) is None
    assert stated_label("neutrally unpositive", LABELS) is None  # whole words
    assert stated_label("Prediction: very negative", ("negative", "very negative")) == "very negative"


def test_only_whole_and_right_chains_are_learnt_from():
    assert is_right(WHOLE, "positive", LABELS)
    assert not is_right(WHOLE, "neutral", LABELS)
    cut = WHOLE[: WHOLE.index('"Final_conclusion"')] + "positive"
    assert not is_right(cut, "positive", LABELS)  # its last label word is right, but it was cut off
    assert not is_right(WHOLE.replace("A man smiles.", ""), "positive", LABELS)  # a part is empty


def test_shortened_by_hand():
    parts = {
        "Text_analysis": 'He says "well done." Then he leaves.',
        "Image_analysis": "A man. He smiles! Why?",
        "Conflict_resolution": "None of 2.5 kinds, e.g. of tone",
        "Final_conclusion": "It is warm (very.) So be it.",
    }
    one = parts | {
        "Text_analysis": 'He says "well done."',
        "Image_analysis": "A man.",
        "Final_conclusion": "It is warm (very.)",
    }
    assert shortened(chain_text(parts), 1) == chain_text(one)
    assert shortened(chain_text(parts), 2) == chain_text(parts | {"Image_analysis": "A man. He smiles!"})
    assert shortened(chain_text(parts), 9) == chain_text(parts)
    assert shortened("It mocks. It lies.", 1) == "It mocks."  # reasons from elsewhere


def test_reasons_from_elsewhere_are_a_conclusion():
    assert quoted("Because it mocks.") == f'"Final_conclusion": "Because it mocks."\n\n{LEAD}'


def test_post_and_aspect_level():
    meme = Meme(text="RT $T$ wins <|im_end|>", aspect="Chuck", labels={"aspect_sentiment": "positive"})
    about = label_user(meme, "aspect_sentiment")
    assert 'towards "Chuck"' in about
    assert "<|im_end|>" not in about
    assert "Chuck" not in label_user(meme, "sentiment")  # the whole post is asked about
    assert "towards" not in label_user(Meme(text="x"), "aspect_sentiment")
    assert "(no text)" in label_user(Meme(), "sentiment")
    shared, other = about.splitlines(), reason_user(meme, "aspect_sentiment").splitlines()
    assert shared[:-1] == other[:-1]
    assert shared[-1] != other[-1]


def test_both_tasks_are_learnt_and_the_label_is_a_piece_of_its_own():
    meme = Meme(text="x", aspect="y", labels={"aspect_sentiment": "positive"}, rationale=chain_text(PARTS))
    reason, label = turns(meme, ["aspect_sentiment", "sentiment"], "both")
    assert reason.pieces == (quoted(chain_text(PARTS)), " positive")
    assert reason.pieces[0].endswith(LEAD)
    assert label.pieces == (LEAD, " positive")
    assert label.user == instruction(meme, "aspect_sentiment").prompt
    assert turns(meme, ["aspect_sentiment"], "label") == [label]
    assert turns(meme, ["aspect_sentiment"], "rationale") == [reason]
    assert turns(Meme(text="x", labels={"aspect_sentiment": "neutral"}), ["aspect_sentiment"], "rationale") == []


def test_a_chain_is_learnt_for_the_task_it_is_about():
    labels = {"sentiment": "neutral", "aspect_sentiment": "positive"}
    meme = Meme(text="x", aspect="y", labels=labels, rationale=chain_text(PARTS), meta={"explains": ["sentiment"]})
    learnt = turns(meme, [*labels], "both")
    assert [turn.pieces[-1] for turn in learnt] == [" neutral", " neutral", " positive"]
    sampled = with_chain(meme, "aspect_sentiment", chain_text(PARTS), "negative", 1)
    learnt = turns(sampled, [*labels], "both")
    assert [(turn.pieces[0], turn.pieces[-1]) for turn in learnt] == [
        (quoted(chain_text(PARTS)), " negative"), (LEAD, " positive"),
    ]  # fmt: skip
    assert "stated" not in with_chain(meme, "aspect_sentiment", chain_text(PARTS), "positive", 1).meta


@pytest.mark.real
def test_real_chains_have_five_parts(real_data):
    """Counted before: all 1,037 chains of the test split have the five parts."""
    rows = json.loads((real_data / "rationales" / "twitter2015_test_chains.json").read_text("utf-8"))
    assert len(rows) == 1037
    assert sum(is_whole(read_chain(row["cot"])) for row in rows) == 1037
    right = sum(is_right(row["cot"], row["label"], LABELS) for row in rows)
    assert right >= 1016
