"""Lists of known pictures: every form is read, whatever is malformed is named, the nearest picture is found."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from memescope.curation.hashlist import Hashlist, HashlistMatch, load_hashlist
from memescope.errors import UsageError

A, B = "f8f8f0cee0f4a84f06370a22038f63f0b36e2ed596621e1d33e6b39c4e9c9b22", "0f" * 32


def _load(tmp_path: Path, text: str) -> Hashlist:
    path = tmp_path / "known.txt"
    path.write_text(text, "utf-8")
    return load_hashlist(path)


def _flip(pdq: str, bits: int) -> bytes:
    """The hash with its first `bits` bits inverted."""
    return (int(pdq, 16) ^ ((1 << bits) - 1 << 256 - bits)).to_bytes(32)


def test_a_hash_a_line(tmp_path: Path) -> None:
    known = _load(tmp_path, f"# known\n\n{A}\n  {B.upper()}  \r\n")
    assert len(known) == 2
    assert known.match(bytes.fromhex(B)) == HashlistMatch("known.txt:4", "match", 0, 4)


@pytest.mark.parametrize(
    ("text", "name", "action"),
    [
        (f"pdq {A}", "known.txt:1", "match"),
        (f"video_md5 d41d8cd98f00b204e9800998ecf8427e\npdq {A}", "known.txt:2", "match"),
        (f"{A},100,bridge-1.jpg", "bridge-1.jpg", "match"),
        (f"{A},bridge-1.jpg,allow", "bridge-1.jpg", "allow"),
        (f"{A},allow", "known.txt:1", "allow"),
        (f"hash,action,name\n{A},allow,logo", "logo", "allow"),
        (f"hash\tquality\tname\n{A}\t77\tlogo", "logo", "match"),
        (f'\ufeffHash, Tags\n{A},"hate, 2020"', "hate, 2020", "match"),
        (f"signal_type,signal_str,collab,category,tags\npdq,{A},Sample,POSITIVE_CLASS,a b", "a b", "match"),
        (f"signal_type,signal_str,collab,category,tags\npdq,{A},Sample,POSITIVE_CLASS,", "POSITIVE_CLASS", "match"),
    ],
)
def test_forms(tmp_path: Path, text: str, name: str, action: str) -> None:
    found = _load(tmp_path, text).match(bytes.fromhex(A))
    assert found is not None
    assert (found.name, found.action, found.distance) == (name, action, 0)


def test_rows_left_out_are_counted(tmp_path: Path) -> None:
    rows = [
        "signal_type,signal_str,category,quality",
        f"pdq,{A},POSITIVE_CLASS,90",
        f"pdq,{B},NEGATIVE_CLASS,90",
        f"pdq,{'1' * 64},POSITIVE_CLASS,49",
        "video_md5,d41d8cd98f00b204e9800998ecf8427e,POSITIVE_CLASS,",
    ]
    known = _load(tmp_path, "\n".join(rows))
    assert (len(known), known.ignored) == (1, 3)


def test_threshold_is_31_bits(tmp_path: Path) -> None:
    known = _load(tmp_path, A)
    found = known.match(_flip(A, 31))
    assert found is not None
    assert found.distance == 31
    assert known.match(_flip(A, 32)) is None
    assert known.match(_flip(A, 32), threshold=40) is not None
    assert known.match(_flip(A, 3), quality=49) is None


def test_nearest_of_several_hashes_and_entries(tmp_path: Path) -> None:
    near = _flip(A, 10).hex()
    known = _load(tmp_path, f"hash,name,action\n{A},first,match\n{near},second,allow\n")
    for asked, name, distance in ((_flip(A, 4), "first", 4), (_flip(A, 8), "second", 2)):
        found = known.match(asked)
        assert found is not None
        assert (found.name, found.distance) == (name, distance)
    assert known.match(_flip(A, 5)).name == "first"  # type: ignore[union-attr]  # 5 and 5: match before allow
    found = known.match(_flip(A, 60), _flip(A, 9))  # two hashes of one picture
    assert found is not None
    assert (found.name, found.distance) == ("second", 1)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (A[:-1], ":1: expected a PDQ hash of 64 hexadecimal digits, found 'f8f8"),
        (f"{A}\n{A}0", ":2: expected a PDQ hash"),
        (f"{A}\nnot a hash", ":2: expected a PDQ hash of 64 hexadecimal digits, found 'not a hash'"),
        (f"{A},101", ":1: expected a quality of 0 to 100, found '101'"),
        (f"hash,quality\n{A},high", ":2: expected a quality of 0 to 100, found 'high'"),
        (f"hash,action\n{A},delete", ":2: expected the action 'match' or 'allow', found 'delete'"),
        (f"hash,action\n{A},match\n{A},allow", ":3: this hash is listed as 'allow', but as 'match' on line 2"),
        ("", "found none that can be used"),
        ("# only a comment", "found none that can be used"),
        (f"hash,name\n,{A}", ":2: expected a PDQ hash"),
    ],
)
def test_malformed_lists_name_file_and_line(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(UsageError) as caught:
        _load(tmp_path, text)
    assert "known.txt" in str(caught.value)
    assert says in str(caught.value)


def test_unreadable_lists(tmp_path: Path) -> None:
    (tmp_path / "binary").write_bytes(b"\xff\xd8\xff\xe0")
    with pytest.raises(UsageError, match="binary: expected a text file in UTF-8"):
        load_hashlist(tmp_path / "binary")
    for missing in (tmp_path / "none.csv", tmp_path):
        with pytest.raises(UsageError, match="expected a hash list"):
            load_hashlist(missing)


@given(st.binary(min_size=32, max_size=32), st.lists(st.binary(min_size=32, max_size=32), min_size=1, max_size=20))
def test_match_is_the_smallest_hamming_distance(asked: bytes, entries: list[bytes]) -> None:
    count = len(entries)
    hashes = np.frombuffer(b"".join(entries), np.uint8).reshape(-1, 32)
    known = Hashlist(hashes, [str(i) for i in range(count)], ["match"] * count, list(range(count)))
    by_hand = min((int.from_bytes(entry) ^ int.from_bytes(asked)).bit_count() for entry in entries)
    found = known.match(asked, threshold=256)
    assert found is not None
    assert found.distance == by_hand
    assert (known.match(asked) is None) == (by_hand > 31)


@given(st.text(max_size=300))
def test_any_text_is_a_list_or_a_usage_error(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    path = tmp_path_factory.getbasetemp() / "any.txt"
    path.write_text(text, "utf-8", errors="replace")
    with pytest.raises(UsageError):  # no random text holds a hash of 64 digits
        load_hashlist(path)
