"""The journal: durable at every step, whole after a kill."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from memescope.errors import MemescopeError, UsageError
from memescope.meme import Verdict
from memescope.scanning.lock import only_one
from memescope.store.journal import Journal, Stored


def _fill(journal: Journal, count: int) -> None:
    journal.begin()
    for seq in range(1, count + 1):
        journal.add(seq, f"{seq}.jpg", f"/x/{seq}.jpg", None)
        journal.put(seq, f"key{seq}", Stored({"n": seq}, b"thumb", b"print", b"vector"))


def test_readings_come_back_in_input_order_across_pages(tmp_path: Path) -> None:
    with Journal(tmp_path / "j.db") as journal:
        _fill(journal, 1203)
        rows = list(journal.rows())
        assert [row.seq for row in rows] == list(range(1, 1204))
        assert rows[700].stored == Stored({"n": 701}, None, b"print", b"vector")
        assert journal.thumbnail("701.jpg") == b"thumb"
        assert journal.counts() == {"entries": 1203, "read": 1203, "failed": 0}


def test_a_new_scan_forgets_entries_and_keeps_readings(tmp_path: Path) -> None:
    with Journal(tmp_path / "j.db") as journal:
        _fill(journal, 3)
        journal.begin()
        assert journal.counts()["entries"] == 0
        assert journal.reading("key2") == {"n": 2}
        journal.add(1, "2.jpg", "/x/2.jpg", None)
        journal.put(1, "key2", None)
        assert [row.stored.record for row in journal.rows() if row.stored] == [{"n": 2}]


def test_an_error_of_this_run_and_one_of_the_content(tmp_path: Path) -> None:
    with Journal(tmp_path / "j.db") as journal:
        journal.begin()
        journal.add(1, "a", "a", None)
        journal.add(2, "b", "b", "a symbolic link")
        journal.fail(1, "worker died")
        assert [row.error for row in journal.rows()] == ["worker died", "a symbolic link"]


def test_verdicts_are_replaced_and_streamed(tmp_path: Path) -> None:
    with Journal(tmp_path / "j.db") as journal:
        journal.put_verdicts(Verdict(id=str(n), path="p").to_dict() for n in range(600))
        journal.put_verdicts(Verdict(id=str(n), path="p").to_dict() for n in range(501))
        assert [record["id"] for record in journal.verdicts()] == [str(n) for n in range(501)]


def test_a_file_that_is_no_journal_is_refused(tmp_path: Path) -> None:
    (tmp_path / "j.db").write_bytes(b"holiday pictures" * 100)
    with pytest.raises(MemescopeError, match="not a journal"):
        Journal(tmp_path / "j.db")


def test_another_format_is_refused(tmp_path: Path) -> None:
    with Journal(tmp_path / "j.db") as journal:
        journal.set_meta("format", "99")
    with pytest.raises(MemescopeError, match="format 99"):
        Journal(tmp_path / "j.db")


_WRITER = """
import sys
from pathlib import Path
from memescope.store.journal import Journal, Stored
journal = Journal(Path(sys.argv[1]))
journal.begin()
for seq in range(1, 100000):
    journal.add(seq, str(seq), str(seq), None)
    journal.put(seq, f"key{seq}", Stored({"n": seq}, b"t" * 3000))
    print(seq, flush=True)
"""


def test_what_was_put_survives_kill_minus_nine(tmp_path: Path) -> None:
    path = tmp_path / "j.db"
    writer = subprocess.Popen([sys.executable, "-c", _WRITER, str(path)], stdout=subprocess.PIPE, text=True)
    assert writer.stdout
    said = [int(writer.stdout.readline()) for _ in range(50)]
    os.kill(writer.pid, signal.SIGKILL)
    writer.wait()
    with Journal(path) as journal:
        kept = [row.stored.record["n"] for row in journal.rows() if row.stored]
    assert kept[: len(said)] == said


def test_two_scans_cannot_write_to_one_folder(tmp_path: Path) -> None:
    with only_one(tmp_path), pytest.raises(UsageError, match="another scan is writing"), only_one(tmp_path):
        pass
    with only_one(tmp_path):
        pass
