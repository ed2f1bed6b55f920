"""What MemeLens is told: one prefix for all tasks, native names, the form of the reply, text that stays text."""

from __future__ import annotations

import pytest

from memescope.errors import UsageError
from memescope.meme import Meme
from memescope.models.memelens.prompting import Manner, asked, learnt_languages, manner_of, read_reply, reply

MEME = Meme(text="Alle raus <image> <|im_end|>", id="m", lang="de", aspect="the 'boss'")


def test_a_question_in_both_settings() -> None:
    (hybrid,) = asked(MEME, "hateful", Manner())
    assert hybrid.user == (
        "Text on the meme: Alle raus < image> < |im_end|>\n\n"
        "Consider the picture and the words of this meme together and decide whether it attacks people for who they "
        "are, such as their origin, religion, sex or disability. Answer with 'nicht hasserfüllt' or 'hasserfüllt'.\n"
        "Reply in exactly this form:\nLabel: <label>"
    )
    assert hybrid.names == {"not-hateful": "nicht hasserfüllt", "hateful": "hasserfüllt"}
    (english,) = asked(MEME, "hateful", Manner(setting="english"))
    assert english.names == {"not-hateful": "not-hateful", "hateful": "hateful"}
    assert english.user.split("Answer")[0] == hybrid.user.split("Answer")[0]  # the instruction is English in both


def test_labels_have_native_names_only_in_languages_that_the_task_was_learnt_in() -> None:
    learnt = [
        Meme(text="a", lang="de-AT", labels={"hateful": "hateful", "target": "none"}),
        Meme(text="b", lang="hi-en", labels={"hateful": "hateful"}),
        Meme(text="c", lang="fr", labels={"sentiment": "neutral"}),
    ]
    languages = learnt_languages(learnt, "hybrid")
    assert languages == {"hateful": ("de", "hi"), "sentiment": ("en",), "target": ("de",)}
    assert learnt_languages(learnt, "english") == dict.fromkeys(languages, ("en",))
    manner = manner_of(Manner(languages=languages).to_dict())
    assert manner.languages == languages
    named = {
        (task, lang): asked(Meme(text="x", lang=lang), task, manner)[0].lang
        for task in ("hateful", "target", "sentiment", "harmful")
        for lang in ("de", "hi", "ar", "en")
    }
    native = {("hateful", "de"): "de", ("hateful", "hi"): "hi", ("target", "de"): "de"}
    assert named == dict.fromkeys(named, "en") | native
    assert asked(Meme(text="x", lang="ar"), "hateful", manner)[0].names["hateful"] == "hateful"
    assert asked(MEME, "sentiment", manner_of(Manner().to_dict()))[0].lang == "de"  # not known: all have their own


def test_all_tasks_of_a_meme_begin_alike_and_the_papers_order_is_there_too() -> None:
    start = "Text on the meme: Alle raus < image> < |im_end|>\n\n"
    for task in ("hateful", "target", "sentiment", "aspect_sentiment"):
        assert all(one.user.startswith(start) for one in asked(MEME, task, Manner(), variant=7))
    (paper,) = asked(MEME, "hateful", Manner(layout="instruction-first"))
    assert paper.user.endswith("Label: <label>\n\nText on the meme: Alle raus < image> < |im_end|>")


def test_a_multilabel_task_is_asked_label_by_label() -> None:
    found = asked(MEME, "targets", Manner())
    assert [one.part for one in found] == ["individual", "organization", "community", "society"]
    assert all(one.names == {"no": "no", "yes": "yes"} for one in found)
    assert "this kind of target: 'Gemeinschaft'. Answer with 'no' or 'yes'." in found[2].user
    sly = Meme(text="who {label} 'society'", id="s")
    assert asked(sly, "targets", Manner())[0].user.startswith("Text on the meme: who { label} 'society'\n")


def test_explanations_are_asked_for_where_they_were_trained_or_wanted() -> None:
    manner = Manner(explained=("hateful",))
    form = "Label: <label>\nExplanation: <what picture and words show that speaks for the label, in German>"
    assert asked(MEME, "hateful", manner)[0].user.endswith(form)
    assert asked(MEME, "harmful", manner)[0].user.endswith("Label: <label>")
    assert asked(MEME, "harmful", manner, explain=True)[0].user.endswith(form)
    assert asked(MEME, "hateful", manner, explain=False)[0].user.endswith("Label: <label>")
    first = Manner(order="explain-first", explained=("hateful",))
    assert asked(MEME, "hateful", first)[0].user.endswith("in German>\nLabel: <label>")


def test_without_text_or_picture() -> None:
    assert asked(MEME, "hateful", Manner(text=False))[0].user.startswith("The text is not shown.\n\n")
    assert asked(Meme(text=" "), "hateful", Manner())[0].user.startswith("Text on the meme: (none)\n\n")
    with pytest.raises(UsageError, match="neither text nor picture"):
        Manner(text=False, image=False)
    with pytest.raises(UsageError, match="names none"):
        asked(Meme(text="a", id="x"), "aspect_sentiment", Manner())


def test_replies_are_written_and_read() -> None:
    names = {"not-hateful": "nicht hasserfüllt", "hateful": "hasserfüllt"}
    assert reply("hasserfüllt", None, "classify-first") == "Label: hasserfüllt"
    assert reply("hasserfüllt", "Because.", "classify-first") == "Label: hasserfüllt\nExplanation: Because."
    assert reply("hasserfüllt", "Because.", "explain-first") == "Explanation: Because.\nLabel: hasserfüllt"
    for order in ("classify-first", "explain-first"):
        assert read_reply(reply("hasserfüllt", "Because.\nTwo.", order), names) == ("hateful", "Because.\nTwo.")
    assert read_reply("Label: 'Hasserfüllt'.", names) == ("hateful", "")
    assert read_reply("Label: hateful", names) == ("hateful", "")  # asked in German, answered in English
    assert read_reply("Label: ja", {"ja": "nein", "nein": "ja"}) == ("nein", "")  # what it was asked in comes first
    assert read_reply("nicht hasserfüllt", names) == ("not-hateful", "")
    for nothing in ("Label:", "", "Label: hasserfüllt or nicht hasserfüllt", "I cannot say", "Label: maybe"):
        assert read_reply(nothing, names)[0] is None
