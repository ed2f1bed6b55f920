"""MVSA: the merge rules against independent statements of them, and both sets in their native form."""

from itertools import permutations, product

import pytest
from hypothesis import given
from hypothesis import strategies as st
from native_files import read, told, write

from memescope.datasets.sources._mvsa import LABELS, RULES, TIE, balance, decide, majority, merge
from memescope.errors import UsageError

pairs = st.tuples(st.sampled_from(LABELS), st.sampled_from(LABELS))


@given(pairs)
def test_the_usual_merge_against_its_plain_statement(pair):
    """The feelings that are not neutral: none is neutral, one kind is it, both kinds leave the tweet out."""
    feelings = set(pair) - {"neutral"}
    expected = {0: "neutral", 1: next(iter(feelings), ""), 2: None}[len(feelings)]
    assert merge(*pair) == expected
    assert merge(*pair[::-1]) == expected


@given(pairs)
def test_the_other_merges_against_theirs(pair):
    text, image = pair
    assert merge(text, image, "agree") == (text if text == image else None)
    assert merge(text, image, "text") == merge(image, text, "image") == text
    total = sum(label == "positive" for label in pair) - sum(label == "negative" for label in pair)
    assert (
        merge(text, image, "balance") == balance(pair) == ["neutral", "positive", "negative"][(total > 0) - (total < 0)]
    )
    assert merge(text, image) in (merge(text, image, "balance"), None)


@given(st.lists(pairs, min_size=3, max_size=3), st.sampled_from([*RULES, TIE]))
def test_three_annotators(three, rule):
    expected = decide(three, rule)
    assert {decide(list(order), rule) for order in permutations(three)} == {expected}
    swapped = {"negative": "positive", "positive": "negative", "neutral": "neutral"}
    mirrored = decide([(swapped[text], swapped[image]) for text, image in three], rule)
    assert mirrored == (swapped[expected] if expected else None)
    texts, images = zip(*three, strict=True)
    agreed = [max(set(votes), key=votes.count) if len(set(votes)) < 3 else None for votes in (texts, images)]
    assert [majority(texts), majority(images)] == agreed
    if rule == "text":
        assert expected == agreed[0]
    elif rule == "image":
        assert expected == agreed[1]
    elif rule in ("usual", "agree"):
        assert expected == (merge(*agreed, rule) if None not in agreed else None)
    elif rule == TIE:
        assert expected == merge(agreed[0] or "neutral", agreed[1] or "neutral")
    else:
        score = (texts + images).count("positive") - (texts + images).count("negative")
        assert expected == ("positive" if score > 0 else "negative" if score < 0 else "neutral")


def test_one_annotator_is_three_that_agree():
    for pair, rule in product(product(LABELS, LABELS), RULES):
        assert decide([pair], rule) == decide([pair] * 3, rule) == merge(*pair, rule)


def test_mvsa_single(tmp_path):
    write(
        tmp_path,
        {
            "labelResultAll.txt": "ID\ttext,image\r\n1\tpositive,positive\r\n2\tneutral,negative\r\n"
            "3\tpositive,negative\r\n4\tpositive\r\n5\tpositive,happy\r\n6\tneutral, Neutral\r\n"
            "7\tpositive,neutral\tneutral,neutral\tneutral,neutral\r\n\r\n../8\tneutral,neutral\r\n",
            "data/1.txt": "what a day",
            "data/2.txt": "rain on the caf\xe9".encode("latin-1"),
            "data/6.txt": "\ufefffine".encode(),
            "data/1.jpg": b"a",
        },
    )
    memes, problems = read("mvsa_single", tmp_path)
    assert {id: (meme.text, meme.labels["sentiment"]) for id, meme in memes.items()} == {
        "1": ("what a day", "positive"),
        "2": ("rain on the café", "negative"),
        "6": ("fine", "neutral"),
        "../8": ("", "neutral"),
    }
    assert memes["1"].image == tmp_path / "data" / "1.jpg"
    assert (memes["2"].meta["text_labels"], memes["2"].meta["image_labels"]) == (["neutral"], ["negative"])
    assert told(problems, "left-out") == [("labelResultAll.txt:4", "positive,negative: by rule 'usual'")]
    labels = "expected text,image of negative, neutral, positive; found "
    assert told(problems, "unknown-label") == [
        ("labelResultAll.txt:5", labels + "'positive'"),
        ("labelResultAll.txt:6", labels + "'positive,happy'"),
    ]
    assert told(problems, "columns") == [
        ("labelResultAll.txt:8", "expected an id and one pair of labels, found 3 after it")
    ]
    assert told(problems, "encoding")[0][0] == "2.txt:1"
    assert told(problems, "outside-path")[0][0] == "labelResultAll.txt:10"
    assert memes["../8"].image is None or memes["../8"].image.is_relative_to(tmp_path)


@pytest.mark.parametrize(
    ("variant", "expected"),
    [
        ("usual", {"1": "positive", "2": "negative", "6": "neutral"}),
        ("agree", {"1": "positive", "6": "neutral"}),
        ("balance", {"1": "positive", "2": "negative", "3": "neutral", "6": "neutral"}),
        ("text", {"1": "positive", "2": "neutral", "3": "positive", "6": "neutral"}),
        ("image", {"1": "positive", "2": "negative", "3": "negative", "6": "neutral"}),
    ],
)
def test_mvsa_single_by_each_rule(tmp_path, variant, expected):
    rows = "ID\ttext,image\n1\tpositive,positive\n2\tneutral,negative\n3\tpositive,negative\n6\tneutral,neutral\n"
    memes, _ = read("mvsa_single", write(tmp_path, {"labelResultAll.txt": rows}), variant)
    assert {id: meme.labels["sentiment"] for id, meme in memes.items()} == expected


def test_mvsa_multiple(tmp_path):
    rows = (
        "ID\ttext,image\ttext,image\ttext,image\n"
        "1\tpositive,neutral\tpositive,neutral\tneutral,positive\n"  # positive and neutral
        "2\tpositive,neutral\tneutral,neutral\tnegative,neutral\n"  # no majority for the text
        "3\tpositive,negative\tpositive,negative\tneutral,neutral\n"  # against each other
        "4\tneutral,positive\tneutral,neutral\tneutral,negative\n"  # no majority for the picture
        "5\tpositive,positive\n"
    )
    write(tmp_path, {"labelResultAll.txt": rows, "data/1.txt": "hello"})
    usual, problems = read("mvsa_multiple", tmp_path)
    assert {id: meme.labels["sentiment"] for id, meme in usual.items()} == {"1": "positive"}
    assert usual["1"].meta["text_labels"] == ["positive", "positive", "neutral"]
    assert [where for where, _ in told(problems, "left-out")] == [f"labelResultAll.txt:{n}" for n in (3, 4, 5)]
    assert told(problems, "columns") == [
        ("labelResultAll.txt:6", "expected an id and 3 pairs of labels, found 1 after it")
    ]
    ties, _ = read("mvsa_multiple", tmp_path, TIE)
    assert {id: meme.labels["sentiment"] for id, meme in ties.items()} == {
        "1": "positive",
        "2": "neutral",
        "4": "neutral",
    }
    texts, _ = read("mvsa_multiple", tmp_path, "text")
    assert {id: meme.labels["sentiment"] for id, meme in texts.items()} == {
        "1": "positive",
        "3": "positive",
        "4": "neutral",
    }
    balanced, _ = read("mvsa_multiple", tmp_path, "balance")
    assert {id: meme.labels["sentiment"] for id, meme in balanced.items()} == {
        "1": "positive",
        "2": "neutral",
        "3": "neutral",
        "4": "neutral",
    }


@pytest.mark.real
def test_the_ready_set_of_mvsa_single_still_reads(real_data):
    from memescope.datasets import read_split

    memes = read_split(real_data / "ready" / "mvsa_single", "test")
    assert len(memes) == 380
    assert sum(meme.labels["sentiment"] == "positive" for meme in memes) == 240


def test_an_unknown_variant_is_named(tmp_path):
    with pytest.raises(UsageError, match="no variant 'loud'; there are: usual, agree, balance, text, image"):
        read("mvsa_single", tmp_path, "loud")
