"""The parsers behind the sources: whatever stands in a file, good rows are read and others cost themselves alone."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from native_rows import noted, read

from memescope.datasets.problems import Problems
from memescope.datasets.sources._fields import files_there, label, padded, strings, text
from memescope.datasets.sources._literals import literal, unquoted
from memescope.datasets.sources._memotion import VOCABULARY, match, release_rows
from memescope.datasets.sources._twitter import read_twitter

_WORDS = st.text(st.characters(exclude_categories=("C", "Z")), min_size=1, max_size=8)
_LINE = st.lists(_WORDS, min_size=1, max_size=5).map(" ".join)


@given(st.text())
def test_a_quoted_text_comes_back_as_it_was(words: str) -> None:
    assert unquoted(repr(words)) == words
    assert unquoted(f" {words!r} ") == words


@pytest.mark.parametrize(
    "cell",
    ["", "'", "plain", "'half", "'a' and 'b'", "'it 's'", "it's", "''' '", "'bad \\x escape'", '["list"]', "b'bytes'"],
)
def test_a_cell_that_is_no_single_literal_stays(cell: str) -> None:
    assert unquoted(cell) == cell


@given(st.lists(st.one_of(st.text(), st.integers(), st.none()), max_size=4))
def test_a_list_comes_back_as_it_was(values: list) -> None:
    assert literal(repr(values)) == values


@pytest.mark.parametrize(
    "source", ["__import__('os').getcwd()", "[1, 2", "(" * 10_000, "1 + x", "\0", "[" * 300 + "]" * 300, "open('x')"]
)
def test_what_is_no_literal_is_a_value_error_and_runs_nothing(source: str) -> None:
    with pytest.raises(ValueError, match="not a Python literal"):
        literal(source)


_BLOCK = st.tuples(_LINE, _LINE, st.sampled_from(["-1", "0", "1"]), st.integers(1, 99).map(lambda n: f"{n}.jpg"))


@settings(deadline=None)
@given(st.lists(_BLOCK, max_size=6), st.data())
def test_every_sound_block_of_four_lines_is_read_among_broken_ones(blocks: list, data: st.DataObject) -> None:
    content, expected = [], []
    for sentence, aspect, sentiment, image in blocks:
        # A broken row has lost its label; none of what is left can begin a row.
        if data.draw(st.booleans()):
            content += [f"$T$ {sentence}", "aspect", "7.jpg"]
        content += [f"{sentence} $T$", aspect.replace("$T$", ""), sentiment, image]
        expected.append((f"{sentence} $T$".strip(), image, sentiment))
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "train.txt").write_text("\n".join(content), "utf-8")
        found = list(read_twitter(Path(folder), Problems(), {"train.txt": "train"}))
    signs = {"negative": "-1", "neutral": "0", "positive": "1"}
    assert [
        (row.meta["text_masked"], row.image, signs[str(row.labels["aspect_sentiment"])]) for row in found
    ] == expected


@settings(deadline=None)
@given(
    st.lists(st.tuples(_WORDS, _WORDS, st.tuples(*map(st.sampled_from, VOCABULARY))), min_size=1, max_size=12),
    st.data(),
)
def test_memotion_rows_survive_being_swallowed(rows: list, data: st.DataObject) -> None:
    """Sound rows are put into the cells of others, as the release did to itself, and are all cut out again in order."""
    plain = [
        (f"{number}.jpg", f"http://x/{number}", ocr.replace(",", ""), words.replace(",", ""), *labels)
        for number, (ocr, words, labels) in enumerate(rows)
    ]
    plain = [tuple(cell.replace('"', "") for cell in row) for row in plain]
    content, position = [], 0
    while position < len(plain):
        size = data.draw(st.integers(1, len(plain) - position))
        group = [",".join(row) for row in plain[position : position + size]]
        if size == 1:
            content.append(group[0])
        else:
            # The mark opens with the first row's URL and closes after the last one's, whose other cells follow.
            name, rest = group[0].split(",", 1)
            last = plain[position + size - 1]
            swallowed = "\n".join([rest, *group[1:-1], ",".join(last[:2])])
            content.append(f'{name},"{swallowed}",{",".join(last[2:])}')
        position += size
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "data_7000_new.csv"
        path.write_text("\r\n".join(content) + "\r\n", "utf-8", newline="")
        found = list(release_rows(path, Problems()))
    assert [(row.name, row.url, row.ocr, row.text, *row.labels.values()) for row in found] == plain


def test_matching_uses_order_first_and_unique_text_after() -> None:
    theirs = [("a", "x"), ("b", "x"), ("same", "x"), ("c", "x"), ("same", "x"), ("d", "x")]
    ours = [("d", "x"), ("A!", "x"), ("b", "x"), ("same", "x"), ("c", "y"), ("same", "x"), ("new", "x")]
    assert match(ours, theirs) == {0: 5, 1: 0, 2: 1, 3: 2, 5: 4}
    assert match([], theirs) == match(ours, []) == {}


def test_of_alternative_files_the_first_there_is_read(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "b.txt").write_text("")
    (tmp_path / "c.txt").mkdir()
    files = {"a.txt | data/b.txt": "train", "c.txt | data/*.txt": "val", "none.txt": "test"}
    place = tmp_path / "data" / "b.txt"
    assert list(files_there(tmp_path, files)) == [(place, "train"), (place, "val")]


def test_values_of_any_type_become_text() -> None:
    assert [text(None), text(7), text("a"), text({"b": [1]})] == ["", "7", "a", '{"b": [1]}']
    assert [padded(42, 5), padded(" 00042 ", 5), padded("img_1", 5), padded(None, 5)] == ["00042", "00042", "img_1", ""]
    assert [label(1, {"1": "yes"}), label("1", {"1": "yes"}), label([1], {"1": "yes"}), label(None, {})] == [
        "yes",
        "yes",
        "[1]",
        None,
    ]
    assert [strings(None), strings("a"), strings(["a", None, 2])] == [[], ["a"], ["a", "2"]]


@settings(deadline=None, max_examples=30)
@given(st.binary(max_size=300))
def test_no_bytes_break_a_reader(content: bytes) -> None:
    """Every reader of this part gets the same random bytes as its file: rows or problems come out, never an error."""
    files = {
        "mmsd": "valid2.txt",
        "muse_more": "val_df.tsv",
        "memotion7k": "data_7000_new.csv",
        "mami": "train.tsv",
        "twitter2015": "dev.tsv",
        "twitter2017": "dev.txt",
        "toxicn_mm": "test_data_discription_2.0.json",
        "fhm_fine_grained": "train.json",
        "hatred": "fhm_test_reasonings.jsonl",
        "harmp": "val_v1.jsonl",
        "semeval21t6": "dev_set_task2.txt",
    }
    for name, file in files.items():
        with tempfile.TemporaryDirectory() as folder:
            memes, _ = read(name, Path(folder), {file: content})
        assert all(meme.id and meme.source == name for meme in memes)


_ODD = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.text(max_size=3)),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=3), inner, max_size=2)),
    max_leaves=4,
)


@pytest.mark.parametrize(
    ("name", "file", "keys"),
    [
        ("fhm", "train.jsonl", "id img label text"),
        ("fhm_fine_grained", "train.json", "id img text gold_hate gold_pc gold_attack pc attack"),
        ("hatred", "fhm_train_reasonings.jsonl", "id img target reasonings"),
        ("german_fhm", "dev_seen_deutsch.jsonl", "id img label text"),
        ("harmc", "train.jsonl", "id image labels text"),
        ("memecap", "memes-test.json", "post_id img_fname title meme_captions img_captions metaphors"),
        ("mmsd2", "test.json", "image_id text label"),
        ("toxicn_mm", "test_data_discription_2.0.json", "path text label type text_modal image_modal target"),
        ("propaganda_memes", "train.jsonl", "id labels text image"),
        ("semeval21t6", "dev_set_task2.txt", "id labels text"),
        ("araieval24", "arabic_memes_propaganda_araieval_24_dev.json", "id img_path text class_label"),
    ],
)
@settings(deadline=None, max_examples=30)
@given(data=st.data())
def test_values_of_the_wrong_type_break_no_reader(name: str, file: str, keys: str, data: st.DataObject) -> None:
    import json

    row = {key: data.draw(_ODD) for key in keys.split()}
    content = json.dumps([row] if file.endswith((".txt", "test.json", "2.0.json", "dev.json")) else row)
    with tempfile.TemporaryDirectory() as folder:
        memes, problems = read(name, Path(folder), {file: content})
    assert len(memes) == 1 or noted(problems)
