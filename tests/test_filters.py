"""Which memes have text: by each rule, and MemeLens's against its plain statement."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memescope.datasets.catalogue import load_source
from memescope.datasets.filters import has_text, has_words, memelens_text
from memescope.datasets.harmonise import read_source
from memescope.datasets.problems import Problems
from memescope.meme import Meme


@pytest.mark.parametrize(
    ("text", "some", "memelens", "words"),
    [
        ("", False, False, False),
        (" \n\u00a0", False, False, False),
        ("...!?", True, False, False),
        ("( - ) [\"'] {_}", True, False, False),
        ("…", True, True, False),  # the rule's list has the full stop and not the ellipsis
        ("😀", True, True, False),
        ("$", True, True, False),
        ("7", True, True, True),
        ("- ওহ -", True, True, True),
        ("好", True, True, True),
    ],
)
def test_filters(text, some, memelens, words):
    meme = Meme(text=text)
    assert (has_text(meme), memelens_text(meme), has_words(meme)) == (some, memelens, words)


@given(st.text())
def test_memelens_filter_against_its_plain_statement(text):
    stripped = text.strip()
    empty = not stripped or all(character in " \t\n\r.,;:!?-_()[]{}\"'" for character in stripped)
    assert memelens_text(Meme(text=text)) == (not empty)
    assert has_text(Meme(text=text)) or not memelens_text(Meme(text=text))


@pytest.mark.real
@pytest.mark.parametrize(("name", "rows", "kept"), [("memotion7k", 6992, 6988), ("mami", 11000, 11000)])
def test_what_memelens_drops_of_the_authors_files(real_data, name, rows, kept):
    """The figures of docs/datasets.md; MemeLens itself has 6,987 and 11,000 memes of them."""
    memes = read_source(load_source(name), real_data / "native" / name, Problems())
    assert (len(memes), sum(map(memelens_text, memes))) == (rows, kept)
