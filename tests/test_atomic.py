"""Files that are there whole or not at all."""

from __future__ import annotations

from pathlib import Path

import pytest

from memescope.atomic import atomic, write_whole


def test_a_broken_writer_leaves_the_old_file_and_nothing_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "new" / "a.txt"
    write_whole(path, "ä")
    write_whole(path, b"two")
    with pytest.raises(TypeError), atomic(path) as file:
        file.writelines([b"half", "no bytes"])  # type: ignore[list-item]
    assert path.read_bytes() == b"two"
    assert list(path.parent.iterdir()) == [path]


def test_two_writers_of_one_file_do_not_meet(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    with atomic(path) as first:
        first.write(b"one")
        with atomic(path) as second:
            second.write(b"two")
        assert path.read_bytes() == b"two"
    assert path.read_bytes() == b"one"
